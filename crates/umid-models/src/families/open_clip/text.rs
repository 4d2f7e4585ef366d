//! `text_cfg` of an OpenCLIP configuration becomes a text tower's, and what is done to texts.
//!
//! Reference: open_clip, `CLIPTextCfg` and `_build_text_tower` (`model.py`), `get_tokenizer`
//! (`factory.py`). `final_ln_after_pool` and `output_tokens` change no text embedding.

use serde_json::Value;

use super::config::{activation_of, mlp_width, norm_epsilon, plain};
use super::hf_text;
use crate::Result;
use crate::checkpoint::{Checkpoint, Section};
use crate::config::{
    Activation, ClipTextConfig, Pooling, TextAttention, TextConfig, TextHead, TransformerConfig,
};
use crate::tokenizer::{Clean, Padding, Separators, TextRules, TokenizerFiles, Words};

/// The text tower. What neither a file nor a shape says is added to `assumed`.
pub(super) fn read(
    text: &mut Section,
    activation: Activation,
    checkpoint: &Checkpoint,
    assumed: &mut Vec<String>,
) -> Result<TextConfig> {
    // open_clip 4 has a second text tower of its own, texts without padding, and other tokenizers.
    let (none, off) = (Value::from(""), Value::from(false));
    plain(text, &[("text_arch", Value::from("clip")), ("variable_text", off)])?;
    plain(text, &[("tokenizer_type", none)])?;
    if text.get("hf_model_name").is_some() {
        return hf_text::read(text, checkpoint, assumed);
    }
    // Blocks that no published model has.
    let flags = [
        "qk_norm",
        "scaled_cosine_attn",
        "scale_heads",
        "scale_attn_inner",
        "scale_attn",
        "scale_fc",
    ];
    plain(text, &flags.map(|key| (key, Value::from(false))))?;
    plain(text, &[("block_type", Value::from("default"))])?;
    for key in ["final_ln_after_pool", "output_tokens"] {
        text.optional_flag(key)?;
    }
    let width = text.count_or("width", 512)?;
    Ok(TextConfig::Clip(ClipTextConfig {
        vocabulary: text.count_or("vocab_size", 49_408)?,
        context: text.count_or("context_length", 77)?,
        attention: attention(text)?,
        pooling: pooling(text)?,
        head: head(text)?,
        transformer: TransformerConfig {
            width,
            layers: text.count_or("layers", 12)?,
            heads: text.count_or("heads", 8)?,
            mlp_width: mlp_width(text, width)?,
            activation: activation_of(text, activation)?,
            layer_norm_epsilon: norm_epsilon(text)?,
            layer_scale: text.optional_number("ls_init_value")?.is_some(),
        },
    }))
}

fn attention(text: &Section) -> Result<TextAttention> {
    let causal = !text.optional_flag("no_causal_mask")?.unwrap_or(false);
    let padding = token_id(text, "pad_id", 0)?;
    Ok(match text.optional_flag("embed_cls")? {
        Some(true) => TextAttention::ClassToken { causal, padding },
        _ if causal => TextAttention::Causal,
        _ => TextAttention::Bidirectional,
    })
}

/// A class token is read wherever there is one.
fn pooling(text: &Section) -> Result<Pooling> {
    let eos = token_id(text, "eos_id", 2)?;
    let pooling = match text.optional_text("pool_type")? {
        None | Some("argmax") => Pooling::LargestId,
        Some("eos") => Pooling::FirstOf(eos),
        Some("first") => Pooling::First,
        Some("last") => Pooling::Last,
        Some(other) => {
            let found = Value::from(other);
            let expected = "`argmax`, `eos`, `first` or `last`";
            return Err(text.invalid("pool_type", &found, expected));
        }
    };
    let class_token = text.optional_flag("embed_cls")?.unwrap_or(false);
    Ok(if class_token { Pooling::Last } else { pooling })
}

fn head(text: &Section) -> Result<TextHead> {
    let bias = text.optional_flag("proj_bias")?.unwrap_or(false);
    match text.optional_text("proj_type")? {
        None | Some("linear") => Ok(if bias { TextHead::LinearWithBias } else { TextHead::Linear }),
        Some("none") => Ok(TextHead::None),
        Some(other) => Err(text.invalid("proj_type", &Value::from(other), "`linear` or `none`")),
    }
}

/// Refuses keys that would have to be honoured.
fn known(section: &Section, keys: &[&str]) -> Result<()> {
    let unknown = section.entries().find(|(key, value)| !keys.contains(key) && !value.is_null());
    match unknown {
        Some((key, value)) => {
            let expected = format!("no other key than `{}`", keys.join("`, `"));
            Err(section.invalid(key, value, &expected))
        }
        None => Ok(()),
    }
}

fn token_id(text: &Section, key: &str, default: u32) -> Result<u32> {
    let Some(id) = text.optional_count(key)? else { return Ok(default) };
    u32::try_from(id).map_err(|_| text.invalid(key, &Value::from(id), "a token id"))
}

/// What is done to texts: open_clip's own tokenizer cleans and cuts them itself, and pads with
/// zeros; one of transformers, which `hf_tokenizer_name` asks for, gets them cleaned but for their
/// case.
pub(super) fn read_rules(text: &Section) -> Result<TextRules> {
    let of_transformers = text.optional_text("hf_tokenizer_name")?.is_some_and(|n| !n.is_empty());
    if let Some(mode) = text.get("tokenizer_mode").filter(|mode| mode.as_str() != Some("")) {
        return Err(text.invalid("tokenizer_mode", mode, "none, the only kind supported"));
    }
    let options = match text.get("tokenizer_kwargs") {
        Some(_) => text.section("tokenizer_kwargs")?,
        None => Section::empty(text.path()),
    };
    let keys: &[&str] = if of_transformers { &["clean", "strip_sep_token"] } else { &["clean"] };
    known(&options, keys)?;
    let clean = match options.optional_text("clean")? {
        None if of_transformers => Clean::Whitespace,
        None => Clean::Lower,
        Some(name) => Clean::of_open_clip(name).ok_or_else(|| {
            let expected = "`lower`, `whitespace` or `canonicalize`";
            options.invalid("clean", &Value::from(name), expected)
        })?,
    };
    let zeroed = options.optional_flag("strip_sep_token")?.unwrap_or(false);
    let rules = TextRules { clean, ..TextRules::of(TokenizerFiles::WholeOrBpe) };
    Ok(if of_transformers {
        let separators = if zeroed { Separators::Zeroed } else { Separators::Kept };
        let files = TokenizerFiles::WholeOrWordPieces;
        TextRules { files, separators, least_added: 1, ..rules }
    } else {
        TextRules { words: Words::OpenClip, padding: Padding::Id(0), ..rules }
    })
}
