//! umid-detect.
