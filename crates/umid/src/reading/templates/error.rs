//! Errors of caption templates.

use thiserror::Error;

/// Why caption templates were refused.
#[derive(Debug, Error)]
pub enum TemplateError {
    /// No caption template.
    #[error("no caption template; give at least one, such as \"a photo of {{}}\"")]
    NoTemplates,

    /// A template with no place for the name, or with several.
    #[error(
        "the template `{template}` has {found} `{{}}` where exactly one is needed; write it \
         like \"a photo of {{}}\""
    )]
    TemplatePlaceholders {
        /// The template, shortened.
        template: String,
        /// How many places it has.
        found: usize,
    },

    /// One template twice.
    #[error("the template `{template}` is given twice; remove one")]
    DuplicateTemplate {
        /// The template.
        template: String,
    },

    /// A template that is longer than any caption.
    #[error(
        "a template is {bytes} bytes long and the limit is {limit}; give a caption, such as \
         \"a photo of {{}}\""
    )]
    TemplateTooLong {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },

    /// A template with a character in it that nobody sees.
    #[error("the template `{template}` holds the invisible character U+{code:04X}; remove it")]
    TemplateInvisibleCharacter {
        /// The template, escaped and shortened.
        template: String,
        /// The character's code point.
        code: u32,
    },
}
