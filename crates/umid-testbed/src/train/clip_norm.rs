//! A limit on the length of the gradient over all weights together. (burn's own limit applies
//! to each tensor by itself.)

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use umid_models::to_host;

/// Scales gradients down so that their common length is at most `limit`.
pub(super) fn clip<M: Module>(
    gradients: GradientsParams,
    module: &M,
    limit: f32,
) -> GradientsParams {
    let mut length = Length { gradients: &gradients, sum_of_squares: 0.0 };
    module.visit(&mut length);
    let length = length.sum_of_squares.sqrt();
    if length <= f64::from(limit) {
        return gradients;
    }
    let factor = (f64::from(limit) / length) as f32;
    let mut scale = Scale { gradients, factor };
    module.visit(&mut scale);
    scale.gradients
}

struct Length<'a> {
    gradients: &'a GradientsParams,
    sum_of_squares: f64,
}

impl ModuleVisitor for Length<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.sum_of_squares += f64::from(to_host(gradient.powi_scalar(2).sum())[0]);
        }
    }
}

struct Scale {
    gradients: GradientsParams,
    factor: f32,
}

impl ModuleVisitor for Scale {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient * self.factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[derive(Module, Debug)]
    struct Two {
        a: Param<Tensor<1>>,
        b: Param<Tensor<2>>,
    }

    /// Gradients (3, 0) and (4), so 5 long together, after the limit.
    fn clipped(limit: f32) -> Vec<f32> {
        let device = Device::flex();
        let tensor = |values: Vec<f32>| {
            let length = values.len();
            Tensor::<1>::from_data(TensorData::new(values, [length]), &device)
        };
        let module = Two {
            a: Param::from_tensor(tensor(vec![0.0; 2])),
            b: Param::from_tensor(tensor(vec![0.0]).unsqueeze()),
        };
        let mut gradients = GradientsParams::new();
        gradients.register(module.a.id, tensor(vec![3.0, 0.0]));
        gradients.register(module.b.id, tensor(vec![4.0]).unsqueeze::<2>());
        let clipped = clip(gradients, &module, limit);
        let mut values = to_host(clipped.get::<1>(module.a.id).expect("a"));
        values.extend(to_host(clipped.get::<2>(module.b.id).expect("b")));
        values
    }

    #[test]
    fn a_long_gradient_is_scaled_and_a_short_one_left() {
        for (found, expected) in clipped(1.0).into_iter().zip([0.6, 0.0, 0.8]) {
            assert!((found - expected).abs() < 1e-6);
        }
        assert_eq!(clipped(5.0), [3.0, 0.0, 4.0]);
    }
}
