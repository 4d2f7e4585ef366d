//! A photo or clip of each person with their name: the input of attacks on pairs.
//!
//! For a member it is one that the target was trained on; for a non-member, one that it would have
//! been trained on had the person been a member. So the groups differ in membership alone.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use ndarray::{Array1, Array2};
use umid::queries::Query;
use umid_models::{Input, Model};
use umid_testbed::caption::fill;

use crate::record::Group;
use crate::subject::Subject;

/// Pairs that are known not to be in any training set: names of nobody with recordings of the
/// bank.
pub const KNOWN: usize = 400;

/// Names with inputs.
pub struct Pairs {
    /// The names in the target's first template.
    pub captions: Vec<String>,
    /// A photo or clip of each, as the model takes it.
    pub inputs: Vec<Input>,
    /// Embeddings of the captions, `[pairs, dim]`.
    pub texts: Array2<f32>,
    /// Embeddings of the inputs, `[pairs, dim]`.
    pub embedded: Array2<f32>,
}

impl Pairs {
    /// Embeds pairs.
    pub fn new(model: &Model, captions: Vec<String>, inputs: Vec<Input>) -> crate::Result<Self> {
        let texts = model.embed_texts(&captions)?.embeddings;
        let embedded = model.embed_inputs(&inputs)?;
        Ok(Self { captions, inputs, texts, embedded })
    }

    /// Cosines of the pairs.
    pub fn cosines(&self) -> Array1<f64> {
        self.texts
            .outer_iter()
            .zip(self.embedded.outer_iter())
            .map(|(text, input)| {
                let length = |v: &ndarray::ArrayView1<f32>| v.dot(v).sqrt();
                f64::from(text.dot(&input) / (length(&text) * length(&input)))
            })
            .collect()
    }
}

/// The pairs of a target.
pub struct Probe {
    /// Pairs of the people under test.
    pub groups: BTreeMap<Group, Pairs>,
    /// Pairs of names of nobody.
    pub known: Pairs,
    /// Seconds to embed a pair.
    pub seconds: f64,
}

impl Probe {
    /// Embeds every person's pair; shared between methods.
    pub fn of(subject: &Subject) -> crate::Result<Rc<Self>> {
        subject.shared("pairs".to_owned(), || Self::compute(subject, &subject.model))
    }

    /// The same under another model of the same world, such as a shadow.
    pub fn compute(subject: &Subject, model: &Model) -> crate::Result<Self> {
        let template = subject.first_template();
        let caption = |query: &Query| fill(template, &query.text);
        let mut groups = BTreeMap::new();
        let started = Instant::now();
        let mut count = 0;
        for group in [Group::Member, Group::NonMember, Group::Mispaired] {
            let people = subject.people(group)?;
            if people.is_empty() {
                continue;
            }
            let captions = subject.groups()[&group].iter().map(caption).collect();
            let inputs = subject.training_inputs(&people, 0)?;
            count += inputs.len();
            groups.insert(group, Pairs::new(model, captions, inputs)?);
        }
        let seconds = started.elapsed().as_secs_f64() / count as f64;
        let names: Vec<&Query> = subject.fresh().iter().take(KNOWN).collect();
        let world = subject.world()?;
        let inputs = (0..names.len())
            .map(|i| Ok(world.bank_recording(i)?.input(&model.front_end)?))
            .collect::<crate::Result<Vec<_>>>()?;
        let known = Pairs::new(model, names.into_iter().map(caption).collect(), inputs)?;
        Ok(Self { groups, known, seconds })
    }
}
