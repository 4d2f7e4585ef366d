//! Windows of tokens over a grid, shifted in every second block of a Swin transformer.
//!
//! Reference: transformers, `window_partition`, `ClapAudioLayer.get_attn_mask` and
//! `create_relative_position_index` (`models/clap/modeling_clap.py`).

use umid_kernels::Windows;

use crate::config::HtsatConfig;

/// Windows of `side * side` tokens, moved down and to the right by `shift`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShiftedWindows {
    pub(super) side: usize,
    pub(super) shift: usize,
}

impl ShiftedWindows {
    /// Those of a block.
    pub(super) fn of(config: &HtsatConfig, stage: usize, block: usize) -> Self {
        let side = config.window;
        // One window holds everything where the resolution is no larger than a window.
        let shifted = block % 2 == 1 && config.resolution(stage) > side;
        Self { side, shift: if shifted { side / 2 } else { 0 } }
    }

    /// Over a grid that they fill, for the kernels.
    ///
    /// # Shapes
    ///
    /// - table: `[(2 side - 1)^2, heads]`, the bias of a pair of tokens by how far they lie apart
    pub(super) fn over(&self, rows: usize, columns: usize, table: &[f32], heads: usize) -> Windows {
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
    pub(super) fn positions(&self, rows: usize, columns: usize) -> Vec<Vec<(usize, usize)>> {
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
    pub(super) fn region(
        &self,
        (row, column): (usize, usize),
        rows: usize,
        columns: usize,
    ) -> usize {
        let along = |at: usize, length: usize| {
            usize::from(at >= length - self.side) + usize::from(at >= length - self.shift)
        };
        3 * along(row, rows) + along(column, columns)
    }

    /// How far the tokens of each pair lie apart, down and to the right, as one number: `[side^4]`.
    pub(super) fn pair_offsets(&self) -> Vec<usize> {
        let (side, tokens) = (self.side, self.side * self.side);
        let offset = |one: usize, other: usize| {
            let down = one / side + side - 1 - other / side;
            let right = one % side + side - 1 - other % side;
            down * (2 * side - 1) + right
        };
        (0..tokens).flat_map(|one| (0..tokens).map(move |other| offset(one, other))).collect()
    }
}
