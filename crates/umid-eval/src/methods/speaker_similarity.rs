//! The mean cosine of a person's text with several of their clips.

use std::collections::BTreeMap;

use umid_baselines::cosine_similarity;
use umid_models::Modality;
use umid_testbed::caption::fill;

use super::Method;
use super::clip_probe::Probe;
use crate::record::{Column, Reading, Sees};
use crate::subject::Subject;

/// CSA at the level of a speaker.
pub static METHOD: Method =
    Method::new("speaker-similarity", "Ko et al. 2023, over clips", 30.0, measure);

fn measure(subject: &Subject, _: &toml::Table) -> crate::Result<Vec<Reading>> {
    subject.ensure_reads(Modality::Audio, "speaker similarity")?;
    let probe = Probe::of(subject)?;
    let template = subject.first_template();
    let mut groups = BTreeMap::new();
    for (group, people) in &probe.groups {
        let queries = &subject.groups()[group];
        let texts: Vec<String> = queries.iter().map(|q| fill(template, &q.text)).collect();
        let texts = subject.model.embed_texts(&texts)?.embeddings;
        let score = |(text, clips): (ndarray::ArrayView1<f32>, &ndarray::Array2<f32>)| {
            Ok(Some(cosine_similarity(&text, &clips.view())?))
        };
        let scores = texts.outer_iter().zip(people).map(score);
        groups.insert(*group, Column::of(scores.collect::<crate::Result<_>>()?));
    }
    let name = "speaker similarity";
    Ok(vec![Reading::new(name, Sees::Images, groups, probe.cost).headline()])
}
