//! umid-models.
