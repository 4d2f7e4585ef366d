//! The state of an unfinished training on disk, so that a killed one goes on.
//!
//! A checkpoint is one folder: weights and optimiser state in burn's own format, and a file
//! that says after how many steps and of which training. It is written beside the last one and
//! renamed over it.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::OptimizerRecord;
use burn::store::{ModuleRecord, RecordError};
use serde::{Deserialize, Serialize};
use umid_models::Model;

use super::{State, TrainParams};
use crate::error::Error;
use crate::world::World;

const WEIGHTS: &str = "weights.bpk";
const OPTIMISER: &str = "optimiser.bpk";
const STATE: &str = "state.json";

/// Which training a checkpoint is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Training {
    /// Digest of the initial model.
    model: String,
    world: String,
    params: TrainParams,
}

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    training: Training,
    step: usize,
}

/// The checkpoints of one training: at most one at a time.
pub(super) struct Checkpoints {
    folder: PathBuf,
    training: Training,
    /// Step after which nothing is asked for.
    stop: usize,
}

impl Checkpoints {
    pub(super) fn open(
        folder: &Path,
        model: &Model,
        world: &World,
        params: &TrainParams,
    ) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::writing(folder))?;
        let training = Training {
            model: model.source.digest.clone(),
            world: format!("{:?}", world.params()),
            params: TrainParams { stop_after: None, ..params.clone() },
        };
        let stop = params.steps_taken();
        Ok(Self { folder: folder.to_owned(), training, stop })
    }

    /// The saved state, or `fresh` where there is none of this training.
    pub(super) fn resume(&self, fresh: State) -> Result<State, Error> {
        let folder = self.current();
        let Ok(text) = fs::read(folder.join(STATE)) else { return Ok(fresh) };
        let step = match serde_json::from_slice::<Saved>(&text) {
            // A state at the very stop would leave no loss to report.
            Ok(Saved { training, step }) if training == self.training && step < self.stop => step,
            _ => return Ok(fresh),
        };
        let failed = |source| Error::Checkpoint { path: folder.clone(), source };
        let weights = ModuleRecord::load(folder.join(WEIGHTS)).map_err(failed)?;
        let optimiser = OptimizerRecord::load(folder.join(OPTIMISER)).map_err(failed)?;
        Ok(State {
            trainee: fresh.trainee.try_load_record(weights).map_err(failed)?,
            optimiser: fresh.optimiser.load_record(optimiser),
            step,
        })
    }

    /// Keeps a state in place of the last one.
    pub(super) fn write(&self, state: &State) -> Result<(), Error> {
        let folder = self.folder.join("next.tmp");
        remove(&folder)?;
        fs::create_dir_all(&folder).map_err(Error::writing(&folder))?;
        let failed = |source: RecordError| Error::Checkpoint { path: folder.clone(), source };
        state.trainee.clone().into_record().save(folder.join(WEIGHTS)).map_err(failed)?;
        state.optimiser.save(folder.join(OPTIMISER)).map_err(failed)?;
        let saved = Saved { training: self.training.clone(), step: state.step };
        let text = serde_json::to_vec_pretty(&saved).expect("a state serialises");
        fs::write(folder.join(STATE), text).map_err(Error::writing(&folder))?;
        remove(&self.current())?;
        fs::rename(&folder, self.current()).map_err(Error::writing(self.current()))
    }

    /// Removes what is kept: the training is done.
    pub(super) fn clear(&self) -> Result<(), Error> {
        remove(&self.folder)
    }

    fn current(&self) -> PathBuf {
        self.folder.join("current")
    }
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::writing(folder)(source))
        }
        _ => Ok(()),
    }
}
