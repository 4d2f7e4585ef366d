//! The families of checkpoints, one file each.
//!
//! A family recognises what a path holds, reads its configuration into a [`ModelConfig`] and a
//! [`FrontEnd`], and says what its files call a tensor. Adding one is its file and one line in
//! [`FAMILIES`]. Which family a path is opened with is decided here, in [`recognise`].

mod audio;
mod bert_clip;
mod clap;
mod clip;
mod clip_text;
mod image_processor;
mod laion_clap;
mod msclap;
mod open_clip;
mod siglip;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::checkpoint::{
    Checkpoint, Found, Naming, Section, TRANSFORMERS, Table, View, WEIGHTS, WeightFiles,
    default_hint,
};
use crate::config::{InputConfig, ModelConfig};
use crate::front_end::FrontEnd;
use crate::precision::Precision;
use crate::provenance::Provenance;
use crate::tokenizer::TextRules;
use crate::towers::within;
use crate::{ModelError, Result};

/// Every family, in the order in which they are asked: a directory with complete files of two
/// layouts, as the LAION repositories have, is read in the Hugging Face layout.
pub(crate) const FAMILIES: [&dyn Family; 12] = [
    &clip::Clip,
    &clip_text::ClipText,
    &bert_clip::ChineseClip,
    &bert_clip::AltClip,
    &bert_clip::DualEncoder,
    &siglip::Siglip,
    &clap::Clap,
    &open_clip::OpenClip,
    &open_clip::OpenClipClap,
    &laion_clap::LaionClap,
    &msclap::Msclap,
    &open_clip::Bare,
];

/// What a family makes of what a path holds.
pub(crate) struct Opened {
    pub(crate) config: ModelConfig,
    pub(crate) front_end: FrontEnd,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) names: Names,
    /// How texts become token ids.
    pub(crate) texts: TextRules,
    /// Every file that was read, for the digest.
    pub(crate) files: Vec<PathBuf>,
    /// What was inferred and assumed; the files are added when all of them are known.
    pub(crate) provenance: Provenance,
}

/// What a checkpoint's files call the tensors of each tower.
#[derive(Clone, Copy)]
pub(crate) struct Names {
    pub(crate) text: Naming,
    pub(crate) input: Naming,
}

impl Names {
    /// The same for both.
    pub(crate) fn of_both(naming: Naming) -> Self {
        Self { text: naming, input: naming }
    }
}

/// A kind of checkpoint.
pub(crate) trait Family: Sync {
    /// Name of the layout.
    fn layout(&self) -> &'static str {
        clip::LAYOUT
    }

    /// Whether a path holds a checkpoint of this family, by its configuration or, if it has none,
    /// by the names of its tensors ([`Found::bare`]).
    fn recognises(&self, found: &Found) -> bool;

    /// The files with the weights.
    fn weights(&self, found: &Found) -> Result<WeightFiles> {
        found.weights(&TRANSFORMERS)
    }

    /// Whether the activation is asked of the user, since no file says it.
    fn takes_activation(&self) -> bool {
        false
    }

    /// Reads everything but the tokenizer and the towers.
    fn open(&self, found: &Found) -> Result<Opened>;

    /// What a tensor is called in the files that the family writes.
    fn naming(&self) -> Naming {
        as_described
    }

    /// Names of the logarithms of the factors on cosines. The first is the model's.
    fn logit_scales(&self) -> &'static [&'static str] {
        &["logit_scale"]
    }

    /// Name of the file that a written model's weights are in.
    fn weights_file(&self) -> &'static str {
        WEIGHTS
    }

    /// Whether the family writes models of this shape.
    fn writes(&self, _: &ModelConfig) -> bool {
        false
    }

    /// Configuration files of a model that is written, with their contents; `None` if the shape
    /// and the front end do not fit each other.
    fn files(
        &self,
        _config: &ModelConfig,
        _front_end: &FrontEnd,
        _precision: Precision,
    ) -> Option<Vec<(&'static str, Value)>> {
        None
    }
}

/// The family of what a path holds: the first that recognises it and finds its weights. A
/// configuration without its weights does not win over one that has them.
pub(crate) fn recognise(found: &Found) -> Result<&'static dyn Family> {
    let candidates: Vec<_> =
        FAMILIES.into_iter().filter(|family| family.recognises(found)).collect();
    let complete = candidates.iter().find(|family| family.weights(found).is_ok());
    if let Some(family) = complete.or(candidates.first()) {
        return Ok(*family);
    }
    // A configuration that cannot be read, or of a model that no family knows, says best what is
    // wrong.
    if found.is_directory() && found.has(clip::CONFIG) {
        Section::read(&found.path(clip::CONFIG))?;
    }
    if found.model_type().is_some() {
        return Err(clip::unknown_model(found.directory()));
    }
    match found.only_weights() {
        Err(error @ ModelError::SeveralWeights { .. }) => Err(error),
        _ if found.has(clip::CONFIG) && found.is_directory() => {
            Err(clip::unknown_model(found.directory()))
        }
        Ok(files) => Err(unknown_weights(&files.weights[0], &*found.table(&files.weights[0])?)),
        Err(_) => Err(ModelError::UnknownLayout { path: found.given().to_owned() }),
    }
}

fn unknown_weights(path: &Path, table: &Table) -> ModelError {
    const NAMES_SHOWN: usize = 3;
    let names: Vec<&str> = table.names().take(NAMES_SHOWN).collect();
    ModelError::UnknownWeights { path: path.to_owned(), names: names.join(", ") }
}

/// A tensor is called what the tower calls it.
fn as_described(name: &str) -> (String, View) {
    (name.to_owned(), View::Whole)
}

/// A configuration that was read from these sections of a file, checked, and the keys that took
/// the format's default.
fn checked<const N: usize>(
    config: ModelConfig,
    path: &Path,
    sections: [Section; N],
) -> Result<(ModelConfig, Vec<String>)> {
    let defaulted: Vec<_> = sections.into_iter().flat_map(Section::into_defaulted).collect();
    check(&config, path, &defaulted)?;
    Ok((config, defaulted))
}

/// Checks what no shape of a tensor would show. `defaulted` are the keys that took the format's
/// default.
fn check(config: &ModelConfig, path: &Path, defaulted: &[String]) -> Result<()> {
    let checks = [
        within("width of the joint embedding", config.embedding_dim),
        config.text.check(config.embedding_dim),
        config.input.as_ref().map_or(Ok(()), InputConfig::check),
    ];
    checks.into_iter().try_for_each(|checked| {
        checked.map_err(|invalid| ModelError::InvalidConfigValue {
            path: path.to_owned(),
            key: invalid.key,
            found: invalid.found + &default_hint(defaulted),
            expected: invalid.expected,
        })
    })
}
