//! umid.
