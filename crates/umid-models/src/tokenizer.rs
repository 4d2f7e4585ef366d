//! Texts to token ids, with the checkpoint's own tokenizer.

mod build;
mod clean;
mod clip_vocabulary;
mod code_pages;
mod mojibake;
mod repair;
mod unlikely;

use std::path::{Path, PathBuf};

use tokenizers::{Tokenizer, TruncationParams};

use self::build::{Built, Files, unpanicked};
use crate::config::TextConfig;
use crate::{ModelError, Result};

pub(crate) use self::build::{BERT, GPT2, ROBERTA, TokenizerFiles};
pub(crate) use self::clean::Clean;
pub(crate) use self::clip_vocabulary::SIZE as CLIP_VOCABULARY;
pub use self::clip_vocabulary::clip_vocabulary;

/// A text as the text tower reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Start token, text, end token; no padding.
    pub ids: Vec<u32>,
    /// How many tokens the whole text has. More than `ids` holds means that the text was cut
    /// to the context, with the end token kept, as the reference does.
    pub untruncated_len: usize,
}

impl Tokens {
    /// Whether the text did not fit the context.
    pub fn is_truncated(&self) -> bool {
        self.untruncated_len > self.ids.len()
    }
}

/// How a family's texts become token ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TextRules {
    /// What the tokenizer is made of.
    pub(crate) files: TokenizerFiles,
    /// What is done to a text before.
    pub(crate) clean: Clean,
    /// How a cleaned text is cut into words.
    pub(crate) words: Words,
    /// What stands behind a text that the tower wants padded.
    pub(crate) padding: Padding,
    /// What becomes of separators.
    pub(crate) separators: Separators,
    /// Fewest tokens that the tokenizer adds to a text.
    pub(crate) least_added: usize,
}

/// How a text is cut into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    /// As the tokenizer's files say.
    AsStored,
    /// As open_clip's own tokenizer does, which reads nothing but the vocabulary: no special token
    /// is found in a text. (Of that tokenizer's two, `<start_of_text>` and `<end_of_text>`, it
    /// would be.)
    OpenClip,
    /// As msclap changes GPT-2's tokenizer: an exclamation mark is a token of its own everywhere.
    Msclap,
}

/// Which token stands behind a text up to the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    /// The one that the tokenizer's files name.
    OfTokenizer,
    /// The one of this id.
    Id(u32),
}

/// What becomes of the separator at the end of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Separators {
    Kept,
    /// The id becomes 0, as in open_clip's `strip_sep_token`.
    Zeroed,
}

impl TextRules {
    /// A tokenizer that needs no rule of the family: it adds a start and an end token.
    pub(crate) fn of(files: TokenizerFiles) -> Self {
        Self {
            files,
            clean: Clean::AsIs,
            words: Words::AsStored,
            padding: Padding::OfTokenizer,
            separators: Separators::Kept,
            least_added: 2,
        }
    }

    /// GPT-2's tokenizer as msclap uses it. The end token is part of the text, and of an empty one.
    pub(crate) fn gpt2_of_msclap() -> Self {
        Self {
            clean: Clean::Ended,
            words: Words::Msclap,
            least_added: 0,
            ..Self::of(TokenizerFiles::BroughtAlong(&GPT2))
        }
    }

    /// The files of a directory that a tower's texts need.
    ///
    /// # Errors
    ///
    /// [`ModelError::MissingFile`].
    pub(crate) fn find(&self, directory: &Path, tower: &TextConfig) -> Result<Files> {
        let padding = tower.is_padded() && self.padding == Padding::OfTokenizer;
        self.files.find(directory, padding || self.separators == Separators::Zeroed)
    }
}

/// The tokenizer of a checkpoint.
#[derive(Debug, Clone)]
pub struct TextTokenizer {
    inner: Tokenizer,
    clean: Clean,
    /// Id that every text is padded to the context with.
    padding: Option<u32>,
    /// Id that becomes 0.
    zeroed: Option<u32>,
    context: usize,
    vocabulary: usize,
    path: PathBuf,
}

impl TextTokenizer {
    /// Loads a tower's tokenizer.
    ///
    /// # Errors
    ///
    /// [`ModelError::Tokenizer`] where a file does not load or does not fit the rules.
    pub(crate) fn load(files: &Files, rules: &TextRules, tower: &TextConfig) -> Result<Self> {
        let path = files.path();
        let failed = |reason: String| ModelError::Tokenizer { path: path.clone(), reason };
        let built = unpanicked(|| files.build(rules.words)).map_err(|e| failed(e.to_string()))?;
        let Built { inner, added, special } = built;
        let (context, vocabulary) = (tower.context(), tower.vocabulary());
        // The start and the end token, which pooling and truncation count on.
        if !(rules.least_added..context).contains(&added) {
            let expected = match rules.least_added {
                0 => "fewer than the tower has positions",
                1 => "the end token",
                _ => "the start and the end token",
            };
            return Err(failed(format!(
                "it adds {added} special token(s) to a text, expected {expected}"
            )));
        }
        let named = |token: &str| {
            special(token).map_err(|e| failed(format!("its {token} is asked for: {e}")))
        };
        let padding = match rules.padding {
            _ if !tower.is_padded() => None,
            Padding::Id(id) => Some(id),
            Padding::OfTokenizer => Some(named("pad_token")?),
        };
        let zeroed = match rules.separators {
            Separators::Kept => None,
            Separators::Zeroed => Some(named("sep_token")?),
        };
        if let Some(padding) = padding.filter(|id| *id as usize >= vocabulary) {
            return Err(failed(format!(
                "its padding token has the id {padding}, the text tower {vocabulary} tokens"
            )));
        }
        Ok(Self { inner, clean: rules.clean, padding, zeroed, context, vocabulary, path })
    }

    /// A text's ids as the tower reads them: padded to the context, if it is trained so.
    pub fn padded(&self, tokens: &Tokens) -> Vec<u32> {
        let mut ids = tokens.ids.clone();
        if let Some(padding) = self.padding {
            ids.resize(self.context, padding);
        }
        ids
    }

    /// Longest token sequence, start and end tokens included.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Tokenizes a text.
    ///
    /// # Errors
    ///
    /// [`ModelError::TokenOutOfVocabulary`] where the tokenizer does not fit the text tower.
    pub fn tokenize(&self, text: &str) -> Result<Tokens> {
        let failed = |e: tokenizers::Error| ModelError::Tokenizer {
            path: self.path.clone(),
            reason: format!("{e} (for the text {text:?})"),
        };
        let cleaned = self.clean.apply(text);
        let mut encoding = self.inner.encode(&*cleaned, true).map_err(failed)?;
        let untruncated_len = encoding.len();
        if untruncated_len > self.context {
            let mut cut = self.inner.clone();
            cut.with_truncation(Some(TruncationParams {
                max_length: self.context,
                ..Default::default()
            }))
            .map_err(failed)?;
            encoding = cut.encode(&*cleaned, true).map_err(failed)?;
        }
        let mut ids = encoding.get_ids().to_vec();
        if let Some(zeroed) = self.zeroed {
            ids.iter_mut().filter(|id| **id == zeroed).for_each(|id| *id = 0);
        }
        if let Some(id) = ids.iter().find(|id| **id as usize >= self.vocabulary) {
            return Err(ModelError::TokenOutOfVocabulary {
                id: *id,
                text: text.to_owned(),
                vocabulary: self.vocabulary,
            });
        }
        Ok(Tokens { ids, untruncated_len })
    }
}
