//! A path becomes a [`Model`].

use std::path::Path;

use burn::tensor::Device;

use crate::checkpoint::{Found, digest};
use crate::config::Activation;
use crate::families::{self, Opened};
use crate::model::{Model, Source};
use crate::nn::load::{Loader, Passer, Source as Stored};
use crate::precision::Precision;
use crate::tokenizer::TextTokenizer;
use crate::{ModelError, Result};

/// Name of what a sigmoid loss adds to scaled cosines; only some models have it.
const LOGIT_BIAS: &str = "logit_bias";

/// How a model is loaded. The default is frozen weights, in f32, on the CPU.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Where the model computes.
    pub device: Device,
    /// In which numbers the input tower computes.
    pub precision: Precision,
    /// In which numbers the text tower may compute: bf16 where the CPU's kernels have it and the
    /// tower's blocks, and f32 everywhere else. [`Model::text_precision`] says which it is.
    pub texts: Precision,
    /// What the weights are for.
    pub weights: WeightUse,
    /// Which towers are loaded.
    pub towers: Towers,
    /// The activation of the blocks' multi-layer perceptrons, for weights without a configuration
    /// that says it. `None` is the family's default.
    pub activation: Option<Activation>,
}

/// Which towers of a model are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Towers {
    /// The text tower and the input tower.
    Both,
    /// The text tower. The input tower's tensors are checked by name and shape and are not read.
    TextAlone,
}

/// What a model's weights are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightUse {
    /// Embeddings, and gradients with respect to inputs. On a CPU the blocks that have kernels go
    /// to them, which neither change nor export weights.
    Frozen,
    /// All of them are burn's parameters: for training, for gradients with respect to weights and
    /// for saving. Slower on a CPU.
    Trainable,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            device: Device::flex(),
            precision: Precision::F32,
            texts: Precision::F32,
            weights: WeightUse::Frozen,
            towers: Towers::Both,
            activation: None,
        }
    }
}

/// Frozen weights in f32 on a device.
impl From<&Device> for LoadOptions {
    fn from(device: &Device) -> Self {
        Self::on(device)
    }
}

impl LoadOptions {
    /// Frozen weights in f32 on a device.
    pub fn on(device: &Device) -> Self {
        Self { device: device.clone(), ..Self::default() }
    }

    /// The same, with an input tower that computes in another precision.
    #[must_use]
    pub fn in_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The same, with a text tower that may compute in another precision; see [`Self::texts`].
    #[must_use]
    pub fn texts_in(self, texts: Precision) -> Self {
        Self { texts, ..self }
    }

    /// The same, with weights that can be trained.
    #[must_use]
    pub fn trainable(self) -> Self {
        Self { weights: WeightUse::Trainable, ..self }
    }

    /// The same, of the text tower alone.
    #[must_use]
    pub fn text_alone(self) -> Self {
        Self { towers: Towers::TextAlone, ..self }
    }

    /// The same, of a model whose blocks have this activation.
    #[must_use]
    pub fn with_activation(self, activation: Option<Activation>) -> Self {
        Self { activation, ..self }
    }

    /// The kernels' precision for the input tower, if frozen blocks go to the kernels.
    fn kernels(&self) -> Result<Option<umid_kernels::Precision>> {
        if self.weights == WeightUse::Frozen && self.device == Device::flex() {
            self.precision.of_kernels().map(Some)
        } else {
            Ok(None)
        }
    }
}

impl Model {
    /// Loads a checkpoint of any family: a directory, a file of weights, or a hub repository in the
    /// local cache, by its name `ORG/NAME` or `ORG/NAME@REVISION`. A path that is there wins.
    ///
    /// # Errors
    ///
    /// Any [`ModelError`]; every tensor of the checkpoint is accounted for.
    /// [`ModelError::Precision`] if the device does not compute in the precision, or the tower has
    /// no blocks for the kernels, or if trainable weights are asked for in less than f32.
    pub fn load(path: &Path, options: impl Into<LoadOptions>) -> Result<Self> {
        let options = options.into();
        let (precision, device) = (options.precision, &options.device);
        if options.weights == WeightUse::Trainable && precision != Precision::F32 {
            let reason = "weights are trained in f32";
            return Err(ModelError::Precision { precision, reason });
        }
        let kernels = options.kernels()?;
        let found = Found::at(path, options.activation)?;
        let family = families::recognise(&found)?;
        if options.activation.is_some() && !family.takes_activation() {
            return Err(ModelError::ActivationIsKnown { path: path.to_owned() });
        }
        let Opened { config, front_end, checkpoint, names, texts, mut files, mut provenance } =
            family.open(&found)?;
        let tokenizer_files = texts.find(found.directory(), &config.text)?;
        files.extend(tokenizer_files.all());
        provenance.read = files.iter().map(|file| file_name(file)).collect();
        let (dtypes, parameter_count) = (checkpoint.dtypes().clone(), checkpoint.parameter_count());

        let source = |naming| Stored { checkpoint: &checkpoint, naming };
        let text = || {
            let mut text = config.text.build(config.embedding_dim, device);
            let wanted = options.texts.of_kernels().unwrap_or(umid_kernels::Precision::F32);
            let mut loader = Loader::new(source(names.text), device, kernels.map(|_| wanted));
            text.describe(&mut loader)?;
            let rounded = loader.has_laid_out() && wanted == umid_kernels::Precision::Bf16;
            Ok::<_, ModelError>((text, if rounded { Precision::Bf16 } else { Precision::F32 }))
        };
        let input = || {
            let Some(input) = &config.input else { return Ok(None) };
            let mut tower = input.build(config.embedding_dim, device);
            let source = source(names.input);
            if options.towers == Towers::TextAlone {
                tower.describe(&mut Passer { source })?;
                return Ok(None);
            }
            tower.describe(&mut Loader::new(source, device, kernels))?;
            if let Some(precision) = kernels {
                tower.freeze(precision);
            }
            Ok::<_, ModelError>(Some(tower))
        };
        let tokenizer = || TextTokenizer::load(&tokenizer_files, &texts, &config.text);
        let at_once = kernels.is_some();
        let ((text, tower), (tokenizer, digest)) = both(
            at_once,
            || both(at_once, text, input),
            || both(at_once, tokenizer, || digest(&files, options.activation)),
        );
        let (tokenizer, (text, text_precision), tower) = (tokenizer?, text?, tower?);
        let scales = family.logit_scales().iter().map(|name| checkpoint.take_scalar(name));
        let scales = scales.collect::<Result<Vec<f32>>>()?;
        let logit_bias = checkpoint.shape(LOGIT_BIAS).is_ok();
        let logit_bias = logit_bias.then(|| checkpoint.take_scalar(LOGIT_BIAS)).transpose()?;
        checkpoint.finish()?;

        let rounded = precision != Precision::F32;
        let tower = match tower {
            Some(tower) if kernels.is_none() => Some(precision.apply(tower, device)?),
            Some(tower) if rounded && !tower.frozen_parts().contains(&true) => {
                let reason = "this model's input tower has no blocks that the kernels fit";
                return Err(ModelError::Precision { precision, reason });
            }
            other => other,
        };
        Ok(Self {
            source: Source {
                path: path.to_owned(),
                name: found.name().to_owned(),
                layout: family.layout(),
                digest: digest?,
                dtypes,
                parameter_count,
                provenance,
            },
            config,
            text,
            tower,
            tokenizer,
            front_end,
            log_logit_scale: scales.first().copied().unwrap_or(f32::NAN),
            logit_bias,
            device: device.clone(),
            precision,
            text_precision,
            trainable: kernels.is_none() && !rounded,
        })
    }
}

fn file_name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Does both, at the same time where that is asked for. Other devices than the CPU are spoken to
/// from one thread.
fn both<A: Send, B: Send>(
    at_once: bool,
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    if at_once { rayon::join(one, other) } else { (one(), other()) }
}
