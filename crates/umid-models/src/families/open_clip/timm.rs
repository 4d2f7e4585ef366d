//! Image towers that an OpenCLIP configuration takes from timm by name (`timm_model_name`).
//!
//! Reference: open_clip, `TimmModel` (`timm_model.py`), and timm's definitions of each name. What a
//! name says and no shape shows is in [`ARCHITECTURES`]; sizes are read off the tensors' shapes.

use serde_json::Value;

use crate::Result;
use crate::checkpoint::{Checkpoint, Section};
use crate::config::{
    Activation, BranchNorm, ConvNextConfig, FastVitConfig, FastVitStageConfig, FirstAxis,
    HeadConfig, InputConfig, LatentPoolConfig, LearntPositions, Mixer, MobileStemConfig, PatchStem,
    Perceptron, Projections, RelativePositionsConfig, RotaryConfig, TimmVitConfig, VitBlockConfig,
    VitPool,
};

/// Where the tower's tensors are.
const TRUNK: &str = "visual.trunk";
/// More than any tower has of anything that is counted.
const MOST: usize = 1_000;

/// What timm takes from a name.
#[derive(Debug, Clone, Copy)]
enum Architecture {
    Vit(Vit),
    /// The epsilon of its norms.
    ConvNext(f64),
    FastVit(FastVitSize),
}

/// The two kinds of `FastViT` that MobileCLIP has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FastVitSize {
    /// Four stages, of which the last two weigh their channels first and the last attends, after a
    /// batch norm.
    Small,
    /// Five stages, of which the last two attend, after a layer norm.
    Large,
}

/// Whether an image becomes patches by one convolution, by three, or by stages of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum VitStem {
    Patches,
    Convolutions,
    Mobile,
}

/// A transformer, as timm defines it.
#[derive(Debug, Clone, Copy)]
struct Vit {
    /// Its sizes are the tensors'.
    block: VitBlockConfig,
    stem: VitStem,
    class_token: bool,
    positions: LearntPositions,
    rotary: Option<RotaryConfig>,
    pre_norm: bool,
    /// Whether attention is given scores by distance.
    relative_positions: bool,
    /// How features are pooled, as `timm_pool` says it.
    pool: &'static str,
    /// How timm pools where `timm_pool` leaves it to the name.
    own_pool: &'static str,
    /// Heads of an attention that pools.
    pool_heads: usize,
}

/// Stages of a ConvNeXt.
const STAGES: usize = 4;
const VIT: Vit = Vit {
    block: VitBlockConfig {
        width: 0,
        heads: 12,
        mlp_width: 0,
        layer_norm_epsilon: 1e-6,
        projections: Projections::Fused,
        norms: BranchNorm::Before,
        attention_norm: false,
        perceptron: Perceptron::Plain,
        activation: Activation::Gelu,
        layer_scale: false,
        relative_positions: None,
    },
    stem: VitStem::Patches,
    class_token: true,
    positions: LearntPositions::All,
    rotary: None,
    pre_norm: false,
    relative_positions: false,
    pool: "token",
    own_pool: "token",
    pool_heads: 8,
};
const EVA: Vit = Vit {
    block: VitBlockConfig { heads: 16, projections: Projections::FusedTwoBiases, ..VIT.block },
    own_pool: "avg",
    ..VIT
};
const EVA02: Vit = Vit {
    block: VitBlockConfig {
        projections: Projections::Separate,
        attention_norm: true,
        perceptron: Perceptron::SiluGated,
        ..VIT.block
    },
    rotary: Some(RotaryConfig { reference_side: 16, offset: 0.0, first: FirstAxis::Row }),
    ..VIT
};
const EVA02_LARGE: Vit = Vit { block: VitBlockConfig { heads: 16, ..EVA02.block }, ..EVA02 };
const MEDIUM: VitBlockConfig = VitBlockConfig {
    heads: 8,
    projections: Projections::FusedWithoutBias,
    layer_scale: true,
    ..VIT.block
};

/// A Perception Encoder, whose coordinates are whole numbers on a grid of this side.
const fn perception(heads: usize, reference_side: usize) -> Vit {
    let first = FirstAxis::Column;
    Vit {
        block: VitBlockConfig { heads, layer_norm_epsilon: 1e-5, ..VIT.block },
        rotary: Some(RotaryConfig { reference_side, offset: 1.0, first }),
        pre_norm: true,
        pool: "map",
        own_pool: "map",
        ..VIT
    }
}

/// A `ViTamin`.
const fn vitamin(heads: usize, positions: LearntPositions) -> Vit {
    Vit {
        block: VitBlockConfig { heads, perceptron: Perceptron::GeluGated, ..VIT.block },
        stem: VitStem::Mobile,
        class_token: false,
        positions,
        pool: "avg",
        own_pool: "avg",
        ..VIT
    }
}

/// SigLIP's, which pools by attention of as many heads as its blocks have.
const fn siglip(heads: usize, activation: Activation) -> Vit {
    Vit {
        block: VitBlockConfig { heads, activation, ..VIT.block },
        class_token: false,
        pool: "map",
        own_pool: "map",
        pool_heads: heads,
        ..VIT
    }
}

/// SigLIP's of the first version, and those that its second version brought.
const SIGLIP_BASE: Architecture = Architecture::Vit(siglip(12, Activation::Gelu));
const SIGLIP_BASE_2: Architecture = Architecture::Vit(siglip(12, Activation::GeluTanh));
const SIGLIP_LARGE: Architecture = Architecture::Vit(siglip(16, Activation::Gelu));
const SIGLIP_LARGE_2: Architecture = Architecture::Vit(siglip(16, Activation::GeluTanh));

/// The architectures that open_clip's configurations name.
const ARCHITECTURES: [(&str, Architecture); 54] = [
    ("eva_giant_patch14_224", Architecture::Vit(EVA)),
    ("eva02_base_patch16_clip_224", Architecture::Vit(EVA02)),
    ("eva02_large_patch14_clip_224", Architecture::Vit(EVA02_LARGE)),
    ("eva02_large_patch14_clip_336", Architecture::Vit(EVA02_LARGE)),
    (
        "eva02_enormous_patch14_clip_224",
        Architecture::Vit(Vit {
            block: VitBlockConfig { norms: BranchNorm::After, ..EVA.block },
            own_pool: "token",
            ..EVA
        }),
    ),
    ("vit_pe_core_tiny_patch16_384", Architecture::Vit(perception(3, 24))),
    ("vit_pe_core_small_patch16_384", Architecture::Vit(perception(6, 24))),
    ("vit_pe_core_base_patch16_224", Architecture::Vit(perception(12, 14))),
    ("vit_pe_core_large_patch14_336", Architecture::Vit(perception(16, 24))),
    (
        "vit_pe_core_gigantic_patch14_448",
        Architecture::Vit(Vit {
            class_token: false,
            rotary: Some(RotaryConfig {
                reference_side: 32,
                offset: 0.0,
                first: FirstAxis::Column,
            }),
            ..perception(16, 32)
        }),
    ),
    (
        "vit_base_mci_224",
        Architecture::Vit(Vit {
            stem: VitStem::Convolutions,
            positions: LearntPositions::Patches,
            ..VIT
        }),
    ),
    (
        "vit_large_patch14_clip_224",
        Architecture::Vit(Vit {
            block: VitBlockConfig { heads: 16, layer_norm_epsilon: 1e-5, ..VIT.block },
            pre_norm: true,
            ..VIT
        }),
    ),
    (
        "vit_medium_patch16_gap_256",
        Architecture::Vit(Vit {
            block: MEDIUM,
            class_token: false,
            pool: "avg",
            own_pool: "avg",
            ..VIT
        }),
    ),
    (
        "vit_relpos_medium_patch16_cls_224",
        Architecture::Vit(Vit {
            block: MEDIUM,
            positions: LearntPositions::Absent,
            relative_positions: true,
            ..VIT
        }),
    ),
    ("vitamin_small_224", Architecture::Vit(vitamin(6, LearntPositions::All))),
    ("vitamin_base_224", Architecture::Vit(vitamin(12, LearntPositions::All))),
    ("vitamin_large_224", Architecture::Vit(vitamin(16, LearntPositions::All))),
    ("vitamin_large_256", Architecture::Vit(vitamin(16, LearntPositions::All))),
    ("vitamin_large_336", Architecture::Vit(vitamin(16, LearntPositions::All))),
    ("vitamin_large_384", Architecture::Vit(vitamin(16, LearntPositions::All))),
    ("vitamin_large2_224", Architecture::Vit(vitamin(16, LearntPositions::All))),
    ("vitamin_large2_256", Architecture::Vit(vitamin(16, LearntPositions::All))),
    ("vitamin_large2_336", Architecture::Vit(vitamin(16, LearntPositions::All))),
    ("vitamin_large2_384", Architecture::Vit(vitamin(16, LearntPositions::All))),
    ("vitamin_xlarge_256", Architecture::Vit(vitamin(16, LearntPositions::Absent))),
    ("vitamin_xlarge_336", Architecture::Vit(vitamin(16, LearntPositions::Absent))),
    ("vitamin_xlarge_384", Architecture::Vit(vitamin(16, LearntPositions::Absent))),
    ("vit_base_patch16_siglip_224", SIGLIP_BASE),
    ("vit_base_patch16_siglip_256", SIGLIP_BASE),
    ("vit_base_patch16_siglip_384", SIGLIP_BASE),
    ("vit_base_patch16_siglip_512", SIGLIP_BASE),
    ("vit_base_patch32_siglip_256", SIGLIP_BASE_2),
    ("vit_large_patch16_siglip_256", SIGLIP_LARGE),
    ("vit_large_patch16_siglip_384", SIGLIP_LARGE),
    ("vit_large_patch16_siglip_512", SIGLIP_LARGE_2),
    ("vit_so400m_patch14_siglip_224", SIGLIP_LARGE),
    ("vit_so400m_patch14_siglip_378", SIGLIP_LARGE),
    ("vit_so400m_patch14_siglip_384", SIGLIP_LARGE),
    ("vit_so400m_patch16_siglip_256", SIGLIP_LARGE_2),
    ("vit_so400m_patch16_siglip_384", SIGLIP_LARGE_2),
    ("vit_so400m_patch16_siglip_512", SIGLIP_LARGE_2),
    ("vit_giantopt_patch16_siglip_256", SIGLIP_LARGE_2),
    ("vit_giantopt_patch16_siglip_384", SIGLIP_LARGE_2),
    ("convnext_tiny", Architecture::ConvNext(1e-6)),
    ("convnext_small", Architecture::ConvNext(1e-6)),
    ("convnext_base", Architecture::ConvNext(1e-6)),
    ("convnext_large", Architecture::ConvNext(1e-6)),
    ("convnext_xlarge", Architecture::ConvNext(1e-6)),
    ("convnext_xxlarge", Architecture::ConvNext(1e-5)),
    ("fastvit_mci0", Architecture::FastVit(FastVitSize::Small)),
    ("fastvit_mci1", Architecture::FastVit(FastVitSize::Small)),
    ("fastvit_mci2", Architecture::FastVit(FastVitSize::Small)),
    ("fastvit_mci3", Architecture::FastVit(FastVitSize::Large)),
    ("fastvit_mci4", Architecture::FastVit(FastVitSize::Large)),
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
    let trunk = Trunk { vision, checkpoint };
    let head = head(vision)?;
    Ok(Some(match architecture {
        Architecture::Vit(vit) => {
            check_pool(vision, head, vit.pool, vit.own_pool)?;
            InputConfig::TimmVit(trunk.vit(vit, image_size, head)?)
        }
        Architecture::ConvNext(epsilon) => {
            check_pool(vision, head, "avg", "avg")?;
            InputConfig::ConvNext(trunk.convnext(*epsilon, image_size, head)?)
        }
        Architecture::FastVit(size) => {
            check_pool(vision, head, "avg", "avg")?;
            InputConfig::FastVit(trunk.fastvit(*size, image_size, head)?)
        }
    }))
}

/// `timm_proj` and `timm_proj_bias`. A `null` asks for the tower's own classifier.
fn head(vision: &Section) -> Result<HeadConfig> {
    let bias = vision.optional_flag("timm_proj_bias")?.unwrap_or(false);
    let unknown =
        |found: &Value| vision.invalid("timm_proj", found, "null, `none`, `linear` or `mlp`");
    let given = vision.entries().find(|(key, _)| *key == "timm_proj").map(|(_, value)| value);
    match given {
        Some(Value::Null) => Ok(HeadConfig::Classifier),
        None => Ok(HeadConfig::Linear { bias }),
        Some(found) => match found.as_str() {
            Some("") => Ok(HeadConfig::Classifier),
            Some("none") => Ok(HeadConfig::Absent),
            Some("linear") => Ok(HeadConfig::Linear { bias }),
            Some("mlp") => Ok(HeadConfig::Mlp { bias }),
            _ => Err(unknown(found)),
        },
    }
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
    vision: &'a Section,
    checkpoint: &'a Checkpoint,
}

impl Trunk<'_> {
    fn vit(&self, vit: &Vit, image_size: usize, head: HeadConfig) -> Result<TimmVitConfig> {
        let (stem, width) = self.vit_stem(vit)?;
        let fc1 = match vit.block.perceptron {
            Perceptron::Plain => "blocks.0.mlp.fc1.weight",
            Perceptron::SiluGated => "blocks.0.mlp.fc1_g.weight",
            Perceptron::GeluGated => "blocks.0.mlp.w0.weight",
        };
        let relative_positions = if vit.relative_positions {
            Some(RelativePositionsConfig {
                side: image_size / stem.patch_size().max(1),
                prefix: usize::from(vit.class_token),
                mlp_width: self.output("blocks.0.attn.rel_pos.mlp.fc1.weight")?,
            })
        } else {
            None
        };
        let pool = match vit.pool {
            "map" => {
                let mlp_width = self.output("attn_pool.mlp.fc1.weight")?;
                let (heads, activation) = (vit.pool_heads, vit.block.activation);
                VitPool::Latent(LatentPoolConfig { heads, mlp_width, activation })
            }
            "avg" if vit.stem == VitStem::Mobile => VitPool::MeanThenNorm,
            "avg" => VitPool::Mean,
            _ => VitPool::Token,
        };
        let mlp_width = self.output(fc1)?;
        Ok(TimmVitConfig {
            image_size,
            stem,
            class_token: vit.class_token,
            positions: vit.positions,
            rotary: vit.rotary,
            pre_norm: vit.pre_norm,
            layers: self.count(|block| format!("blocks.{block}.norm1.weight")),
            block: VitBlockConfig { width, mlp_width, relative_positions, ..vit.block },
            pool,
            head,
        })
    }

    /// The stem, and the width of what it makes.
    fn vit_stem(&self, vit: &Vit) -> Result<(PatchStem, usize)> {
        match vit.stem {
            VitStem::Patches => {
                let [width, _, size, _] = self.shape("patch_embed.proj.weight")?;
                Ok((PatchStem::Patches { size, bias: !vit.pre_norm }, width))
            }
            VitStem::Convolutions => {
                let mut channels = [0; 3];
                let mut sides = [0; 3];
                for (i, (channels, side)) in channels.iter_mut().zip(&mut sides).enumerate() {
                    let name = format!("patch_embed.backbone.{i}.conv.weight");
                    [*channels, _, *side, _] = self.shape(&name)?;
                }
                let [first, second, width] = channels;
                Ok((PatchStem::Convolutions { channels: [first, second], sides }, width))
            }
            VitStem::Mobile => {
                let [stem_width, ..] = self.shape::<4>("patch_embed.backbone.stem.conv1.weight")?;
                let [width, ..] = self.shape::<4>("patch_embed.backbone.pool.proj.weight")?;
                let (mut widths, mut inner_widths, mut depths) = ([0; 2], [0; 2], [0; 2]);
                for stage in 0..2 {
                    let block = |block| {
                        format!("patch_embed.backbone.stages.{stage}.{block}.conv3_1x1.weight")
                    };
                    [widths[stage], inner_widths[stage], _, _] = self.shape(&block(0))?;
                    depths[stage] = self.count(block);
                }
                let stem = MobileStemConfig { stem_width, widths, inner_widths, depths };
                Ok((PatchStem::Mobile(stem), width))
            }
        }
    }

    fn convnext(
        &self,
        layer_norm_epsilon: f64,
        image_size: usize,
        head: HeadConfig,
    ) -> Result<ConvNextConfig> {
        let [_, _, patch_size, _] = self.shape("stem.0.weight")?;
        let [_, _, kernel, _] = self.shape("stages.0.blocks.0.conv_dw.weight")?;
        let mut config = ConvNextConfig {
            image_size,
            patch_size,
            depths: vec![],
            widths: vec![],
            mlp_widths: vec![],
            kernel,
            layer_norm_epsilon,
            head,
        };
        for stage in 0..STAGES {
            let block = |block| format!("stages.{stage}.blocks.{block}.mlp.fc1.weight");
            let [inner, width] = self.shape(&block(0))?;
            config.depths.push(self.count(block));
            config.widths.push(width);
            config.mlp_widths.push(inner);
        }
        Ok(config)
    }

    fn fastvit(
        &self,
        size: FastVitSize,
        image_size: usize,
        head: HeadConfig,
    ) -> Result<FastVitConfig> {
        let large = size == FastVitSize::Large;
        let (count, attention) = match size {
            FastVitSize::Small => (4, Mixer::BatchNormedAttention),
            FastVitSize::Large => (5, Mixer::LayerNormedAttention),
        };
        let mut stages = Vec::new();
        for stage in 0..count {
            let block = |block| format!("stages.{stage}.blocks.{block}.mlp.fc1.weight");
            let [mlp_width, width, _, _] = self.shape(&block(0))?;
            let squeeze = if !large && stage >= 2 {
                let name = format!("stages.{stage}.downsample.proj.0.se.fc1.weight");
                let [squeeze, _, _, _] = self.shape(&name)?;
                Some(squeeze)
            } else {
                None
            };
            let mixer = if stage < 3 { Mixer::Convolution } else { attention };
            let depth = self.count(block);
            stages.push(FastVitStageConfig { width, depth, mlp_width, mixer, squeeze });
        }
        let [squeeze, features, _, _] = self.shape("final_conv.se.fc1.weight")?;
        Ok(FastVitConfig {
            image_size,
            stem_branch: !large,
            stages,
            features,
            squeeze,
            layer_norm_epsilon: 1e-5,
            head,
        })
    }

    /// How many tensors there are of a numbered name.
    fn count(&self, name: impl Fn(usize) -> String) -> usize {
        let there = |i: &usize| self.checkpoint.shape(&format!("{TRUNK}.{}", name(*i))).is_ok();
        (0..MOST).take_while(there).count()
    }

    /// Outputs of a linear layer.
    fn output(&self, name: &str) -> Result<usize> {
        let [output, _] = self.shape(name)?;
        Ok(output)
    }

    /// The shape of a tensor of so many axes.
    fn shape<const AXES: usize>(&self, name: &str) -> Result<[usize; AXES]> {
        let name = format!("{TRUNK}.{name}");
        self.checkpoint.shape(&name)?.try_into().map_err(|found: Vec<usize>| {
            let expected = format!("a shape of {AXES} axes");
            self.vision.invalid(&name, &Value::from(found), &expected)
        })
    }
}
