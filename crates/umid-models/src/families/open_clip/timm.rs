//! Image towers that an OpenCLIP configuration takes from timm by name (`timm_model_name`).
//!
//! Reference: open_clip, `TimmModel` (`timm_model.py`), and timm's definitions of each name. What a
//! name says and no tensor shows is in [`ARCHITECTURES`]; sizes are read off the tensors' shapes.

use serde_json::Value;

use crate::checkpoint::{Checkpoint, Section};
use crate::config::{
    BranchNorm, FirstAxis, HeadConfig, InputConfig, LatentPoolConfig, LearntPositions, PatchStem,
    Perceptron, Projections, RelativePositionsConfig, RotaryConfig, TimmVitConfig, VitBlockConfig,
    VitPool,
};
use crate::{ModelError, Result};

const TRUNK: &str = "visual.trunk";

/// What timm takes from a name.
#[derive(Debug, Clone, Copy)]
enum Architecture {
    Vit(Vit),
}

/// A transformer, as timm defines it.
#[derive(Debug, Clone, Copy)]
struct Vit {
    heads: usize,
    epsilon: f64,
    /// Heads of the attention that pools, where it does.
    pool_heads: usize,
    norms: BranchNorm,
    /// Of a head's columns by the patch's row and column.
    rotary: Option<RotaryConfig>,
    /// How features are pooled, as `timm_pool` says it.
    pool: &'static str,
    /// How timm pools where `timm_pool` leaves it to the name.
    own_pool: &'static str,
}

const VIT: Vit = Vit {
    heads: 12,
    epsilon: 1e-6,
    pool_heads: 0,
    norms: BranchNorm::Before,
    rotary: None,
    pool: "token",
    own_pool: "token",
};
const EVA02: Vit = Vit {
    rotary: Some(RotaryConfig { reference_side: 16, offset: 0.0, first: FirstAxis::Row }),
    ..VIT
};

/// A Perception Encoder, whose coordinates are whole numbers on a grid of this side.
const fn perception(heads: usize, reference_side: usize, offset: f32) -> Architecture {
    let rotary = RotaryConfig { reference_side, offset, first: FirstAxis::Column };
    let (pool, own_pool) = ("map", "map");
    let rotary = Some(rotary);
    Architecture::Vit(Vit { heads, epsilon: 1e-5, pool_heads: 8, rotary, pool, own_pool, ..VIT })
}

/// The architectures that open_clip's configurations name.
const ARCHITECTURES: [(&str, Architecture); 14] = [
    ("eva_giant_patch14_224", Architecture::Vit(Vit { heads: 16, own_pool: "avg", ..VIT })),
    ("eva02_base_patch16_clip_224", Architecture::Vit(EVA02)),
    ("eva02_large_patch14_clip_224", Architecture::Vit(Vit { heads: 16, ..EVA02 })),
    ("eva02_large_patch14_clip_336", Architecture::Vit(Vit { heads: 16, ..EVA02 })),
    (
        "eva02_enormous_patch14_clip_224",
        Architecture::Vit(Vit { heads: 16, norms: BranchNorm::After, ..VIT }),
    ),
    ("vit_base_mci_224", Architecture::Vit(VIT)),
    ("vit_large_patch14_clip_224", Architecture::Vit(Vit { heads: 16, epsilon: 1e-5, ..VIT })),
    (
        "vit_medium_patch16_gap_256",
        Architecture::Vit(Vit { heads: 8, pool: "avg", own_pool: "avg", ..VIT }),
    ),
    ("vit_relpos_medium_patch16_cls_224", Architecture::Vit(Vit { heads: 8, ..VIT })),
    ("vit_pe_core_tiny_patch16_384", perception(3, 24, 1.0)),
    ("vit_pe_core_small_patch16_384", perception(6, 24, 1.0)),
    ("vit_pe_core_base_patch16_224", perception(12, 14, 1.0)),
    ("vit_pe_core_large_patch14_336", perception(16, 24, 1.0)),
    ("vit_pe_core_gigantic_patch14_448", perception(16, 32, 0.0)),
];

/// The image tower of a name; `None` if the name is not known here.
pub(super) fn read(
    name: &str,
    vision: &Section,
    image_size: usize,
    checkpoint: &Checkpoint,
) -> Result<Option<InputConfig>> {
    let Some((_, architecture)) = ARCHITECTURES.iter().find(|(known, _)| *known == name) else {
        return Ok(None);
    };
    let trunk = Trunk { checkpoint };
    let head = head(vision)?;
    Ok(Some(match architecture {
        Architecture::Vit(vit) => {
            check_pool(vision, head, vit.pool, vit.own_pool)?;
            InputConfig::TimmVit(trunk.vit(vit, image_size, head)?)
        }
    }))
}

/// `timm_proj` and `timm_proj_bias`. A `null` asks for the tower's own classifier.
fn head(vision: &Section) -> Result<HeadConfig> {
    let bias = vision.optional_flag("timm_proj_bias")?.unwrap_or(false);
    match vision.entries().find(|(key, _)| *key == "timm_proj").map(|(_, value)| value) {
        Some(Value::Null) => Ok(HeadConfig::Classifier),
        None => Ok(HeadConfig::Linear { bias }),
        Some(Value::String(kind)) => match kind.as_str() {
            "" => Ok(HeadConfig::Classifier),
            "none" => Ok(HeadConfig::Absent),
            "linear" => Ok(HeadConfig::Linear { bias }),
            "mlp" => Ok(HeadConfig::Mlp { bias }),
            _ => Err(unknown_head(vision, &Value::from(kind.as_str()))),
        },
        Some(other) => Err(unknown_head(vision, other)),
    }
}

fn unknown_head(vision: &Section, found: &Value) -> ModelError {
    vision.invalid("timm_proj", found, "null, `none`, `linear` or `mlp`")
}

/// Refuses another pooling than the architecture's. An empty `timm_pool` leaves it to timm, but only
/// where a projection of open_clip's follows.
fn check_pool(vision: &Section, head: HeadConfig, pool: &str, own_pool: &str) -> Result<()> {
    let found = vision.optional_text("timm_pool")?.unwrap_or("avg");
    let projected = matches!(head, HeadConfig::Linear { .. } | HeadConfig::Mlp { .. });
    if found == pool || (found.is_empty() && projected && pool == own_pool) {
        return Ok(());
    }
    let expected = format!("`{pool}`, the only pooling supported for this architecture");
    Err(vision.invalid("timm_pool", &Value::from(found), &expected))
}

/// The shapes of a tower's tensors.
struct Trunk<'a> {
    checkpoint: &'a Checkpoint,
}

impl Trunk<'_> {
    fn vit(&self, vit: &Vit, image_size: usize, head: HeadConfig) -> Result<TimmVitConfig> {
        let (stem, width) = self.stem()?;
        let (class_token, rows) = (self.has("cls_token"), self.rows("pos_embed")?);
        let side = image_size / stem.patch_size().max(1);
        let positions = match rows {
            None => LearntPositions::Absent,
            Some(rows) if class_token && rows == side.saturating_mul(side) => {
                LearntPositions::Patches
            }
            Some(_) => LearntPositions::All,
        };
        let pool = match vit.pool {
            "map" => {
                let mlp_width = self.output("attn_pool.mlp.fc1.weight")?;
                VitPool::Latent(LatentPoolConfig { heads: vit.pool_heads, mlp_width })
            }
            "avg" => VitPool::Mean,
            _ => VitPool::Token,
        };
        Ok(TimmVitConfig {
            image_size,
            stem,
            class_token,
            positions,
            rotary: vit.rotary,
            pre_norm: self.has("norm_pre.weight"),
            layers: self.count(|block| format!("blocks.{block}.norm1.weight")),
            block: self.block(vit, width, side, class_token)?,
            pool,
            head,
        })
    }

    /// What a block's tensors say; those of the first stand for all.
    fn block(
        &self,
        vit: &Vit,
        width: usize,
        side: usize,
        class_token: bool,
    ) -> Result<VitBlockConfig> {
        let has = |part: &str| self.has(&format!("blocks.0.{part}"));
        let projections = if has("attn.q_proj.weight") {
            Projections::Separate
        } else if has("attn.q_bias") {
            Projections::FusedTwoBiases
        } else if has("attn.qkv.bias") {
            Projections::Fused
        } else {
            Projections::FusedWithoutBias
        };
        let (perceptron, fc1) = if has("mlp.fc1_g.weight") {
            (Perceptron::GatedNormed, "blocks.0.mlp.fc1_g.weight")
        } else {
            (Perceptron::Plain, "blocks.0.mlp.fc1.weight")
        };
        let relative = "attn.rel_pos.mlp.fc1.weight";
        let relative_positions = if has(relative) {
            let mlp_width = self.output(&format!("blocks.0.{relative}"))?;
            let prefix = usize::from(class_token);
            Some(RelativePositionsConfig { side, prefix, mlp_width })
        } else {
            None
        };
        Ok(VitBlockConfig {
            width,
            heads: vit.heads,
            mlp_width: self.output(fc1)?,
            layer_norm_epsilon: vit.epsilon,
            projections,
            norms: vit.norms,
            attention_norm: has("attn.norm.weight"),
            perceptron,
            layer_scale: has("ls1.gamma"),
            relative_positions,
        })
    }

    /// The stem, and the width of what it makes.
    fn stem(&self) -> Result<(PatchStem, usize)> {
        let first = "patch_embed.backbone.0.conv.weight";
        if !self.has(first) {
            let [width, _, size, _] = self.shape("patch_embed.proj.weight")?;
            let bias = self.has("patch_embed.proj.bias");
            return Ok((PatchStem::Patches { size, bias }, width));
        }
        let mut channels = [0; 3];
        let mut sides = [0; 3];
        for (i, (channels, side)) in channels.iter_mut().zip(&mut sides).enumerate() {
            let name = format!("patch_embed.backbone.{i}.conv.weight");
            [*channels, _, *side, _] = self.shape(&name)?;
        }
        let [first, second, width] = channels;
        Ok((PatchStem::Convolutions { channels: [first, second], sides }, width))
    }

    fn has(&self, name: &str) -> bool {
        self.checkpoint.shape(&format!("{TRUNK}.{name}")).is_ok()
    }

    /// How many there are of what is numbered from 0.
    fn count(&self, name: impl Fn(usize) -> String) -> usize {
        (0..).take_while(|i| self.has(&name(*i))).count()
    }

    /// Rows of a table that may be absent, stored as `[1, rows, width]`.
    fn rows(&self, name: &str) -> Result<Option<usize>> {
        if !self.has(name) {
            return Ok(None);
        }
        let [_, rows, _] = self.shape(name)?;
        Ok(Some(rows))
    }

    /// Outputs of a linear layer.
    fn output(&self, name: &str) -> Result<usize> {
        let [output, _] = self.shape(name)?;
        Ok(output)
    }

    /// The shape of a tensor of so many axes.
    fn shape<const AXES: usize>(&self, name: &str) -> Result<[usize; AXES]> {
        let name = format!("{TRUNK}.{name}");
        let found = self.checkpoint.shape(&name)?;
        found.try_into().map_err(|found| self.checkpoint.wrong_axes(&name, found, AXES))
    }
}
