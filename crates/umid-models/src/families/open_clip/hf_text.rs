//! Text towers of transformers inside OpenCLIP models: RoBERTa, XLM-RoBERTa, BERT, T5, mT5, NLLB.
//!
//! Reference: open_clip, `HFTextEncoder` (`hf_model.py`), which takes the tower's configuration
//! from a hub by `hf_model_name`. Here it is the `config.json` beside the weights, if that is a
//! text model's; otherwise sizes follow from the shapes of the tensors, and what shapes do not say
//! is that of the published models by these names.

use std::path::Path;

use serde_json::Value;

use crate::checkpoint::{Checkpoint, Section};
use crate::config::{
    Activation, BertConfig, EncoderPooling, M2m100Config, ProjectionConfig, T5Config, TextConfig,
    TextHead,
};
use crate::{ModelError, Result};

/// What names of the tower's tensors begin with, and those of the projection behind it.
pub(super) const TOWER: &str = "text.transformer.";
pub(super) const PROJECTION: &str = "text.proj.";
const CONFIG: &str = "config.json";
/// Most layers that are looked for.
const MOST: usize = 1 << 10;
/// Text models whose `config.json` is read.
const TEXT_MODELS: [&str; 6] = ["roberta", "xlm-roberta", "bert", "mt5", "t5", "m2m_100"];
/// Attention heads by the end of `hf_model_name`, which no shape says.
const HEADS: [(&str, usize); 9] = [
    ("roberta-base", 12),
    ("roberta-large", 16),
    ("bert-base-uncased", 12),
    ("bert-base-cased", 12),
    ("bert-base-multilingual-cased", 12),
    ("bert-large-uncased", 16),
    ("bert-large-cased", 16),
    ("nllb-200-distilled-600M", 16),
    ("nllb-200-distilled-1.3B", 16),
];

/// The text tower. What neither a file nor a shape says is added to `assumed`.
pub(super) fn read(
    text: &mut Section,
    checkpoint: &Checkpoint,
    assumed: &mut Vec<String>,
) -> Result<TextConfig> {
    let name = text.optional_text("hf_model_name")?.unwrap_or_default().to_owned();
    let context = text.count_or("context_length", 77)?;
    text.optional_flag("hf_model_pretrained")?;
    text.optional_flag("output_tokens")?;
    overridden(text)?;
    let head = match text.optional_text("hf_proj_type")? {
        None | Some("mlp") => TextHead::Perceptron,
        Some("linear") => TextHead::Linear,
        Some("none") => TextHead::None,
        Some("clap_mlp") => TextHead::Network(ProjectionConfig::Perceptron(Activation::Relu)),
        Some(other) => {
            let expected = "`mlp`, `linear`, `clap_mlp` or `none`";
            return Err(text.invalid("hf_proj_type", &Value::from(other), expected));
        }
    };
    let pooler = match text.optional_text("hf_pooler_type")? {
        None | Some("mean_pooler") => EncoderPooling::Mean,
        Some("cls_pooler") => EncoderPooling::Pooler,
        Some("cls_last_hidden_state_pooler") => EncoderPooling::First,
        Some(other) => {
            let expected = "`mean_pooler`, `cls_pooler` or `cls_last_hidden_state_pooler`";
            return Err(text.invalid("hf_pooler_type", &Value::from(other), expected));
        }
    };
    // In a tower without a pooler of its own, the first token is read as it is.
    let without_pooler = match pooler {
        EncoderPooling::Pooler => EncoderPooling::First,
        other => other,
    };
    let mut tower = Tower { given: configuration(text.path())?, checkpoint, name, assumed };
    if tower.has("encoder.layer.0.attention.self.query.weight") {
        tower.bert(context, pooler, head).map(TextConfig::Bert)
    } else if tower.has("block.0.layer.0.SelfAttention.q.weight") {
        tower.t5(context, without_pooler, head).map(TextConfig::T5)
    } else if tower.has("layers.0.self_attn.q_proj.weight") {
        tower.m2m100(context, without_pooler, head).map(TextConfig::M2m100)
    } else {
        Err(text.unsupported(format!("the text tower `{}` of transformers", tower.name)))
    }
}

/// Refuses values that open_clip would put in place of those of the text model's own configuration,
/// but for dropout, which is training's.
fn overridden(text: &Section) -> Result<()> {
    const KEY: &str = "hf_model_config";
    if text.get(KEY).is_none() {
        return Ok(());
    }
    let given = text.section(KEY)?;
    match given.entries().find(|(key, _)| !key.contains("dropout")) {
        Some((key, found)) => Err(given.invalid(key, found, "no key but those of dropout")),
        None => Ok(()),
    }
}

/// The text model's own configuration beside OpenCLIP's, or an empty one.
fn configuration(open_clip: &Path) -> Result<Section> {
    let path = open_clip.with_file_name(CONFIG);
    if path.is_file() {
        let section = Section::read(&path)?;
        if section.optional_text("model_type")?.is_some_and(|kind| TEXT_MODELS.contains(&kind)) {
            return Ok(section);
        }
    }
    Ok(Section::empty(&path))
}

/// A tower that is described by its configuration, if there is one, and by its tensors.
struct Tower<'a> {
    given: Section,
    checkpoint: &'a Checkpoint,
    name: String,
    assumed: &'a mut Vec<String>,
}

impl Tower<'_> {
    fn bert(
        &mut self,
        context: usize,
        pooling: EncoderPooling,
        head: TextHead,
    ) -> Result<BertConfig> {
        let [vocabulary, width] = self.matrix("embeddings.word_embeddings.weight")?;
        let is_roberta = match self.given.optional_text("model_type")? {
            Some(kind) => kind.contains("roberta"),
            None => self.name.to_lowercase().contains("roberta"),
        };
        // The padding token has the id 1 in RoBERTa, 0 in BERT.
        let padding = self.known("pad_token_id", usize::from(is_roberta))?;
        Ok(BertConfig {
            vocabulary,
            context,
            positions: self.matrix("embeddings.position_embeddings.weight")?[0],
            first_position: if is_roberta { padding.saturating_add(1) } else { 0 },
            token_types: self.matrix("embeddings.token_type_embeddings.weight")?[0],
            width,
            layers: self.count(|i| format!("encoder.layer.{i}.output.dense.weight")),
            heads: self.heads("num_attention_heads")?,
            mlp_width: self.matrix("encoder.layer.0.intermediate.dense.weight")?[0],
            activation: self.activation("hidden_act", Activation::Gelu)?,
            epsilon: self.epsilon("layer_norm_eps", if is_roberta { 1e-5 } else { 1e-12 })?,
            pooling,
            head,
        })
    }

    fn t5(&mut self, context: usize, pooling: EncoderPooling, head: TextHead) -> Result<T5Config> {
        const GATE: &str = "block.0.layer.1.DenseReluDense.wi_0.weight";
        const UNGATED: &str = "block.0.layer.1.DenseReluDense.wi.weight";
        let [vocabulary, width] = self.matrix("embed_tokens.weight")?;
        let bias = "block.0.layer.0.SelfAttention.relative_attention_bias.weight";
        let [distances, heads] = self.matrix(bias)?;
        let [inner, _] = self.matrix("block.0.layer.0.SelfAttention.q.weight")?;
        self.known("pad_token_id", 0)?;
        let gated = self.has(GATE);
        let (kind, activation) =
            if gated { ("gated-gelu", Activation::GeluTanh) } else { ("relu", Activation::Relu) };
        if let Some(other) = self.given.optional_text("feed_forward_proj")?.filter(|k| *k != kind) {
            let expected = format!("`{kind}`, as the tensors are named");
            return Err(self.given.invalid("feed_forward_proj", &Value::from(other), &expected));
        }
        Ok(T5Config {
            vocabulary,
            context,
            width,
            layers: self.count(|i| format!("block.{i}.layer.0.layer_norm.weight")),
            heads,
            head_width: inner.checked_div(heads).unwrap_or(0),
            mlp_width: self.matrix(if gated { GATE } else { UNGATED })?[0],
            distances,
            farthest: self.known("relative_attention_max_distance", 128)?,
            activation,
            gated,
            epsilon: self.epsilon("layer_norm_epsilon", 1e-6)?,
            pooling,
            head,
        })
    }

    fn m2m100(
        &mut self,
        context: usize,
        pooling: EncoderPooling,
        head: TextHead,
    ) -> Result<M2m100Config> {
        let [vocabulary, width] = self.matrix("embed_tokens.weight")?;
        Ok(M2m100Config {
            vocabulary,
            context,
            first_position: self.known("pad_token_id", 1)?.saturating_add(1),
            width,
            layers: self.count(|i| format!("layers.{i}.fc1.weight")),
            heads: self.heads("encoder_attention_heads")?,
            mlp_width: self.matrix("layers.0.fc1.weight")?[0],
            activation: self.activation("activation_function", Activation::Relu)?,
            scaled: self.given.optional_flag("scale_embedding")?.unwrap_or(true),
            pooling,
            head,
        })
    }

    fn has(&self, name: &str) -> bool {
        self.checkpoint.shape(&format!("{TOWER}{name}")).is_ok()
    }

    fn matrix(&self, name: &str) -> Result<[usize; 2]> {
        let name = format!("{TOWER}{name}");
        let found = self.checkpoint.shape(&name)?;
        found.clone().try_into().map_err(|_| ModelError::WrongShape {
            path: self.given.path().to_owned(),
            name,
            found,
            expected: vec![0, 0],
            hint: " (a matrix)".to_owned(),
        })
    }

    fn count(&self, name: impl Fn(usize) -> String) -> usize {
        (0..MOST).take_while(|i| self.has(&name(*i))).count()
    }

    /// A count of the configuration, or that of the published models.
    fn known(&mut self, key: &str, published: usize) -> Result<usize> {
        if let Some(count) = self.given.optional_count(key)? {
            return Ok(count);
        }
        self.assume(key, &published);
        Ok(published)
    }

    fn epsilon(&mut self, key: &str, published: f64) -> Result<f64> {
        if let Some(epsilon) = self.given.optional_number(key)? {
            return Ok(epsilon);
        }
        self.assume(key, &format_args!("{published:e}"));
        Ok(published)
    }

    fn activation(&mut self, key: &str, published: Activation) -> Result<Activation> {
        if let Some(activation) = self.given.optional_activation(key)? {
            return Ok(activation);
        }
        self.assume(key, &published.transformers_name());
        Ok(published)
    }

    /// Attention heads, which only a configuration or the model's name says.
    fn heads(&mut self, key: &str) -> Result<usize> {
        if let Some(heads) = self.given.optional_count(key)? {
            return Ok(heads);
        }
        let known = HEADS.iter().find(|(name, _)| self.name.ends_with(name));
        let (_, heads) = known.ok_or_else(|| ModelError::MissingFile {
            path: self.given.path().to_owned(),
            purpose: "the configuration of the text tower that `hf_model_name` names says how many attention heads it has",
        })?;
        self.assume(key, heads);
        Ok(*heads)
    }

    fn assume(&mut self, key: &str, value: &impl std::fmt::Display) {
        let name = &self.name;
        self.assumed.push(format!("{key} of the text tower: {value} (as in `{name}`)"));
    }
}
