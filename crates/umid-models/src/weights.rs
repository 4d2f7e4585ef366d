//! The weights of a checkpoint as a table from which each tensor is taken exactly once.
//!
//! Safetensors files are mapped into memory and their headers checked before anything is
//! read. A layout registers its tensors under the names of the Hugging Face layout (see
//! [`crate::layout`]); a tower then takes each by name and shape, and [`Weights::finish`]
//! refuses a checkpoint with tensors left over. Nothing is ignored in silence.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};
use memmap2::Mmap;
use pytorch_reader::{DType, PytorchReader};
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use crate::layout::json::default_hint;
use crate::{ModelError, Result};

/// Where a training's checkpoint keeps the model, and what PyTorch's wrapper for several devices
/// puts before every name.
const STATE_DICT: &str = "state_dict";
const WRAPPER: &str = "module.";

/// How a tensor of the tower is cut out of a tensor of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// As it is.
    Whole,
    /// The `k`-th of three equal groups of rows: query, key and value in a fused matrix.
    Third(usize),
    /// A matrix with rows and columns exchanged.
    Transposed,
}

/// Where a tensor's bytes are.
#[derive(Clone)]
enum Stored {
    /// In a mapped file.
    Mapped(Arc<Mmap>, Range<usize>),
    /// In a PyTorch file, which is read when the bytes are asked for.
    Pickled(pytorch_reader::Tensor),
}

/// One tensor, still in its file.
#[derive(Clone)]
struct Entry {
    stored: Stored,
    /// Name in the file, for messages.
    stored_name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    view: View,
}

/// The tensors of a checkpoint that have not been taken yet.
pub(crate) struct Weights {
    directory: PathBuf,
    entries: BTreeMap<String, Entry>,
    dtypes: BTreeMap<String, usize>,
    parameter_count: u64,
    /// Configuration keys that took the format's default; named when a shape does not fit.
    defaulted_keys: Vec<String>,
}

impl Weights {
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
        let mut weights = Self {
            directory: directory.to_owned(),
            entries: BTreeMap::new(),
            dtypes: BTreeMap::new(),
            parameter_count: 0,
            defaulted_keys,
        };
        for path in files {
            weights.add_file(path)?;
        }
        Ok(weights)
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        let malformed = |reason: String| ModelError::Safetensors { path: path.to_owned(), reason };
        let map = Arc::new(map_file(path)?);
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
            let stored = Stored::Mapped(Arc::clone(&map), bytes);
            if !self.add(&name, stored, info.dtype, info.shape.clone()) {
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
        let mut weights = Self::open(directory, &[], defaulted_keys)?;
        for (name, tensor) in reader.into_tensors() {
            let (dtype, shape) = (stored_type(tensor.dtype()), tensor.shape().to_vec());
            // Models that were trained on several devices have the name of the wrapper before
            // each of their own.
            let name = name.strip_prefix(WRAPPER).unwrap_or(&name);
            if !weights.add(name, Stored::Pickled(tensor), dtype, shape) {
                return Err(malformed(format!("tensor `{name}` stands twice")));
            }
        }
        Ok(weights)
    }

    /// Whether the name was new.
    fn add(&mut self, name: &str, stored: Stored, dtype: Dtype, shape: Vec<usize>) -> bool {
        *self.dtypes.entry(format!("{dtype:?}")).or_default() += 1;
        self.parameter_count += shape.iter().product::<usize>() as u64;
        let entry = Entry { stored, stored_name: name.to_owned(), dtype, shape, view: View::Whole };
        self.entries.insert(name.to_owned(), entry).is_none()
    }

    /// Names of the tensors that have not been taken.
    pub(crate) fn names(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    /// Shape of a tensor that has not been taken, as it is stored.
    ///
    /// # Errors
    ///
    /// [`ModelError::MissingTensor`].
    pub(crate) fn shape(&self, name: &str) -> Result<&[usize]> {
        let entry = self.entries.get(name).ok_or_else(|| self.missing(name))?;
        Ok(&entry.shape)
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

    /// Drops a buffer that carries no information (position ids); absent ones are no error.
    pub(crate) fn discard(&mut self, name: &str) {
        if let Some(entry) = self.entries.remove(name) {
            self.parameter_count -= entry.shape.iter().product::<usize>() as u64;
        }
    }

    /// Gives the stored tensor `from` other names, each with a view on it.
    ///
    /// # Errors
    ///
    /// [`ModelError::MissingTensor`] where there is no `from`, [`ModelError::ExtraTensors`]
    /// where one of the new names is stored already.
    pub(crate) fn rename(&mut self, from: &str, to: &[(&str, View)]) -> Result<()> {
        let entry = self.entries.remove(from).ok_or_else(|| self.missing(from))?;
        for (name, view) in to {
            let entry = Entry { view: *view, ..entry.clone() };
            if let Some(stored) = self.entries.insert((*name).to_owned(), entry) {
                return Err(self.extra(1, &[stored.stored_name]));
            }
        }
        Ok(())
    }

    /// Takes a tensor out of the table, as f32 in row-major order.
    ///
    /// # Errors
    ///
    /// [`ModelError::MissingTensor`], [`ModelError::WrongShape`],
    /// [`ModelError::UnsupportedDtype`] and [`ModelError::NonFiniteWeight`].
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let entry = self.entries.remove(name).ok_or_else(|| self.missing(name))?;
        let stored_shape = match (entry.view, shape) {
            (View::Transposed, &[rows, columns]) => vec![columns, rows],
            (View::Third(_), [rows, rest @ ..]) => {
                std::iter::once(3 * rows).chain(rest.iter().copied()).collect()
            }
            _ => shape.to_vec(),
        };
        if entry.shape != stored_shape {
            return Err(ModelError::WrongShape {
                path: self.directory.clone(),
                name: entry.stored_name,
                found: entry.shape,
                expected: stored_shape,
                hint: default_hint(&self.defaulted_keys),
            });
        }
        let values = entry.decode(&self.directory)?;
        if let Some(index) = values.iter().position(|v| !v.is_finite()) {
            return Err(ModelError::NonFiniteWeight {
                path: self.directory.clone(),
                name: entry.stored_name,
                value: values[index],
                index,
            });
        }
        Ok(match entry.view {
            View::Transposed => transpose(&values, stored_shape[0], stored_shape[1]),
            View::Whole | View::Third(_) => values,
        })
    }

    /// Takes a single number, stored with shape `[]` or, by some writers, `[1]`.
    ///
    /// # Errors
    ///
    /// Those of [`Weights::take`].
    pub(crate) fn take_scalar(&mut self, name: &str) -> Result<f32> {
        let shape: &[usize] = match self.entries.get(name) {
            Some(entry) if entry.shape == [1] => &[1],
            _ => &[],
        };
        Ok(self.take(name, shape)?[0])
    }

    /// Ends the loading.
    ///
    /// # Errors
    ///
    /// [`ModelError::ExtraTensors`] where tensors are left.
    pub(crate) fn finish(self) -> Result<()> {
        const NAMES_SHOWN: usize = 5;
        if self.entries.is_empty() {
            return Ok(());
        }
        let count = self.entries.len();
        let mut names: Vec<String> =
            self.entries.values().take(NAMES_SHOWN).map(|e| e.stored_name.clone()).collect();
        if count > NAMES_SHOWN {
            names.push("...".to_owned());
        }
        Err(self.extra(count, &names))
    }

    fn missing(&self, name: &str) -> ModelError {
        ModelError::MissingTensor {
            path: self.directory.clone(),
            name: name.to_owned(),
            hint: default_hint(&self.defaulted_keys),
        }
    }

    fn extra(&self, count: usize, names: &[String]) -> ModelError {
        ModelError::ExtraTensors {
            path: self.directory.clone(),
            count,
            names: names.join(", "),
            hint: default_hint(&self.defaulted_keys),
        }
    }
}

impl Entry {
    fn decode(&self, directory: &Path) -> Result<Vec<f32>> {
        let whole: Cow<[u8]> = match &self.stored {
            Stored::Mapped(file, bytes) => Cow::Borrowed(&file[bytes.clone()]),
            Stored::Pickled(tensor) => Cow::Owned(tensor.read().map_err(|e| {
                ModelError::Pickle { path: directory.to_owned(), reason: e.to_string() }
            })?),
        };
        let bytes = match self.view {
            View::Third(part) => {
                let third = whole.len() / 3;
                &whole[part * third..(part + 1) * third]
            }
            View::Whole | View::Transposed => &whole[..],
        };
        Ok(match self.dtype {
            Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::F16 => {
                bytes.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect()
            }
            Dtype::BF16 => {
                bytes.as_chunks::<2>().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect()
            }
            other => {
                return Err(ModelError::UnsupportedDtype {
                    path: directory.to_owned(),
                    name: self.stored_name.clone(),
                    dtype: format!("{other:?}"),
                });
            }
        })
    }
}

/// The type of a pickled tensor, as safetensors name it.
fn stored_type(dtype: DType) -> Dtype {
    match dtype {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::I16 => Dtype::I16,
        DType::I8 => Dtype::I8,
        DType::U64 => Dtype::U64,
        DType::U32 => Dtype::U32,
        DType::U16 => Dtype::U16,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
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

/// Maps a file into memory.
pub(crate) fn map_file(path: &Path) -> Result<Mmap> {
    let io = |source| ModelError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    #[expect(unsafe_code, reason = "mapping a file is how 600 MB of weights load without a copy")]
    // SAFETY: the map is read only. A checkpoint that another process truncates while it is
    // being loaded is outside of what can be defended against without copying it first.
    let map = unsafe { Mmap::map(&file) }.map_err(io)?;
    Ok(map)
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
