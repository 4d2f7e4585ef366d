//! Which of the processor's units multiply, so that a run can record it.

use std::fmt;

use pulp::Arch;

/// Raised whenever a result of this crate may change in any bit. A cache of results that came
/// through these kernels keys on it, besides the [`Unit`] they ran on.
pub const KERNELS_VERSION: u32 = 2;

/// The instructions that products with weights run on. Its `Display` is for records: `f32
/// (avx512)`, `bf16 (amx tiles)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Vectors of f32.
    F32(Level),
    /// Vectors of bf16 pairs with sums in f32 (AVX-512 BF16).
    Bf16Vectors,
    /// Tiles of bf16 pairs with sums in f32 (AMX).
    Bf16Tiles,
}

/// Levels of vector instructions for f32. All but the first fuse a product with the addition that
/// follows it, and give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// No vector instructions.
    Scalar,
    /// AVX2 with FMA: 8 lanes.
    Avx2,
    /// AVX-512: 16 lanes.
    Avx512,
    /// Arm's: 4 lanes.
    Neon,
}

impl Level {
    /// The highest level of this processor.
    pub(crate) fn of_processor() -> Self {
        match Arch::new() {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Arch::V4(_) => Self::Avx512,
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Arch::V3(_) => Self::Avx2,
            #[cfg(target_arch = "aarch64")]
            Arch::Neon(_) => Self::Neon,
            _ => Self::Scalar,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F32(level) => write!(f, "f32 ({level})"),
            Self::Bf16Vectors => f.write_str("bf16 (avx512 vectors)"),
            Self::Bf16Tiles => f.write_str("bf16 (amx tiles)"),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{Level, Precision, Unit};

    #[test]
    fn a_precision_says_what_it_runs_on() {
        assert!(matches!(Precision::F32.unit(), Some(Unit::F32(_))));
        let bf16 = Precision::Bf16.unit();
        assert!(matches!(bf16, None | Some(Unit::Bf16Vectors | Unit::Bf16Tiles)));
        assert_eq!(bf16.is_some(), Precision::Bf16.is_available());
        assert_eq!(Unit::F32(Level::Avx2).to_string(), "f32 (avx2)");
        assert_eq!(Unit::Bf16Tiles.to_string(), "bf16 (amx tiles)");
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_level_is_the_processors() {
        let expected = if is_x86_feature_detected!("avx512f") {
            Level::Avx512
        } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            Level::Avx2
        } else {
            Level::Scalar
        };
        assert_eq!(Level::of_processor(), expected);
    }
}
