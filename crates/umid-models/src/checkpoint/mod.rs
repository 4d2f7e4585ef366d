//! What a path holds: one table of named tensors, from which each is taken exactly once.
//!
//! Safetensors files are mapped into memory and their headers checked before anything is read.
//! Towers take their tensors by name and shape, and [`Checkpoint::finish`] refuses a checkpoint
//! with tensors left over. Nothing is ignored in silence.

mod archive;
mod digest;
mod files;
mod found;
mod hub;
mod pickle;
mod section;
mod stored;
mod table;
mod torch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use self::table::Entry;
use crate::{ModelError, Result};

pub(crate) use self::digest::digest;
pub(crate) use self::files::{TRANSFORMERS, WEIGHTS, WeightFiles};
pub(crate) use self::found::Found;
pub(crate) use self::hub::cached_file;
pub use self::hub::cached_repository;
pub(crate) use self::section::{Section, default_hint};
pub(crate) use self::stored::{Stored, View};
pub(crate) use self::table::Table;

/// What a family's files call a tensor, and how the tensor lies there.
pub(crate) type Naming = fn(&str) -> (String, View);

/// The tensors of a checkpoint that have not been taken yet; towers take theirs at the same time.
pub(crate) struct Checkpoint {
    directory: PathBuf,
    entries: Mutex<BTreeMap<String, Entry>>,
    dtypes: BTreeMap<String, usize>,
    parameter_count: u64,
    /// Configuration keys that took the format's default; named when a shape does not fit.
    defaulted_keys: Vec<String>,
}

impl Checkpoint {
    /// Without tensors. `path` is for messages.
    pub(crate) fn new(path: &Path, defaulted_keys: Vec<String>) -> Self {
        Self {
            directory: path.to_owned(),
            entries: Mutex::default(),
            dtypes: BTreeMap::new(),
            parameter_count: 0,
            defaulted_keys,
        }
    }

    /// Adds the tensors of a file.
    ///
    /// # Errors
    ///
    /// [`ModelError::RepeatedTensor`] for one that an earlier file has too.
    pub(crate) fn add(&mut self, file: &Path, table: &Table) -> Result<()> {
        for (name, entry) in &table.entries {
            *self.dtypes.entry(format!("{:?}", entry.dtype)).or_default() += 1;
            self.parameter_count += entry.shape.iter().product::<usize>() as u64;
            if self.entries().insert(name.clone(), entry.clone()).is_some() {
                return Err(ModelError::RepeatedTensor {
                    path: file.to_owned(),
                    name: name.clone(),
                });
            }
        }
        Ok(())
    }

    /// Names of the tensors that have not been taken.
    pub(crate) fn names(&self) -> Vec<String> {
        self.entries().keys().cloned().collect()
    }

    /// Shape of a tensor that has not been taken, as it is stored.
    ///
    /// # Errors
    ///
    /// [`ModelError::MissingTensor`].
    pub(crate) fn shape(&self, name: &str) -> Result<Vec<usize>> {
        let entries = self.entries();
        let entry = entries.get(name).ok_or_else(|| self.missing(name))?;
        Ok(entry.shape.clone())
    }

    /// Remembers keys that took a default after the file was opened.
    pub(crate) fn defaulted(&mut self, keys: Vec<String>) {
        self.defaulted_keys.extend(keys);
    }

    /// Number of stored tensors by type, such as `F16`.
    pub(crate) fn dtypes(&self) -> &BTreeMap<String, usize> {
        &self.dtypes
    }

    /// Number of stored weights.
    pub(crate) fn parameter_count(&self) -> u64 {
        self.parameter_count
    }

    /// Drops a buffer that carries no information (position ids), and is not counted as a weight;
    /// absent ones are no error.
    pub(crate) fn discard(&mut self, name: &str) {
        let entry = self.entries().remove(name);
        if let Some(entry) = entry {
            self.parameter_count -= entry.shape.iter().product::<usize>() as u64;
        }
    }

    /// Drops every tensor whose name begins so, unread, and does not count its weights.
    pub(crate) fn leave(&mut self, prefix: &str) {
        for name in self.names().into_iter().filter(|name| name.starts_with(prefix)) {
            self.discard(&name);
        }
    }

    /// Drops what a tower has no use for; absent buffers are no error.
    pub(crate) fn skip(&self, name: &str) {
        self.entries().remove(name);
    }

    /// Takes a tensor, or the part of one that a view is, as f32 in row-major order.
    ///
    /// # Errors
    ///
    /// [`ModelError::NonFiniteWeight`], and those of [`Checkpoint::take_stored`].
    pub(crate) fn take(&self, name: &str, view: View, shape: &[usize]) -> Result<Vec<f32>> {
        self.take_stored(name, view, shape)?.into_values()
    }

    /// Takes a tensor without reading it, unless rows and columns are to be exchanged.
    ///
    /// # Errors
    ///
    /// [`ModelError::MissingTensor`], [`ModelError::WrongShape`],
    /// [`ModelError::UnsupportedDtype`], [`ModelError::Io`] and [`ModelError::Pickle`].
    pub(crate) fn take_stored(&self, name: &str, view: View, shape: &[usize]) -> Result<Stored> {
        let entry = self.claim(name, view, shape)?;
        let view = (view, entry.shape.as_slice());
        Stored::open(&entry.place, entry.dtype, view, &self.directory, name.to_owned())
    }

    /// Takes a tensor that nobody wants to read.
    ///
    /// # Errors
    ///
    /// [`ModelError::MissingTensor`] and [`ModelError::WrongShape`].
    pub(crate) fn pass(&self, name: &str, view: View, shape: &[usize]) -> Result<()> {
        self.claim(name, view, shape).map(|_| ())
    }

    /// Takes an entry of this shape out of the table.
    fn claim(&self, name: &str, view: View, shape: &[usize]) -> Result<Entry> {
        let entry = self.remove(name, view)?;
        let expected = match (view, shape) {
            (View::Transposed, &[rows, columns]) => vec![columns, rows],
            (View::Third(_), [rows, rest @ ..]) => {
                std::iter::once(3 * rows).chain(rest.iter().copied()).collect()
            }
            (View::ColumnThird(_), &[rows, columns]) => vec![columns, 3 * rows],
            _ => shape.to_vec(),
        };
        if entry.shape != expected {
            return Err(ModelError::WrongShape {
                path: self.directory.clone(),
                name: name.to_owned(),
                found: entry.shape,
                expected,
                hint: default_hint(&self.defaulted_keys),
            });
        }
        Ok(entry)
    }

    /// Takes a single number, stored with shape `[]` or, by some writers, `[1]`.
    ///
    /// # Errors
    ///
    /// Those of [`Checkpoint::take`].
    pub(crate) fn take_scalar(&self, name: &str) -> Result<f32> {
        let shape: &[usize] = match self.shape(name) {
            Ok(shape) if shape == [1] => &[1],
            _ => &[],
        };
        Ok(self.take(name, View::Whole, shape)?[0])
    }

    /// Ends the loading.
    ///
    /// # Errors
    ///
    /// [`ModelError::ExtraTensors`] where tensors are left.
    pub(crate) fn finish(self) -> Result<()> {
        const NAMES_SHOWN: usize = 5;
        let count = self.entries().len();
        if count == 0 {
            return Ok(());
        }
        let mut names: Vec<String> = self.entries().keys().take(NAMES_SHOWN).cloned().collect();
        if count > NAMES_SHOWN {
            names.push("...".to_owned());
        }
        Err(ModelError::ExtraTensors {
            path: self.directory.clone(),
            count,
            names: names.join(", "),
            hint: default_hint(&self.defaulted_keys),
        })
    }

    /// Takes an entry out of the table; one of three parts leaves it there for the others.
    fn remove(&self, name: &str, view: View) -> Result<Entry> {
        const ALL_THIRDS: u8 = 0b111;
        let mut entries = self.entries();
        let entry = entries.get_mut(name).ok_or_else(|| self.missing(name))?;
        let bits = match view {
            View::Third(part) | View::ColumnThird(part) => 1 << part,
            View::Whole | View::Transposed => ALL_THIRDS,
        };
        if entry.taken & bits != 0 {
            return Err(self.missing(name));
        }
        entry.taken |= bits;
        let taken = entry.clone();
        if taken.taken == ALL_THIRDS {
            entries.remove(name);
        }
        Ok(taken)
    }

    /// Held for a look-up alone, which leaves the table whole wherever a thread may panic.
    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn missing(&self, name: &str) -> ModelError {
        ModelError::MissingTensor {
            path: self.directory.clone(),
            name: name.to_owned(),
            hint: default_hint(&self.defaulted_keys),
        }
    }
}

/// Exchanges rows and columns of a row-major matrix, block by block to stay in cache.
///
/// # Shapes
///
/// `[rows, columns]` to `[columns, rows]`.
pub(crate) fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    const BLOCK: usize = 32;
    let mut out = vec![0.0; values.len()];
    for row_block in (0..rows).step_by(BLOCK) {
        for column_block in (0..columns).step_by(BLOCK) {
            for row in row_block..(row_block + BLOCK).min(rows) {
                for column in column_block..(column_block + BLOCK).min(columns) {
                    out[column * rows + row] = values[row * columns + column];
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transpose_exchanges_rows_and_columns() {
        let (rows, columns) = (67, 41);
        let values: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
        let transposed = transpose(&values, rows, columns);
        for row in 0..rows {
            for column in 0..columns {
                assert!(
                    (transposed[column * rows + row] - values[row * columns + column]).abs()
                        < f32::EPSILON
                );
            }
        }
    }
}
