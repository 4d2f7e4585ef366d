//! The two kinds of tokenizer as `tokenizer.json` has them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::bpe::{END_OF_WORD, Merges};

/// How CLIP cuts a text into words (the regular expression of OpenAI's `simple_tokenizer.py`, as
/// `transformers` spells it).
const WORDS: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Whose tokenizer it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenizerFamily {
    /// CLIP's: no case, and the end of a word is part of its last symbol. The end of a text has
    /// the largest id, so that both ways of finding it (largest id, or the id of the end token)
    /// agree.
    #[default]
    Clip,
    /// RoBERTa's, which CLAP uses: with case, and the space before a word is part of its first
    /// symbol.
    Roberta,
}

impl TokenizerFamily {
    /// What the last symbol of a word ends with.
    pub(super) fn end_of_word(self) -> &'static str {
        match self {
            Self::Clip => END_OF_WORD,
            Self::Roberta => "",
        }
    }

    /// The tokens at the start and at the end of every text.
    pub(super) fn ends(self) -> [&'static str; 2] {
        match self {
            Self::Clip => ["<|startoftext|>", "<|endoftext|>"],
            Self::Roberta => ["<s>", "</s>"],
        }
    }

    /// Tokens with the first ids, before those of the alphabet.
    fn before(self) -> &'static [&'static str] {
        match self {
            Self::Clip => &[],
            Self::Roberta => &["<s>", "<pad>", "</s>", "<unk>"],
        }
    }

    /// Tokens with the last ids, behind those of the merges.
    fn behind(self) -> &'static [&'static str] {
        match self {
            Self::Clip => &["<|startoftext|>", "<|endoftext|>"],
            Self::Roberta => &["<mask>"],
        }
    }

    /// The contents of `special_tokens_map.json`.
    pub(super) fn special_tokens(self) -> Value {
        let [start, end] = self.ends();
        match self {
            Self::Clip => json!({
                "bos_token": start,
                "eos_token": end,
                "pad_token": end,
                "unk_token": end,
            }),
            Self::Roberta => json!({
                "bos_token": start,
                "cls_token": start,
                "eos_token": end,
                "sep_token": end,
                "pad_token": "<pad>",
                "unk_token": "<unk>",
                "mask_token": "<mask>",
            }),
        }
    }

    /// The contents of `tokenizer_config.json`.
    pub(super) fn configuration(self, context_length: usize) -> Value {
        let mut config = self.special_tokens();
        match self {
            Self::Clip => {
                config["tokenizer_class"] = json!("CLIPTokenizer");
                config["do_lower_case"] = json!(true);
            }
            Self::Roberta => {
                config["tokenizer_class"] = json!("RobertaTokenizer");
                config["add_prefix_space"] = json!(false);
            }
        }
        config["model_max_length"] = json!(context_length);
        config
    }

    /// The contents of `tokenizer.json`.
    pub(super) fn definition(self, merges: &Merges) -> Value {
        let symbols = merges.symbols.iter().map(String::as_str);
        let symbols = self.before().iter().copied().chain(symbols);
        let ids: serde_json::Map<String, Value> = symbols
            .chain(self.behind().iter().copied())
            .zip(0_u32..)
            .map(|(symbol, id)| (symbol.to_owned(), json!(id)))
            .collect();
        let special = self.before().iter().chain(self.behind());
        let special: Vec<Value> = special
            .map(|content| {
                json!({
                    "id": ids[*content],
                    "content": content,
                    "single_word": false,
                    // As published: the mask takes the space before it.
                    "lstrip": *content == "<mask>",
                    "rstrip": false,
                    "normalized": false,
                    "special": true,
                })
            })
            .collect();
        let [start, end] = self.ends();
        let ([normalizer, pre_tokenizer], unknown) = match self {
            Self::Clip => (clip_words(), json!(end)),
            Self::Roberta => ([Value::Null, byte_level(false)], Value::Null),
        };
        json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": special,
            "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer,
            "post_processor": {
                "type": "RobertaProcessing",
                "sep": [end, ids[end]],
                "cls": [start, ids[start]],
                "trim_offsets": self == Self::Roberta,
                "add_prefix_space": false,
            },
            "decoder": byte_level(true),
            "model": {
                "type": "BPE",
                "dropout": null,
                "unk_token": unknown,
                "continuing_subword_prefix": "",
                "end_of_word_suffix": self.end_of_word(),
                "fuse_unk": false,
                "byte_fallback": false,
                "vocab": ids,
                "merges": merges.pairs.iter().map(|(l, r)| json!([l, r])).collect::<Vec<_>>(),
            },
        })
    }
}

fn byte_level(add_prefix_space: bool) -> Value {
    json!({
        "type": "ByteLevel",
        "add_prefix_space": add_prefix_space,
        "trim_offsets": true,
        "use_regex": true,
    })
}

/// CLIP's normaliser, and how it cuts words.
fn clip_words() -> [Value; 2] {
    let normalizer = json!({
        "type": "Sequence",
        "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
            {"type": "Lowercase"},
        ],
    });
    let split = json!({
        "type": "Split",
        "pattern": {"Regex": WORDS},
        "behavior": "Removed",
        "invert": true,
    });
    let pre_tokenizer = json!({ "type": "Sequence", "pretokenizers": [split, byte_level(false)] });
    [normalizer, pre_tokenizer]
}
