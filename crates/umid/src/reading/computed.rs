//! What computed a reference's signals: the part of a cache's key that stands for code. Where any
//! of it changes, a cached value is not found and is computed again.

use serde::Serialize;
use umid_invert::INVERSION_VERSION;
use umid_models::Model;
use umid_signals::{inversion_signal_versions, text_signal_versions};

/// Device, precision, unit and kernels of the model, and the versions of what reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ComputedBy {
    model: String,
    signals: Vec<(&'static str, u32)>,
    inversion: Option<u32>,
}

impl ComputedBy {
    /// Text signals.
    pub(crate) fn texts(model: &Model) -> Self {
        Self { model: model.computed_by(), signals: text_signal_versions(), inversion: None }
    }

    /// Text signals and those of inversions.
    pub(crate) fn inversions(model: &Model) -> Self {
        let mut by = Self::texts(model);
        by.signals.extend(inversion_signal_versions());
        by.inversion = Some(INVERSION_VERSION);
        by
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cache::CacheKey;

    #[test]
    fn a_cache_key_changes_with_all_that_computes() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../umid-models/tests/fixtures");
        let device = umid_models::default_device().unwrap();
        let model = Model::load(&fixtures.join("openclip-gelu"), &device).unwrap();
        let by = ComputedBy::inversions(&model);
        assert_eq!(
            (by.model.as_str(), by.inversion),
            (&*model.computed_by(), Some(INVERSION_VERSION))
        );
        let mut others = vec![by.clone(), ComputedBy::texts(&model)];
        let parts: Vec<&str> = by.model.split(", ").collect();
        let [device, precision, unit, texts, kernels] = parts[..] else { panic!("{parts:?}") };
        assert_eq!((device, precision), (&*model.device_name(), &*model.precision().to_string()));
        assert_eq!(texts, format!("texts {}", model.text_compute_unit()));
        assert!(unit == model.compute_unit() && kernels.starts_with("kernels "), "{parts:?}");
        for i in 0..parts.len() {
            let mut parts = parts.clone();
            parts[i] = "another";
            others.push(ComputedBy { model: parts.join(", "), ..by.clone() });
        }
        others.push(ComputedBy { inversion: Some(INVERSION_VERSION + 1), ..by.clone() });
        for i in 0..by.signals.len() {
            let mut other = by.clone();
            other.signals[i].1 += 1;
            others.push(other);
        }
        let keys: Vec<CacheKey> =
            others.iter().map(|by| CacheKey::new("digest", &("paper", by), &[])).collect();
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].contains(key), "{:?}", others[i]);
        }
    }
}
