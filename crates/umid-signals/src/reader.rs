//! From texts to signals: which texts are asked of a model, which siblings a name gets, and what is
//! taken out of the responses.
//!
//! A name with two parts needs its siblings too: names that share one part with it (see
//! [`crate::interaction`]). What they say is summed up once for all names with that part
//! ([`crate::summary`]) and kept in bounded memory as long as the reader lives.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{Array1, Array2, Array4, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::interaction::SiblingGrid;
use crate::responses::without_direction;
use crate::summary::{DEFAULT_SUMMARY_BYTES, Group, SiblingSummary, Siblings, SummaryCache};
use crate::template_agreement::template_agreement;
use crate::text::TEXT_SIGNALS;
use crate::view::{Asked, EmbeddedNames, Shared};
use crate::{Bank, Basis, Error, Name, NameView, Result, SignalRow, UnitRows, checks, full_name};

/// Where a template takes the name.
const PLACE: &str = "{}";

/// A model's text tower, as far as signals need it.
pub trait TextEmbedder: Sync {
    /// Why texts could not be embedded, or a signal not be computed.
    type Error: From<Error>;

    /// What the tower makes of the texts, in their order.
    ///
    /// # Errors
    /// The embedder's own.
    fn embed(&self, texts: &[String]) -> std::result::Result<EmbeddedTexts, Self::Error>;

    /// The model's own factor on cosines, with which it compares texts and inputs.
    fn logit_scale(&self) -> f64;
}

/// What a text tower makes of some texts: one row for each.
#[derive(Debug, Clone)]
pub struct EmbeddedTexts {
    /// Not normalised, (texts, d).
    pub embeddings: Array2<f32>,
    /// The tower's states before its last layer norm, (texts, D).
    pub states: Array2<f32>,
    /// The embeddings without what that norm divides by and what is added to every text
    /// ([`crate::responses`]), (texts, d).
    pub responses: Array2<f32>,
}

/// What names are read with besides a model and a reference.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// Sentences with one `{}` for the name.
    pub templates: &'a [String],
    /// Captions with one `{}` that say other things beside the name, in which a name is asked without
    /// its siblings; may be empty. One that the model's context cuts is asked as it was cut.
    pub contexts: &'a [String],
    /// Public first parts, which take the place of a name's own: all different, at least three.
    pub first_parts: &'a [String],
    /// Public last parts, likewise.
    pub last_parts: &'a [String],
}

/// What the text tower says of one name.
#[derive(Debug, Clone)]
pub struct NameReading {
    /// Raw values of [`TEXT_SIGNALS`], without those that take a bank where there is none.
    pub signals: SignalRow,
    /// The name's embeddings, not normalised: a row for each template, (T, d).
    pub embeddings: Array2<f32>,
}

/// A text tower with everything fixed that text signals are computed with.
#[derive(Debug)]
pub struct TextReader<'a, E> {
    embedder: E,
    setting: Setting<'a>,
    shared: Shared,
    /// The mean response to the reference names, whose direction is taken out of all responses.
    to_any_name: Array1<f32>,
    /// The same in contexts.
    in_any_context: Array1<f32>,
    template_agreement: Vec<f64>,
    summaries: Mutex<SummaryCache>,
}

impl<'a, E: TextEmbedder> TextReader<'a, E> {
    /// Embeds the names made of public parts and the reference names: plausible names that cannot be
    /// members. Whatever else is learned from reference names, such as scales, must be learned from
    /// these, and p-values from others.
    ///
    /// `bank` holds embeddings of public inputs of the model's domain.
    ///
    /// # Errors
    /// Those of the embedder; a template without exactly one `{}`; too few parts or reference names
    /// (a bank takes at least 11).
    pub fn new(
        embedder: E,
        setting: Setting<'a>,
        reference: &[Name<'_>],
        bank: Option<Bank>,
    ) -> std::result::Result<Self, E::Error> {
        checks::at_least(1, "templates", setting.templates.len())?;
        check_templates(setting.templates)?;
        check_templates(setting.contexts)?;
        checks::at_least(1, "reference names", reference.len())?;
        let templates = setting.templates.len();

        let mut names = NameTable::default();
        let places: Vec<usize> = reference.iter().map(|name| names.place(name.text)).collect();
        let (EmbeddedTexts { embeddings, responses, .. }, in_contexts) =
            names.embed(&embedder, &setting, names.names.len())?;
        let responses = responses.select(Axis(0), &rows_of(&places, templates));
        let to_any_name = mean_row(&responses);
        let responses = without_direction(responses.view(), to_any_name.view())?;
        let template_agreement = template_agreement(responses.view(), templates);
        let contexts = setting.contexts.len();
        let in_any_context = mean_row(&in_contexts.select(Axis(0), &rows_of(&places, contexts)));
        let means = mean_directions(&embeddings, templates).select(Axis(0), &places);

        let mut names = NameTable::default();
        let grid = setting
            .first_parts
            .iter()
            .flat_map(|first| setting.last_parts.iter().map(move |last| full_name(first, last)));
        let places: Vec<usize> = grid.map(|name| names.place(&name)).collect();
        let (EmbeddedTexts { states, responses, .. }, _) = names.embed(&embedder, &setting, 0)?;
        let rows = rows_of(&places, templates);
        let cells = |vectors: &Array2<f32>| cells(&vectors.select(Axis(0), &rows), &setting);
        let responses = without_direction(responses.view(), to_any_name.view())?;
        let shared = Shared {
            templates,
            contexts,
            state_grid: SiblingGrid::new(cells(&states).view())?,
            response_grid: SiblingGrid::new(cells(&responses).view())?.without_centring(),
            bank: bank.map(|bank| bank.with_hubness(means.view())).transpose()?,
            reference: UnitRows::new("the reference's embeddings", means.view())?,
            logit_scale: embedder.logit_scale(),
        };
        let summaries = Mutex::new(SummaryCache::new(DEFAULT_SUMMARY_BYTES));
        Ok(Self {
            embedder,
            setting,
            shared,
            to_any_name,
            in_any_context,
            template_agreement,
            summaries,
        })
    }

    /// Keeps summaries of siblings in as much memory as this; [`DEFAULT_SUMMARY_BYTES`] otherwise.
    /// What is said of a name does not depend on it.
    #[must_use]
    pub fn with_summary_bytes(self, limit: usize) -> Self {
        Self { summaries: Mutex::new(SummaryCache::new(limit)), ..self }
    }

    /// For each template, how far it agrees with the others on the reference names, as a mean cosine
    /// of responses. A template that is far below the others is one that the model does not know
    /// captions like. NaN for a template alone.
    pub fn template_agreement(&self) -> &[f64] {
        &self.template_agreement
    }

    /// Reads names. `reference_row(i)` is the row of name i among the reference names, if it is one
    /// of them: it is then left out of what it is compared with.
    ///
    /// All texts are embedded in one go: those of the names, and those of the siblings of parts that
    /// are new or were forgotten. With 16 public parts on each side, six templates and twelve
    /// contexts, these are 18 for each name and 96 for each part. Give a few dozen names at a time.
    ///
    /// # Errors
    /// Those of the embedder and of the signals.
    pub fn read(
        &self,
        names: &[Name<'_>],
        reference_row: impl Fn(usize) -> Option<usize> + Sync,
    ) -> std::result::Result<Vec<NameReading>, E::Error> {
        let mut table = NameTable::default();
        let places: Vec<usize> = names.iter().map(|name| table.place(name.text)).collect();
        let asked = table.names.len();
        let groups: Vec<Option<[Group; 2]>> = names
            .iter()
            .map(|name| name.parts.map(|parts| Group::both_of(parts, &self.setting)))
            .collect();
        let (mut summaries, new) = self.known_summaries(groups.iter().flatten().flatten());
        let new: Vec<(&Group, Vec<usize>)> = new
            .into_iter()
            .map(|group| {
                let names = group.names(&self.setting);
                (group, names.iter().map(|name| table.place(name)).collect())
            })
            .collect();

        let embedded = self.embed(&table, asked)?;
        let computed: Result<Vec<(&Group, Arc<SiblingSummary>)>> = new
            .par_iter()
            .map(|(group, places)| {
                let summary = SiblingSummary::new(group, &self.shared, &embedded, places)?;
                Ok((*group, Arc::new(summary)))
            })
            .collect();
        let computed = computed?;
        let mut cache = self.summaries.lock().unwrap_or_else(PoisonError::into_inner);
        for (group, summary) in &computed {
            cache.insert((*group).clone(), Arc::clone(summary));
        }
        drop(cache);
        summaries.extend(computed);

        let readings: Result<Vec<NameReading>> = places
            .par_iter()
            .zip(&groups)
            .enumerate()
            .map(|(i, (&place, groups))| {
                let siblings = groups.as_ref();
                let siblings = siblings
                    .map(|groups| Siblings::new(groups, |group| Arc::clone(&summaries[group])));
                let asked = Asked { siblings, reference_row: reference_row(i) };
                let name = NameView::asked(&self.shared, &embedded, place, &asked);
                Ok(NameReading {
                    signals: signals(&name)?,
                    embeddings: name.embeddings().to_owned(),
                })
            })
            .collect();
        Ok(readings?)
    }

    /// How many texts [`Self::read`] would embed for these names now.
    pub fn texts_to_embed(&self, names: &[Name<'_>]) -> usize {
        let mut table = NameTable::default();
        for name in names {
            table.place(name.text);
        }
        let asked = table.names.len();
        let parts = names.iter().filter_map(|name| name.parts);
        let groups: Vec<Group> =
            parts.flat_map(|parts| Group::both_of(parts, &self.setting)).collect();
        for group in self.known_summaries(groups.iter()).1 {
            for name in group.names(&self.setting) {
                table.place(&name);
            }
        }
        table.names.len() * self.shared.templates + asked * self.shared.contexts
    }

    /// The summaries that are kept, and the groups that have none, each once.
    fn known_summaries<'g>(
        &self,
        groups: impl Iterator<Item = &'g Group>,
    ) -> (HashMap<&'g Group, Arc<SiblingSummary>>, Vec<&'g Group>) {
        let mut cache = self.summaries.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut known, mut new) = (HashMap::new(), Vec::new());
        let mut met = HashSet::new();
        for group in groups.filter(|group| met.insert(*group)) {
            match cache.get(group) {
                Some(summary) => {
                    known.insert(group, summary);
                }
                None => new.push(group),
            }
        }
        (known, new)
    }

    /// Embeds names, the first `asked` of which are asked in contexts too.
    fn embed(
        &self,
        names: &NameTable,
        asked: usize,
    ) -> std::result::Result<EmbeddedNames, E::Error> {
        let (texts, in_contexts) = names.embed(&self.embedder, &self.setting, asked)?;
        Ok(EmbeddedNames {
            means: mean_directions(&texts.embeddings, self.shared.templates),
            responses: without_direction(texts.responses.view(), self.to_any_name.view())?,
            context_responses: without_direction(in_contexts.view(), self.in_any_context.view())?,
            embeddings: texts.embeddings,
            states: texts.states,
        })
    }
}

/// The values of every signal that the run has.
fn signals(name: &NameView<'_>) -> Result<SignalRow> {
    let possible = TEXT_SIGNALS
        .iter()
        .filter(|signal| name.bank().is_some() || signal.card().basis != Basis::Bank);
    possible.map(|signal| Ok((signal.signal(), signal.value(name)?))).collect()
}

/// Distinct names in the order in which they were first asked for.
#[derive(Default)]
struct NameTable {
    places: HashMap<String, usize>,
    names: Vec<String>,
}

impl NameTable {
    fn place(&mut self, name: &str) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = self.names.len();
        self.places.insert(name.to_owned(), place);
        self.names.push(name.to_owned());
        place
    }

    /// All names in templates, and the first `asked` of them in contexts, of which only responses are
    /// of use: a row for each name and sentence, sentence by sentence within a name.
    fn embed<E: TextEmbedder>(
        &self,
        embedder: &E,
        setting: &Setting<'_>,
        asked: usize,
    ) -> std::result::Result<(EmbeddedTexts, Array2<f32>), E::Error> {
        let fill = |name: &String, sentence: &String| sentence.replacen(PLACE, name, 1);
        let filled = |names: &[String], sentences: &[String]| -> Vec<String> {
            let of_name = |name| sentences.iter().map(move |sentence| fill(name, sentence));
            names.iter().flat_map(of_name).collect()
        };
        let mut texts = filled(&self.names, setting.templates);
        let in_templates = texts.len();
        texts.extend(filled(&self.names[..asked], setting.contexts));
        let EmbeddedTexts { embeddings, states, responses } = embedder.embed(&texts)?;
        for (array, rows) in [
            ("text embeddings", &embeddings),
            ("text states", &states),
            ("text responses", &responses),
        ] {
            checks::length(array, "rows", rows.nrows(), texts.len())?;
        }
        let in_contexts = responses.slice(s![in_templates.., ..]).to_owned();
        let of_templates = |rows: Array2<f32>| rows.slice_move(s![..in_templates, ..]);
        let [embeddings, states, responses] = [embeddings, states, responses].map(of_templates);
        Ok((EmbeddedTexts { embeddings, states, responses }, in_contexts))
    }
}

fn check_templates(templates: &[String]) -> Result<()> {
    for template in templates {
        let found = template.matches(PLACE).count();
        if found != 1 {
            return Err(Error::Template { template: template.clone(), found });
        }
    }
    Ok(())
}

/// The rows of the names at `places`.
fn rows_of(places: &[usize], templates: usize) -> Vec<usize> {
    places.iter().flat_map(|place| place * templates..(place + 1) * templates).collect()
}

/// (first parts, last parts, T, width) from the grid's rows in that order.
fn cells(rows: &Array2<f32>, setting: &Setting<'_>) -> Array4<f32> {
    let Setting { templates, first_parts, last_parts, .. } = setting;
    let shape = (first_parts.len(), last_parts.len(), templates.len(), rows.ncols());
    let values = rows.iter().copied().collect();
    Array4::from_shape_vec(shape, values).expect("one row for each cell and template")
}

/// The mean of the rows; zero without any.
fn mean_row(rows: &Array2<f32>) -> Array1<f32> {
    let sum = rows.mapv(f64::from).sum_axis(Axis(0));
    sum.mapv(|value| (value / rows.nrows().max(1) as f64) as f32)
}

/// For each name, the mean over templates of its normalised embeddings, which is not normalised
/// again: (names * T, d) gives (names, d).
fn mean_directions(embeddings: &Array2<f32>, templates: usize) -> Array2<f32> {
    let mut means = Array2::zeros((embeddings.nrows() / templates, embeddings.ncols()));
    for (place, mut mean) in means.outer_iter_mut().enumerate() {
        let rows = embeddings.slice(s![place * templates..(place + 1) * templates, ..]);
        mean.assign(&mean_direction(rows));
    }
    means
}

fn mean_direction(embeddings: ArrayView2<'_, f32>) -> Array1<f32> {
    let mut sum = Array1::<f64>::zeros(embeddings.ncols());
    for row in embeddings.rows() {
        let norm = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        sum.iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v) / norm);
    }
    let rows = embeddings.nrows() as f64;
    sum.mapv(|v| (v / rows) as f32)
}

#[cfg(test)]
mod tests;
