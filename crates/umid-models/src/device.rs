//! Where tensors live: the command line's `cpu`, `wgpu[:i]` and `cuda[:i]` as burn devices.

use burn::tensor::Device;

use crate::{ModelError, Result};

#[cfg(all(not(feature = "wgpu"), not(feature = "cuda")))]
const AVAILABLE: &str =
    "`cpu` (this build has no GPU backend; build with --features wgpu or --features cuda)";
#[cfg(all(feature = "wgpu", not(feature = "cuda")))]
const AVAILABLE: &str = "`cpu` or `wgpu[:index]` (build with --features cuda for `cuda[:index]`)";
#[cfg(all(not(feature = "wgpu"), feature = "cuda"))]
const AVAILABLE: &str = "`cpu` or `cuda[:index]` (build with --features wgpu for `wgpu[:index]`)";
#[cfg(all(feature = "wgpu", feature = "cuda"))]
const AVAILABLE: &str = "`cpu`, `wgpu[:index]` or `cuda[:index]`";

/// The device that a name such as `cpu`, `wgpu`, `wgpu:1` or `cuda:0` stands for.
///
/// `cpu` is always there (burn's flex backend). `wgpu` and `cuda` need the cargo feature of
/// the same name; without an index, `wgpu` is the default adapter and `cuda` is card 0.
///
/// # Errors
///
/// [`ModelError::UnknownDevice`] for any other name, and for a backend that is not compiled in.
pub fn parse_device(name: &str) -> Result<Device> {
    let unknown = || ModelError::UnknownDevice { found: name.to_owned(), available: AVAILABLE };
    let (backend, index) = match name.split_once(':') {
        None => (name, None),
        Some((backend, index)) => (backend, Some(index.parse::<usize>().map_err(|_| unknown())?)),
    };
    match (backend, index) {
        ("cpu", None) => Ok(Device::flex()),
        #[cfg(feature = "wgpu")]
        ("wgpu", None) => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "wgpu")]
        ("wgpu", Some(index)) => Ok(Device::wgpu(burn::tensor::DeviceKind::DiscreteGpu(index))),
        #[cfg(feature = "cuda")]
        ("cuda", index) => Ok(Device::cuda(index.unwrap_or(0))),
        _ => Err(unknown()),
    }
}

/// Name of the variable that [`default_device`] reads.
pub const DEVICE_VARIABLE: &str = "UMID_DEVICE";

/// The device that the environment variable `UMID_DEVICE` names, or else `cpu`.
///
/// # Errors
///
/// As of [`parse_device`].
pub fn default_device() -> Result<Device> {
    parse_device(&std::env::var(DEVICE_VARIABLE).unwrap_or_else(|_| "cpu".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_always_there() {
        assert!(parse_device("cpu").is_ok());
    }

    #[test]
    fn other_names_are_refused_with_the_choices() {
        for name in ["tpu", "", "cpu:0", "cuda:x", "CPU"] {
            let message = parse_device(name).expect_err(name).to_string();
            assert!(message.contains("cpu"), "{message}");
        }
    }
}
