//! A small CLIP tokenizer: trained on captions, saved as `transformers` reads it.
//!
//! The layout is that of OpenAI's CLIP (`openai/clip-vit-base-patch32`): 256 byte symbols, the
//! same with `</w>`, one symbol a merge, then `<|startoftext|>` and `<|endoftext|>`, which has
//! the largest id, so that both ways of finding the end of a text (largest id, or the id of the
//! end token) agree. The alphabet is complete: no text has an unknown symbol, which CLIP would
//! turn into an end of text.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer,
};

use crate::bpe::{self, END_OF_WORD, Merges};
use crate::caption::{ATTRIBUTE_TEMPLATES, NAME_TEMPLATES, fill};
use crate::error::Error;
use crate::membership::write_whole;
use crate::names::NameLists;

const START_OF_TEXT: &str = "<|startoftext|>";
const END_OF_TEXT: &str = "<|endoftext|>";

/// How CLIP cuts a text into words (the regular expression of OpenAI's `simple_tokenizer.py`, as
/// `transformers` spells it).
const WORDS: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// What a tokenizer is trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenizerParams {
    /// Merges to learn: the vocabulary has 514 symbols more. At least 1.
    pub merges: usize,
    /// Longest text in tokens, start and end included. At least 3.
    pub context_length: usize,
}

impl Default for TokenizerParams {
    /// 280 merges leave a name in about nine tokens; 32 tokens hold every caption.
    fn default() -> Self {
        Self { merges: 280, context_length: 32 }
    }
}

impl TokenizerParams {
    /// Checks the ranges.
    ///
    /// # Errors
    /// No merges, or a context that has no room for a token between start and end.
    pub fn check(&self) -> Result<(), Error> {
        if self.merges == 0 {
            return Err(Error::InvalidParameter {
                parameter: "merges",
                found: self.merges,
                expected: "at least 1",
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
    context_length: usize,
}

impl CaptionTokenizer {
    /// Trains on captions.
    ///
    /// # Errors
    /// Parameters outside their ranges, or captions too few for the merges that are asked for.
    pub fn train(params: TokenizerParams, captions: &[String]) -> Result<Self, Error> {
        params.check()?;
        let words = count_words(captions)?;
        let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
        // By code point, which is CLIP's order.
        alphabet.sort_unstable();
        let merges = bpe::learn(&words, &alphabet, params.merges);
        if merges.pairs.len() < params.merges {
            return Err(Error::CorpusTooSmall {
                requested: params.merges,
                learned: merges.pairs.len(),
            });
        }
        let definition = definition(&merges);
        Ok(Self {
            tokenizer: load(&definition)?,
            definition,
            context_length: params.context_length,
        })
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
        self.context_length
    }

    /// Id of `<|startoftext|>`.
    pub fn start_id(&self) -> u32 {
        self.vocabulary_size() as u32 - 2
    }

    /// Id of `<|endoftext|>`, which is also the padding.
    pub fn end_id(&self) -> u32 {
        self.vocabulary_size() as u32 - 1
    }

    /// Writes `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json`.
    ///
    /// # Errors
    /// A folder that cannot be made or written.
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        fs::create_dir_all(folder).map_err(Error::writing(folder))?;
        let special = json!({
            "bos_token": START_OF_TEXT,
            "eos_token": END_OF_TEXT,
            "pad_token": END_OF_TEXT,
            "unk_token": END_OF_TEXT,
        });
        let mut config = special.clone();
        config["tokenizer_class"] = json!("CLIPTokenizer");
        config["do_lower_case"] = json!(true);
        config["model_max_length"] = json!(self.context_length);
        for (file, value) in [
            ("tokenizer.json", &self.definition),
            ("tokenizer_config.json", &config),
            ("special_tokens_map.json", &special),
        ] {
            let text = format!("{value:#}\n");
            write_whole(&folder.join(file), text.as_bytes())?;
        }
        Ok(())
    }
}

/// The text a tokenizer is trained on: every first and last name of the lists once in every
/// template, and the words of the generic captions.
///
/// The lists, not the members: a vocabulary learned from members would spell members in fewer
/// tokens than non-members and give membership away before any model is trained.
pub fn tokenizer_corpus(lists: &NameLists, generic_captions: &[String]) -> Vec<String> {
    let names = lists.first().iter().chain(lists.last());
    let mut captions: Vec<String> =
        names.flat_map(|name| NAME_TEMPLATES.map(|template| fill(template, name))).collect();
    captions.extend(ATTRIBUTE_TEMPLATES.map(|template| fill(template, "")));
    captions.extend_from_slice(generic_captions);
    captions
}

/// Words of the captions as the tokenizer cuts them, in byte-level symbols, with their counts.
fn count_words(captions: &[String]) -> Result<BTreeMap<String, u64>, Error> {
    let nothing_learned = Merges { symbols: vec![END_OF_WORD.to_owned()], pairs: Vec::new() };
    let cutter = load(&definition(&nothing_learned))?;
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

/// The contents of `tokenizer.json`.
fn definition(merges: &Merges) -> Value {
    let ids: serde_json::Map<String, Value> = merges
        .symbols
        .iter()
        .map(String::as_str)
        .chain([START_OF_TEXT, END_OF_TEXT])
        .zip(0_u32..)
        .map(|(symbol, id)| (symbol.to_owned(), json!(id)))
        .collect();
    let (start, end) = (&ids[START_OF_TEXT], &ids[END_OF_TEXT]);
    let special = |content: &str, id: &Value| {
        json!({
            "id": id,
            "content": content,
            "single_word": false,
            "lstrip": false,
            "rstrip": false,
            "normalized": false,
            "special": true,
        })
    };
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special(START_OF_TEXT, start), special(END_OF_TEXT, end)],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "NFC"},
                {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                {"type": "Lowercase"},
            ],
        },
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": WORDS},
                    "behavior": "Removed",
                    "invert": true,
                },
                {
                    "type": "ByteLevel",
                    "add_prefix_space": false,
                    "trim_offsets": true,
                    "use_regex": true,
                },
            ],
        },
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": [END_OF_TEXT, end],
            "cls": [START_OF_TEXT, start],
            "trim_offsets": false,
            "add_prefix_space": false,
        },
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": true,
            "trim_offsets": true,
            "use_regex": true,
        },
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": END_OF_TEXT,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": END_OF_WORD,
            "fuse_unk": false,
            "byte_fallback": false,
            "vocab": ids,
            "merges": merges.pairs.iter().map(|(l, r)| json!([l, r])).collect::<Vec<_>>(),
        },
    })
}

fn load(definition: &Value) -> Result<Tokenizer, Error> {
    Tokenizer::from_bytes(definition.to_string()).map_err(failed("load its definition"))
}

fn failed(action: &'static str) -> impl FnOnce(tokenizers::Error) -> Error {
    move |source| Error::Tokenizer { action, source }
}
