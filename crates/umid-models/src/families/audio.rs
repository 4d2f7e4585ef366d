//! What the packages with CLAPs of their own share: names of the audio towers' tensors, which all have
//! from HTS-AT and PANN, which of these towers are known here, and sizes that follow from the tensors'
//! shapes.

use serde_json::Value;

use crate::Result;
use crate::checkpoint::{Checkpoint, Section, View};
use crate::config::{
    Activation, BertConfig, Cnn14Config, EncoderPooling, FusionConfig, HtsatConfig,
    ProjectionConfig, TextHead,
};

/// Width of one of BERT's, RoBERTa's and GPT-2's attention heads.
const HEAD_WIDTH: usize = 64;
/// roberta-base's.
pub(super) const PADDING_ID: usize = 1;
/// PyTorch's default for layer norms, and roberta-base's.
const EPSILON: f64 = 1e-5;
/// Most stages, blocks or layers that are looked for.
const MOST: usize = 1 << 10;
/// Blocks of Cnn14.
const CNN14_BLOCKS: usize = 6;
/// Buffers of an audio encoder, and heads that embeddings do not pass through.
const UNUSED: [&str; 5] =
    ["spectrogram_extractor.", "logmel_extractor.", "tscam_conv.", "head.", "fc_audioset."];
/// Ends of names of buffers inside blocks.
const UNUSED_BUFFERS: [&str; 2] = [".attn_mask", ".relative_position_index"];

/// Where the towers' descriptions have an audio encoder.
const DESCRIBED: [&str; 2] = ["audio_model.audio_encoder.", "audio_branch."];
/// Parts of names, as the towers have them (Hugging Face's) and as the packages have them.
const NAMES: [(&str, &str); 8] = [
    ("batch_norm.", "bn0."),
    (".layernorm_before.", ".norm1."),
    (".layernorm_after.", ".norm2."),
    (".attention.self.relative", ".attn.relative"),
    (".attention.output.dense.", ".attn.proj."),
    (".intermediate.dense.", ".mlp.fc1."),
    (".output.dense.", ".mlp.fc2."),
    (".attention.self.", ".attn.qkv."),
];

/// What the packages call a tensor of the audio encoder, below the encoder's own name; `None` if a
/// tensor is not the encoder's.
pub(super) fn encoder_name(described: &str) -> Option<(String, View)> {
    let name = DESCRIBED.iter().find_map(|prefix| described.strip_prefix(prefix))?;
    let replace = |name: String, (from, to): &(&str, &str)| name.replacen(from, to, 1);
    let stored = NAMES.iter().fold(name.to_owned(), replace);
    // Query, key and value are one matrix.
    let mut thirds = ["query.", "key.", "value."].into_iter().enumerate();
    Some(match thirds.find(|(_, part)| stored.contains(&format!(".attn.qkv.{part}"))) {
        Some((third, part)) => (stored.replacen(part, "", 1), View::Third(third)),
        None => (stored, View::Whole),
    })
}

/// Sizes of a checkpoint's towers.
pub(super) struct Shapes<'a> {
    /// Where the configuration is, or would be, for messages.
    pub(super) section: &'a Section,
    pub(super) checkpoint: &'a Checkpoint,
    /// The audio encoder's own name, with a point behind it.
    pub(super) encoder: &'a str,
}

impl Shapes<'_> {
    /// Drops what of the audio encoder embeddings do not pass through.
    pub(super) fn discard_unused(checkpoint: &mut Checkpoint, encoder: &str) {
        for name in checkpoint.names() {
            let Some(part) = name.strip_prefix(encoder) else { continue };
            if UNUSED.iter().any(|prefix| part.starts_with(prefix))
                || UNUSED_BUFFERS.iter().any(|suffix| part.ends_with(suffix))
            {
                checkpoint.discard(&name);
            }
        }
    }

    /// Length of an axis of a stored tensor.
    pub(super) fn axis(&self, name: &str, axis: usize) -> Result<usize> {
        let shape = self.checkpoint.shape(name)?;
        shape.get(axis).copied().ok_or_else(|| {
            let found = Value::from(shape.clone());
            self.section.invalid(name, &found, &format!("a shape of more than {axis} axes"))
        })
    }

    /// How many tensors there are of a numbered name.
    pub(super) fn count(&self, name: impl Fn(usize) -> String) -> usize {
        (0..MOST).take_while(|i| self.checkpoint.shape(&name(*i)).is_ok()).count()
    }

    /// Attention heads of a text tower of a width.
    pub(super) fn heads(width: usize) -> usize {
        (width / HEAD_WIDTH).max(1)
    }

    pub(super) fn has(&self, part: &str) -> bool {
        self.checkpoint.shape(&self.of_encoder(part)).is_ok()
    }

    fn of_encoder(&self, part: &str) -> String {
        format!("{}{part}", self.encoder)
    }

    /// Mel bins of the input.
    pub(super) fn mel_bins(&self) -> Result<usize> {
        self.axis(&self.of_encoder("bn0.weight"), 0)
    }

    pub(super) fn is_cnn14(&self) -> bool {
        self.has("conv_block1.conv1.weight")
    }

    /// Why the audio encoder cannot be used, if it is of a kind that is not known here. The text
    /// tower can be used without it.
    pub(super) fn unknown(&self) -> Option<String> {
        let in_channels = |name: &str| self.axis(&self.of_encoder(name), 1).unwrap_or(0);
        let found = if self.is_cnn14() {
            if self.has("mel_conv1d.0.weight") || self.has("mel_conv2d.0.weight") {
                "a Cnn14 that fuses features"
            } else if in_channels("conv_block1.conv1.weight") != 1 {
                "a Cnn14 that reads several log-mels as channels"
            } else if !self.has("conv_block6.conv1.weight") {
                "PANN's Cnn6 or Cnn10"
            } else {
                return None;
            }
        } else if self.has("patch_embed.proj.weight") {
            let fuses = self.fuses() || self.has("mel_conv1d.0.weight");
            let by_attention = self.has("patch_embed.fusion_model.local_att.0.weight")
                && !self.has("patch_embed.fusion_model.local_att2.0.weight");
            if fuses && !by_attention {
                "an HTSAT that fuses features in another way than `aff_2d`"
            } else if in_channels("patch_embed.proj.weight") != 1 {
                "an HTSAT that reads several log-mels as channels"
            } else {
                return None;
            }
        } else {
            "neither an HTSAT nor a Cnn14"
        };
        Some(format!("its audio tower is not known here: it is {found}"))
    }

    pub(super) fn cnn14(&self, frames: usize, projection: ProjectionConfig) -> Result<Cnn14Config> {
        let mut widths = [0; CNN14_BLOCKS];
        for (i, width) in widths.iter_mut().enumerate() {
            let name = self.of_encoder(&format!("conv_block{}.conv2.weight", i + 1));
            *width = self.axis(&name, 0)?;
        }
        Ok(Cnn14Config { frames, mel_bins: self.mel_bins()?, widths, projection })
    }

    /// Whether the patches of a long clip's pieces are fused.
    pub(super) fn fuses(&self) -> bool {
        self.has("patch_embed.mel_conv2d.weight")
    }

    pub(super) fn htsat(
        &self,
        frames: usize,
        spec_size: usize,
        projection: ProjectionConfig,
    ) -> Result<HtsatConfig> {
        let patch = self.of_encoder("patch_embed.proj.weight");
        let (width, patch_size) =
            (self.axis(&patch, 0)?, [self.axis(&patch, 2)?, self.axis(&patch, 3)?]);
        let layers = |name: &str| self.of_encoder(&format!("layers.{name}"));
        let table =
            |stage: usize| layers(&format!("{stage}.blocks.0.attn.relative_position_bias_table"));
        let stages = self.count(table);
        let depth =
            |stage| self.count(|block| layers(&format!("{stage}.blocks.{block}.norm1.weight")));
        let heads = (0..stages).map(|stage| self.axis(&table(stage), 1)).collect::<Result<_>>()?;
        // Offsets from 1 - window to window - 1 on both axes.
        let offsets = self.axis(&table(0), 0)?.isqrt();
        let inner = self.axis(&layers("0.blocks.0.mlp.fc1.weight"), 0)?;
        let fusion = if self.fuses() {
            let name = self.of_encoder("patch_embed.fusion_model.local_att.0.weight");
            let reduction = width / self.axis(&name, 0)?.max(1);
            Some(FusionConfig { reduction, short_clips: false })
        } else {
            None
        };
        Ok(HtsatConfig {
            frames,
            mel_bins: self.mel_bins()?,
            spec_size,
            patch_size,
            patch_stride: patch_size,
            patch_norm: self.has("patch_embed.norm.weight"),
            width,
            depths: (0..stages).map(depth).collect(),
            heads,
            window: offsets.div_ceil(2),
            mlp_ratio: inner as f64 / width.max(1) as f64,
            qkv_bias: self.has("layers.0.blocks.0.attn.qkv.bias"),
            activation: Activation::Gelu,
            epsilon: EPSILON,
            fusion,
            projection,
        })
    }

    /// A text encoder of BERT's kind, of a name with a point behind it.
    pub(super) fn bert(
        &self,
        encoder: &str,
        first_position: usize,
        pooling: EncoderPooling,
        projection: ProjectionConfig,
    ) -> Result<BertConfig> {
        let table = |name: &str| format!("{encoder}embeddings.{name}_embeddings.weight");
        let layer = |i: usize| format!("{encoder}encoder.layer.{i}.intermediate.dense.weight");
        let width = self.axis(&table("word"), 1)?;
        let positions = self.axis(&table("position"), 0)?;
        Ok(BertConfig {
            vocabulary: self.axis(&table("word"), 0)?,
            context: positions.saturating_sub(first_position),
            positions,
            first_position,
            token_types: self.axis(&table("token_type"), 0)?,
            width,
            layers: self.count(layer),
            heads: Self::heads(width),
            mlp_width: self.axis(&layer(0), 0)?,
            activation: Activation::Gelu,
            epsilon: EPSILON,
            pooling,
            head: TextHead::Network(projection),
        })
    }
}
