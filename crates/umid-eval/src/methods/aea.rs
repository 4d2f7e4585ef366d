//! AEA (Ko et al., ICCV 2023): how much the cosine falls when the photo is altered.

use std::time::Instant;

use ndarray::Array3;
use umid_baselines::{Augmentation, augmentation_enhanced, augmentations};
use umid_models::{Input, Modality, Model};

use super::known::decided;
use super::pair_probe::{Pairs, Probe};
use super::{Method, columns_of};
use crate::record::{Cost, Reading, Sees};
use crate::subject::Subject;

/// Red, green and blue.
const CHANNELS: usize = 3;

/// The augmentation-enhanced attack.
pub static METHOD: Method = Method {
    definition: || String::from("2, decides"),
    ..Method::new("aea", "Ko et al. 2023", 10.0, measure)
};

fn measure(subject: &Subject, _: &toml::Table) -> crate::Result<Vec<Reading>> {
    subject.ensure_reads(Modality::Image, "AEA")?;
    let probe = Probe::of(subject)?;
    let changes = augmentations();
    let known: Vec<f64> =
        scores(&subject.model, &probe.known, &changes)?.into_iter().flatten().collect();
    let started = Instant::now();
    let groups = columns_of(&probe.groups, |pairs| {
        decided(scores(&subject.model, pairs, &changes)?, &known)
    })?;
    let count: usize = probe.groups.values().map(|pairs| pairs.inputs.len()).sum();
    let cost = Cost {
        forward: 2.0 + changes.len() as f64,
        backward: 0.0,
        seconds: Some(probe.seconds + started.elapsed().as_secs_f64() / count as f64),
        latency: None,
    };
    Ok(vec![Reading::new("AEA", Sees::Images, groups, cost).headline()])
}

fn scores(
    model: &Model,
    pairs: &Pairs,
    changes: &[Augmentation],
) -> crate::Result<Vec<Option<f64>>> {
    let mut copies = Vec::with_capacity(pairs.inputs.len() * changes.len());
    for photo in &pairs.inputs {
        let [_, height, width] = photo.shape;
        let image = Array3::from_shape_vec((CHANNELS, height, width), photo.values.clone())?;
        for change in changes {
            let values = change.apply(&image.view())?.into_raw_vec_and_offset().0;
            copies.push(Input { shape: photo.shape, values });
        }
    }
    let embeddings = model.embed_inputs(&copies)?;
    let width = embeddings.ncols();
    let shape = (pairs.inputs.len(), changes.len(), width);
    let embeddings = embeddings.into_shape_with_order(shape)?;
    (0..pairs.inputs.len())
        .map(|i| {
            let (image, copies) = (ndarray::s![i..=i, ..], ndarray::s![i..=i, .., ..]);
            let (image, copies) = (pairs.embedded.slice(image), embeddings.slice(copies));
            Ok(Some(augmentation_enhanced(&pairs.texts.row(i), &image, &copies)?))
        })
        .collect()
}
