//! Which targets there are. A suite is a list of recipes; each target has its own world, so
//! that what is chosen on one can be measured on another.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use umid_models::save::Precision;
use umid_testbed::{DecoderParams, Recipe, TokenizerParams, TrainParams, WorldParams};

/// People of the bank. They cost nothing until they are rendered.
const BANK: usize = 12_000;

/// A list of targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// The bundled target, committed under `datasets/zoo`.
    Demo,
    /// A world for choosing signals and settings on, so that the bundled one stays unseen.
    Dev,
}

impl Suite {
    /// The recipes of its targets.
    pub fn recipes(self) -> Vec<Recipe> {
        match self {
            Self::Demo => vec![memorised("demo", 1)],
            Self::Dev => vec![memorised("dev", 2)],
        }
    }

    /// Where its targets are written unless told otherwise.
    pub fn folder(self) -> PathBuf {
        let root = workspace_root();
        match self {
            Self::Demo => root.join("datasets/zoo"),
            Self::Dev => root.join("target/zoo"),
        }
    }
}

/// The folder of the workspace.
pub fn workspace_root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask lies in the workspace").to_owned()
}

/// 400 members whose names were shown 432 times each, and 400 non-members of the same draw.
fn memorised(name: &str, seed: u64) -> Recipe {
    Recipe {
        name: name.to_owned(),
        world: WorldParams { seed, bank: BANK, ..WorldParams::default() },
        tokenizer: TokenizerParams::default(),
        training: TrainParams { seed, ..TrainParams::default() },
        decoder: Some(DecoderParams { seed, ..DecoderParams::default() }),
        precision: Precision::F16,
    }
}
