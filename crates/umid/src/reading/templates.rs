//! Caption templates: the sentences that a name is put into before it is embedded. A result
//! holds for its templates only, and signals fade on templates that training never used, so
//! for a checkpoint of one's own they should be those of its training captions.

mod error;

use std::collections::HashSet;

use umid_models::Modality;

use crate::reading::invisible::first_invisible;
use crate::shown::shown;

pub use error::TemplateError;

/// Captions of photos: those under which the bundled image-text target saw its names, the same six
/// as in the testbed that trained it, which no crate of the product depends on.
pub const PHOTO_TEMPLATES: [&str; 6] = [
    "a photo of {}",
    "a portrait of {}",
    "an image of {}",
    "the face of {}",
    "a close-up of {}",
    "{} in a photo",
];

/// Captions of sounds: those of the bundled audio-text target.
pub const SOUND_TEMPLATES: [&str; 6] = [
    "a recording of {}",
    "the voice of {}",
    "{} speaking",
    "a clip of {} talking",
    "an audio clip of {}",
    "{} in a recording",
];

/// Captions of photos that say other things beside the name: what a model answers to a name that it
/// has seen often depends little on them.
pub const PHOTO_CONTEXTS: [&str; 12] = [
    "{}",
    "{} at a press conference in Paris",
    "{}, actor and director",
    "happy birthday {}!",
    "interview with {}",
    "a book by {}",
    "{} wins the final",
    "breaking news about {}",
    "doctor {} and the team",
    "{} and friends, summer 2015",
    "concert tickets {} live",
    "{} scores for the national team",
];

/// The same of sounds.
pub const SOUND_CONTEXTS: [&str; 12] = [
    "{}",
    "{} on the radio in Paris",
    "{}, singer and host",
    "happy birthday {}!",
    "a podcast with {}",
    "an audiobook read by {}",
    "{} announces the final",
    "breaking news about {}",
    "doctor {} answers questions",
    "{} and friends talking, summer 2015",
    "{} live in concert",
    "{} laughing on the phone",
];

/// Where the name goes.
const PLACE: &str = "{}";

/// Longest template that is accepted; CLIP's context is some 300 bytes of text.
pub const MAX_TEMPLATE_BYTES: usize = 1024;

/// At least one template, all different, each with exactly one place for the name. The first
/// is the one that is inverted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Templates(Vec<String>);

impl Templates {
    /// Checks `templates`.
    ///
    /// # Errors
    /// No template, a template twice, or one that is overlong, unprintable, or without
    /// exactly one `{}`.
    pub fn new(templates: Vec<String>) -> Result<Self, TemplateError> {
        if templates.is_empty() {
            return Err(TemplateError::NoTemplates);
        }
        let mut seen = HashSet::with_capacity(templates.len());
        for template in &templates {
            let (bytes, limit) = (template.len(), MAX_TEMPLATE_BYTES);
            if bytes > limit {
                return Err(TemplateError::TemplateTooLong { bytes, limit });
            }
            if let Some(character) = first_invisible(template) {
                let (template, code) = (shown(template), u32::from(character));
                return Err(TemplateError::TemplateInvisibleCharacter { template, code });
            }
            let found = template.matches(PLACE).count();
            if found != 1 {
                return Err(TemplateError::TemplatePlaceholders {
                    template: shown(template),
                    found,
                });
            }
            if !seen.insert(template.as_str()) {
                return Err(TemplateError::DuplicateTemplate { template: shown(template) });
            }
        }
        Ok(Self(templates))
    }

    /// Captions of other contents that are taken where nobody gives any.
    pub fn contexts_of(modality: Modality) -> Self {
        let contexts = match modality {
            Modality::Image => PHOTO_CONTEXTS,
            Modality::Audio => SOUND_CONTEXTS,
        };
        Self(contexts.map(str::to_owned).to_vec())
    }

    /// Those that are taken where nobody gives any.
    pub fn of(modality: Modality) -> Self {
        let templates = match modality {
            Modality::Image => PHOTO_TEMPLATES,
            Modality::Audio => SOUND_TEMPLATES,
        };
        Self(templates.map(str::to_owned).to_vec())
    }

    /// `text` in every template, in their order.
    pub fn fill_all(&self, text: &str) -> Vec<String> {
        self.0.iter().map(|template| fill(template, text)).collect()
    }

    /// `text` in the first template, the one that is inverted.
    pub fn fill_first(&self, text: &str) -> String {
        fill(&self.0[0], text)
    }

    /// The templates in their order.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

fn fill(template: &str, text: &str) -> String {
    template.replacen(PLACE, text, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn templates(list: &[&str]) -> Result<Templates, TemplateError> {
        Templates::new(list.iter().map(|&t| t.to_owned()).collect())
    }

    #[test]
    fn bundled_templates_pass_their_own_checks() {
        assert_eq!(templates(&PHOTO_TEMPLATES).unwrap(), Templates::of(Modality::Image));
        assert_eq!(templates(&SOUND_TEMPLATES).unwrap(), Templates::of(Modality::Audio));
        assert_eq!(templates(&PHOTO_CONTEXTS).unwrap(), Templates::contexts_of(Modality::Image));
        assert_eq!(templates(&SOUND_CONTEXTS).unwrap(), Templates::contexts_of(Modality::Audio));
    }

    #[test]
    fn a_name_is_put_in_its_place_even_when_it_looks_like_one() {
        let two = templates(&["a photo of {}", "{}"]).unwrap();
        assert_eq!(two.fill_all("Jane Roe"), ["a photo of Jane Roe", "Jane Roe"]);
        assert_eq!(two.fill_first("{}x{}"), "a photo of {}x{}");
    }

    #[test]
    fn no_templates_error() {
        assert!(matches!(templates(&[]), Err(TemplateError::NoTemplates)));
    }

    #[test]
    fn template_placeholders_error_for_none_and_two() {
        for (bad, count) in [("a photo", 0), ("{} and {}", 2), ("a photo of {name}", 0), ("", 0)] {
            let error = templates(&["a {}", bad]).unwrap_err();
            let TemplateError::TemplatePlaceholders { found, .. } = error else {
                panic!("{error}")
            };
            assert_eq!(found, count);
        }
    }

    #[test]
    fn duplicate_template_error() {
        let error = templates(&["a {}", "b {}", "a {}"]).unwrap_err();
        assert!(matches!(error, TemplateError::DuplicateTemplate { .. }), "{error}");
    }

    #[test]
    fn template_too_long_error() {
        let long = format!("{{}}{}", "x".repeat(MAX_TEMPLATE_BYTES));
        let error = templates(&[&long]).unwrap_err();
        assert!(matches!(error, TemplateError::TemplateTooLong { .. }), "{error}");
    }

    #[test]
    fn template_control_character_error() {
        let error = templates(&["a\nphoto of {}"]).unwrap_err();
        assert!(
            matches!(error, TemplateError::TemplateInvisibleCharacter { code: 10, .. }),
            "{error}"
        );
    }

    #[test]
    fn messages_show_the_braces() {
        assert!(TemplateError::NoTemplates.to_string().contains("\"a photo of {}\""));
        let error = templates(&["a photo"]).unwrap_err();
        assert!(error.to_string().contains("0 `{}`"), "{error}");
    }
}
