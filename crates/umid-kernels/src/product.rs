//! Matrix products with weights that were laid out once.
//!
//! A weight is cut into panels of 64 columns, each stored row after row, so that a product reads
//! it in one direction. A tile of 6 rows and 64 columns of the result stays in registers while 768
//! rows of the weight go by: 6 x 4 registers of 16 lanes accumulate, 4 hold the weight's row and
//! one the left operand.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

/// Columns of a panel: one head of a published CLIP.
pub(crate) const PANEL: usize = 64;
/// Columns are padded to whole registers.
pub(crate) const LANES: usize = 16;
/// Rows of the weight that go by while a tile is in registers. A panel of them stays in the cache
/// of a core.
const DEPTH: usize = 768;
/// Rows of a tile.
const TILE_ROWS: usize = 6;

/// A weight `[rows, columns]`, in panels.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    rows: usize,
    columns: usize,
    panels: Vec<f32>,
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
    /// Lays out the matrix whose elements `at(row, column)` gives.
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
        Self { rows, columns, panels: vec![0.0; rows * columns.next_multiple_of(LANES)] }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn panels_mut(&mut self) -> impl Iterator<Item = PanelMut<'_>> {
        let (rows, columns) = (self.rows, self.columns);
        // All panels but the last are whole.
        let panels = self.panels.chunks_mut(rows * PANEL).enumerate();
        panels.map(move |(i, values)| {
            let first = i * PANEL;
            PanelMut { first, width: panel_width(columns, first), values }
        })
    }

    /// The transposed matrix, laid out in the same way: block by block, as 64 columns of 64 rows
    /// lie together in both.
    pub(crate) fn transposed(&self) -> Self {
        let mut transposed = Self::zeros(self.columns, self.rows);
        for PanelMut { first: first_row, width: to_width, values } in transposed.panels_mut() {
            let rows = to_width.min(self.rows - first_row);
            let to_blocks = values.chunks_mut(PANEL * to_width);
            for (to, first) in to_blocks.zip((0..self.columns).step_by(PANEL)) {
                let width = panel_width(self.columns, first);
                let from = &self.panels[first * self.rows + first_row * width..][..rows * width];
                transpose(from, width, to, to_width);
            }
        }
        transposed
    }

    pub(crate) fn at(&self, row: usize, column: usize) -> f32 {
        let first = column / PANEL * PANEL;
        let width = panel_width(self.columns, first);
        self.panels[first * self.rows + row * width + column - first]
    }
}

/// Rows become columns: `to[column][row] = from[row][column]`, for as many as `to` has rows.
pub(crate) fn transpose(from: &[f32], from_width: usize, to: &mut [f32], to_width: usize) {
    for (row, from) in from.chunks_exact(from_width).enumerate() {
        for (to, value) in to.chunks_exact_mut(to_width).zip(from) {
            to[row] = *value;
        }
    }
}

fn panel_width(columns: usize, first: usize) -> usize {
    (columns - first).min(PANEL).next_multiple_of(LANES)
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
    let mut panel_start = 0;
    for first in (0..weight.columns).step_by(PANEL) {
        let width = panel_width(weight.columns, first);
        let panel = &weight.panels[panel_start..panel_start + weight.rows * width];
        panel_start += weight.rows * width;
        let right = Right { data: &panel[depth.start * width..depth.end * width], stride: width };
        let bias = match start {
            Start::Bias(bias) => Start::Bias(&bias[first..first + width]),
            other => other,
        };
        let left = Rows { data: &rows.data[depth.start..], ..rows };
        strip(left, right, depth.len(), width, &mut output[first..], weight.columns, bias);
    }
}

/// The right operand of a strip of a product: rows of up to 64 columns, a multiple of 16.
#[derive(Clone, Copy)]
pub(crate) struct Right<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) stride: usize,
}

/// `output = start + left * right`, for columns that fit in registers together.
pub(crate) fn strip(
    left: Rows,
    right: Right,
    depth: usize,
    width: usize,
    output: &mut [f32],
    stride: usize,
    start: Start,
) {
    Arch::new().dispatch(Strip { left, right, depth, width, output, stride, start });
}

struct Strip<'a> {
    left: Rows<'a>,
    right: Right<'a>,
    depth: usize,
    width: usize,
    output: &'a mut [f32],
    stride: usize,
    start: Start<'a>,
}

impl Strip<'_> {
    #[inline(always)]
    fn columns<S: Simd, const V: usize>(&mut self, simd: S, column: usize) {
        let mut row = 0;
        while row < self.left.count {
            match self.left.count - row {
                1 => self.tile::<S, V, 1>(simd, row, column),
                2 => self.tile::<S, V, 2>(simd, row, column),
                3 => self.tile::<S, V, 3>(simd, row, column),
                4 => self.tile::<S, V, 4>(simd, row, column),
                5 => self.tile::<S, V, 5>(simd, row, column),
                _ => self.tile::<S, V, 6>(simd, row, column),
            }
            row += TILE_ROWS;
        }
    }

    /// Loops over constant bounds, indexed: so the compiler keeps the sums in registers.
    #[inline(always)]
    fn tile<S: Simd, const V: usize, const R: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
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
        let rights = self.right.data.chunks(self.right.stride).take(self.depth);
        let left_stride = self.left.stride;
        if self.left.transposed {
            for (a, b) in self.left.data.chunks(left_stride).zip(rights) {
                let (a, b) =
                    (&a[row..row + R], S::as_simd_f32s(&b[column..column + V * S::F32_LANES]).0);
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
                *left = &self.left.data[(row + r) * left_stride..][..self.depth];
            }
            for (p, b) in rights.enumerate() {
                let b = S::as_simd_f32s(&b[column..column + V * S::F32_LANES]).0;
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

impl WithSimd for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // Registers for 6 rows of sums, a row of the right operand and an element of the left one.
        let most = if S::REGISTER_COUNT >= 32 { 4 } else { 2 };
        let vectors = self.width / S::F32_LANES;
        for first in (0..vectors).step_by(most) {
            match (vectors - first).min(most) {
                1 => self.columns::<S, 1>(simd, first * S::F32_LANES),
                2 => self.columns::<S, 2>(simd, first * S::F32_LANES),
                3 => self.columns::<S, 3>(simd, first * S::F32_LANES),
                _ => self.columns::<S, 4>(simd, first * S::F32_LANES),
            }
        }
    }
}
