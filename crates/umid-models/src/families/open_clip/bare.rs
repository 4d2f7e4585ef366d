//! Weights of open_clip's or OpenAI's CLIP that come alone, without a configuration: the state dict
//! or training checkpoint of the first, the TorchScript archive of the second.
//!
//! Reference: OpenAI's CLIP, `model.py` (`build_model`), which reads every size from the tensors'
//! shapes. What is found becomes a `model_cfg` as open_clip writes it, and is read as one.
//!
//! The shapes do not say how wide an attention head is: 64 numbers, except for the wide image
//! towers of open_clip's `ViT-H-14`, `ViT-g-14`, `ViT-bigG-14` and `ViT-e-14`; a tower narrower
//! than that has one head. Nor do they say the activation, which the user may give.

use serde_json::{Value, json};

use super::config::{Read, read_config};
use super::names::names;
use super::preprocess::read_preprocess;
use crate::checkpoint::{Checkpoint, Found, Section, WeightFiles};
use crate::config::Activation;
use crate::families::{Family, Opened};
use crate::front_end::{FrontEnd, Modality};
use crate::provenance::Provenance;
use crate::tokenizer::{CLIP_VOCABULARY, TokenizerFiles};
use crate::{ModelError, Result};

/// Width of an attention head.
const HEAD_WIDTH: usize = 64;
/// Widths of image towers whose heads have another width, and that width.
const WIDER_HEADS: [(usize, usize); 4] = [(1280, 80), (1408, 88), (1664, 104), (1792, 112)];
/// How much smaller than the image a residual tower's last features are.
const REDUCTION: usize = 32;
/// Most layers that are looked for.
const MOST: usize = 1 << 10;
/// Files that a tokenizer begins with.
const TOKENIZER: [&str; 2] = ["tokenizer.json", "vocab.json"];
/// Numbers that OpenAI's archives hold beside the weights.
const NUMBERS: [&str; 3] = ["input_resolution", "context_length", "vocab_size"];
/// End of the names of causal masks, which a TorchScript archive may hold once per block.
const MASK: &str = "attn_mask";

/// `CLIP` of open_clip or of OpenAI, without its configuration.
pub(in crate::families) struct Bare;

impl Family for Bare {
    fn layout(&self) -> &'static str {
        "open-clip-weights"
    }

    fn recognises(&self, found: &Found) -> bool {
        found.bare().is_some_and(|table| {
            table.holds("token_embedding.weight") && table.holds("transformer.resblocks.0.")
        })
    }

    fn weights(&self, found: &Found) -> Result<WeightFiles> {
        found.only_weights()
    }

    fn takes_activation(&self) -> bool {
        true
    }

    fn open(&self, found: &Found) -> Result<Opened> {
        let files = self.weights(found)?;
        let mut checkpoint = found.open(&files, Vec::new())?;
        for name in checkpoint.names() {
            if name.ends_with(MASK) || NUMBERS.contains(&name.as_str()) {
                checkpoint.discard(&name);
            }
        }
        let scripted = found.bare().is_some_and(|table| table.scripted);
        let (activation, why) = activation(found, scripted)?;
        let shapes = Shapes { checkpoint: &checkpoint, path: &files.weights[0] };
        let (model, image_head) = shapes.model(activation)?;
        let top = Section::of(&files.weights[0], json!({ "model_cfg": model }));
        let Read { config, mut texts, image, .. } = read_config(&top, &checkpoint)?;
        let front_end = match image {
            Ok(size) => FrontEnd::Image(read_preprocess(&top, size)?),
            Err(reason) => FrontEnd::Absent { modality: Modality::Image, reason },
        };
        let model = top.section("model_cfg")?;
        let inferred = model.entries().filter(|(key, _)| *key != "quick_gelu");
        let mut provenance = Provenance {
            read: Vec::new(),
            inferred: inferred.map(|(key, value)| format!("{key}: {value}")).collect(),
            assumed: vec![
                format!("activation: {} ({why})", activation.transformers_name()),
                format!("attention heads: of {HEAD_WIDTH} numbers in the text tower, of {image_head} in the image tower (as in open_clip's models of these widths)"),
                "preprocessing: bicubic, shortest edge, centre crop, OpenAI's mean and deviation (open_clip's default)".to_owned(),
            ],
        };
        // A tokenizer that lies beside a file need not belong to it; one in a directory does.
        let of_clip = config.text.vocabulary() == CLIP_VOCABULARY;
        if of_clip && !(found.is_directory() && TOKENIZER.iter().any(|name| found.has(name))) {
            texts.files = TokenizerFiles::OfClip;
            let why = format!("CLIP's own, since the vocabulary has {CLIP_VOCABULARY} tokens");
            provenance.assumed.push(format!("tokenizer: {why}"));
        }
        let names = names(&config, &checkpoint);
        let files = files.all().collect();
        Ok(Opened { config, front_end, checkpoint, names, texts, files, provenance })
    }
}

/// The activation, and why it is that one.
fn activation(found: &Found, scripted: bool) -> Result<(Activation, &'static str)> {
    match (found.activation(), scripted) {
        (None | Some(Activation::QuickGelu), true) => {
            Ok((Activation::QuickGelu, "as in every TorchScript archive of OpenAI's"))
        }
        (Some(_), true) => Err(ModelError::ActivationIsKnown { path: found.given().to_owned() }),
        (Some(given), false) => Ok((given, "as given")),
        (None, false) => Ok((Activation::Gelu, "open_clip's default; the weights do not say it")),
    }
}

/// Sizes by the shapes of tensors.
struct Shapes<'a> {
    checkpoint: &'a Checkpoint,
    path: &'a std::path::Path,
}

impl Shapes<'_> {
    /// open_clip's `model_cfg`, and the width of the image tower's heads.
    fn model(&self, activation: Activation) -> Result<(Value, usize)> {
        let width = self.axis("ln_final.weight", 0)?;
        let (vision, head_width) = if self.has("visual.layer1.0.conv1.weight") {
            self.residual()?
        } else {
            self.transformer()?
        };
        let model = json!({
            "embed_dim": self.axis("text_projection", 1)?,
            "quick_gelu": activation == Activation::QuickGelu,
            "vision_cfg": vision,
            "text_cfg": {
                "context_length": self.axis("positional_embedding", 0)?,
                "vocab_size": self.axis("token_embedding.weight", 0)?,
                "width": width,
                "heads": width / self.head_width("ln_final.weight", width, HEAD_WIDTH)?,
                "layers": self.count(|i| format!("transformer.resblocks.{i}.ln_1.weight")),
                "mlp_ratio": self.mlp_ratio("transformer", width)?,
            },
        });
        Ok((model, head_width))
    }

    fn transformer(&self) -> Result<(Value, usize)> {
        const PATCHES: &str = "visual.conv1.weight";
        const POSITIONS: &str = "visual.positional_embedding";
        let (width, patch_size) = (self.axis(PATCHES, 0)?, self.axis(PATCHES, 3)?);
        let grid = self.side(POSITIONS)?;
        let wider = WIDER_HEADS.iter().find(|(tower, _)| *tower == width);
        let head_width =
            self.head_width(PATCHES, width, wider.map_or(HEAD_WIDTH, |(_, head)| *head))?;
        let vision = json!({
            "image_size": grid * patch_size,
            "patch_size": patch_size,
            "width": width,
            "head_width": head_width,
            "layers": self.count(|i| format!("visual.transformer.resblocks.{i}.ln_1.weight")),
            "mlp_ratio": self.mlp_ratio("visual.transformer", width)?,
        });
        Ok((vision, head_width))
    }

    fn residual(&self) -> Result<(Value, usize)> {
        /// Features of the last stage, by the width of the first.
        const WIDENING: usize = 32;
        const FIRST: &str = "visual.layer1.0.conv1.weight";
        let width = self.axis(FIRST, 0)?;
        let head_width = self.head_width(FIRST, WIDENING * width, HEAD_WIDTH)?;
        let stages = [1, 2, 3, 4];
        let layers = stages
            .map(|stage| self.count(|block| format!("visual.layer{stage}.{block}.conv1.weight")));
        let vision = json!({
            "image_size": REDUCTION * self.side("visual.attnpool.positional_embedding")?,
            "layers": layers,
            "width": width,
            "head_width": head_width,
        });
        Ok((vision, head_width))
    }

    /// Width of the heads of a tower. `by` is the tensor that gives the tower's.
    fn head_width(&self, by: &str, width: usize, usual: usize) -> Result<usize> {
        match width {
            0 => Err(self.unexpected(by, "numbers")),
            _ if width < usual => Ok(width),
            _ if width.is_multiple_of(usual) => Ok(usual),
            _ => Err(self.unexpected(by, &format!("a width of whole heads of {usual} numbers"))),
        }
    }

    /// Side of the grid that there is one position for each of, after one for the class.
    fn side(&self, positions: &str) -> Result<usize> {
        let count = self.axis(positions, 0)?.saturating_sub(1);
        let side = count.isqrt();
        if side == 0 || side * side != count {
            return Err(self.unexpected(positions, "one row more than a square has"));
        }
        Ok(side)
    }

    fn mlp_ratio(&self, tower: &str, width: usize) -> Result<f64> {
        let inner = self.axis(&format!("{tower}.resblocks.0.mlp.c_fc.weight"), 0)?;
        // The product with the width is cut to a whole number.
        Ok((inner as f64 + 0.5) / width as f64)
    }

    fn has(&self, name: &str) -> bool {
        self.checkpoint.shape(name).is_ok()
    }

    /// Length of an axis of a tensor.
    fn axis(&self, name: &str, axis: usize) -> Result<usize> {
        let shape = self.checkpoint.shape(name)?;
        let length = shape.get(axis).copied();
        length.ok_or_else(|| self.unexpected(name, &format!("more than {axis} axes")))
    }

    /// How many tensors there are of a numbered name.
    fn count(&self, name: impl Fn(usize) -> String) -> usize {
        (0..MOST).take_while(|i| self.has(&name(*i))).count()
    }

    fn unexpected(&self, name: &str, expected: &str) -> ModelError {
        ModelError::InvalidConfigValue {
            path: self.path.to_owned(),
            key: format!("shape of {name}"),
            found: format!("{:?}", self.checkpoint.shape(name).unwrap_or_default()),
            expected: expected.to_owned(),
        }
    }
}
