//! The attacks UMID is compared with, and the blind control.
