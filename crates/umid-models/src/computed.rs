//! What computed a model's numbers: for records, and for caches of what came out.

use burn::tensor::Device;

use crate::Precision;
use crate::model::Model;

impl Model {
    /// The device's name: `cpu`, or the backend's name for it.
    pub fn device_name(&self) -> String {
        if *self.device() == Device::flex() {
            "cpu".to_owned()
        } else {
            format!("{:?}", self.device())
        }
    }

    /// What products of the input tower run on: a unit of the processor, such as `f32 (avx512)` or
    /// `bf16 (amx tiles)`, or the tensor backend.
    pub fn compute_unit(&self) -> String {
        self.unit(self.precision())
    }

    /// What products of the text tower run on.
    pub fn text_compute_unit(&self) -> String {
        self.unit(self.text_precision())
    }

    fn unit(&self, precision: Precision) -> String {
        let kernels = || precision.of_kernels().ok()?.unit();
        let on_kernels = *self.device() == Device::flex() && !self.is_trainable();
        match on_kernels.then(kernels).flatten() {
            Some(unit) => unit.to_string(),
            None => format!("{precision} (tensor backend)"),
        }
    }

    /// What the bits of an embedding or a gradient depend on besides the checkpoint and the input:
    /// device, precision and unit of the input tower, those of the text tower, and version of the
    /// kernels. A cache of anything that came out of the
    /// model keys on it.
    pub fn computed_by(&self) -> String {
        format!(
            "{}, {}, {}, texts {}, kernels {}",
            self.device_name(),
            self.precision(),
            self.compute_unit(),
            self.text_compute_unit(),
            umid_kernels::KERNELS_VERSION
        )
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_computed_a_model_names_device_precision_unit_and_kernels() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let model = Model::load(&fixtures.join("openclip-gelu"), &Device::flex()).unwrap();
        let unit = umid_kernels::Precision::F32.unit().unwrap().to_string();
        assert_eq!(model.compute_unit(), unit);
        let kernels = umid_kernels::KERNELS_VERSION;
        assert_eq!(
            model.computed_by(),
            format!("cpu, f32, {unit}, texts {unit}, kernels {kernels}")
        );
    }
}
