//! umid-testbed.
