//! A control: inputs of low resolution, stretched to the model's size. The search has fewer
//! variables, while a step costs as much as with full resolution.

use burn::tensor::{Device, Tensor, TensorData};
use umid_invert::{InputSpace, Space};
use umid_models::{InputUnits, Modality, Model};

use crate::error::Error;

/// The space of a model's inputs, or of low-resolution images that are stretched to them.
pub struct Searched {
    inputs: InputSpace,
    coarse: Option<Coarse>,
}

struct Coarse {
    channels: usize,
    side: usize,
    /// Range of each channel.
    range: Vec<(f32, f32)>,
    /// Stretches columns: `[1, height, side]`.
    down: Tensor<3>,
    /// Stretches rows: `[1, side, width]`.
    across: Tensor<3>,
}

impl Searched {
    /// The inputs of a model or, given a side, square images of that many pixels.
    pub fn new(model: &Model, side: Option<usize>) -> crate::Result<Self> {
        let (units, device) = (model.input_units()?, model.device());
        let inputs = InputSpace::new(&units, device);
        let Some(side) = side else { return Ok(Self { inputs, coarse: None }) };
        if model.modality() != Modality::Image {
            let (expected, found) = (Modality::Image, model.modality());
            return Err(Error::Modality { method: "low resolution", expected, found });
        }
        let InputUnits { shape: [channels, height, width], .. } = units;
        let most = height.min(width);
        if !(1..=most).contains(&side) {
            return Err(Error::CoarseSide { side, most });
        }
        let range = inputs.valid_range().into_iter().step_by(height * width).collect();
        let (down, across) = (stretch(side, height, device), stretch(side, width, device));
        let coarse = Coarse {
            channels,
            side,
            range,
            down: down.unsqueeze_dim(0),
            across: across.swap_dims(0, 1).unsqueeze_dim(0),
        };
        Ok(Self { inputs, coarse: Some(coarse) })
    }
}

impl Space for Searched {
    fn dim(&self) -> usize {
        self.coarse.as_ref().map_or(self.inputs.dim(), |c| c.channels * c.side * c.side)
    }

    fn valid_range(&self) -> Vec<(f32, f32)> {
        match &self.coarse {
            None => self.inputs.valid_range(),
            Some(Coarse { side, range, .. }) => {
                range.iter().flat_map(|range| std::iter::repeat_n(*range, side * side)).collect()
            }
        }
    }

    fn inputs(&self, variables: Tensor<2>) -> Tensor<4> {
        let Some(Coarse { channels, side, down, across, .. }) = &self.coarse else {
            return self.inputs.inputs(variables);
        };
        let [rows, _] = variables.dims();
        let small = variables.reshape([rows * channels, *side, *side]);
        let stretched = down.clone().matmul(small).matmul(across.clone());
        self.inputs.inputs(stretched.reshape([rows, self.inputs.dim()]))
    }
}

/// Linear interpolation between the centres of pixels: `[to, from]`.
fn stretch(from: usize, to: usize, device: &Device) -> Tensor<2> {
    let mut weights = vec![0.0; to * from];
    for i in 0..to {
        let at = ((i as f32 + 0.5) * from as f32 / to as f32 - 0.5).clamp(0.0, (from - 1) as f32);
        let (first, share) = (at.floor() as usize, at.fract());
        weights[i * from + first] += 1.0 - share;
        weights[i * from + (first + 1).min(from - 1)] += share;
    }
    Tensor::from_data(TensorData::new(weights, [to, from]), device)
}

#[cfg(test)]
mod tests {
    use umid_models::{parse_device, to_host};

    use super::*;

    #[test]
    fn stretching_interpolates_between_centres() {
        let device = parse_device("cpu").expect("cpu");
        let row = Tensor::<2>::from_data([[0.0], [4.0]], &device);
        let stretched = to_host(stretch(2, 4, &device).matmul(row));
        assert_eq!(stretched, [0.0, 1.0, 3.0, 4.0]);
        let same = to_host(stretch(3, 3, &device));
        assert_eq!(same, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    }
}
