//! PRMID (after arXiv 2410.18371): where the true text ranks for a speaker's clips.

use std::collections::BTreeMap;

use umid_baselines::RankedCandidates;
use umid_models::Modality;
use umid_testbed::caption::fill;

use super::Method;
use super::clip_probe::Probe;
use crate::record::{Column, Reading, Sees};
use crate::subject::Subject;

/// Rank of the true text among everybody's.
pub static METHOD: Method = Method::new("prmid", "after Li et al. 2025", 30.0, measure);

/// The candidates are the texts of everybody whose clips are looked at.
fn measure(subject: &Subject, _: &toml::Table) -> crate::Result<Vec<Reading>> {
    subject.ensure_reads(Modality::Audio, "PRMID")?;
    let probe = Probe::of(subject)?;
    let template = subject.first_template();
    let queries = probe.groups.keys().flat_map(|group| &subject.groups()[group]);
    let texts: Vec<String> = queries.map(|query| fill(template, &query.text)).collect();
    let embeddings = subject.model.embed_texts(&texts)?.embeddings;
    let candidates = RankedCandidates::new(&embeddings.view())?;
    let mut own = 0..;
    let mut groups = BTreeMap::new();
    for (group, people) in &probe.groups {
        let score = |(clips, own): (&ndarray::Array2<f32>, usize)| {
            Ok(Some(candidates.score(&clips.view(), own)?))
        };
        let scores = people.iter().zip(own.by_ref()).map(score);
        groups.insert(*group, Column::of(scores.collect::<crate::Result<_>>()?));
    }
    Ok(vec![Reading::new("PRMID", Sees::Images, groups, probe.cost).headline()])
}
