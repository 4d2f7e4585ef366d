//! The signals that need the text tower alone: no inversion, no input, no gradient.
//!
//! A name with two parts needs its siblings too: names that share one part with it (see
//! `umid_signals::interaction`). Names of one chunk that share a part share those texts, so
//! each distinct text is embedded once a chunk.

use std::collections::{BTreeMap, HashMap};

use ndarray::{Array1, Array2, Array3, Array4, ArrayView2, Axis};
use rayon::prelude::*;
use umid_models::{Model, TextEmbeddings};
use umid_signals::responses::without_direction;
use umid_signals::siblings::sibling_calibrated;
use umid_signals::text::{
    DEFAULT_NEIGHBOURS, log_agreement, log_norm, nearest_reference_cosine, template_agreement,
    text_norm,
};
use umid_signals::{CslsBank, Interaction, QueryStates, SiblingGrid, Signal, UnitRows};

use crate::error::AuditError;
use crate::queries::{Query, name_key};
use crate::siblings::Siblings;
use crate::templates::Templates;

/// Names whose texts are embedded together. It bounds memory: a name with 16 + 16 siblings and
/// six templates is 198 texts.
pub(crate) const CHUNK: usize = 32;

/// Raw signal values of one text.
pub type SignalRow = BTreeMap<Signal, Option<f64>>;

/// What the text tower says of one name.
#[derive(Debug, Clone)]
pub(crate) struct NameReading {
    pub(crate) signals: SignalRow,
    /// One embedding a template, not normalised: `[templates, embedding_dim]`.
    pub(crate) embeddings: Array2<f32>,
}

/// Everything fixed that text signals are computed with.
pub(crate) struct TextReader<'a> {
    model: &'a Model,
    templates: &'a Templates,
    siblings: &'a Siblings,
    grid: SiblingGrid,
    /// Responses of the grid's texts, `[first parts * last parts * templates, embedding_dim]`.
    grid_responses: Array2<f32>,
    /// The grid in responses.
    response_grid: SiblingGrid,
    /// The response that any name gets, which is taken out of all: `[embedding_dim]`.
    to_any_name: Array1<f32>,
    /// Mean embeddings of reference names, for the signals that compare with them.
    neighbours: Option<UnitRows>,
    bank: Option<CslsBank>,
}

impl<'a> TextReader<'a> {
    /// Embeds the grid of siblings.
    ///
    /// # Errors
    ///
    /// Those of the model and of the interaction signal.
    pub(crate) fn new(
        model: &'a Model,
        templates: &'a Templates,
        siblings: &'a Siblings,
    ) -> Result<Self, AuditError> {
        let names: Vec<String> = siblings
            .first
            .iter()
            .flat_map(|first| siblings.last.iter().map(move |last| full_name(first, last)))
            .collect();
        let mut texts = TextTable::default();
        let rows: Vec<usize> = names.iter().flat_map(|n| texts.add_all(templates, n)).collect();
        let TextEmbeddings { states, responses, .. } = texts.embed(model)?;
        let cells = |rows: &Array2<f32>| cells(rows, siblings, templates);
        let states = states.select(Axis(0), &rows);
        let grid_responses = responses.select(Axis(0), &rows);
        Ok(Self {
            model,
            templates,
            siblings,
            grid: SiblingGrid::new(cells(&states).view())?,
            response_grid: SiblingGrid::new(cells(&grid_responses).view())?.without_centring(),
            to_any_name: Array1::zeros(grid_responses.ncols()),
            grid_responses,
            neighbours: None,
            bank: None,
        })
    }

    /// Adds what takes reference names: the response that any name gets, which is taken out of
    /// all responses; nearest neighbours; and the bank's hubness where there is a bank. The names
    /// must be those of the reference's fit part.
    ///
    /// # Errors
    ///
    /// Those of the model and of the signals.
    pub(crate) fn with_reference(
        mut self,
        names: &[&Query],
        bank: Option<umid_signals::Bank>,
    ) -> Result<Self, AuditError> {
        let mut texts = TextTable::default();
        let rows: Vec<Vec<usize>> =
            names.iter().map(|n| texts.add_all(self.templates, &n.text)).collect();
        let TextEmbeddings { embeddings, responses, .. } = texts.embed(self.model)?;
        let of_names = responses.select(Axis(0), &rows.concat()).mapv(f64::from);
        if let Some(mean) = of_names.mean_axis(Axis(0)) {
            self.to_any_name = mean.mapv(|value| value as f32);
            let rest = without_direction(self.grid_responses.view(), self.to_any_name.view())?;
            let rest = cells(&rest, self.siblings, self.templates);
            self.response_grid = SiblingGrid::new(rest.view())?.without_centring();
        }
        let mut means = Array2::zeros((names.len(), embeddings.ncols()));
        for (mut mean, rows) in means.rows_mut().into_iter().zip(&rows) {
            mean.assign(&mean_unit(embeddings.select(Axis(0), rows).view()));
        }
        self.bank = bank.map(|bank| bank.with_hubness(means.view())).transpose()?;
        self.neighbours = Some(UnitRows::new("the reference's embeddings", means.view())?);
        Ok(self)
    }

    /// Reads names. `own_row(i)` is the row of name i among the reference's fit part, where it
    /// is one of them.
    ///
    /// # Errors
    ///
    /// Those of the model and of the signals.
    pub(crate) fn read(
        &self,
        names: &[&Query],
        own_row: impl Fn(usize) -> Option<usize> + Sync,
    ) -> Result<Vec<NameReading>, AuditError> {
        let mut texts = TextTable::default();
        let plans: Vec<Plan> = names.iter().map(|n| self.plan(n, &mut texts)).collect();
        let embedded = texts.embed(self.model)?;
        let responses = without_direction(embedded.responses.view(), self.to_any_name.view())?;
        plans
            .par_iter()
            .enumerate()
            .map(|(i, plan)| self.reading(plan, &embedded, &responses, own_row(i)))
            .collect()
    }

    fn plan(&self, name: &Query, texts: &mut TextTable) -> Plan {
        let mut add = |name: &str| texts.add_all(self.templates, name);
        let own = add(&name.text);
        let family = name.parts.as_ref().map(|(first, last)| Family {
            same_first: self.siblings.last.iter().map(|l| add(&full_name(first, l))).collect(),
            same_last: self.siblings.first.iter().map(|f| add(&full_name(f, last))).collect(),
            own_first: position(&self.siblings.first, first),
            own_last: position(&self.siblings.last, last),
        });
        Plan { own, family }
    }

    fn reading(
        &self,
        plan: &Plan,
        texts: &TextEmbeddings,
        responses: &Array2<f32>,
        own_row: Option<usize>,
    ) -> Result<NameReading, AuditError> {
        let embeddings = texts.embeddings.select(Axis(0), &plan.own);
        let mut signals = SignalRow::new();
        let norm = mean_norm(embeddings.view())?;
        let agreement = template_agreement(embeddings.view())?;
        signals.insert(Signal::TextNorm, Some(norm));
        signals.insert(Signal::TemplateAgreement, agreement);
        let of_name = |rows: &[usize]| Response::of(responses.select(Axis(0), rows).view());
        let response = of_name(&plan.own)?;
        signals.insert(Signal::ResponseNorm, Some(response.log_norm));
        signals.insert(Signal::ResponseAgreement, response.log_agreement);
        let mean = mean_unit(embeddings.view());
        if let Some(neighbours) = &self.neighbours {
            let cosine =
                nearest_reference_cosine(mean.view(), neighbours, DEFAULT_NEIGHBOURS, own_row)?;
            signals.insert(Signal::NearestReferenceCosine, cosine);
        }
        let scale = f64::from(self.model.logit_scale());
        let bank_scores = |rows: ArrayView2<f32>| {
            self.bank.as_ref().map(|bank| bank.scores(rows, scale)).transpose()
        };
        let csls = bank_scores(mean.view().insert_axis(Axis(0)))?;
        if let (Some(bank), Some(csls)) = (&self.bank, &csls) {
            let plain = bank.bank().scores(mean.view().insert_axis(Axis(0)), scale)?;
            signals.insert(Signal::Bank, Some(plain[0]));
            signals.insert(Signal::BankCsls, Some(csls[0]));
        }
        for signal in [
            Signal::Interaction,
            Signal::InteractionCoherence,
            Signal::TextNormCalibrated,
            Signal::TemplateAgreementCalibrated,
            Signal::ResponseNormCalibrated,
            Signal::ResponseAgreementCalibrated,
            Signal::ResponseInteraction,
            Signal::ResponseCoherenceCalibrated,
        ] {
            signals.insert(signal, None);
        }
        if let Some(family) = &plan.family {
            let interaction = family.interaction(&self.grid, &texts.states, &plan.own)?;
            signals.insert(Signal::Interaction, Some(interaction.log_residual_contrast));
            signals.insert(Signal::InteractionCoherence, interaction.log_coherence);
            let interaction = family.interaction(&self.response_grid, responses, &plan.own)?;
            let contrast = Some(interaction.log_residual_contrast);
            signals.insert(Signal::ResponseInteraction, contrast);
            let coherence = interaction.log_coherence_calibrated;
            signals.insert(Signal::ResponseCoherenceCalibrated, coherence);
            signals.extend(response.calibrated(family, of_name)?);

            let embeddings_of = |rows: &[usize]| texts.embeddings.select(Axis(0), rows);
            let first: Vec<Array2<f32>> = family.of_first().map(embeddings_of).collect();
            let last: Vec<Array2<f32>> = family.of_last().map(embeddings_of).collect();
            let norms = |group: &[Array2<f32>]| {
                group.iter().map(|e| mean_norm(e.view())).collect::<Result<Vec<_>, _>>()
            };
            let calibrated = sibling_calibrated(norm, &norms(&first)?, &norms(&last)?);
            signals.insert(Signal::TextNormCalibrated, calibrated);
            if let Some(agreement) = agreement {
                let agreements = |group: &[Array2<f32>]| {
                    let all: Result<Option<Vec<f64>>, _> =
                        group.iter().map(|e| template_agreement(e.view())).collect();
                    all.map(Option::unwrap_or_default)
                };
                let calibrated =
                    sibling_calibrated(agreement, &agreements(&first)?, &agreements(&last)?);
                signals.insert(Signal::TemplateAgreementCalibrated, calibrated);
            }
            if let Some(csls) = csls {
                let scores = |group: &[Array2<f32>]| -> Result<Vec<f64>, AuditError> {
                    let mut means = Array2::zeros((group.len(), mean.len()));
                    for (mut row, embeddings) in means.rows_mut().into_iter().zip(group) {
                        row.assign(&mean_unit(embeddings.view()));
                    }
                    Ok(bank_scores(means.view())?.map(|s| s.to_vec()).unwrap_or_default())
                };
                let calibrated = sibling_calibrated(csls[0], &scores(&first)?, &scores(&last)?);
                signals.insert(Signal::BankCslsCalibrated, calibrated);
            }
        }
        Ok(NameReading { signals, embeddings })
    }
}

/// Which rows of a chunk's texts belong to a name; a row a template.
struct Plan {
    own: Vec<usize>,
    family: Option<Family>,
}

struct Family {
    same_first: Vec<Vec<usize>>,
    same_last: Vec<Vec<usize>>,
    /// Position of the name's own parts among the siblings, where they are there.
    own_first: Option<usize>,
    own_last: Option<usize>,
}

impl Family {
    /// The interaction of a name's parts in states or responses of all texts: `[texts, width]`.
    fn interaction(
        &self,
        grid: &SiblingGrid,
        texts: &Array2<f32>,
        own: &[usize],
    ) -> Result<Interaction, umid_signals::Error> {
        grid.interaction(&QueryStates {
            query: texts.select(Axis(0), own).view(),
            same_first: gather(texts, &self.same_first).view(),
            same_last: gather(texts, &self.same_last).view(),
            own_first: self.own_first,
            own_last: self.own_last,
        })
    }

    /// Rows of the siblings with the name's own first part; its own last part is no sibling.
    fn of_first(&self) -> impl Iterator<Item = &[usize]> {
        without(&self.same_first, self.own_last)
    }

    /// Rows of the siblings with the name's own last part.
    fn of_last(&self) -> impl Iterator<Item = &[usize]> {
        without(&self.same_last, self.own_first)
    }
}

fn without(rows: &[Vec<usize>], own: Option<usize>) -> impl Iterator<Item = &[usize]> {
    let others = rows.iter().enumerate().filter(move |(i, _)| Some(*i) != own);
    others.map(|(_, rows)| rows.as_slice())
}

/// What the responses of one name say without its siblings.
struct Response {
    log_norm: f64,
    log_agreement: Option<f64>,
}

impl Response {
    fn of(responses: ArrayView2<f32>) -> Result<Self, umid_signals::Error> {
        Ok(Self { log_norm: log_norm(responses)?, log_agreement: log_agreement(responses)? })
    }

    /// Both signals set against the name's siblings, which `of_name` reads.
    fn calibrated(
        &self,
        family: &Family,
        of_name: impl Fn(&[usize]) -> Result<Self, umid_signals::Error>,
    ) -> Result<SignalRow, umid_signals::Error> {
        let first: Vec<Self> = family.of_first().map(&of_name).collect::<Result<_, _>>()?;
        let last: Vec<Self> = family.of_last().map(&of_name).collect::<Result<_, _>>()?;
        let norms = |group: &[Self]| group.iter().map(|r| r.log_norm).collect::<Vec<f64>>();
        let agreements =
            |group: &[Self]| group.iter().filter_map(|r| r.log_agreement).collect::<Vec<f64>>();
        let norm = sibling_calibrated(self.log_norm, &norms(&first), &norms(&last));
        let agreement = self
            .log_agreement
            .and_then(|own| sibling_calibrated(own, &agreements(&first), &agreements(&last)));
        Ok(SignalRow::from([
            (Signal::ResponseNormCalibrated, norm),
            (Signal::ResponseAgreementCalibrated, agreement),
        ]))
    }
}

/// Distinct texts in the order they were first asked for.
#[derive(Default)]
struct TextTable {
    rows: HashMap<String, usize>,
    texts: Vec<String>,
}

impl TextTable {
    /// The rows of a name in every template.
    fn add_all(&mut self, templates: &Templates, name: &str) -> Vec<usize> {
        templates
            .fill_all(name)
            .into_iter()
            .map(|text| {
                *self.rows.entry(text).or_insert_with_key(|text| {
                    self.texts.push(text.clone());
                    self.texts.len() - 1
                })
            })
            .collect()
    }

    fn embed(&self, model: &Model) -> Result<TextEmbeddings, AuditError> {
        Ok(model.embed_texts(&self.texts)?)
    }
}

/// Position of a part among the siblings; the model reads no case, so none is compared.
fn position(siblings: &[String], part: &str) -> Option<usize> {
    let key = name_key(part);
    siblings.iter().position(|sibling| name_key(sibling) == key)
}

/// How the parts of a name are joined.
pub(crate) fn full_name(first: &str, last: &str) -> String {
    format!("{first} {last}")
}

/// `[first parts, last parts, templates, width]` from the grid's rows in that order.
fn cells(rows: &Array2<f32>, siblings: &Siblings, templates: &Templates) -> Array4<f32> {
    let (first, last) = (siblings.first.len(), siblings.last.len());
    let shape = (first, last, templates.as_slice().len(), rows.ncols());
    let values = rows.iter().copied().collect();
    Array4::from_shape_vec(shape, values).expect("one row a cell and template")
}

/// `[cells, templates, width]` from the rows of each cell.
fn gather(states: &Array2<f32>, cells: &[Vec<usize>]) -> Array3<f32> {
    let templates = cells.first().map_or(0, Vec::len);
    let rows: Vec<usize> = cells.iter().flatten().copied().collect();
    let values = states.select(Axis(0), &rows).into_raw_vec_and_offset().0;
    Array3::from_shape_vec((cells.len(), templates, states.ncols()), values)
        .expect("one state a cell and template")
}

/// Mean over templates of the embedding's norm.
fn mean_norm(embeddings: ArrayView2<f32>) -> Result<f64, umid_signals::Error> {
    let norms: Result<Vec<f64>, _> = embeddings.rows().into_iter().map(text_norm).collect();
    norms.map(|norms| norms.iter().sum::<f64>() / norms.len() as f64)
}

/// Mean over templates of the normalised embedding; not normalised again.
fn mean_unit(embeddings: ArrayView2<f32>) -> Array1<f32> {
    let mut sum = Array1::<f64>::zeros(embeddings.ncols());
    for row in embeddings.rows() {
        let norm = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        sum.iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v) / norm);
    }
    let rows = embeddings.nrows() as f64;
    sum.mapv(|v| (v / rows) as f32)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use umid_models::parse_device;

    use super::*;
    use crate::queries::PartRule;

    /// That of the fixture's layer norms.
    const LAYER_NORM_EPSILON: f32 = 1e-5;
    /// Of sums of a few dozen products of order one.
    const F32_ROUND_OFF: f32 = 1e-5;

    fn read(names: &[&str]) -> Vec<SignalRow> {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../umid-models/tests/fixtures");
        let device = parse_device("cpu").unwrap();
        let model = Model::load(&fixtures.join("openclip-gelu"), &device).unwrap();
        let templates = Templates::new(vec!["a {}".into(), "{} in a photo".into()]).unwrap();
        let list = |names: [&str; 4]| names.map(str::to_owned).to_vec();
        let siblings = Siblings {
            first: list(["Ann", "Bo", "Cy", "Di"]),
            last: list(["Ash", "Bly", "Cox", "Day"]),
        };
        let names: Vec<Query> = names
            .iter()
            .map(|text| Query {
                id: (*text).to_owned(),
                text: (*text).to_owned(),
                parts: PartRule::TwoWords.split(text),
            })
            .collect();
        let names: Vec<&Query> = names.iter().collect();
        let reader = TextReader::new(&model, &templates, &siblings).unwrap();
        reader.read(&names, |_| None).unwrap().into_iter().map(|r| r.signals).collect()
    }

    #[test]
    fn a_part_among_the_siblings_is_left_out_whatever_its_case() {
        // The tokenizer lowers all text, so these are one name to the model.
        let rows =
            read(&["Ann Roe", "ann roe", "ANN Roe", "Sue cox", "sue Cox", "bo DAY", "Bo Day"]);
        assert!(rows[0][&Signal::Interaction].is_some());
        for (one, other) in [(0, 1), (0, 2), (3, 4), (5, 6)] {
            assert_eq!(rows[one], rows[other]);
        }
        assert_ne!(rows[0], rows[3]);
    }

    #[test]
    fn a_response_is_the_embedding_before_the_layer_norm_divides_and_adds() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../umid-models/tests/fixtures");
        let device = parse_device("cpu").unwrap();
        let model = Model::load(&fixtures.join("openclip-gelu"), &device).unwrap();
        let texts = model.embed_texts(&["a photo of Ann Roe", "Bo Day", "x"]).unwrap();
        let responses = &texts.responses;
        // embedding = response / deviation of the state + a constant: the same of every text.
        let constants: Vec<Vec<f32>> = (0..3)
            .map(|i| {
                let deviation = (texts.states.row(i).var(0.0) + LAYER_NORM_EPSILON).sqrt();
                let parts = texts.embeddings.row(i).into_iter().zip(responses.row(i));
                parts.map(|(embedding, response)| embedding - response / deviation).collect()
            })
            .collect();
        for other in &constants[1..] {
            for (a, b) in constants[0].iter().zip(other) {
                assert!((a - b).abs() < F32_ROUND_OFF, "{a} and {b}");
            }
        }
    }

    #[test]
    fn the_reference_names_have_no_response_in_common_left() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../umid-models/tests/fixtures");
        let device = parse_device("cpu").unwrap();
        let model = Model::load(&fixtures.join("openclip-gelu"), &device).unwrap();
        let templates = Templates::new(vec!["a {}".into(), "{} in a photo".into()]).unwrap();
        let siblings = Siblings::bundled(4).unwrap();
        let names = ["Ann Roe", "Bo Day", "Cher", "Di van Ash", "Ann Day", "Ed Roe", "Flo Ames"];
        let query = |text: &str| Query { id: text.into(), text: text.into(), parts: None };
        let names: Vec<Query> = names.into_iter().map(query).collect();
        let texts: Vec<String> = names.iter().flat_map(|n| templates.fill_all(&n.text)).collect();
        let responses = model.embed_texts(&texts).unwrap().responses;
        let longest_in_common = |reader: &TextReader<'_>| {
            let responses = without_direction(responses.view(), reader.to_any_name.view()).unwrap();
            let mean = responses.mean_axis(Axis(0)).unwrap();
            mean.iter().fold(0.0, |most: f32, value| most.max(value.abs()))
        };
        let before = TextReader::new(&model, &templates, &siblings).unwrap();
        assert!(longest_in_common(&before) > 100.0 * F32_ROUND_OFF);
        let names: Vec<&Query> = names.iter().collect();
        let after = before.with_reference(&names, None).unwrap();
        assert!(longest_in_common(&after) < F32_ROUND_OFF);
    }

    #[test]
    fn a_name_without_two_parts_lacks_what_needs_them_and_has_the_rest() {
        let rows = read(&["Cher", "Ann van Roe"]);
        for row in rows {
            assert!(row[&Signal::TextNorm].is_some() && row[&Signal::TemplateAgreement].is_some());
            assert_eq!(row[&Signal::Interaction], None);
            assert_eq!(row[&Signal::TextNormCalibrated], None);
            assert!(row[&Signal::ResponseNorm].is_some());
            assert_eq!(row[&Signal::ResponseNormCalibrated], None);
        }
    }
}
