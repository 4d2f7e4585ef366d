//! Matrix products with weights that were packed once.
//!
//! A weight is cut into panels of 48 columns, each stored row after row, so that a product reads
//! it in one direction. A tile of 8 rows and 48 columns of the result stays in registers while 1024
//! rows of the weight go by: 8 x 3 registers of 16 lanes accumulate, 3 hold the weight's row and
//! one the left operand. A panel comes from the core's second-level cache, row by row, and each row
//! is prefetched; so is, part by part, the next panel, which comes from further away.

use std::iter;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use crate::buffers::{Values, zeros};

/// Columns of every panel but the last one.
const PANEL: usize = 48;
/// Columns of the last panel at most: it includes a single register that would be left over.
pub(crate) const WIDEST: usize = PANEL + LANES;
/// Columns are padded to whole registers.
pub(crate) const LANES: usize = 16;
/// Rows of the weight that go by while a tile is in registers. A panel of them stays in the cache
/// of a core.
const DEPTH: usize = 1024;
/// Rows of the weight from the one that is multiplied to the one that is prefetched.
const AHEAD: usize = 16;

/// A weight `[rows, columns]`, in panels.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    rows: usize,
    columns: usize,
    panels: Values,
}

/// A panel that is being filled.
pub(crate) struct PanelMut<'a> {
    /// Its first column.
    pub(crate) first: usize,
    /// Columns, padded to whole registers.
    pub(crate) width: usize,
    /// `[rows, width]`.
    pub(crate) values: &'a mut [f32],
}

impl Packed {
    /// Packs the matrix whose elements `at(row, column)` gives.
    pub(crate) fn new(rows: usize, columns: usize, at: impl Fn(usize, usize) -> f32) -> Self {
        let mut packed = Self::zeros(rows, columns);
        for PanelMut { first, width, values } in packed.panels_mut() {
            let there = width.min(columns - first);
            for (row, values) in values.chunks_exact_mut(width).enumerate() {
                for (column, value) in values[..there].iter_mut().enumerate() {
                    *value = at(row, first + column);
                }
            }
        }
        packed
    }

    pub(crate) fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, panels: zeros(rows * columns.next_multiple_of(LANES)) }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn panels_mut(&mut self) -> impl Iterator<Item = PanelMut<'_>> {
        let rows = self.rows;
        let mut rest = &mut self.panels[..];
        panels(self.columns).map(move |(first, width)| {
            let (values, later) = std::mem::take(&mut rest).split_at_mut(rows * width);
            rest = later;
            PanelMut { first, width, values }
        })
    }

    /// The transposed matrix, packed in the same way: block by block, because the columns of one of
    /// its panels and the rows of one of the other's are adjacent in both.
    pub(crate) fn transposed(&self) -> Self {
        let mut transposed = Self::zeros(self.columns, self.rows);
        for PanelMut { first: first_row, width: to_width, values } in transposed.panels_mut() {
            let rows = to_width.min(self.rows - first_row);
            for (first, width) in panels(self.columns) {
                let from = &self.panels[first * self.rows + first_row * width..][..rows * width];
                let end = (first + width).min(self.columns);
                transpose(from, width, &mut values[first * to_width..end * to_width], to_width);
            }
        }
        transposed
    }

    pub(crate) fn at(&self, row: usize, column: usize) -> f32 {
        self.register(row, column / LANES * LANES)[column % LANES]
    }

    /// A row's columns from one on at which a register begins.
    pub(crate) fn register(&self, row: usize, column: usize) -> [f32; LANES] {
        let (first, width) = panel_of(self.columns, column);
        let register = &self.panels[first * self.rows + row * width + column - first..];
        *register.first_chunk().expect("panels hold whole registers")
    }
}

/// Rows become columns: `to[column][row] = from[row][column]`, for as many as `to` has rows.
fn transpose(from: &[f32], from_width: usize, to: &mut [f32], to_width: usize) {
    for (row, from) in from.chunks_exact(from_width).enumerate() {
        for (to, value) in to.chunks_exact_mut(to_width).zip(from) {
            to[row] = *value;
        }
    }
}

/// First column and padded width of each panel.
pub(crate) fn panels(columns: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut next = 0;
    iter::from_fn(move || {
        let panel = (next < columns).then(|| panel_of(columns, next))?;
        next += panel.1;
        Some(panel)
    })
}

/// First column and padded width of the panel that has a column.
fn panel_of(columns: usize, column: usize) -> (usize, usize) {
    let columns = columns.next_multiple_of(LANES);
    let last = columns.saturating_sub(LANES + 1) / PANEL * PANEL;
    let first = (column / PANEL * PANEL).min(last);
    (first, if first == last { columns - last } else { PANEL })
}

/// The left operand of a product.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// Row-major, from the first element on.
    pub(crate) data: &'a [f32],
    /// Elements from a stored row to the next.
    pub(crate) stride: usize,
    pub(crate) count: usize,
    /// Whether the columns of `data` are the rows of the operand.
    transposed: bool,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(data: &'a [f32], stride: usize, count: usize) -> Self {
        Self { data, stride, count, transposed: false }
    }

    /// The first `count` columns of `data`, as rows.
    pub(crate) fn transposed(data: &'a [f32], stride: usize, count: usize) -> Self {
        Self { data, stride, count, transposed: true }
    }
}

/// What a product is added to.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    Zero,
    /// A row that is the same for every row of the result.
    Bias(&'a [f32]),
    /// What the result holds already.
    Stored,
}

/// `output = start + rows * weight`.
///
/// # Shapes
///
/// - rows: `[count, weight rows]`
/// - output: `[count, weight columns]`
pub(crate) fn product(rows: Rows, weight: &Packed, output: &mut [f32], start: Start) {
    for first in (0..weight.rows).step_by(DEPTH) {
        let depth = first..(first + DEPTH).min(weight.rows);
        let start = if first == 0 { start } else { Start::Stored };
        product_part(rows, weight, depth, output, start);
    }
}

/// A product with some of the weight's rows; the columns of `rows` are theirs.
fn product_part(
    rows: Rows,
    weight: &Packed,
    depth: Range<usize>,
    output: &mut [f32],
    start: Start,
) {
    for (first, width) in panels(weight.columns) {
        let panel = &weight.panels[first * weight.rows..(first + width) * weight.rows];
        let data = &panel[depth.start * width..depth.end * width];
        let next = Some(weight.rows * width);
        let right = Right { data, stride: width, first: 0, width, next };
        let bias = match start {
            Start::Bias(bias) => Start::Bias(&bias[first..first + width]),
            other => other,
        };
        let left = Rows { data: &rows.data[depth.start..], ..rows };
        strip(left, right, &mut output[first..], weight.columns, bias);
    }
}

/// The right operand of a strip of a product: some columns of a matrix.
#[derive(Clone, Copy)]
pub(crate) struct Right<'a> {
    /// Whole rows.
    pub(crate) data: &'a [f32],
    pub(crate) stride: usize,
    /// Column at which it begins.
    pub(crate) first: usize,
    /// Columns that take part: a multiple of 16, at most [`WIDEST`].
    pub(crate) width: usize,
    /// Elements from its first to what will be read next, if that is known.
    pub(crate) next: Option<usize>,
}

/// `output = start + left * right`, for columns that fit in registers together.
pub(crate) fn strip(left: Rows, right: Right, output: &mut [f32], stride: usize, start: Start) {
    Arch::new().dispatch(Strip { left, right, output, stride, start });
}

struct Strip<'a> {
    left: Rows<'a>,
    right: Right<'a>,
    output: &'a mut [f32],
    stride: usize,
    start: Start<'a>,
}

impl Strip<'_> {
    /// Tiles of `R` rows, at most 8, and one of the remaining rows.
    #[inline(always)]
    fn columns<S: Simd, const V: usize, const R: usize>(&mut self, simd: S, column: usize) {
        let whole = self.left.count / R;
        let mut ahead = match self.right.next {
            Some(first) => Ahead { first, each: self.right.width.div_ceil(whole.max(1)) },
            None => Ahead::NOTHING,
        };
        for tile in 0..whole {
            self.tile::<S, V, R>(simd, tile * R, column, ahead);
            ahead.first += self.right.data.len() / self.right.stride * ahead.each;
        }
        let (row, ahead) = (whole * R, Ahead::NOTHING);
        match self.left.count - row {
            0 => {}
            1 => self.tile::<S, V, 1>(simd, row, column, ahead),
            2 => self.tile::<S, V, 2>(simd, row, column, ahead),
            3 => self.tile::<S, V, 3>(simd, row, column, ahead),
            4 => self.tile::<S, V, 4>(simd, row, column, ahead),
            5 => self.tile::<S, V, 5>(simd, row, column, ahead),
            6 => self.tile::<S, V, 6>(simd, row, column, ahead),
            _ => self.tile::<S, V, 7>(simd, row, column, ahead),
        }
    }

    /// Indexed loops over constant bounds, so that the compiler keeps the sums in registers.
    #[inline(always)]
    fn tile<S: Simd, const V: usize, const R: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        ahead: Ahead,
    ) {
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        match self.start {
            Start::Zero => {}
            Start::Bias(bias) => {
                let bias = S::as_simd_f32s(&bias[column..]).0;
                for sums in &mut sums {
                    sums.copy_from_slice(&bias[..V]);
                }
            }
            Start::Stored => {
                for (r, sums) in sums.iter_mut().enumerate() {
                    let from = (row + r) * self.stride + column;
                    sums.copy_from_slice(&S::as_simd_f32s(&self.output[from..]).0[..V]);
                }
            }
        }
        let rights = self.right.data.chunks_exact(self.right.stride);
        let (depth, first) = (rights.len(), self.right.first + column);
        let left_stride = self.left.stride;
        if self.left.transposed {
            for (a, b) in self.left.data.chunks(left_stride).zip(rights) {
                let (a, b) =
                    (&a[row..row + R], S::as_simd_f32s(&b[first..first + V * S::F32_LANES]).0);
                for r in 0..R {
                    let x = simd.splat_f32s(a[r]);
                    for v in 0..V {
                        sums[r][v] = simd.mul_add_e_f32s(x, b[v], sums[r][v]);
                    }
                }
            }
        } else {
            let mut rows = [&[][..]; R];
            for (r, left) in rows.iter_mut().enumerate() {
                *left = &self.left.data[(row + r) * left_stride..][..depth];
            }
            for (p, b) in rights.enumerate() {
                prefetch::<SECOND>(self.right.data, ahead.first + p * ahead.each);
                for line in (0..V * S::F32_LANES).step_by(LANES) {
                    prefetch::<FIRST>(b, AHEAD * self.right.stride + first + line);
                }
                let b = S::as_simd_f32s(&b[first..first + V * S::F32_LANES]).0;
                for r in 0..R {
                    let x = simd.splat_f32s(rows[r][p]);
                    for v in 0..V {
                        sums[r][v] = simd.mul_add_e_f32s(x, b[v], sums[r][v]);
                    }
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            let to = (row + r) * self.stride + column;
            S::as_mut_simd_f32s(&mut self.output[to..]).0[..V].copy_from_slice(sums);
        }
    }
}

/// What a tile prefetches for the strip after its own: as elements from the right operand's first.
#[derive(Clone, Copy)]
struct Ahead {
    first: usize,
    /// Elements that go with each row of the right operand.
    each: usize,
}

impl Ahead {
    const NOTHING: Self = Self { first: 0, each: 0 };
}

/// Levels of cache that a line is prefetched into.
const FIRST: i32 = 3;
const SECOND: i32 = 2;

/// Prefetches a cache line, which may lie beyond the values.
#[inline(always)]
fn prefetch<const CACHE: i32>(values: &[f32], index: usize) {
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "an instruction that takes an address")]
    // SAFETY: it is a hint and reads nothing, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        const { assert!(FIRST == _MM_HINT_T0 && SECOND == _MM_HINT_T1) };
        _mm_prefetch::<CACHE>(values.as_ptr().wrapping_add(index).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, index);
}

impl WithSimd for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // Registers for the sums, a row of the right operand and an element of the left one.
        let many = S::REGISTER_COUNT >= 32;
        let most = if many { 4 } else { 2 };
        let vectors = self.right.width / S::F32_LANES;
        for first in (0..vectors).step_by(most) {
            match (vectors - first).min(most) {
                1 => self.columns::<S, 1, 8>(simd, first * S::F32_LANES),
                2 if many => self.columns::<S, 2, 8>(simd, first * S::F32_LANES),
                2 => self.columns::<S, 2, 6>(simd, first * S::F32_LANES),
                3 => self.columns::<S, 3, 8>(simd, first * S::F32_LANES),
                _ => self.columns::<S, 4, 6>(simd, first * S::F32_LANES),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_are_all_columns() {
        for registers in 1..40 {
            let found: Vec<_> = panels(registers * LANES).collect();
            let mut next = 0;
            for (i, &(first, width)) in found.iter().enumerate() {
                assert_eq!(first, next);
                let last = i + 1 == found.len();
                assert!(if last { width <= WIDEST } else { width == PANEL }, "{found:?}");
                assert!(width > LANES || registers == 1, "{found:?}");
                next += width;
                for column in first..next {
                    assert_eq!(panel_of(registers * LANES, column), (first, width));
                }
            }
            assert_eq!(next, registers * LANES);
        }
    }
}
