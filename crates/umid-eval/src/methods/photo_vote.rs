//! The vote that the person's own photos or clips give, in TUNI's code (`given_real_photo.py` and
//! `vote.py`): how far what a text is inverted to lies from the person's real inputs, as a face
//! classifier sees both, in two clusters over everybody.
//!
//! TUNI's classifier is a ResNet-50 of VGGFace2. Here the suites' null target stands in, a small CLIP or
//! CLAP that was trained on 400 other people: its class outputs are its scaled cosines with their
//! names. It was trained on nobody under test and is independent of the target.
//!
//! TUNI drops the vote where the centres of the two clusters, over standardised distances, are closer
//! than 3. Two clusters of standardised values that hold the shares p and 1 - p are at most
//! 1 / sqrt(p (1 - p)) apart, which is 2 for equal shares: the published rule can keep the vote only if
//! one cluster holds at most 12.7 % of the people. Readings with and without that rule are given.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;
use umid::PaperReader;
use umid::audit::DEFAULT_MIN_VOTES;
use umid_detect::StandardScaler;
use umid_models::{Input, Model, parse_device};
use umid_testbed::caption::fill;
use umid_testbed::{Card, Identity, MEMBERS, World, read_membership};

use super::inversion::{self, Reader};
use super::{Method, columns_of, settings};
use crate::error::Error;
use crate::record::{Column, Cost, Group, Reading, Sees};
use crate::subject::Subject;
use crate::suites::workspace_root;

/// Real inputs of each person, none of which the target was trained on.
const PHOTOS: u32 = 6;
/// Distance of the standardised centres below which TUNI drops the vote.
const LEAST_SEPARATION: f64 = 3.0;
/// Groups that the clusters are made of.
const GROUPS: [Group; 2] = [Group::Member, Group::NonMember];

/// UMID's four votes and the vote of the person's own inputs.
pub static METHOD: Method = Method {
    check: Some(|table| settings::<inversion::Settings>(table)?.check()),
    ..Method::new("photo-vote", "TUNI, arXiv 2405.14517, on UMID", 40.0, measure)
};

fn measure(subject: &Subject, table: &toml::Table) -> crate::Result<Vec<Reading>> {
    let settings: inversion::Settings = settings(table)?;
    let probe = inversion::Probe::of(subject, &settings)?;
    let reader = PaperReader::fit(&probe.gibberish, DEFAULT_MIN_VOTES, settings.seed)?;
    let faces = FaceNetwork::of(subject)?;
    let inverter = Reader::new(subject, &subject.model, &settings)?;
    let mut people = BTreeMap::new();
    for group in GROUPS {
        let texts = &subject.groups()[&group][..probe.groups[&group].len()];
        let inverted = inverter.inputs(texts)?;
        let photos = Photos { world: subject.world()?, faces: &faces };
        let of_group = subject.people(group)?;
        let distances: Vec<f64> = of_group
            .par_iter()
            .zip(&inverted)
            .map(|(person, inverted)| photos.distance(person, &inverted.view()))
            .collect::<crate::Result<_>>()?;
        let votes = probe.groups[&group].iter().map(|row| Ok(reader.read(row)?.map(|r| r.votes)));
        let votes: Vec<Option<usize>> = votes.collect::<crate::Result<_>>()?;
        people.insert(group, votes.into_iter().zip(distances).collect());
    }
    let names =
        Names { photo: "the input's vote", five: "five votes", kept: "five votes, never dropped" };
    let passes = f64::from(PHOTOS) + settings.restarts as f64;
    let cost = Cost { forward: probe.cost.forward + passes, seconds: None, ..probe.cost };
    readings(&names, &people, cost)
}

/// What readings are called.
pub struct Names {
    pub photo: &'static str,
    pub five: &'static str,
    pub kept: &'static str,
}

/// The photo's vote alone, the five votes by the published rule, and the five votes without it.
/// `people` has each person's number of votes among the four, if the inversions gave any, and the
/// distance between inverted and real inputs.
pub fn readings(
    names: &Names,
    people: &BTreeMap<Group, Vec<(Option<usize>, f64)>>,
    cost: Cost,
) -> crate::Result<Vec<Reading>> {
    let all: Vec<f64> = people.values().flatten().map(|(_, distance)| *distance).collect();
    let clusters = Clusters::of(&all)?;
    let column = |score: &dyn Fn(usize, f64) -> f64, flag: &dyn Fn(usize, f64) -> bool| {
        columns_of(people, |people| {
            let (scores, flags) = people
                .iter()
                .map(|(votes, d)| (votes.map(|v| score(v, *d)), votes.map(|v| flag(v, *d))))
                .unzip();
            Ok(Column { scores, flags: Some(flags), p_values: None })
        })
    };
    let near = |distance: f64| distance < clusters.boundary;
    let with_photo = |votes: usize, distance: f64| votes + usize::from(near(distance));
    let dropped = clusters.separation < LEAST_SEPARATION;
    let published = |votes, distance| if dropped { votes } else { with_photo(votes, distance) };
    // Three of four votes, and three of five, are the sum of votes of either sign below zero.
    let reading = |name, groups| Reading::new(name, Sees::Images, groups, cost).headline();
    let photo = reading(names.photo, column(&|_, d| -d, &|_, d| near(d))?);
    let mut five = reading(
        names.five,
        column(&|v, d| published(v, d) as f64, &|v, d| published(v, d) >= DEFAULT_MIN_VOTES)?,
    );
    five.facts.insert("separation".to_owned(), vec![clusters.separation]);
    let kept = reading(
        names.kept,
        column(&|v, d| with_photo(v, d) as f64, &|v, d| with_photo(v, d) >= DEFAULT_MIN_VOTES)?,
    );
    Ok(vec![photo, five, kept])
}

/// Two clusters of numbers, by k-means.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Clusters {
    /// Numbers below it are in the lower cluster.
    boundary: f64,
    /// Distance of the centres in the numbers' standard deviations.
    separation: f64,
}

impl Clusters {
    /// The split with the least sum of squares, which for numbers on a line is one of few.
    fn of(values: &[f64]) -> crate::Result<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let column = Array2::from_shape_vec((sorted.len(), 1), sorted.clone())?;
        let scaled = StandardScaler::fit(&column)?.transform(&column.view())?;
        let scaled: Vec<f64> = scaled.into_iter().collect();
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        // The sum of squares within is least where that between is largest.
        let between = |at: usize| {
            let (low, high) = scaled.split_at(at);
            let apart = mean(high) - mean(low);
            (low.len() * high.len()) as f64 * apart * apart
        };
        let splits = (1..scaled.len()).filter(|at| scaled[*at] > scaled[at - 1]);
        let best = splits.max_by(|a, b| between(*a).total_cmp(&between(*b)));
        let at = best.ok_or(Error::OneDistance)?;
        let (low, high) = scaled.split_at(at);
        Ok(Self { boundary: sorted[at], separation: mean(high) - mean(low) })
    }
}

/// A network that tells people apart who are not under test.
pub struct FaceNetwork {
    model: Model,
    /// Unit embeddings of the names that it was trained on, `[classes, dim]`.
    names: Array2<f32>,
}

impl FaceNetwork {
    /// The null target of the subject's medium.
    pub fn of(subject: &Subject) -> crate::Result<Arc<Self>> {
        let name = match subject.model.modality() {
            umid_models::Modality::Image => "null",
            umid_models::Modality::Audio => "clap-null",
        };
        let folder = workspace_root().join("datasets/zoo").join(name);
        let model = Model::load(&folder, &parse_device("cpu")?)?;
        // Log-mels of another kind of tower are on another scale.
        let kind = |model: &Model| model.config.input.as_ref().map(std::mem::discriminant);
        let audio = model.modality() == umid_models::Modality::Audio;
        let same_shape = model.input_units()?.shape == subject.model.input_units()?.shape;
        if !same_shape || (audio && kind(&model) != kind(&subject.model)) {
            return Err(Error::FaceNetwork { folder });
        }
        let template = &Card::read(&folder)?.name_templates[0];
        let people = read_membership(&folder.join(MEMBERS))?;
        let captions: Vec<String> = people.iter().map(|row| fill(template, &row.text)).collect();
        let names = unit_rows(model.embed_texts(&captions)?.embeddings);
        Ok(Arc::new(Self { model, names }))
    }

    /// Class outputs: `[inputs, classes]`.
    fn outputs(&self, inputs: &[Input]) -> crate::Result<Array2<f32>> {
        let embedded = unit_rows(self.model.embed_inputs(inputs)?);
        Ok(embedded.dot(&self.names.t()) * self.model.logit_scale())
    }
}

/// Real inputs of people, as a face network sees them.
pub struct Photos<'a> {
    pub world: &'a World,
    pub faces: &'a FaceNetwork,
}

impl Photos<'_> {
    /// Sum of the distances between each inverted and each real input, `inverted` being
    /// `[restarts, dim]`.
    pub fn distance(&self, person: &Identity, inverted: &ArrayView2<f32>) -> crate::Result<f64> {
        let front_end = &self.faces.model.front_end;
        let photos: Vec<Input> = (0..PHOTOS)
            .map(|i| self.world.held_out_recording(person, i).input(front_end))
            .collect::<Result<_, _>>()?;
        let shape = photos[0].shape;
        let inverted: Vec<Input> =
            inverted.outer_iter().map(|row| Input { shape, values: row.to_vec() }).collect();
        let (inverted, photos) = (self.faces.outputs(&inverted)?, self.faces.outputs(&photos)?);
        Ok(sum_of_distances(&inverted.view(), &photos.view()))
    }
}

/// Sum of the Euclidean distances between each row of one array and each of another.
fn sum_of_distances(a: &ArrayView2<f32>, b: &ArrayView2<f32>) -> f64 {
    let pairs = a.outer_iter().flat_map(|a| b.outer_iter().map(move |b| (a, b)));
    let squares = |(a, b): (ndarray::ArrayView1<f32>, ndarray::ArrayView1<f32>)| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
    };
    pairs.map(|pair| squares(pair).sqrt()).sum()
}

fn unit_rows(mut rows: Array2<f32>) -> Array2<f32> {
    for mut row in rows.axis_iter_mut(Axis(0)) {
        let length = row.dot(&row).sqrt();
        row /= length;
    }
    rows
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn distances_are_summed_over_all_pairs() {
        let (a, b) = (array![[0.0, 0.0], [3.0, 4.0]], array![[0.0, 0.0], [0.0, 4.0], [3.0, 0.0]]);
        // From (0, 0): 0, 4, 3; from (3, 4): 5, 3, 4.
        assert!((sum_of_distances(&a.view(), &b.view()) - 19.0).abs() < 1e-12);
    }

    #[test]
    fn two_clusters_are_the_split_of_least_squares() {
        // Mean 5, deviation 5: centres at -1 and 1.
        let clusters = Clusters::of(&[10.0, 0.0, 10.0, 0.0]).unwrap();
        assert_eq!(clusters, Clusters { boundary: 10.0, separation: 2.0 });
        // {0, 1, 2} and {9}: squares within are 2; of {0, 1} and {2, 9} 25.
        let clusters = Clusters::of(&[9.0, 1.0, 0.0, 2.0]).unwrap();
        assert!((clusters.boundary - 9.0).abs() < 1e-12);
        // Deviation sqrt(12.5): centres 8 apart.
        assert!((clusters.separation - 8.0 / 12.5_f64.sqrt()).abs() < 1e-12);
        assert!(Clusters::of(&[1.0, 1.0]).is_err());
    }

    fn people(distances: &[f64]) -> Vec<(Option<usize>, f64)> {
        distances.iter().map(|distance| (Some(2), *distance)).collect()
    }

    fn flags(near: usize, of: usize) -> [Vec<Option<bool>>; 3] {
        let names = Names { photo: "photo", five: "five", kept: "kept" };
        let distances: Vec<f64> = (0..of).map(|i| if i < near { 1.0 } else { 9.0 }).collect();
        let groups = BTreeMap::from([(Group::Member, people(&distances))]);
        let readings = readings(&names, &groups, Cost::default()).unwrap();
        let flags = |reading: &Reading| reading.groups[&Group::Member].flags.clone().unwrap();
        [flags(&readings[0]), flags(&readings[1]), flags(&readings[2])]
    }

    #[test]
    fn the_third_vote_makes_a_member_unless_the_clusters_are_too_close() {
        // Half of the people near: centres 2 deviations apart, so that the vote is dropped.
        let [photo, five, kept] = flags(2, 4);
        assert_eq!(photo, [true, true, false, false].map(Some));
        assert_eq!(five, [Some(false); 4]);
        assert_eq!(kept, photo);
        // One in twenty near: 1 / sqrt(.05 x .95) = 4.6 apart, so that it counts.
        let [photo, five, _] = flags(1, 20);
        assert_eq!(five, photo);
        assert_eq!(five.iter().filter(|flag| **flag == Some(true)).count(), 1);
    }
}
