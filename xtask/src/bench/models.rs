//! The models that are timed: published shapes with random weights, and the bundled targets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use umid_models::Precision;
use umid_models::audio::{LogMel, LogMelParams, Padding, Reading, Truncation};
use umid_models::config::{
    Activation, BertConfig, ClipTextConfig, EncoderPooling, HtsatConfig, InputConfig, ModelConfig,
    Pooling, ProjectionConfig, TextConfig, TextHead, TransformerConfig, VitConfig,
};
use umid_models::save::save;
use umid_models::{
    Filter, FrontEnd, ImageConvention, Modality, OPENAI_MEAN, OPENAI_STD, Preprocess, Resize,
};
use umid_testbed::{
    CaptionTokenizer, InputStatistics, Merges, NameLists, TokenizerFamily, TokenizerParams, World,
    WorldParams, initial_weights,
};

use super::run_to_end;

/// Seed of the random weights.
const SEED: u64 = 0;

/// A model to time.
#[derive(Debug, Clone, Copy)]
pub struct Timed {
    pub name: &'static str,
    /// What a table calls it.
    pub title: &'static str,
    /// Batches that are timed unless others are asked for.
    pub batches: &'static [usize],
    /// What its input tower can compute in.
    pub precisions: &'static [Precision],
    source: Source,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    /// A folder of the repository.
    Bundled(&'static str),
    /// An image tower of a published shape: patch, width, layers, joint space.
    Vit { patch: usize, width: usize, layers: usize, dim: usize },
    /// The audio tower of a published shape.
    Htsat,
    /// What `scripts/make_full_size.py` writes, given these options.
    Script(&'static [&'static str]),
}

/// Every precision.
const ALL: &[Precision] = &[Precision::F32, Precision::F16, Precision::Bf16];

/// All of them, in the order of a table.
pub const MODELS: [Timed; 6] = [
    Timed {
        name: "vit-b-32",
        title: "ViT-B/32",
        batches: &[8, 32],
        precisions: ALL,
        source: Source::Vit { patch: 32, width: 768, layers: 12, dim: 512 },
    },
    Timed {
        name: "vit-l-14",
        title: "ViT-L/14",
        batches: &[4],
        precisions: ALL,
        source: Source::Vit { patch: 14, width: 1024, layers: 24, dim: 768 },
    },
    Timed {
        name: "rn50",
        title: "RN50",
        batches: &[8, 32],
        precisions: &[Precision::F32],
        source: Source::Script(&["--layout", "openclip", "--model", "RN50"]),
    },
    Timed { name: "htsat", title: "HTSAT", batches: &[8], precisions: ALL, source: Source::Htsat },
    Timed {
        name: "demo",
        title: "bundled CLIP",
        batches: &[64],
        precisions: ALL,
        source: Source::Bundled("datasets/zoo/demo"),
    },
    Timed {
        name: "clap-htsat",
        title: "bundled CLAP (HTSAT)",
        batches: &[64],
        precisions: ALL,
        source: Source::Bundled("datasets/zoo/clap-htsat"),
    },
];

/// Models with text towers of a published shape, and a bundled target.
pub const TEXT_MODELS: [Timed; 4] = [
    text_model("vit-b-32", "ViT-B/32", &["--layout", "hf"]),
    text_model("vit-l-14", "ViT-L/14", &["--layout", "hf", "--model", "ViT-L-14"]),
    text_model("clap", "CLAP (RoBERTa)", &["--layout", "clap"]),
    Timed {
        name: "demo",
        title: "bundled CLIP",
        batches: &[],
        precisions: ALL,
        source: Source::Bundled("datasets/zoo/demo"),
    },
];

const fn text_model(
    name: &'static str,
    title: &'static str,
    script: &'static [&'static str],
) -> Timed {
    Timed { name, title, batches: &[], precisions: ALL, source: Source::Script(script) }
}

impl Timed {
    /// The model of this name.
    pub fn among(models: &[Self], name: &str) -> anyhow::Result<Self> {
        let found = models.iter().copied().find(|model| model.name == name);
        let names = models.iter().map(|model| model.name).collect::<Vec<_>>().join(", ");
        found.with_context(|| format!("no model `{name}` to time; there are {names}"))
    }

    /// Where the checkpoint is; it is written first if it has to be.
    pub fn checkpoint(
        &self,
        root: &Path,
        work: &Path,
        python: impl FnOnce() -> anyhow::Result<PathBuf>,
    ) -> anyhow::Result<PathBuf> {
        if let Source::Bundled(folder) = self.source {
            return Ok(root.join(folder));
        }
        let folder = work.join(self.name);
        if folder.is_dir() {
            return Ok(folder);
        }
        eprintln!("{}: writing {}", self.title, folder.display());
        fs::create_dir_all(work)?;
        let half_done = work.join(format!("{}.part", self.name));
        if half_done.is_dir() {
            fs::remove_dir_all(&half_done)?;
        }
        self.write(root, &half_done, python)?;
        fs::rename(&half_done, &folder)?;
        Ok(folder)
    }

    /// Writes the checkpoint to a folder that is not there yet.
    fn write(
        &self,
        root: &Path,
        folder: &Path,
        python: impl FnOnce() -> anyhow::Result<PathBuf>,
    ) -> anyhow::Result<()> {
        let (config, front_end, family) = match self.source {
            Source::Bundled(_) => return Ok(()),
            Source::Script(options) => {
                let mut command = Command::new(python()?);
                command.arg(root.join("scripts/make_full_size.py"));
                command.args(options).arg("--out").arg(folder);
                return run_to_end(&mut command);
            }
            Source::Vit { patch, width, layers, dim } => {
                (clip(vit(patch, width, layers), dim), pixels(), TokenizerFamily::Clip)
            }
            Source::Htsat => {
                let log_mel = log_mel()?;
                (clap(log_mel.frames()), FrontEnd::Audio(log_mel), TokenizerFamily::Roberta)
            }
        };
        let captions = ["a photo of a photo".to_owned()];
        let params =
            TokenizerParams { merges: Merges::Learned(1), context_length: CONTEXT, family };
        let tokenizer = CaptionTokenizer::train(params, &captions)?;
        let medium = match front_end.modality() {
            Modality::Image => umid_testbed::Medium::Photos,
            Modality::Audio => umid_testbed::Medium::Clips,
        };
        let params = WorldParams { medium, members: 2, non_members: 2, ..WorldParams::default() };
        let world = World::draw(params, &NameLists::bundled())?;
        let statistics = InputStatistics::measure(&world, &front_end)?;
        let weights = initial_weights(&config, &statistics, SEED)?;
        save(folder, &config, &front_end, &weights, Precision::F32)?;
        tokenizer.save(folder)?;
        Ok(())
    }
}

/// Tokens of a text; the text tower is a small one, as no text is timed.
const CONTEXT: usize = 16;
/// 256 bytes, 256 bytes that end a word, one merge, start and end; RoBERTa has two more.
const VOCABULARY: usize = 515;

fn transformer(width: usize, layers: usize) -> TransformerConfig {
    TransformerConfig {
        width,
        layers,
        heads: width / 64,
        mlp_width: 4 * width,
        activation: Activation::QuickGelu,
        layer_norm_epsilon: 1e-5,
        layer_scale: false,
    }
}

fn clip(input: InputConfig, embedding_dim: usize) -> ModelConfig {
    let pooling = Pooling::FirstOf(VOCABULARY as u32 - 1);
    let text = ClipTextConfig::clip(VOCABULARY, CONTEXT, pooling, transformer(64, 1));
    let text = TextConfig::Clip(text);
    ModelConfig { embedding_dim, text, input: Some(input) }
}

fn vit(patch_size: usize, width: usize, layers: usize) -> InputConfig {
    let transformer = transformer(width, layers);
    InputConfig::Vit(VitConfig::clip(224, patch_size, transformer))
}

fn pixels() -> FrontEnd {
    FrontEnd::Image(Preprocess {
        resize: Resize::ShortestEdge(224),
        filter: Filter::Bicubic,
        crop: Some(224),
        fill: 0,
        convention: ImageConvention::Transformers,
        mean: OPENAI_MEAN,
        std: OPENAI_STD,
    })
}

/// clap-htsat-unfused, except for the text tower.
fn clap(frames: usize) -> ModelConfig {
    ModelConfig {
        embedding_dim: 512,
        text: TextConfig::Bert(BertConfig {
            vocabulary: VOCABULARY + 2,
            context: CONTEXT,
            positions: CONTEXT + 2,
            first_position: 2,
            token_types: 1,
            width: 64,
            layers: 1,
            heads: 1,
            mlp_width: 256,
            activation: Activation::Gelu,
            epsilon: 1e-5,
            pooling: EncoderPooling::Pooler,
            head: TextHead::Network(ProjectionConfig::Perceptron(Activation::Relu)),
        }),
        input: Some(InputConfig::Htsat(HtsatConfig {
            frames,
            mel_bins: 64,
            spec_size: 256,
            patch_size: [4, 4],
            patch_stride: [4, 4],
            patch_norm: true,
            width: 96,
            depths: vec![2, 2, 6, 2],
            heads: vec![4, 8, 16, 32],
            window: 8,
            mlp_ratio: 4.0,
            qkv_bias: true,
            activation: Activation::Gelu,
            epsilon: 1e-5,
            fusion: None,
            projection: ProjectionConfig::Perceptron(Activation::Relu),
        })),
    }
}

fn log_mel() -> anyhow::Result<LogMel> {
    Ok(LogMel::new(LogMelParams {
        sample_rate: 48_000,
        window: 1024,
        hop: 480,
        bins: 64,
        lowest: 50.0,
        highest: 14_000.0,
        samples: 480_000,
        truncation: Truncation::RandTrunc,
        padding: Padding::RepeatPad,
        reading: Reading::LIBROSA,
    })?)
}

/// Floating-point operations of the products of one input's forward pass: a multiplication and the
/// addition that follows it are two. The backward pass to the input costs as many.
pub fn operations(config: &ModelConfig) -> f64 {
    let input = config.input.as_ref();
    2.0 * input.map_or(0, |tower| tower.multiplications(config.embedding_dim)) as f64
}
