//! A weight that was laid out once, in one of two precisions.

use rayon::prelude::*;

use crate::bf16;
use crate::product::{self, LANES, Rows, Start};

/// Rows of a product that one core computes together.
const PART: usize = 240;

/// In what numbers weights are multiplied. Sums, and all else, are f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Both factors are rounded to bf16, of 8 significant bits.
    Bf16,
}

impl Precision {
    /// Whether this processor multiplies so: f32 always, bf16 with AVX-512 BF16, and in tiles where
    /// it has AMX and the system lets programs use it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::F32 => true,
            Self::Bf16 => bf16::is_available(),
        }
    }
}

/// A weight `[rows, columns]`.
#[derive(Debug, Clone)]
pub(crate) enum Weight {
    F32(product::Packed),
    Bf16(bf16::Packed),
}

impl Weight {
    pub(crate) fn new(precision: Precision, packed: product::Packed) -> Self {
        match precision {
            Precision::F32 => Self::F32(packed),
            Precision::Bf16 => {
                let at = |row, column| packed.register(row, column);
                Self::Bf16(bf16::Packed::new(packed.rows(), packed.columns(), at))
            }
        }
    }

    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::F32(packed) => packed.rows(),
            Self::Bf16(packed) => packed.rows(),
        }
    }

    pub(crate) fn columns(&self) -> usize {
        match self {
            Self::F32(packed) => packed.columns(),
            Self::Bf16(packed) => packed.columns(),
        }
    }

    /// The transposed matrix, laid out in the same way.
    pub(crate) fn transposed(&self) -> Self {
        match self {
            Self::F32(packed) => Self::F32(packed.transposed()),
            Self::Bf16(packed) => Self::Bf16(packed.transposed()),
        }
    }

    /// `output = start + left * self`. `rounded` is room.
    ///
    /// # Shapes
    ///
    /// - left: `[count, rows]`
    /// - output: `[count, columns]`
    pub(crate) fn multiply(
        &self,
        left: &[f32],
        output: &mut [f32],
        start: Start,
        rounded: &mut Vec<bf16::Pairs>,
    ) {
        match self {
            Self::F32(packed) => {
                let left = Rows::new(left, packed.rows(), left.len() / packed.rows());
                product::product(left, packed, output, start);
            }
            Self::Bf16(packed) => bf16::product(left, packed, output, start, rounded),
        }
    }
}

/// A weight by itself, on all cores: what products cost when nothing stands between them.
#[derive(Debug, Clone)]
pub struct Matrix(Weight);

impl Matrix {
    /// Lays out `[rows, columns]` in row-major order.
    ///
    /// # Panics
    ///
    /// If the columns are no multiple of 16, or do not fill the values.
    #[must_use]
    pub fn new(values: &[f32], columns: usize, precision: Precision) -> Self {
        assert!(columns.is_multiple_of(LANES) && values.len().is_multiple_of(columns));
        let at = |row: usize, column: usize| values[row * columns + column];
        Self(Weight::new(precision, product::Packed::new(values.len() / columns, columns, at)))
    }

    /// `output = left * self`.
    ///
    /// # Shapes
    ///
    /// - left: `[count, rows]`
    /// - output: `[count, columns]`
    ///
    /// # Panics
    ///
    /// If the processor does not multiply so; see [`Precision::is_available`].
    pub fn multiply(&self, left: &[f32], output: &mut [f32]) {
        let (rows, columns) = (self.0.rows(), self.0.columns());
        let parts = left.par_chunks(PART * rows).zip(output.par_chunks_mut(PART * columns));
        parts.for_each_init(Vec::new, |rounded, (left, output)| {
            self.0.multiply(left, output, Start::Zero, rounded);
        });
    }
}
