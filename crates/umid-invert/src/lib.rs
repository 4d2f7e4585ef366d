//! umid-invert.
