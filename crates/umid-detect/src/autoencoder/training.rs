//! Training of the network with burn on its processor backend.

use burn::optim::{Adam, AdamConfig, AdamState, Optimizer};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use ndarray::{Array1, Array2};
use rand::seq::SliceRandom;

use super::network::{Layer, Network};
use super::{AutoencoderValidParams, EPOCH_PURPOSE};
use crate::streams::stream;

/// Guard against division by zero in Adam (Kingma and Ba 2015, algorithm 1).
const ADAM_EPSILON: f32 = 1e-8;

/// Minimises the mean squared reconstruction error of the reference.
///
/// # Shapes
/// `records` is `[texts, signals]`.
pub(super) fn train(
    initial: &Network,
    records: &Array2<f64>,
    params: &AutoencoderValidParams,
) -> Network {
    let device = Device::flex();
    let optimizer = AdamConfig::new().with_epsilon(ADAM_EPSILON).build();
    let mut layers: Vec<TrainedLayer> =
        initial.layers.iter().map(|layer| TrainedLayer::of(layer, &device)).collect();
    let mut order: Vec<usize> = (0..records.nrows()).collect();
    for epoch in 0..params.epochs as u64 {
        shuffle(&mut order, params.seed, epoch);
        for rows in order.chunks(params.batch_size) {
            let batch = batch(records, rows, &device.clone().autodiff());
            update(&mut layers, batch, &optimizer, params.learning_rate);
        }
    }
    Network { layers: layers.into_iter().map(TrainedLayer::into_layer).collect() }
}

/// The order of the rows in an epoch depends on the seed and the epoch alone.
fn shuffle(order: &mut [usize], seed: u64, epoch: u64) {
    order.sort_unstable();
    order.shuffle(&mut stream(EPOCH_PURPOSE, seed, epoch));
}

/// # Shapes
/// `[texts, signals]` to `[rows, signals]`.
fn batch(records: &Array2<f64>, rows: &[usize], device: &Device) -> Tensor<2> {
    let values: Vec<f32> =
        rows.iter().flat_map(|&row| records.row(row).to_vec()).map(|value| value as f32).collect();
    Tensor::from_data(TensorData::new(values, [rows.len(), records.ncols()]), device)
}

/// One step of Adam on one batch.
///
/// # Shapes
/// `batch` is `[rows, signals]`.
fn update(layers: &mut [TrainedLayer], batch: Tensor<2>, optimizer: &Adam, learning_rate: f64) {
    let tracked: Vec<(Tensor<2>, Tensor<2>)> = layers.iter().map(TrainedLayer::tracked).collect();
    let mut activation = batch.clone();
    for (depth, (weight, bias)) in tracked.iter().enumerate() {
        if depth > 0 {
            activation = relu(activation);
        }
        activation = activation.matmul(weight.clone()) + bias.clone();
    }
    let gradients = (activation - batch).square().mean().backward();
    for (layer, (weight, bias)) in layers.iter_mut().zip(&tracked) {
        layer.weight.step(weight, &gradients, optimizer, learning_rate);
        layer.bias.step(bias, &gradients, optimizer, learning_rate);
    }
}

/// A layer on burn's side, with the bias as a row `[1, outputs]`.
struct TrainedLayer {
    weight: Trained,
    bias: Trained,
}

/// A parameter and the moments that Adam keeps of its gradients.
struct Trained {
    value: Tensor<2>,
    moments: Option<AdamState<2>>,
}

impl TrainedLayer {
    fn of(layer: &Layer, device: &Device) -> Self {
        let (inputs, outputs) = layer.weight.dim();
        Self {
            weight: Trained::new(layer.weight.iter().copied().collect(), [inputs, outputs], device),
            bias: Trained::new(layer.bias.to_vec(), [1, outputs], device),
        }
    }

    fn tracked(&self) -> (Tensor<2>, Tensor<2>) {
        (self.weight.tracked(), self.bias.tracked())
    }

    fn into_layer(self) -> Layer {
        let [inputs, outputs] = self.weight.value.dims();
        let weight = Array2::from_shape_vec((inputs, outputs), self.weight.into_values());
        Layer {
            weight: weight.expect("a tensor has as many values as its shape says"),
            bias: Array1::from_vec(self.bias.into_values()),
        }
    }
}

impl Trained {
    fn new(values: Vec<f32>, shape: [usize; 2], device: &Device) -> Self {
        Self { value: Tensor::from_data(TensorData::new(values, shape), device), moments: None }
    }

    /// The parameter as a leaf of a new graph.
    fn tracked(&self) -> Tensor<2> {
        Tensor::from_inner(self.value.clone()).require_grad()
    }

    fn step(&mut self, tracked: &Tensor<2>, gradients: &Gradients, optimizer: &Adam, rate: f64) {
        let gradient = tracked.grad(gradients).expect("every parameter takes part in the loss");
        let (value, moments) =
            optimizer.step(rate, self.value.clone(), gradient, self.moments.take());
        self.value = value;
        self.moments = moments;
    }

    fn into_values(self) -> Vec<f32> {
        self.value.into_data().try_into_vec().expect("parameters are f32")
    }
}
