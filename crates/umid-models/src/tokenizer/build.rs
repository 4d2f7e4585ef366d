//! Tokenizers of files: a whole `tokenizer.json`, or the vocabulary of CLIP's or BERT's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::models::bpe::{BPE, BpeBuilder, Vocab};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{BertNormalizer, Lowercase, NFC, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::tokenizer::SplitDelimiterBehavior;
use tokenizers::{AddedToken, Tokenizer};

use super::Words;
use super::clip_vocabulary::{END, END_OF_WORD, START, Vocabulary};
use crate::checkpoint::cached_file;
use crate::{ModelError, Result};

const TOKENIZER: &str = "tokenizer.json";
const VOCABULARY: &str = "vocab.json";
const MERGES: &str = "merges.txt";
const WORD_PIECES: &str = "vocab.txt";
/// Where transformers says which token is which.
const SETTINGS: [&str; 2] = ["tokenizer_config.json", "special_tokens_map.json"];
/// BERT's, for what is not in its vocabulary, and around a text.
const UNKNOWN: &str = "[UNK]";
const CLASS: &str = "[CLS]";
const SEPARATOR: &str = "[SEP]";
/// msclap's padding token.
const PADDING_OF_MSCLAP: &str = "!";
/// How CLIP's tokenizer cuts a text into words: special tokens, English contractions, runs of
/// letters, single digits, runs of anything else (OpenAI's CLIP, `simple_tokenizer.py`).
const WORDS: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
/// The same without special tokens (open_clip, `SimpleTokenizer`; its texts are cleaned before).
const WORDS_OF_OPEN_CLIP: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";

/// Files of which a family's tokenizer can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenizerFiles {
    /// `tokenizer.json`, or CLIP's `vocab.json` and `merges.txt`.
    WholeOrBpe,
    /// `tokenizer.json`, or BERT's `vocab.txt`.
    WholeOrWordPieces,
    /// `tokenizer.json`.
    Whole,
    /// The same; the checkpoint has none, and another repository's is meant.
    BroughtAlong(&'static Origin),
    /// None: CLIP's own vocabulary is part of the program.
    OfClip,
}

/// The repository of a tokenizer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Its names in the hub.
    repositories: &'static [&'static str],
    /// What a message says if it is not found.
    purpose: &'static str,
}

pub(crate) static ROBERTA: Origin = Origin {
    repositories: &["roberta-base", "FacebookAI/roberta-base"],
    purpose: "it turns texts into token ids; the checkpoint has none, roberta-base's is meant, which \
              `hf download FacebookAI/roberta-base tokenizer.json` puts where it is found",
};
pub(crate) static BERT: Origin = Origin {
    repositories: &["bert-base-uncased", "google-bert/bert-base-uncased"],
    purpose: "it turns texts into token ids; the checkpoint has none, bert-base-uncased's is meant, \
              which `hf download google-bert/bert-base-uncased tokenizer.json` puts where it is found",
};
pub(crate) static GPT2: Origin = Origin {
    repositories: &["gpt2", "openai-community/gpt2"],
    purpose: "it turns texts into token ids; the checkpoint has none, gpt2's is meant, which \
              `hf download openai-community/gpt2 tokenizer.json` puts where it is found",
};

/// The files of one tokenizer.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    kind: Kind,
    /// Those of [`SETTINGS`] that are needed and there.
    settings: Vec<PathBuf>,
}

#[derive(Debug, Clone)]
enum Kind {
    Whole(PathBuf),
    Bpe { vocabulary: PathBuf, merges: PathBuf },
    WordPieces(PathBuf),
    OfClip,
}

/// A tokenizer without padding and truncation.
pub(super) struct Built<S> {
    pub(super) inner: Tokenizer,
    /// Number of tokens that it makes of an empty text.
    pub(super) added: usize,
    /// The id of a special token by its role, such as `pad_token`.
    pub(super) special: S,
}

impl TokenizerFiles {
    /// Those of a directory, with the settings if a special token is asked for by its role.
    ///
    /// # Errors
    ///
    /// [`ModelError::MissingFile`].
    pub(super) fn find(self, directory: &Path, asks_for_special: bool) -> Result<Files> {
        let beside = beside_tower(directory);
        let there = |name: &str| {
            let folders = std::iter::once(directory).chain(beside.as_deref());
            folders.map(|folder| folder.join(name)).find(|path| path.is_file())
        };
        let whole = there(TOKENIZER).map(Kind::Whole);
        let (kind, purpose) = match self {
            Self::WholeOrBpe => (
                whole.or_else(|| {
                    let (vocabulary, merges) = (there(VOCABULARY)?, there(MERGES)?);
                    Some(Kind::Bpe { vocabulary, merges })
                }),
                "it (or vocab.json with merges.txt) turns texts into token ids",
            ),
            Self::WholeOrWordPieces => (
                whole.or_else(|| there(WORD_PIECES).map(Kind::WordPieces)),
                "it (or vocab.txt) turns texts into token ids",
            ),
            Self::OfClip => (Some(Kind::OfClip), ""),
            Self::Whole => (whole, "it turns texts into token ids"),
            Self::BroughtAlong(origin) => (
                whole.or_else(|| cached_file(origin.repositories, TOKENIZER).map(Kind::Whole)),
                origin.purpose,
            ),
        };
        let path = directory.join(TOKENIZER);
        let kind = kind.ok_or(ModelError::MissingFile { path, purpose })?;
        let needs_settings = asks_for_special || matches!(kind, Kind::WordPieces(_));
        let settings = SETTINGS.iter().filter_map(|name| there(name).filter(|_| needs_settings));
        Ok(Files { settings: settings.collect(), kind })
    }
}

/// Where diffusers puts the tokenizer of a text tower: `tokenizer_2` beside `text_encoder_2`.
fn beside_tower(directory: &Path) -> Option<PathBuf> {
    let directory = directory.canonicalize().ok()?;
    let number = directory.file_name()?.to_str()?.strip_prefix("text_encoder")?;
    Some(directory.with_file_name(format!("tokenizer{number}")))
}

impl Files {
    /// Every file that is read.
    pub(crate) fn all(&self) -> impl Iterator<Item = PathBuf> {
        let of_kind = match &self.kind {
            Kind::Whole(path) | Kind::WordPieces(path) => vec![path],
            Kind::Bpe { vocabulary, merges } => vec![vocabulary, merges],
            Kind::OfClip => Vec::new(),
        };
        of_kind.into_iter().chain(&self.settings).cloned()
    }

    /// What a message names: the file, or the directory of several.
    pub(super) fn path(&self) -> PathBuf {
        match &self.kind {
            Kind::Whole(path) | Kind::WordPieces(path) => path.clone(),
            // Which of two files is at fault, the library does not say.
            Kind::Bpe { vocabulary, .. } => vocabulary.parent().unwrap_or(vocabulary).to_owned(),
            Kind::OfClip => PathBuf::from("CLIP's own vocabulary"),
        }
    }

    /// The tokenizer.
    pub(super) fn build(
        &self,
        words: Words,
    ) -> tokenizers::Result<Built<impl Fn(&str) -> tokenizers::Result<u32>>> {
        let settings = self.settings.iter().map(|path| read_json(path));
        let settings = settings.collect::<tokenizers::Result<Vec<Value>>>()?;
        let mut inner = match &self.kind {
            Kind::Whole(path) => from_json(path)?,
            Kind::Bpe { vocabulary, merges } => {
                from_vocabulary(BPE::from_file(&text(vocabulary)?, &text(merges)?))?
            }
            Kind::OfClip => {
                let Vocabulary { tokens, merges } = Vocabulary::of_clip();
                let ids = tokens.into_iter().zip(0..).collect::<Vocab>();
                from_vocabulary(BPE::builder().vocab_and_merges(ids, merges))?
            }
            Kind::WordPieces(path) => from_word_pieces(path, &settings)?,
        };
        if words == Words::Msclap {
            inner.add_special_tokens([AddedToken::from(PADDING_OF_MSCLAP, true)])?;
        }
        if words == Words::OpenClip {
            inner.with_normalizer(None::<Normalizers>)?;
            inner.with_pre_tokenizer(Some(cut_into_words(WORDS_OF_OPEN_CLIP)?));
            inner.set_encode_special_tokens(true);
        }
        let stored_padding = inner.get_padding().map(|padding| padding.pad_id);
        inner.with_padding(None);
        inner.with_truncation(None)?;
        let added = inner.encode("", true)?.len();
        let ids = inner.clone();
        let special = move |role: &str| {
            let token = settings.iter().find_map(|settings| named(settings, role));
            match token {
                Some(token) => ids
                    .token_to_id(&token)
                    .ok_or_else(|| format!("{token:?} is not in its vocabulary").into()),
                None => stored_padding
                    .filter(|_| role == "pad_token")
                    .ok_or_else(|| format!("no {} beside it names it", SETTINGS[0]).into()),
            }
        };
        Ok(Built { inner, added, special })
    }
}

/// A special token of a settings file: its text, or an object that holds it.
fn named(settings: &Value, role: &str) -> Option<String> {
    let token = settings.get(role)?;
    token.as_str().or_else(|| token.get("content")?.as_str()).map(str::to_owned)
}

fn read_json(path: &Path) -> tokenizers::Result<Value> {
    let named = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let bytes = std::fs::read(path).map_err(|e| named(&e))?;
    serde_json::from_slice(&bytes).map_err(|e| named(&e).into())
}

/// Turns a panic of the tokenizer library, which some malformed files cause, into an error.
pub(super) fn unpanicked<T>(f: impl FnOnce() -> tokenizers::Result<T>) -> tokenizers::Result<T> {
    // What `f` was building is dropped with the panic.
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default();
        Err(format!("its parts do not fit each other, the tokenizer library panics: {text}").into())
    })
}

/// Reads `tokenizer.json` without its decoder: nothing here decodes, and the library panics on
/// a decoder that it does not know.
fn from_json(path: &Path) -> tokenizers::Result<Tokenizer> {
    let mut json = read_json(path)?;
    if let Some(decoder) = json.get_mut("decoder") {
        *decoder = Value::Null;
    }
    Tokenizer::from_bytes(json.to_string())
}

/// CLIP's tokenizer.
fn from_vocabulary(vocabulary: BpeBuilder) -> tokenizers::Result<Tokenizer> {
    let model =
        vocabulary.unk_token(END.to_owned()).end_of_word_suffix(END_OF_WORD.to_owned()).build()?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.add_special_tokens([START, END].map(|t| AddedToken::from(t, true)))?;
    tokenizer.with_normalizer(Some(Normalizers::new(vec![
        NFC.into(),
        Replace::new(
            tokenizers::normalizers::replace::ReplacePattern::Regex(r"\s+".to_owned()),
            " ",
        )?
        .into(),
        Lowercase.into(),
    ])))?;
    tokenizer.with_pre_tokenizer(Some(cut_into_words(WORDS)?));
    surround(&mut tokenizer, START, END)?;
    Ok(tokenizer)
}

/// Words by a pattern, in bytes.
fn cut_into_words(pattern: &str) -> tokenizers::Result<PreTokenizers> {
    let pattern = SplitPattern::Regex(pattern.to_owned());
    let split = Split::new(pattern, SplitDelimiterBehavior::Removed, true)?;
    Ok(PreTokenizers::new(vec![split.into(), ByteLevel::new(false, true, true).into()]))
}

/// BERT's tokenizer, by the settings of its transformers class (`BertTokenizer`).
fn from_word_pieces(path: &Path, settings: &[Value]) -> tokenizers::Result<Tokenizer> {
    let model = WordPiece::from_file(&text(path)?).unk_token(UNKNOWN.to_owned()).build()?;
    let flag = |key: &str| settings.iter().find_map(|settings| settings.get(key)?.as_bool());
    let lowercase = flag("do_lower_case").unwrap_or(true);
    let chinese = flag("tokenize_chinese_chars").unwrap_or(true);
    let mut tokenizer = Tokenizer::new(model);
    let normalizer = BertNormalizer::new(true, chinese, flag("strip_accents"), lowercase);
    tokenizer.with_normalizer(Some(normalizer))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    let special = ["[PAD]", UNKNOWN, CLASS, SEPARATOR, "[MASK]"];
    let there = special.into_iter().filter(|token| tokenizer.token_to_id(token).is_some());
    let there: Vec<AddedToken> = there.map(|token| AddedToken::from(token, true)).collect();
    tokenizer.add_special_tokens(there)?;
    surround(&mut tokenizer, CLASS, SEPARATOR)?;
    Ok(tokenizer)
}

/// Puts a token before and one behind every text.
fn surround(tokenizer: &mut Tokenizer, start: &str, end: &str) -> tokenizers::Result<()> {
    let id = |token: &str| {
        let id = tokenizer.token_to_id(token);
        id.ok_or_else(|| tokenizers::Error::from(format!("the vocabulary has no {token}")))
    };
    let special = vec![(start.to_owned(), id(start)?), (end.to_owned(), id(end)?)];
    tokenizer.with_post_processor(Some(
        TemplateProcessing::builder()
            .try_single(format!("{start} $A {end}"))
            .map_err(tokenizers::Error::from)?
            .special_tokens(special)
            .build()?,
    ));
    Ok(())
}

/// A path as the library takes it.
fn text(path: &Path) -> tokenizers::Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        tokenizers::Error::from(format!("{} is not a valid Unicode path", path.display()))
    })
}
