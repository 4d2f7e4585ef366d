//! A model as the source of text signals, and the reader of names that it makes.

use umid_models::Model;
use umid_signals::{Bank, EmbeddedTexts, Name, Setting, TextEmbedder, TextReader};

use crate::error::AuditError;
use crate::queries::Query;
use crate::siblings::Siblings;
use crate::templates::Templates;

/// Names whose texts are embedded together. It bounds memory: with six templates and twelve
/// contexts a name is 18 texts, and each part that is new or was forgotten adds 96 with 16 siblings.
pub(crate) const CHUNK: usize = 32;

/// A model's text tower.
pub(crate) struct TextTower<'a>(&'a Model);

impl TextEmbedder for TextTower<'_> {
    type Error = AuditError;

    fn embed(&self, texts: &[String]) -> Result<EmbeddedTexts, AuditError> {
        let umid_models::TextEmbeddings { embeddings, states, responses } =
            self.0.embed_texts(texts)?;
        Ok(EmbeddedTexts { embeddings, states, responses })
    }

    fn logit_scale(&self) -> f64 {
        f64::from(self.0.logit_scale())
    }
}

/// Reads names by a model's text tower. `reference` are the names of the reference's fit part.
///
/// # Errors
///
/// Those of the model and of the signals.
pub(crate) fn text_reader<'a>(
    model: &'a Model,
    templates: &'a Templates,
    contexts: &'a Templates,
    siblings: &'a Siblings,
    reference: &[&Query],
    bank: Option<Bank>,
) -> Result<TextReader<'a, TextTower<'a>>, AuditError> {
    let setting = Setting {
        templates: templates.as_slice(),
        contexts: contexts.as_slice(),
        first_parts: &siblings.first,
        last_parts: &siblings.last,
    };
    TextReader::new(TextTower(model), setting, &names(reference), bank)
}

/// Queries as the signals take them.
pub(crate) fn names<'a>(queries: &[&'a Query]) -> Vec<Name<'a>> {
    let parts = |query: &'a Query| query.parts.as_ref().map(|(f, l)| (f.as_str(), l.as_str()));
    queries.iter().map(|query| Name { text: &query.text, parts: parts(query) }).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use umid_models::parse_device;

    use super::*;

    /// That of the fixture's layer norms.
    const LAYER_NORM_EPSILON: f32 = 1e-5;
    /// Of sums of a few dozen products of order one.
    const F32_ROUND_OFF: f32 = 1e-5;

    #[test]
    fn a_response_is_the_embedding_before_the_layer_norm_divides_and_adds() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../umid-models/tests/fixtures");
        let device = parse_device("cpu").unwrap();
        let model = Model::load(&fixtures.join("openclip-gelu"), &device).unwrap();
        let texts = ["a photo of Ann Roe", "Bo Day", "x"].map(str::to_owned);
        let texts = TextTower(&model).embed(&texts).unwrap();
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
            assert_eq!(constants[0].len(), other.len());
            for (a, b) in constants[0].iter().zip(other) {
                assert!((a - b).abs() < F32_ROUND_OFF, "{a} and {b}");
            }
        }
    }
}
