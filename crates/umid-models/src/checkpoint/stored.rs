//! A tensor that is still in its file, and its numbers as f32.
//!
//! Each tensor of a mapped file is a map of its own, which is gone when the tensor has been read:
//! so what of the file is in memory is what is being read.

use std::borrow::Cow;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use memmap2::{Mmap, MmapOptions};
use rayon::prelude::*;
use safetensors::Dtype;

use super::transpose;
use crate::{ModelError, Result};

/// Numbers that one core decodes together where a whole tensor is wanted.
const PART: usize = 1 << 18;

/// How a tensor of the tower is cut out of a tensor of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// As it is.
    Whole,
    /// The `k`-th of three equal groups of rows: query, key and value in a fused matrix.
    Third(usize),
    /// A matrix with rows and columns exchanged.
    Transposed,
    /// The `k`-th of three equal groups of columns, with rows and columns exchanged: query, key and
    /// value in a fused matrix of GPT-2, which stores `[input, output]`.
    ColumnThird(usize),
}

/// Where a tensor's bytes are.
#[derive(Clone)]
pub(crate) enum Place {
    /// In a file that is mapped.
    Mapped(Arc<OpenFile>, Range<usize>),
    /// In a mapped file, with elements that are not in row-major order.
    Strided { file: Arc<OpenFile>, bytes: Range<usize>, shape: Vec<usize>, strides: Vec<usize> },
}

/// A file that is open, and its name for messages.
#[derive(Debug)]
pub(crate) struct OpenFile {
    file: File,
    path: PathBuf,
}

impl OpenFile {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let io = |source| ModelError::Io { path: path.to_owned(), source };
        Ok(Self { file: File::open(path).map_err(io)?, path: path.to_owned() })
    }

    /// Bytes that the file has now.
    pub(crate) fn len(&self) -> Result<usize> {
        Ok(self.file.metadata().map_err(|e| self.io(e))?.len() as usize)
    }

    /// Maps some bytes into memory.
    pub(crate) fn map(&self, bytes: Range<usize>) -> Result<Mmap> {
        let mut options = MmapOptions::new();
        options.offset(bytes.start as u64).len(bytes.len());
        #[expect(
            unsafe_code,
            reason = "mapping a file is how 600 MB of weights load without a copy"
        )]
        // SAFETY: the map is read only. A checkpoint that another process truncates while it is
        // being loaded is outside of what can be defended against without copying it first.
        let map = unsafe { options.map(&self.file) }.map_err(|e| self.io(e))?;
        Ok(map)
    }

    fn io(&self, source: std::io::Error) -> ModelError {
        ModelError::Io { path: self.path.clone(), source }
    }
}

/// The types that numbers are stored in.
#[derive(Debug, Clone, Copy)]
enum Number {
    F32,
    F16,
    Bf16,
}

#[derive(Debug)]
enum Bytes {
    Mapped(Mmap),
    Read(Vec<u8>),
}

/// A tensor whose name, shape and type are as expected, and whose numbers are read as they are
/// asked for.
#[derive(Debug)]
pub(crate) struct Stored {
    bytes: Bytes,
    /// Those of the view.
    part: Range<usize>,
    number: Number,
    /// Whether a number that was read is not finite.
    spoilt: AtomicBool,
    directory: PathBuf,
    name: String,
}

impl Stored {
    /// # Errors
    ///
    /// [`ModelError::UnsupportedDtype`] and [`ModelError::Io`].
    pub(crate) fn open(
        place: &Place,
        dtype: Dtype,
        (view, shape): (View, &[usize]),
        directory: &Path,
        name: String,
    ) -> Result<Self> {
        let directory = directory.to_owned();
        let number = match dtype {
            Dtype::F32 => Number::F32,
            Dtype::F16 => Number::F16,
            Dtype::BF16 => Number::Bf16,
            other => {
                let dtype = format!("{other:?}");
                return Err(ModelError::UnsupportedDtype { path: directory, name, dtype });
            }
        };
        let bytes = match place {
            Place::Strided { file, bytes, shape, strides } => {
                Bytes::Read(in_order(&file.map(bytes.clone())?, shape, strides, number.size()))
            }
            Place::Mapped(file, bytes) => Bytes::Mapped(file.map(bytes.clone())?),
        };
        let all = match &bytes {
            Bytes::Mapped(map) => map.len(),
            Bytes::Read(bytes) => bytes.len(),
        };
        let part = match view {
            View::Third(part) => part * (all / 3)..(part + 1) * (all / 3),
            View::Whole | View::Transposed | View::ColumnThird(_) => 0..all,
        };
        let stored = Self { bytes, part, number, spoilt: AtomicBool::new(false), directory, name };
        match (view, shape) {
            (View::Transposed, &[rows, columns]) => stored.transposed(rows, columns, 0..columns),
            (View::ColumnThird(part), &[rows, columns]) => {
                let third = columns / 3;
                stored.transposed(rows, columns, part * third..(part + 1) * third)
            }
            _ => Ok(stored),
        }
    }

    /// Some columns of a matrix as the rows of another. Its numbers are read.
    fn transposed(self, rows: usize, columns: usize, range: Range<usize>) -> Result<Self> {
        let (directory, name) = (self.directory.clone(), self.name.clone());
        let values = transpose(&self.into_values()?, rows, columns);
        let values = &values[range.start * rows..range.end * rows];
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let (part, number) = (0..bytes.len(), Number::F32);
        let (bytes, spoilt) = (Bytes::Read(bytes), AtomicBool::new(false));
        Ok(Self { bytes, part, number, spoilt, directory, name })
    }

    /// All numbers of the view.
    ///
    /// # Errors
    ///
    /// [`ModelError::NonFiniteWeight`].
    pub(crate) fn into_values(self) -> Result<Vec<f32>> {
        let mut values = vec![0.0; umid_kernels::Stored::count(&self)];
        values.par_chunks_mut(PART).enumerate().for_each(|(i, values)| {
            self.decode(i * PART..i * PART + values.len(), values);
            self.note(values);
        });
        self.check()?;
        Ok(values)
    }

    /// # Errors
    ///
    /// [`ModelError::NonFiniteWeight`] where a number that was read is not finite.
    pub(crate) fn check(&self) -> Result<()> {
        if !self.spoilt.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut values = vec![0.0; umid_kernels::Stored::count(self)];
        self.decode(0..values.len(), &mut values);
        let index = values.iter().position(|v| !v.is_finite()).expect("one was read");
        Err(ModelError::NonFiniteWeight {
            path: self.directory.clone(),
            name: self.name.clone(),
            value: values[index],
            index,
        })
    }

    fn bytes(&self, range: Range<usize>) -> &[u8] {
        let bytes = match &self.bytes {
            Bytes::Mapped(map) => &map[self.part.clone()],
            Bytes::Read(bytes) => &bytes[self.part.clone()],
        };
        let size = self.number.size();
        &bytes[range.start * size..range.end * size]
    }

    /// Numbers that can be read where they are.
    fn borrowed(&self, range: Range<usize>) -> Option<&[f32]> {
        match self.number {
            Number::F32 if cfg!(target_endian = "little") => {
                bytemuck::try_cast_slice(self.bytes(range)).ok()
            }
            Number::F32 | Number::F16 | Number::Bf16 => None,
        }
    }

    fn decode(&self, range: Range<usize>, to: &mut [f32]) {
        let bytes = self.bytes(range);
        let halves = |decode: fn(u16) -> f32, to: &mut [f32]| {
            for (bytes, to) in bytes.as_chunks::<2>().0.iter().zip(to) {
                *to = decode(u16::from_le_bytes(*bytes));
            }
        };
        let aligned = || bytemuck::try_cast_slice::<u8, u16>(bytes).ok();
        match self.number {
            Number::F32 => {
                for (bytes, to) in bytes.as_chunks::<4>().0.iter().zip(to) {
                    *to = f32::from_le_bytes(*bytes);
                }
            }
            // Eight at a time, where the processor has an instruction for it.
            Number::F16 => match aligned().filter(|_| cfg!(target_endian = "little")) {
                Some(bits) => bits.reinterpret_cast::<f16>().convert_to_f32_slice(to),
                None => halves(|bits| f16::from_bits(bits).to_f32(), to),
            },
            Number::Bf16 => halves(|bits| bf16::from_bits(bits).to_f32(), to),
        }
    }

    /// Remembers whether a number is not finite.
    fn note(&self, values: &[f32]) {
        /// A number with all of these set is infinite or none.
        const EXPONENT: u32 = 0x7f80_0000;
        // Without a way out, several at a time.
        let spoilt = |spoilt, value: &f32| spoilt | (value.to_bits() & EXPONENT == EXPONENT);
        if values.iter().fold(false, spoilt) {
            self.spoilt.store(true, Ordering::Relaxed);
        }
    }
}

impl umid_kernels::Stored for Stored {
    fn count(&self) -> usize {
        self.part.len() / self.number.size()
    }

    fn values(&self, range: Range<usize>) -> Cow<'_, [f32]> {
        let values = self.borrowed(range.clone()).map_or_else(
            || {
                let mut values = vec![0.0; range.len()];
                self.decode(range, &mut values);
                Cow::Owned(values)
            },
            Cow::Borrowed,
        );
        self.note(&values);
        values
    }
}

impl Number {
    fn size(self) -> usize {
        match self {
            Self::F32 => size_of::<f32>(),
            Self::F16 | Self::Bf16 => size_of::<u16>(),
        }
    }
}

/// The elements of a strided tensor in row-major order. The strides are known to stay inside of
/// `bytes`.
fn in_order(bytes: &[u8], shape: &[usize], strides: &[usize], size: usize) -> Vec<u8> {
    let count = shape.iter().product::<usize>();
    let mut ordered = Vec::with_capacity(count * size);
    let mut index = vec![0; shape.len()];
    for _ in 0..count {
        let first = index.iter().zip(strides).map(|(i, stride)| i * stride).sum::<usize>() * size;
        ordered.extend_from_slice(&bytes[first..first + size]);
        for (i, length) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < *length {
                break;
            }
            *i = 0;
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use umid_kernels::Stored as _;

    use super::*;

    /// Numbers of a type, as bytes of a file that begin somewhere in it.
    fn stored(dtype: Dtype, values: &[f32], first: usize, view: View) -> Stored {
        let bytes = values.iter().flat_map(|value| match dtype {
            Dtype::F32 => value.to_le_bytes().to_vec(),
            Dtype::F16 => f16::from_f32(*value).to_le_bytes().to_vec(),
            _ => bf16::from_f32(*value).to_le_bytes().to_vec(),
        });
        let bytes: Vec<u8> = vec![0xff; first].into_iter().chain(bytes).collect();
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), &bytes).expect("bytes");
        let open = Arc::new(OpenFile::open(file.path()).expect("open"));
        let place = Place::Mapped(open, first..bytes.len());
        Stored::open(&place, dtype, (view, &[]), Path::new("model"), "w".to_owned())
            .expect("stored")
    }

    #[test]
    fn numbers_are_the_same_from_wherever_they_begin() {
        let values: Vec<f32> = (0..5000u16).map(|i| f32::from(i % 251) / 8.0 - 15.0).collect();
        for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
            for first in [0, 1, 2, 4096, 4099] {
                let tensor = stored(dtype, &values, first, View::Whole);
                assert_eq!(tensor.count(), values.len());
                assert_eq!(*tensor.values(64..192), values[64..192], "{dtype:?}, {first}");
                tensor.check().expect("finite");
                assert_eq!(tensor.into_values().expect("finite"), values, "{dtype:?}, {first}");
                let third = stored(dtype, &values[..4998], first, View::Third(1));
                assert_eq!(*third.values(0..1666), values[1666..3332], "{dtype:?}, {first}");
            }
        }
    }

    #[test]
    fn a_number_that_is_not_finite_is_found_where_it_is() {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
            for spoilt in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut values = vec![1.0; 300];
                values[207] = spoilt;
                let tensor = stored(dtype, &values, 0, View::Third(2));
                tensor.values(0..7);
                tensor.check().expect("it has not been read");
                tensor.values(0..100);
                let [by_parts, whole] = [tensor.check(), tensor.into_values().map(|_| ())];
                for found in [by_parts, whole] {
                    let Err(ModelError::NonFiniteWeight { index, value, .. }) = found else {
                        panic!("{dtype:?}: {found:?}");
                    };
                    assert_eq!(index, 7);
                    assert!(!value.is_finite());
                }
            }
        }
    }
}
