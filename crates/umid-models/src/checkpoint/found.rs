//! What a path holds: a directory with its files, or one file of weights.
//!
//! Families are asked with this value, so that which of them a checkpoint belongs to is decided by
//! what is there and not by file names alone. Tables of tensors are read when first asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::files::{self, WeightFiles};
use super::table::Table;
use super::{Checkpoint, Section, hub};
use crate::config::Activation;
use crate::{ModelError, Result};

/// transformers' configuration, which other packages use the name of too.
const CONFIG: &str = "config.json";
/// What the names of text towers' tensors begin with in all its models of texts and images or
/// sounds.
const OF_TRANSFORMERS: &str = "text_model.";

/// What a path holds, and what the user says of it.
pub(crate) struct Found {
    /// As it was given, for messages.
    path: PathBuf,
    /// For reports.
    name: String,
    /// Where configurations and tokenizers are looked for.
    directory: PathBuf,
    /// The file of weights, if one was given instead of a directory.
    file: Option<PathBuf>,
    /// Names of the files in the directory.
    names: BTreeSet<String>,
    /// The activation, if the user says it.
    activation: Option<Activation>,
    tables: Mutex<BTreeMap<PathBuf, Arc<Table>>>,
    /// Table of the weights that have no configuration, if there are any and they can be read.
    bare: OnceLock<Option<Arc<Table>>>,
}

impl Found {
    /// Lists what is at a path. A path that is not there may be the name of a hub repository in
    /// the local cache.
    ///
    /// # Errors
    ///
    /// [`ModelError::NothingThere`], [`ModelError::NotInCache`] and [`ModelError::Io`].
    pub(crate) fn at(path: &Path, activation: Option<Activation>) -> Result<Self> {
        let io = |source| ModelError::Io { path: path.to_owned(), source };
        let nothing = || ModelError::NothingThere { path: path.to_owned() };
        let (directory, file, name) = match std::fs::metadata(path) {
            Ok(what) if what.is_dir() => (path.to_owned(), None, last_name(path)),
            Ok(_) => {
                let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
                let parent = parent.unwrap_or(Path::new(".")).to_owned();
                (parent, Some(path.to_owned()), last_name(path))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let text = path.to_str().ok_or_else(nothing)?;
                (hub::snapshot(text)?.ok_or_else(nothing)?, None, text.to_owned())
            }
            Err(error) => return Err(io(error)),
        };
        let entries = std::fs::read_dir(&directory).map_err(io)?.collect::<Result<Vec<_>, _>>();
        // A link that leads nowhere is a file that cannot be read.
        let files = entries.map_err(io)?.into_iter().filter(|entry| !entry.path().is_dir());
        let names = files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        Ok(Self {
            path: path.to_owned(),
            name,
            directory,
            file,
            names,
            activation,
            tables: Mutex::default(),
            bare: OnceLock::new(),
        })
    }

    /// The path as it was given.
    pub(crate) fn given(&self) -> &Path {
        &self.path
    }

    /// What the model is called in reports: the name of the directory, the file or the repository.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether a directory was given, and not a file of weights.
    pub(crate) fn is_directory(&self) -> bool {
        self.file.is_none()
    }

    /// Where configurations and tokenizers are looked for: the directory, or the one that the file
    /// lies in.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether the directory has a file.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Path of a file in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Names of the files in the directory, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The activation that the user says the model has.
    pub(crate) fn activation(&self) -> Option<Activation> {
        self.activation
    }

    /// Whether a file of weights was given whose tensors have the names of transformers' models.
    pub(crate) fn is_of_transformers(&self) -> bool {
        self.file.is_some() && self.bare().is_some_and(|table| table.holds(OF_TRANSFORMERS))
    }

    /// The `model_type` of the directory's `config.json`, if there is one that says it: what
    /// transformers tells its models by. A configuration that lies beside a file of weights counts
    /// if the weights are of transformers.
    pub(crate) fn model_type(&self) -> Option<String> {
        if self.file.is_some() && !self.is_of_transformers() {
            return None;
        }
        let section = Section::read(&self.path(CONFIG)).ok()?;
        section.optional_text("model_type").ok()?.map(str::to_owned)
    }

    /// The weights: the file that was given, or the first of these that the directory has. A name
    /// that ends in `.index.json` stands for the shards that it names.
    ///
    /// # Errors
    ///
    /// [`ModelError::MissingFile`] and [`ModelError::InvalidConfigValue`].
    pub(crate) fn weights(&self, names: &[&'static str]) -> Result<WeightFiles> {
        match &self.file {
            Some(file) => Ok(WeightFiles::one(file.clone())),
            None => files::choose(self, names),
        }
    }

    /// Weights of any name: the file that was given, or the only file of weights in the directory.
    ///
    /// # Errors
    ///
    /// [`ModelError::SeveralWeights`] and [`ModelError::MissingFile`].
    pub(crate) fn only_weights(&self) -> Result<WeightFiles> {
        match &self.file {
            Some(file) => Ok(WeightFiles::one(file.clone())),
            None => files::only(self),
        }
    }

    /// The table of a file of weights.
    ///
    /// # Errors
    ///
    /// Those of [`Table::read`].
    pub(crate) fn table(&self, file: &Path) -> Result<Arc<Table>> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = tables.get(file) {
            return Ok(Arc::clone(table));
        }
        let table = Arc::new(Table::read(file)?);
        tables.insert(file.to_owned(), Arc::clone(&table));
        Ok(table)
    }

    /// The table of weights that are alone: those of [`Found::only_weights`], if they can be read.
    pub(crate) fn bare(&self) -> Option<&Table> {
        let read = || match self.only_weights().ok()?.weights.as_slice() {
            [file] => self.table(file).ok(),
            _ => None,
        };
        self.bare.get_or_init(read).as_deref()
    }

    /// Opens weights: one table of all files' tensors. `defaulted` are the keys of the
    /// configuration that took the format's default.
    ///
    /// # Errors
    ///
    /// Those of [`Table::read`]; also a tensor that stands in two files.
    pub(crate) fn open(&self, files: &WeightFiles, defaulted: Vec<String>) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new(&self.path, defaulted);
        for file in &files.weights {
            checkpoint.add(file, &*self.table(file)?)?;
        }
        Ok(checkpoint)
    }
}

/// The last name of a path, also of one such as `.`.
fn last_name(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().or_else(|| whole.file_name()).unwrap_or_default();
    name.to_string_lossy().into_owned()
}
