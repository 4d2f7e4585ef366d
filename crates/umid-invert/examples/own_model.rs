//! Inverts a model of one's own: anything that implements `InputTower` will do, and anything that
//! implements `Space` can be searched. No tokenizer and no checkpoint is needed, and none is built.
//!
//! ```sh
//! cargo run --release -p umid-invert --example own_model
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it computes")]

use burn::tensor::activation::tanh;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Distribution, Tensor};
use ndarray::Array2;
use umid_invert::{InputSpace, InputTower, InputUnits, InvertParams, Inverter, KeepInputs, Space};

const SIDE: usize = 16;
const CHANNELS: usize = 8;
const EMBEDDING_DIM: usize = 16;

/// A convolution and a projection with random weights.
struct OwnModel {
    /// `[channels, 3, 4, 4]`.
    kernel: Tensor<4>,
    /// `[features, embedding_dim]`.
    projection: Tensor<2>,
}

impl OwnModel {
    fn random(device: &Device) -> Self {
        device.seed(7);
        let features = CHANNELS * (SIDE / 4).pow(2);
        let normal = Distribution::Normal(0.0, 0.2);
        Self {
            kernel: Tensor::random([CHANNELS, 3, 4, 4], normal, device),
            projection: Tensor::random([features, EMBEDDING_DIM], normal, device),
        }
    }
}

impl InputTower for OwnModel {
    fn input_shape(&self) -> [usize; 3] {
        [3, SIDE, SIDE]
    }

    fn embed(&self, inputs: Tensor<4>) -> Tensor<2> {
        let options = ConvOptions::new([4, 4], [0, 0], [1, 1], 1);
        let hidden = tanh(conv2d(inputs, self.kernel.clone(), None, options));
        hidden.flatten::<2>(1, 3).matmul(self.projection.clone())
    }
}

/// The latent space of a generator, here one linear map, instead of the input itself.
struct LatentSpace {
    /// `[latent_dim, 3 * side * side]`.
    generator: Tensor<2>,
}

impl Space for LatentSpace {
    fn dim(&self) -> usize {
        self.generator.dims()[0]
    }

    fn valid_range(&self) -> Vec<(f32, f32)> {
        vec![(-4.0, 4.0); self.dim()]
    }

    fn inputs(&self, variables: Tensor<2>) -> Tensor<4> {
        let rows = variables.dims()[0];
        tanh(variables.matmul(self.generator.clone())).reshape([rows, 3, SIDE, SIDE])
    }
}

fn main() -> umid_invert::Result<()> {
    let device = Device::flex();
    let model = OwnModel::random(&device);
    // Inputs between -2 and 2, searched in their own units.
    let shape = model.input_shape();
    let units = InputUnits {
        shape,
        mean: vec![0.0; SIDE],
        deviation: vec![1.0; SIDE],
        valid_range: vec![(-2.0, 2.0); shape.iter().product()],
    };
    let pixels = InputSpace::new(&units, &device);
    let normal = Distribution::Normal(0.0, 0.3);
    let latent = LatentSpace { generator: Tensor::random([24, 3 * SIDE * SIDE], normal, &device) };

    // Where a text would be embedded.
    let targets = Array2::from_shape_fn((2, EMBEDDING_DIM), |(i, j)| ((i * 5 + j) as f32).sin());
    show("pixels", &model, &pixels, &targets, &device)?;
    show("latent space", &model, &latent, &targets, &device)
}

fn show(
    name: &str,
    model: &OwnModel,
    space: &impl Space,
    targets: &Array2<f32>,
    device: &Device,
) -> umid_invert::Result<()> {
    let inverter = Inverter::new(model, space, InvertParams::default(), device)?;
    for (text, inversion) in inverter.invert(targets.view(), KeepInputs::No)?.iter().enumerate() {
        let (first, last) = (inversion.cosines.column(0).to_owned(), inversion.final_cosines());
        println!("{name}, text {text}: cosine per restart before {first:.2}, after {last:.2}");
    }
    Ok(())
}
