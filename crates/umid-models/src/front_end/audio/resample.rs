//! Changing the rate of a sound.

use std::f64::consts::PI;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};

use super::Resampling;

/// Frames that the resampler takes at a time.
const CHUNK: usize = 1_024;
/// Zero crossings of torchaudio's sinc on either side, and where it starts to cut frequencies off,
/// of the lower rate (`lowpass_filter_width` and `rolloff` of `torchaudio.functional.resample`).
const CROSSINGS: f64 = 6.0;
const ROLLOFF: f64 = 0.99;

/// Changes the rate of a sound, with a filter that keeps what both rates can hold.
///
/// # Errors
///
/// In words, for a rate of zero.
pub fn resampled(samples: Vec<f32>, from: usize, to: usize) -> Result<Vec<f32>, String> {
    changed(samples, from, to, Resampling::Fourier)
}

/// Changes the rate of a sound.
///
/// # Errors
///
/// In words, for a rate of zero.
pub(super) fn changed(
    samples: Vec<f32>,
    from: usize,
    to: usize,
    how: Resampling,
) -> Result<Vec<f32>, String> {
    if from == 0 || to == 0 {
        return Err(format!("a rate of {from} cannot become one of {to}"));
    }
    if from == to {
        return Ok(samples);
    }
    match how {
        Resampling::Fourier => through_fourier(&samples, from, to),
        Resampling::ShortSinc => Ok(through_short_sinc(&samples, from, to)),
    }
}

fn through_fourier(samples: &[f32], from: usize, to: usize) -> Result<Vec<f32>, String> {
    let frames = samples.len();
    let input = InterleavedSlice::new(samples, 1, frames).map_err(|e| e.to_string())?;
    let mut resampler =
        Fft::<f32>::new(from, to, CHUNK, 1, FixedSync::Both).map_err(|e| e.to_string())?;
    let output = resampler.process_all(&input, frames, None).map_err(|e| e.to_string())?;
    Ok(output.take_data())
}

/// Each sample of the output is a sum of the input's nearest ones, weighted by a sinc under a Hann
/// window.
///
/// Reference: torchaudio, `functional.resample` (`sinc_interp_hann`).
fn through_short_sinc(samples: &[f32], from: usize, to: usize) -> Vec<f32> {
    let divisor = gcd(from, to);
    let (from, to) = (from / divisor, to / divisor);
    // Of the input's samples, cycles per sample of the filter's cut-off, doubled.
    let cut_off = from.min(to) as f64 * ROLLOFF / from as f64;
    let reach = CROSSINGS / cut_off;
    let weight = |distance: f64| {
        let at = distance * cut_off;
        let window = (at * PI / CROSSINGS / 2.0).cos().powi(2);
        let sinc = if at == 0.0 { 1.0 } else { (at * PI).sin() / (at * PI) };
        sinc * window * cut_off
    };
    let len = (samples.len() * to).div_ceil(from);
    let sample = |i: usize| {
        // Whole samples and the rest apart, so that long sounds lose no precision.
        let (whole, rest) = (i / to * from + i % to * from / to, i % to * from % to);
        let rest = rest as f64 / to as f64;
        let first = (rest - reach).ceil() as isize;
        let last = (rest + reach).floor() as isize;
        let sum = (first..=last).map(|offset| {
            let at = whole.checked_add_signed(offset).and_then(|at| samples.get(at));
            at.map_or(0.0, |sample| f64::from(*sample) * weight(offset as f64 - rest))
        });
        sum.sum::<f64>() as f32
    };
    (0..len).map(sample).collect()
}

fn gcd(one: usize, other: usize) -> usize {
    if other == 0 { one } else { gcd(other, one % other) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `torchaudio.transforms.Resample` (torchaudio 2.11), which keeps its weights in f32.
    #[test]
    fn the_short_sinc_is_torchaudios() {
        const TOLERANCE: f32 = 2e-6;
        let sound: Vec<f32> = (0..40)
            .map(|i| (0.7 * f64::from(i)).sin() as f32 + f32::from(u8::from(i % 7 == 0)))
            .collect();
        for (from, to, len, expected) in [
            (
                48_000,
                44_100,
                37,
                [(0, 0.926_291), (1, 0.691_786), (12, 0.420_143), (18, 0.755_491), (36, 0.646_117)],
            ),
            (
                16_000,
                44_100,
                111,
                [(0, 0.991_844), (1, 0.971_975), (37, 0.555_388), (55, 0.954_927), (110, 0.056_26)],
            ),
            (
                44_100,
                16_000,
                15,
                [(0, 0.603_83), (1, 0.830_464), (5, 0.188_848), (7, 0.964_078), (14, 0.741_202)],
            ),
        ] {
            let found = changed(sound.clone(), from, to, Resampling::ShortSinc).expect("rates");
            assert_eq!(found.len(), len, "{from} to {to}");
            for (at, expected) in expected {
                let found: f32 = found[at];
                assert!((found - expected).abs() <= TOLERANCE, "{from} to {to}: {at}: {found}");
            }
        }
    }

    #[test]
    fn a_rate_of_zero_is_refused() {
        assert!(resampled(vec![0.0], 0, 48_000).is_err());
        assert!(resampled(vec![0.0], 48_000, 0).is_err());
    }
}
