//! A weight that was packed once, in one of two precisions.

use rayon::prelude::*;

use crate::bf16;
use crate::product::{self, LANES, Rows, Start};
use crate::unit::{Level, Unit};

/// Rows of a product that one core computes together.
const PART: usize = 240;

/// The numbers that products with weights multiply. Sums, and all other arithmetic, are f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Both factors are rounded to bf16, of 8 significant bits.
    Bf16,
}

impl Precision {
    /// What products in this precision run on here: for f32 the highest level of vectors, for bf16
    /// tiles where the processor has AMX and the system lets programs use it, else vectors of
    /// AVX-512 BF16. None if this processor has no such products.
    #[must_use]
    pub fn unit(self) -> Option<Unit> {
        match self {
            Self::F32 => Some(Unit::F32(Level::of_processor())),
            Self::Bf16 => bf16::unit(),
        }
    }

    /// Whether this processor has products in this precision.
    #[must_use]
    pub fn is_available(self) -> bool {
        self.unit().is_some()
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

    /// Another matrix in the same precision.
    pub(crate) fn like(&self, packed: product::Packed) -> Self {
        let precision = match self {
            Self::F32(_) => Precision::F32,
            Self::Bf16(_) => Precision::Bf16,
        };
        Self::new(precision, packed)
    }

    pub(crate) fn at(&self, row: usize, column: usize) -> f32 {
        match self {
            Self::F32(packed) => packed.at(row, column),
            Self::Bf16(packed) => packed.at(row, column),
        }
    }

    /// The transposed matrix, packed in the same way.
    pub(crate) fn transposed(&self) -> Self {
        match self {
            Self::F32(packed) => Self::F32(packed.transposed()),
            Self::Bf16(packed) => Self::Bf16(packed.transposed()),
        }
    }

    /// `output = start + left * self`. `rounded` is room for the left operand in bf16.
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
                let count = output.len() / packed.columns();
                product::product(Rows::new(left, packed.rows(), count), packed, output, start);
            }
            Self::Bf16(packed) => bf16::product(left, packed, output, start, rounded),
        }
    }
}

/// A weight by itself, on all cores: what products cost when nothing stands between them.
#[derive(Debug, Clone)]
pub struct Matrix(Weight);

impl Matrix {
    /// Packs `[rows, columns]` in row-major order.
    ///
    /// # Panics
    ///
    /// If the columns are no positive multiple of 16, or do not fill the values.
    #[must_use]
    pub fn new(values: &[f32], columns: usize, precision: Precision) -> Self {
        assert!(columns > 0 && columns.is_multiple_of(LANES), "{columns} columns");
        assert!(values.len().is_multiple_of(columns), "{} values", values.len());
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
    /// If shapes are others, or if the processor does not multiply so; see
    /// [`Precision::is_available`].
    pub fn multiply(&self, left: &[f32], output: &mut [f32]) {
        let (rows, columns) = (self.0.rows(), self.0.columns());
        let count = output.len() / columns;
        assert_eq!((count * rows, count * columns), (left.len(), output.len()), "shapes");
        if rows == 0 {
            output.fill(0.0);
            return;
        }
        let parts = output.par_chunks_mut(PART * columns).enumerate();
        parts.for_each_init(Vec::new, |rounded, (part, output)| {
            let count = output.len() / columns;
            let left = &left[part * PART * rows..][..count * rows];
            self.0.multiply(left, output, Start::Zero, rounded);
        });
    }
}
