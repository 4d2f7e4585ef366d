//! Windows of tokens over a grid, shifted in every second block of a Swin transformer.
//!
//! Reference: transformers, `window_partition`, `ClapAudioLayer.get_attn_mask` and
//! `create_relative_position_index` (`models/clap/modeling_clap.py`).

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use umid_kernels::Windows;

use super::visit::{self, Visitor};
use crate::Result;

/// Added to the attention of tokens that a shift has brought together from opposite edges.
const FAR_APART: f32 = -100.0;

/// Attention within windows, with a learnt bias for each pair of a window's tokens.
#[derive(Module, Debug)]
pub(crate) struct WindowAttention {
    /// Bias of a pair of tokens, by how far they lie apart: `[(2 side - 1)^2, heads]`.
    position_table: Param<Tensor<2>>,
    /// The table's row for each pair of a window's tokens: `[side^4]`.
    pair_offsets: Tensor<1, Int>,
    #[module(skip)]
    windows: ShiftedWindows,
    /// Rows and columns of the grid.
    #[module(skip)]
    grid: [usize; 2],
}

impl WindowAttention {
    pub(crate) fn new(
        windows: ShiftedWindows,
        grid: [usize; 2],
        heads: usize,
        device: &Device,
    ) -> Self {
        let offsets: Vec<i64> = windows.pair_offsets().into_iter().map(|o| o as i64).collect();
        let count = offsets.len();
        Self {
            position_table: visit::empty([(2 * windows.side - 1).pow(2), heads], device),
            pair_offsets: Tensor::from_data(TensorData::new(offsets, [count]), device),
            windows,
            grid,
        }
    }

    pub(crate) fn describe(&mut self, visitor: &mut impl Visitor, block: &str) -> Result<()> {
        let attention = format!("{block}.attention.self");
        visitor.unused(&format!("{attention}.relative_position_index"));
        let name = format!("{attention}.relative_position_bias_table");
        visitor.plain(&name, &mut self.position_table)
    }

    /// Whether windows fill the grid, so that it needs no padding.
    pub(crate) fn fill_grid(&self) -> bool {
        self.grid.iter().all(|side| side.is_multiple_of(self.windows.side))
    }

    /// For the kernels, over a grid that the windows fill.
    pub(crate) fn for_kernels(&self, position_table: &[f32], heads: usize) -> Windows {
        self.windows.over(self.grid[0], self.grid[1], position_table, heads)
    }

    /// What each token gathers, before the output projection.
    ///
    /// # Shapes
    ///
    /// - source, output: `[batch * rows * columns, width]`
    pub(crate) fn attend(
        &self,
        source: Tensor<2>,
        batch: usize,
        qkv: &Linear,
        heads: usize,
    ) -> Tensor<2> {
        let ([rows, columns], side) = (self.grid, self.windows.side);
        let (all, width) = (source.dims()[0], source.dims()[1]);
        let padded_grid = [rows.next_multiple_of(side), columns.next_multiple_of(side)];
        let source = padded(source.reshape([batch, rows, columns, width]), padded_grid);
        let source = self.partitioned(rolled(source, [self.windows.shift; 2]));
        let context = self.within(source, padded_grid, qkv, heads);
        let context = self.joined(context, [batch, padded_grid[0], padded_grid[1], width]);
        let back = padded_grid.map(|length| (length - self.windows.shift) % length);
        let context = rolled(context, back).narrow(1, 0, rows).narrow(2, 0, columns);
        context.reshape([all, width])
    }

    /// # Shapes
    ///
    /// - source: `[batch, rows, columns, width]`
    /// - output: `[batch * windows, side^2, width]`
    fn partitioned(&self, source: Tensor<4>) -> Tensor<3> {
        let ([batch, rows, columns, width], side) = (source.dims(), self.windows.side);
        source
            .reshape([batch, rows / side, side, columns / side, side, width])
            .permute([0, 1, 3, 2, 4, 5])
            .reshape([batch * (rows / side) * (columns / side), side * side, width])
    }

    fn joined(&self, windows: Tensor<3>, shape: [usize; 4]) -> Tensor<4> {
        let ([batch, rows, columns, width], side) = (shape, self.windows.side);
        windows
            .reshape([batch, rows / side, columns / side, side, side, width])
            .permute([0, 1, 3, 2, 4, 5])
            .reshape(shape)
    }

    /// # Shapes
    ///
    /// - windows, output: `[batch * windows, side^2, width]`
    fn within(
        &self,
        windows: Tensor<3>,
        grid: [usize; 2],
        qkv: &Linear,
        heads: usize,
    ) -> Tensor<3> {
        let [count, tokens, width] = windows.dims();
        let head = width / heads;
        let qkv = qkv
            .forward(windows.reshape([count * tokens, width]))
            .reshape([count, tokens, 3, heads, head])
            .permute([2, 0, 3, 1, 4]);
        let part = |i| qkv.clone().narrow(0, i, 1).reshape([count, heads, tokens, head]);
        let scores = part(0).matmul(part(1).swap_dims(2, 3)) * (head as f64).sqrt().recip();
        let dtype = scores.dtype();
        let scores = scores + self.position_bias(heads).unsqueeze_dim(0);
        let scores = if self.windows.shift == 0 {
            scores
        } else {
            let mask = self.mask(grid, &scores.device()).cast(dtype);
            let windows_each = mask.dims()[0];
            let shape = scores.dims();
            let scores =
                scores.reshape([count / windows_each, windows_each, heads, tokens, tokens]);
            (scores + mask.reshape([1, windows_each, 1, tokens, tokens])).reshape(shape)
        };
        softmax(scores, 3).matmul(part(2)).swap_dims(1, 2).reshape([count, tokens, width])
    }

    /// `[heads, side^2, side^2]`.
    fn position_bias(&self, heads: usize) -> Tensor<3> {
        let tokens = self.windows.side * self.windows.side;
        let pairs = self.position_table.val().select(0, self.pair_offsets.clone());
        pairs.reshape([tokens, tokens, heads]).permute([2, 0, 1])
    }

    /// Keeps tokens apart that the shift brought together: `[windows, side^2, side^2]`.
    fn mask(&self, [rows, columns]: [usize; 2], device: &Device) -> Tensor<3> {
        let windows = self.windows.positions(rows, columns);
        let mut values = Vec::new();
        for window in &windows {
            let regions: Vec<usize> = window
                .iter()
                .map(|position| self.windows.region(*position, rows, columns))
                .collect();
            for one in &regions {
                values.extend(regions.iter().map(|o| if o == one { 0.0 } else { FAR_APART }));
            }
        }
        let tokens = self.windows.side * self.windows.side;
        Tensor::from_data(TensorData::new(values, [windows.len(), tokens, tokens]), device)
    }
}

/// Zeros below and to the right, up to a number of rows and columns.
pub(crate) fn padded(hidden: Tensor<4>, [rows, columns]: [usize; 2]) -> Tensor<4> {
    let [batch, found_rows, found_columns, width] = hidden.dims();
    let options = (&hidden.device(), hidden.dtype());
    let mut hidden = hidden;
    if found_columns < columns {
        let zeros = Tensor::zeros([batch, found_rows, columns - found_columns, width], options);
        hidden = Tensor::cat(vec![hidden, zeros], 2);
    }
    if found_rows < rows {
        let zeros = Tensor::zeros([batch, rows - found_rows, columns, width], options);
        hidden = Tensor::cat(vec![hidden, zeros], 1);
    }
    hidden
}

/// Moves rows up and columns to the left; what leaves at one edge enters at the other.
fn rolled(hidden: Tensor<4>, by: [usize; 2]) -> Tensor<4> {
    [1, 2].into_iter().zip(by).fold(hidden, |hidden, (axis, by)| {
        if by == 0 {
            return hidden;
        }
        let length = hidden.dims()[axis];
        let front = hidden.clone().narrow(axis, 0, by);
        Tensor::cat(vec![hidden.narrow(axis, by, length - by), front], axis)
    })
}

/// Windows of `side * side` tokens, moved down and to the right by `shift`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShiftedWindows {
    pub(crate) side: usize,
    pub(crate) shift: usize,
}

impl ShiftedWindows {
    /// Over a grid that they fill, for the kernels.
    ///
    /// # Shapes
    ///
    /// - table: `[(2 side - 1)^2, heads]`, the bias of a pair of tokens by how far they lie apart
    fn over(&self, rows: usize, columns: usize, table: &[f32], heads: usize) -> Windows {
        let token = |(row, column): &(usize, usize)| {
            (row + self.shift) % rows * columns + (column + self.shift) % columns
        };
        let windows = self.positions(rows, columns);
        let regions = (self.shift > 0).then(|| {
            let regions = windows.iter().map(|window| {
                window.iter().map(|position| self.region(*position, rows, columns)).collect()
            });
            regions.collect()
        });
        let offsets = self.pair_offsets();
        let of_head = |head| offsets.iter().map(move |offset| table[offset * heads + head]);
        Windows {
            tokens: windows.iter().map(|window| window.iter().map(token).collect()).collect(),
            bias: (0..heads).flat_map(of_head).collect(),
            regions,
        }
    }

    /// Row and column of each token of each window, after the shift: `[windows][side^2]`.
    fn positions(&self, rows: usize, columns: usize) -> Vec<Vec<(usize, usize)>> {
        let side = self.side;
        let window = |top: usize, left: usize| {
            (0..side * side).map(move |token| (top + token / side, left + token % side)).collect()
        };
        (0..rows)
            .step_by(side)
            .flat_map(|top| (0..columns).step_by(side).map(move |left| window(top, left)))
            .collect()
    }

    /// Which tokens of a window were neighbours before the shift: those of one region.
    fn region(&self, (row, column): (usize, usize), rows: usize, columns: usize) -> usize {
        let along = |at: usize, length: usize| {
            usize::from(at >= length - self.side) + usize::from(at >= length - self.shift)
        };
        3 * along(row, rows) + along(column, columns)
    }

    /// How far the tokens of each pair lie apart, down and to the right, as one number: `[side^4]`.
    fn pair_offsets(&self) -> Vec<usize> {
        let (side, tokens) = (self.side, self.side * self.side);
        let offset = |one: usize, other: usize| {
            let down = one / side + side - 1 - other / side;
            let right = one % side + side - 1 - other % side;
            down * (2 * side - 1) + right
        };
        (0..tokens).flat_map(|one| (0..tokens).map(move |other| offset(one, other))).collect()
    }
}
