//! CSA (Ko et al., ICCV 2023): the cosine of a person's name and photo.

use umid_baselines::cosine_similarity;

use super::known::decided;
use super::pair_probe::{Pairs, Probe};
use super::{Method, columns_of};
use crate::record::{Cost, Reading, Sees};
use crate::subject::Subject;

/// The cosine-similarity attack.
pub static METHOD: Method = Method {
    definition: || String::from("2, decides"),
    ..Method::new("csa", "Ko et al. 2023", 3.0, measure)
};

fn measure(subject: &Subject, _: &toml::Table) -> crate::Result<Vec<Reading>> {
    let probe = Probe::of(subject)?;
    let known = cosines(&probe.known)?;
    let groups = columns_of(&probe.groups, |pairs| {
        decided(cosines(pairs)?.into_iter().map(Some).collect(), &known)
    })?;
    let seconds = Some(probe.seconds);
    let cost = Cost { forward: 2.0, backward: 0.0, seconds, latency: None };
    Ok(vec![Reading::new("CSA", Sees::Images, groups, cost).headline()])
}

fn cosines(pairs: &Pairs) -> crate::Result<Vec<f64>> {
    let cosine = |i: usize| {
        let image = pairs.embedded.slice(ndarray::s![i..=i, ..]);
        Ok(cosine_similarity(&pairs.texts.row(i), &image)?)
    };
    (0..pairs.texts.nrows()).map(cosine).collect()
}
