//! From texts to signals: which texts are asked of a model, which siblings a name gets, and what is
//! taken out of the responses.
//!
//! A name with two parts needs its siblings too: names that share one part with it (see
//! [`crate::interaction`]). Names that are read together share the texts of the siblings that they
//! have in common, so each is embedded once.

use std::collections::HashMap;

use ndarray::{Array1, Array2, Array4, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::interaction::SiblingGrid;
use crate::responses::without_direction;
use crate::text::TEXT_SIGNALS;
use crate::view::{EmbeddedNames, Family, Shared, SiblingPlaces};
use crate::{
    Bank, Basis, Error, Name, NameView, Result, SignalRow, UnitRows, checks, full_name, name_key,
};

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
        let EmbeddedTexts { embeddings, responses, .. } =
            names.embed(&embedder, setting.templates)?;
        let to_any_name = mean_row(&responses.select(Axis(0), &rows_of(&places, templates)));
        let contexts = setting.contexts.len();
        let in_contexts = names.in_contexts(&embedder, setting.contexts)?;
        let in_any_context = mean_row(&in_contexts.select(Axis(0), &rows_of(&places, contexts)));
        let means = mean_directions(&embeddings, templates).select(Axis(0), &places);

        let mut names = NameTable::default();
        let grid = setting
            .first_parts
            .iter()
            .flat_map(|first| setting.last_parts.iter().map(move |last| full_name(first, last)));
        let places: Vec<usize> = grid.map(|name| names.place(&name)).collect();
        let EmbeddedTexts { states, responses, .. } = names.embed(&embedder, setting.templates)?;
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
        Ok(Self { embedder, setting, shared, to_any_name, in_any_context })
    }

    /// Reads names. `reference_row(i)` is the row of name i among the reference names, if it is one
    /// of them: it is then left out of what it is compared with.
    ///
    /// All texts are embedded in one go: with 16 public parts on each side, six templates and twelve
    /// contexts, a name takes 210 of them. Give a few dozen names at a time.
    ///
    /// # Errors
    /// Those of the embedder and of the signals.
    pub fn read(
        &self,
        names: &[Name<'_>],
        reference_row: impl Fn(usize) -> Option<usize> + Sync,
    ) -> std::result::Result<Vec<NameReading>, E::Error> {
        let (mut asked, mut table) = (NameTable::default(), NameTable::default());
        let families: Vec<Family> =
            names.iter().map(|name| self.family(name, &mut asked, &mut table)).collect();
        let texts = table.embed(&self.embedder, self.setting.templates)?;
        let responses = without_direction(texts.responses.view(), self.to_any_name.view())?;
        let in_contexts = asked.in_contexts(&self.embedder, self.setting.contexts)?;
        let embedded = EmbeddedNames {
            means: mean_directions(&texts.embeddings, self.shared.templates),
            embeddings: texts.embeddings,
            states: texts.states,
            responses,
            context_responses: without_direction(in_contexts.view(), self.in_any_context.view())?,
        };
        let readings: Result<Vec<NameReading>> = families
            .par_iter()
            .enumerate()
            .map(|(i, family)| {
                let name = NameView::new(&self.shared, &embedded, family, reference_row(i));
                Ok(NameReading {
                    signals: signals(&name)?,
                    embeddings: name.embeddings().to_owned(),
                })
            })
            .collect();
        Ok(readings?)
    }

    fn family(&self, name: &Name<'_>, asked: &mut NameTable, table: &mut NameTable) -> Family {
        let Setting { first_parts, last_parts, .. } = self.setting;
        let own = table.place(name.text);
        let siblings = name.parts.map(|(first, last)| SiblingPlaces {
            same_first: last_parts.iter().map(|l| table.place(&full_name(first, l))).collect(),
            same_last: first_parts.iter().map(|f| table.place(&full_name(f, last))).collect(),
            own_first: position(first_parts, first),
            own_last: position(last_parts, last),
        });
        Family { own, asked: asked.place(name.text), siblings }
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

    /// Responses: a row for each name and context; none without contexts.
    fn in_contexts<E: TextEmbedder>(
        &self,
        embedder: &E,
        contexts: &[String],
    ) -> std::result::Result<Array2<f32>, E::Error> {
        if contexts.is_empty() {
            return Ok(Array2::zeros((0, 0)));
        }
        Ok(self.embed(embedder, contexts)?.responses)
    }

    /// A row for each name and template, template by template within a name.
    fn embed<E: TextEmbedder>(
        &self,
        embedder: &E,
        templates: &[String],
    ) -> std::result::Result<EmbeddedTexts, E::Error> {
        let fill = |name: &String, template: &String| template.replacen(PLACE, name, 1);
        let texts: Vec<String> = self
            .names
            .iter()
            .flat_map(|name| templates.iter().map(move |template| fill(name, template)))
            .collect();
        let embedded = embedder.embed(&texts)?;
        for (array, rows) in [
            ("text embeddings", embedded.embeddings.nrows()),
            ("text states", embedded.states.nrows()),
            ("text responses", embedded.responses.nrows()),
        ] {
            checks::length(array, "rows", rows, texts.len())?;
        }
        Ok(embedded)
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

/// Position of a part among the public ones, case and spacing aside.
fn position(parts: &[String], part: &str) -> Option<usize> {
    let key = name_key(part);
    parts.iter().position(|public| name_key(public) == key)
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
