//! What a path holds: one table of named tensors, from which each is taken exactly once.
//!
//! Safetensors files are mapped into memory and their headers checked before anything is read.
//! Towers take their tensors by name and shape, and [`Checkpoint::finish`] refuses a checkpoint
//! with tensors left over. Nothing is ignored in silence.

mod digest;
mod files;
mod section;
mod stored;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pytorch_reader::PytorchReader;
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use self::stored::{OpenFile, Place, stored_type};
use crate::{ModelError, Result};

pub(crate) use self::digest::digest;
pub(crate) use self::files::{WEIGHTS, WeightFiles, weight_files};
pub(crate) use self::section::{Section, default_hint};
pub(crate) use self::stored::{Stored, View};

/// What a family's files call a tensor, and how the tensor lies there.
pub(crate) type Naming = fn(&str) -> (String, View);

/// Where a training's checkpoint keeps the model, and what PyTorch's wrapper for several devices
/// puts before every name.
const STATE_DICT: &str = "state_dict";
const WRAPPER: &str = "module.";

/// One tensor, still in its file.
#[derive(Clone)]
struct Entry {
    place: Place,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Thirds that have been taken, as bits.
    taken: u8,
}

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
    /// Maps the files and reads their headers.
    ///
    /// # Errors
    ///
    /// [`ModelError::Io`] and [`ModelError::Safetensors`]; the latter also for a tensor that
    /// stands in two files.
    pub(crate) fn open(
        directory: &Path,
        files: &[PathBuf],
        defaulted_keys: Vec<String>,
    ) -> Result<Self> {
        let mut checkpoint = Self {
            directory: directory.to_owned(),
            entries: Mutex::default(),
            dtypes: BTreeMap::new(),
            parameter_count: 0,
            defaulted_keys,
        };
        for path in files {
            checkpoint.add_file(path)?;
        }
        Ok(checkpoint)
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        let malformed = |reason: String| ModelError::Safetensors { path: path.to_owned(), reason };
        let file = Arc::new(OpenFile::open(path)?);
        let map = file.map(0..file.len()?)?;
        let (header_len, metadata) =
            SafeTensors::read_metadata(&map).map_err(|e| malformed(explain(&e, &map)))?;
        // The header is preceded by its own length in eight bytes.
        let data_start = header_len + size_of::<u64>();
        for (name, info) in metadata.tensors() {
            let bytes = data_start + info.data_offsets.0..data_start + info.data_offsets.1;
            if bytes.end > map.len() {
                return Err(malformed(format!(
                    "tensor `{name}` ends at byte {}, the file has {}",
                    bytes.end,
                    map.len()
                )));
            }
            let place = Place::Mapped(Arc::clone(&file), bytes);
            if !self.add(&name, place, info.dtype, info.shape.clone()) {
                return Err(malformed(format!("tensor `{name}` stands in an earlier file too")));
            }
        }
        Ok(())
    }

    /// Reads the index of a file that PyTorch saved: a state dict, or a training's checkpoint
    /// with one under `state_dict`. The pickle is parsed, nothing of it is executed.
    ///
    /// # Errors
    ///
    /// [`ModelError::Pickle`].
    pub(crate) fn open_pickle(
        directory: &Path,
        path: &Path,
        defaulted_keys: Vec<String>,
    ) -> Result<Self> {
        let malformed = |reason: String| ModelError::Pickle { path: path.to_owned(), reason };
        let reader = PytorchReader::with_top_level_key(path, STATE_DICT)
            .or_else(|_| PytorchReader::new(path))
            .map_err(|e| malformed(e.to_string()))?;
        let mut checkpoint = Self::open(directory, &[], defaulted_keys)?;
        for (name, tensor) in reader.into_tensors() {
            let (dtype, shape) = (stored_type(tensor.dtype()), tensor.shape().to_vec());
            // Models that were trained on several devices have the name of the wrapper before
            // each of their own.
            let name = name.strip_prefix(WRAPPER).unwrap_or(&name);
            if !checkpoint.add(name, Place::Pickled(tensor), dtype, shape) {
                return Err(malformed(format!("tensor `{name}` stands twice")));
            }
        }
        Ok(checkpoint)
    }

    /// Whether the name was new.
    fn add(&mut self, name: &str, place: Place, dtype: Dtype, shape: Vec<usize>) -> bool {
        *self.dtypes.entry(format!("{dtype:?}")).or_default() += 1;
        self.parameter_count += shape.iter().product::<usize>() as u64;
        self.entries().insert(name.to_owned(), Entry { place, dtype, shape, taken: 0 }).is_none()
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
        let values = self.take_stored(name, view, shape)?.into_values()?;
        Ok(match (view, shape) {
            (View::Transposed, &[rows, columns]) => transpose(&values, columns, rows),
            _ => values,
        })
    }

    /// Takes a tensor without reading it. Its values come in the order of the file.
    ///
    /// # Errors
    ///
    /// [`ModelError::MissingTensor`], [`ModelError::WrongShape`],
    /// [`ModelError::UnsupportedDtype`], [`ModelError::Io`] and [`ModelError::Pickle`].
    pub(crate) fn take_stored(&self, name: &str, view: View, shape: &[usize]) -> Result<Stored> {
        let entry = self.claim(name, view, shape)?;
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
            View::Third(part) => 1 << part,
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

/// What is wrong with a file whose header was refused, with the sizes that do not fit.
fn explain(error: &SafeTensorError, bytes: &[u8]) -> String {
    let size = bytes.len();
    let header = bytes.first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
    match error {
        SafeTensorError::HeaderTooSmall => {
            format!("it has {size} bytes, too few for a header, so it is truncated")
        }
        SafeTensorError::HeaderTooLarge => {
            format!("its header claims to have {header} bytes, more than any header has")
        }
        SafeTensorError::InvalidHeaderLength => format!(
            "its header claims to have {header} bytes, the file has {size}, so it is truncated"
        ),
        SafeTensorError::MetadataIncompleteBuffer => format!(
            "the tensors of its header do not end where the file ends, at byte {size}, so it is \
             truncated or was written twice"
        ),
        SafeTensorError::TensorInvalidInfo => {
            "a tensor of its header takes more or fewer bytes than its shape and type need"
                .to_owned()
        }
        other => other.to_string(),
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
