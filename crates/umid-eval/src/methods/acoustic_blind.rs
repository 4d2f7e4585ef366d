//! The acoustic blind control: a classifier of what clips sound like, which never sees the model.
//!
//! On corpora of real speech, members and non-members often differ in how they were recorded, and such
//! a classifier alone tells them apart (arXiv 2603.28378). Its features are the mean and the deviation
//! over time of each mel bin of the log-mel front end, averaged over a few training clips of each
//! speaker (of a non-member, those that it would have been trained on).

use ndarray::Array2;
use umid_baselines::BlindControl;
use umid_models::{Input, Modality};
use umid_testbed::Identity;

use super::Method;
use super::blind::{PERMUTATIONS, reading};
use crate::record::{Group, Reading, Sees};
use crate::subject::Subject;

/// Training clips of each speaker; every target of the suites has at least as many.
const CLIPS: usize = 4;

/// The acoustic blind control.
pub static METHOD: Method =
    Method::new("acoustic-blind", "after Das et al. 2025, over clips", 20.0, measure);

fn measure(subject: &Subject, _: &toml::Table) -> crate::Result<Vec<Reading>> {
    subject.ensure_reads(Modality::Audio, "the acoustic blind control")?;
    let groups = [Group::Member, Group::NonMember];
    let people: Vec<(&Identity, bool)> = groups
        .iter()
        .map(|group| Ok(subject.people(*group)?.into_iter().map(move |person| (person, *group))))
        .collect::<crate::Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .map(|(person, group)| (person, group == Group::Member))
        .collect();
    let (people, members): (Vec<&Identity>, Vec<bool>) = people.into_iter().unzip();
    let mut features: Option<Array2<f64>> = None;
    for clip in 0..CLIPS {
        let inputs = subject.training_inputs(&people, clip)?;
        let of_clip: Vec<Vec<f64>> = inputs.iter().map(of_bins).collect();
        let width = of_clip.first().map_or(0, Vec::len);
        let of_clip = Array2::from_shape_vec((people.len(), width), of_clip.concat())?;
        features = Some(features.map_or(of_clip.clone(), |sum| sum + of_clip));
    }
    let features = features.unwrap_or_default() / CLIPS as f64;
    let prepared = BlindControl::default().prepare_features(&features.view(), &members)?;
    let outcome = prepared.evaluate()?;
    let null = prepared.permutation_null(PERMUTATIONS, 0)?;
    Ok(vec![reading("acoustic blind control", Sees::InputsOnly, subject, &outcome, &null)?])
}

/// Mean of each bin over the frames, then its deviation, `[2 bins]`; an input is
/// `[channels, frames, bins]`.
fn of_bins(input: &Input) -> Vec<f64> {
    let bins = input.shape[2];
    let frames = input.values.chunks_exact(bins);
    let count = frames.len() as f64;
    let mut sums = vec![0.0; bins];
    let mut squares = vec![0.0; bins];
    for frame in frames {
        for ((sum, square), value) in sums.iter_mut().zip(&mut squares).zip(frame) {
            let value = f64::from(*value);
            *sum += value;
            *square += value * value;
        }
    }
    let means: Vec<f64> = sums.iter().map(|sum| sum / count).collect();
    let deviation = |(mean, square): (&f64, &f64)| (square / count - mean * mean).max(0.0).sqrt();
    let deviations = means.iter().zip(&squares).map(deviation).collect();
    [means, deviations].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bin_has_a_mean_and_a_deviation_over_frames() {
        // Two bins: 1, 3, 5 and 2, 2, 2.
        let input = Input { shape: [1, 3, 2], values: vec![1.0, 2.0, 3.0, 2.0, 5.0, 2.0] };
        let features = of_bins(&input);
        assert!((features[0] - 3.0).abs() < 1e-12 && (features[1] - 2.0).abs() < 1e-12);
        assert!((features[2] - (8.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!(features[3].abs() < 1e-12);
        assert_eq!(features.len(), 4);
    }
}
