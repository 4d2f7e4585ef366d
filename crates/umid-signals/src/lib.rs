//! umid-signals.
