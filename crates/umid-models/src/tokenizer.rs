//! Texts to token ids, with the checkpoint's own tokenizer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::tokenizer::SplitDelimiterBehavior;
use tokenizers::{Tokenizer, TruncationParams};

use crate::{ModelError, Result};

const TOKENIZER: &str = "tokenizer.json";
const VOCABULARY: &str = "vocab.json";
const MERGES: &str = "merges.txt";
const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";
/// How CLIP's tokenizer cuts a text into words: special tokens, English contractions, runs of
/// letters, single digits, runs of anything else (OpenAI's CLIP, `simple_tokenizer.py`).
const WORDS: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

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

/// Files of which a family's tokenizer can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenizerFiles {
    /// `tokenizer.json`, or CLIP's `vocab.json` and `merges.txt`.
    WholeOrBpe,
    /// `tokenizer.json`, which may have to be brought along.
    Whole,
}

impl TokenizerFiles {
    /// Those of a directory.
    ///
    /// # Errors
    ///
    /// [`ModelError::MissingFile`].
    pub(crate) fn find(self, directory: &Path) -> Result<Vec<PathBuf>> {
        let whole = directory.join(TOKENIZER);
        if whole.is_file() {
            return Ok(vec![whole]);
        }
        let (vocab, merges) = (directory.join(VOCABULARY), directory.join(MERGES));
        let purpose = match self {
            Self::WholeOrBpe if vocab.is_file() && merges.is_file() => {
                return Ok(vec![vocab, merges]);
            }
            Self::WholeOrBpe => "it (or vocab.json with merges.txt) turns texts into token ids",
            Self::Whole => {
                "it turns texts into token ids; where the checkpoint has none, roberta-base's is meant"
            }
        };
        Err(ModelError::MissingFile { path: whole, purpose })
    }
}

/// The tokenizer of a checkpoint.
#[derive(Debug, Clone)]
pub struct TextTokenizer {
    inner: Tokenizer,
    context: usize,
    vocabulary: usize,
    files: Vec<PathBuf>,
}

impl TextTokenizer {
    /// Loads `tokenizer.json`, or builds CLIP's tokenizer from `vocab.json` and `merges.txt`.
    ///
    /// # Errors
    ///
    /// [`ModelError::Tokenizer`] where a file does not load.
    pub(crate) fn load(files: Vec<PathBuf>, context: usize, vocabulary: usize) -> Result<Self> {
        let (inner, added) = unpanicked(|| build(&files)).map_err(|e| {
            // Which of two files is at fault, the library does not say.
            let path = match files.as_slice() {
                [whole] => whole.clone(),
                _ => files[0].parent().unwrap_or(&files[0]).to_owned(),
            };
            ModelError::Tokenizer { path, reason: e.to_string() }
        })?;
        // The start and the end token, which pooling and truncation count on.
        if !(2..context).contains(&added) {
            let reason = format!(
                "it adds {added} special token(s) to a text, expected the start and the end token"
            );
            return Err(ModelError::Tokenizer { path: files[0].clone(), reason });
        }
        Ok(Self { inner, context, vocabulary, files })
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
            path: self.files[0].clone(),
            reason: format!("{e} (for the text {text:?})"),
        };
        let mut encoding = self.inner.encode(text, true).map_err(failed)?;
        let untruncated_len = encoding.len();
        if untruncated_len > self.context {
            let mut cut = self.inner.clone();
            cut.with_truncation(Some(TruncationParams {
                max_length: self.context,
                ..Default::default()
            }))
            .map_err(failed)?;
            encoding = cut.encode(text, true).map_err(failed)?;
        }
        let ids = encoding.get_ids().to_vec();
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

/// Turns a panic of the tokenizer library, which some malformed files cause, into an error.
fn unpanicked<T>(f: impl FnOnce() -> tokenizers::Result<T>) -> tokenizers::Result<T> {
    // What `f` was building is dropped with the panic.
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default();
        Err(format!("its parts do not fit each other, the tokenizer library panics: {text}").into())
    })
}

/// The tokenizer, and the number of tokens that it makes of an empty text.
fn build(files: &[PathBuf]) -> tokenizers::Result<(Tokenizer, usize)> {
    let mut tokenizer = match files {
        [vocab, merges] => from_vocabulary(vocab, merges)?,
        [whole, ..] => from_json(whole)?,
        [] => return Err("there are no files".into()),
    };
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None)?;
    let added = tokenizer.encode("", true)?.len();
    Ok((tokenizer, added))
}

/// Reads `tokenizer.json` without its decoder: nothing here decodes, and the library panics on
/// a decoder that it does not know.
fn from_json(path: &Path) -> tokenizers::Result<Tokenizer> {
    let mut json: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    if let Some(decoder) = json.get_mut("decoder") {
        *decoder = Value::Null;
    }
    Tokenizer::from_bytes(json.to_string())
}

fn from_vocabulary(vocab: &Path, merges: &Path) -> tokenizers::Result<Tokenizer> {
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| {
            tokenizers::Error::from(format!("{} is not a valid Unicode path", path.display()))
        })
    };
    let model = BPE::from_file(&text(vocab)?, &text(merges)?)
        .unk_token(END.to_owned())
        .end_of_word_suffix("</w>".to_owned())
        .build()?;
    let mut tokenizer = Tokenizer::new(model);
    let special = |token: &str| {
        tokenizer
            .token_to_id(token)
            .ok_or_else(|| tokenizers::Error::from(format!("vocab.json has no {token}")))
    };
    let (start, end) = (special(START)?, special(END)?);
    tokenizer.add_special_tokens([START, END].map(|t| tokenizers::AddedToken::from(t, true)))?;
    tokenizer.with_normalizer(Some(Normalizers::new(vec![
        NFC.into(),
        Replace::new(
            tokenizers::normalizers::replace::ReplacePattern::Regex(r"\s+".to_owned()),
            " ",
        )?
        .into(),
        Lowercase.into(),
    ])))?;
    tokenizer.with_pre_tokenizer(Some(PreTokenizers::new(vec![
        Split::new(SplitPattern::Regex(WORDS.to_owned()), SplitDelimiterBehavior::Removed, true)?
            .into(),
        ByteLevel::new(false, true, true).into(),
    ])));
    tokenizer.with_post_processor(Some(
        TemplateProcessing::builder()
            .try_single(format!("{START} $A {END}"))
            .map_err(tokenizers::Error::from)?
            .special_tokens(vec![(START, start), (END, end)])
            .build()?,
    ));
    Ok(tokenizer)
}
