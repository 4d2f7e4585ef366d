//! Rotary positions of a grid of patches.
//!
//! References: RoFormer (arXiv 2104.09864); timm, `RotaryEmbeddingCat` and `apply_rot_embed_cat`
//! (`layers/pos_embed_sincos.py`). The two axes of the grid share a head's columns: the first half
//! turns with one coordinate, the second with the other. Neighbouring columns are a pair.

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// The slowest pair of an axis turns by about this much less per patch than the fastest.
const TEMPERATURE: f32 = 10_000.0;

/// Which coordinate turns the first half of a head's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstAxis {
    /// A patch's row.
    Row,
    /// A patch's column.
    Column,
}

/// How far queries and keys are turned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RotaryConfig {
    /// Patches on a side of the grid whose coordinates are whole numbers; another grid is stretched
    /// over it.
    pub reference_side: usize,
    /// Coordinate of the first patch on that grid.
    pub offset: f32,
    /// Which coordinate comes first.
    pub first: FirstAxis,
}

impl RotaryConfig {
    /// The turns of each token; those before the patches are not turned.
    pub(crate) fn rotation(
        &self,
        side: usize,
        prefix: usize,
        head_width: usize,
        device: &Device,
    ) -> Rotation {
        let pairs = head_width / 2;
        let speeds: Vec<f32> =
            (0..pairs / 2).map(|i| 1.0 / TEMPERATURE.powf(i as f32 / (pairs / 2) as f32)).collect();
        let coordinate =
            |index: usize| (index as f32 + self.offset) / side as f32 * self.reference_side as f32;
        let mut angles = vec![0.0f32; prefix * pairs];
        for (row, column) in (0..side).flat_map(|row| (0..side).map(move |column| (row, column))) {
            let axes = match self.first {
                FirstAxis::Row => [row, column],
                FirstAxis::Column => [column, row],
            };
            for axis in axes {
                angles.extend(speeds.iter().map(|speed| coordinate(axis) * speed));
            }
        }
        let table = |of: fn(f32) -> f32| {
            let values: Vec<f32> = angles.iter().copied().map(of).collect();
            Tensor::from_data(TensorData::new(values, [prefix + side * side, pairs]), device)
        };
        Rotation { sines: table(f32::sin), cosines: table(f32::cos) }
    }
}

/// Sine and cosine of the angle by which each pair of columns is turned at each token:
/// `[tokens, head_width / 2]` each.
#[derive(Debug, Clone)]
pub(crate) struct Rotation {
    sines: Tensor<2>,
    cosines: Tensor<2>,
}

impl Rotation {
    /// # Shapes
    ///
    /// - heads, output: `[batch, heads, tokens, head_width]`
    pub(crate) fn apply(&self, heads: Tensor<4>) -> Tensor<4> {
        let shape = heads.dims();
        let [batch, count, tokens, width] = shape;
        let pairs = heads.reshape([batch, count, tokens, width / 2, 2]);
        let part = |i| pairs.clone().narrow(4, i, 1);
        let (first, second) = (part(0), part(1));
        let along = |table: &Tensor<2>| {
            table.clone().cast(first.dtype()).reshape([1, 1, tokens, width / 2, 1])
        };
        let (sines, cosines) = (along(&self.sines), along(&self.cosines));
        let turned = vec![
            first.clone() * cosines.clone() - second.clone() * sines.clone(),
            second * cosines + first * sines,
        ];
        Tensor::cat(turned, 4).reshape(shape)
    }
}
