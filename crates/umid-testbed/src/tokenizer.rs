//! A small tokenizer: trained on captions, saved as `transformers` reads it.
//!
//! The layout is that of OpenAI's CLIP (`openai/clip-vit-base-patch32`): 256 byte symbols, the
//! same with `</w>`, one symbol a merge, then the special tokens; or that of RoBERTa
//! (`roberta-base`): special tokens, 256 byte symbols, one a merge, and the mask. The alphabet is
//! complete: no text has an unknown symbol, which CLIP would turn into an end of text.

mod family;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer,
};
use umid_core::atomic::write_atomically;
use umid_models::clip_vocabulary;

use crate::bpe;
use crate::caption::fill;
use crate::error::Error;
use crate::names::NameLists;

pub use family::TokenizerFamily;

/// Where the merges of a byte-pair encoding come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merges {
    /// As many are learned from captions: the vocabulary has 514 symbols more. At least 1.
    Learned(usize),
    /// CLIP's own: 49,408 symbols.
    OfClip,
}

/// What a tokenizer is trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenizerParams {
    /// The merges of the byte-pair encoding.
    pub merges: Merges,
    /// Longest text in tokens, start and end included. At least 3.
    pub context_length: usize,
    /// Whose tokenizer it is like.
    pub family: TokenizerFamily,
}

impl Default for TokenizerParams {
    /// CLIP's.
    fn default() -> Self {
        Self::of(TokenizerFamily::Clip)
    }
}

impl TokenizerParams {
    /// 280 merges leave a name in about nine tokens, and 32 tokens hold every caption; of
    /// RoBERTa, which keeps the case, 48 tokens.
    pub fn of(family: TokenizerFamily) -> Self {
        let context_length = match family {
            TokenizerFamily::Clip => 32,
            TokenizerFamily::Roberta => 48,
        };
        Self { merges: Merges::Learned(280), context_length, family }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// No merges, or a context that has no room for a token between start and end.
    pub fn check(&self) -> Result<(), Error> {
        if self.merges == Merges::Learned(0) {
            return Err(Error::InvalidParameter {
                parameter: "merges",
                found: 0,
                expected: "at least 1",
            });
        }
        if self.merges == Merges::OfClip && self.family != TokenizerFamily::Clip {
            return Err(Error::InvalidParameter {
                parameter: "merges",
                found: clip_vocabulary().1.len(),
                expected: "a number to learn: CLIP's own are for its tokenizer",
            });
        }
        if self.context_length < 3 {
            return Err(Error::InvalidParameter {
                parameter: "context_length",
                found: self.context_length,
                expected: "at least 3",
            });
        }
        Ok(())
    }
}

/// A trained tokenizer.
#[derive(Clone, Debug)]
pub struct CaptionTokenizer {
    definition: Value,
    tokenizer: Tokenizer,
    params: TokenizerParams,
}

impl CaptionTokenizer {
    /// CLIP's own vocabulary, or one that is trained on captions.
    ///
    /// # Errors
    /// Parameters outside their ranges, or captions too few for the merges that are asked for.
    pub fn train(params: TokenizerParams, captions: &[String]) -> Result<Self, Error> {
        params.check()?;
        let Merges::Learned(count) = params.merges else {
            let (symbols, pairs) = clip_vocabulary();
            return Self::of(params, &bpe::Merges { symbols, pairs });
        };
        let words = count_words(params.family, captions)?;
        let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
        // By code point, which is CLIP's order.
        alphabet.sort_unstable();
        let merges = bpe::learn(&words, &alphabet, params.family.end_of_word(), count);
        if merges.pairs.len() < count {
            return Err(Error::CorpusTooSmall { requested: count, learned: merges.pairs.len() });
        }
        Self::of(params, &merges)
    }

    fn of(params: TokenizerParams, merges: &bpe::Merges) -> Result<Self, Error> {
        let definition = params.family.definition(merges);
        Ok(Self { tokenizer: load(&definition)?, definition, params })
    }

    /// Token ids of a text, start and end included, not padded and not cut.
    ///
    /// # Errors
    /// The library refuses the text; none is known that it refuses.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoding = self.tokenizer.encode_fast(text, true).map_err(failed("encode a text"))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Number of tokens.
    pub fn vocabulary_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// Longest text in tokens, start and end included.
    pub fn context_length(&self) -> usize {
        self.params.context_length
    }

    /// Whose tokenizer it is like.
    pub fn family(&self) -> TokenizerFamily {
        self.params.family
    }

    /// Id of the token at the start of every text.
    pub fn start_id(&self) -> u32 {
        self.id_of(self.params.family.ends()[0])
    }

    /// Id of the token at the end of every text; CLIP's is also the padding.
    pub fn end_id(&self) -> u32 {
        self.id_of(self.params.family.ends()[1])
    }

    fn id_of(&self, token: &str) -> u32 {
        self.tokenizer.token_to_id(token).expect("every definition has it")
    }

    /// Writes `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json`.
    ///
    /// # Errors
    /// A folder that cannot be made or written.
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        fs::create_dir_all(folder).map_err(Error::writing(folder))?;
        let TokenizerParams { family, context_length, .. } = self.params;
        let (special, config) = (family.special_tokens(), family.configuration(context_length));
        for (file, value) in [
            ("tokenizer.json", &self.definition),
            ("tokenizer_config.json", &config),
            ("special_tokens_map.json", &special),
        ] {
            let text = format!("{value:#}\n");
            let path = folder.join(file);
            write_atomically(&path, text.as_bytes()).map_err(Error::writing(path))?;
        }
        Ok(())
    }
}

/// The text a tokenizer is trained on: every first and last name of the lists once in every
/// name template, the generic templates and the words of generic captions.
///
/// The lists, not the members: a vocabulary learned from members would spell members in fewer
/// tokens than non-members and give membership away before any model is trained.
pub fn tokenizer_corpus(
    lists: &NameLists,
    name_templates: &[&str],
    attribute_templates: &[&str],
    generic_captions: &[String],
) -> Vec<String> {
    let names = lists.first().iter().chain(lists.last());
    let mut captions: Vec<String> = names
        .flat_map(|name| name_templates.iter().map(move |template| fill(template, name)))
        .collect();
    captions.extend(attribute_templates.iter().map(|template| fill(template, "")));
    captions.extend_from_slice(generic_captions);
    captions
}

/// Words of the captions as the tokenizer cuts them, in byte-level symbols, with their counts.
fn count_words(
    family: TokenizerFamily,
    captions: &[String],
) -> Result<BTreeMap<String, u64>, Error> {
    let symbols = vec![family.end_of_word().to_owned()];
    let cutter = load(&family.definition(&bpe::Merges { symbols, pairs: Vec::new() }))?;
    let mut words = BTreeMap::new();
    for caption in captions {
        let mut text = PreTokenizedString::from(caption.as_str());
        if let Some(normalizer) = cutter.get_normalizer() {
            text.normalize(|part| normalizer.normalize(part))
                .map_err(failed("normalise a caption"))?;
        }
        if let Some(pre_tokenizer) = cutter.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut text).map_err(failed("cut a caption into words"))?;
        }
        for (word, _, _) in text.get_splits(OffsetReferential::Original, OffsetType::Byte) {
            *words.entry(word.to_owned()).or_default() += 1;
        }
    }
    Ok(words)
}

fn load(definition: &Value) -> Result<Tokenizer, Error> {
    Tokenizer::from_bytes(definition.to_string()).map_err(failed("load its definition"))
}

fn failed(action: &'static str) -> impl FnOnce(tokenizers::Error) -> Error {
    move |source| Error::Tokenizer { action, source }
}
