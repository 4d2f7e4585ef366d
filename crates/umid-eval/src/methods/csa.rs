//! CSA (Ko et al., ICCV 2023): the cosine of a person's name and photo.

use umid_baselines::cosine_similarity;

use super::pair_probe::Probe;
use super::{Method, columns_of};
use crate::record::{Column, Cost, Reading, Sees};
use crate::subject::Subject;

/// The cosine-similarity attack.
pub static METHOD: Method = Method::new("csa", "Ko et al. 2023", 3.0, measure);

fn measure(subject: &Subject, _: &toml::Table) -> crate::Result<Vec<Reading>> {
    let probe = Probe::of(subject)?;
    let groups = columns_of(&probe.groups, |pairs| {
        let score = |i: usize| {
            let image = pairs.embedded.slice(ndarray::s![i..=i, ..]);
            Ok(Some(cosine_similarity(&pairs.texts.row(i), &image)?))
        };
        Ok(Column::of((0..pairs.texts.nrows()).map(score).collect::<crate::Result<_>>()?))
    })?;
    let seconds = Some(probe.seconds);
    let cost = Cost { forward: 2.0, backward: 0.0, seconds, latency: None };
    Ok(vec![Reading::new("CSA", Sees::Images, groups, cost).headline()])
}
