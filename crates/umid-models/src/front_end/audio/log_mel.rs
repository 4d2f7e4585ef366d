//! The log-mel front end: a waveform to what the audio tower reads.
//!
//! Reference: transformers, `ClapFeatureExtractor` with `audio_utils.spectrogram`: frames centred
//! on multiples of the hop, the ends mirrored, a periodic Hann window, power, mel filters, decibels
//! with a floor and neither reference nor range.

use std::f64::consts::TAU;
use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array2, ArrayView1, Zip, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use realfft::RealFftPlanner;
use serde::{Deserialize, Serialize};

use super::{CROPS, Reading, Whole};
use crate::front_end::Input;
use crate::{ModelError, Result};

/// Mel power below which nothing is told apart: -100 dB.
const FLOOR: f64 = 1e-10;
/// The same in decibels.
pub(crate) const FLOOR_DECIBELS: f32 = -100.0;
/// Pieces of a long clip that are fused.
const PIECES: usize = CROPS;
/// Frequency at which Slaney's mel scale turns from linear to logarithmic, in hertz.
const SLANEY_TURN: f64 = 1_000.0;
/// Hertz in a mel of the linear part of Slaney's scale.
const SLANEY_STEP: f64 = 200.0 / 3.0;
/// Mels in which the logarithmic part of Slaney's scale grows by 6.4.
const SLANEY_MELS: f64 = 27.0;

/// How a waveform becomes a log-mel spectrogram.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogMelParams {
    /// Samples a second that the model was trained on.
    pub sample_rate: usize,
    /// Samples of a window; even.
    pub window: usize,
    /// Samples between windows.
    pub hop: usize,
    /// Mel bins.
    pub bins: usize,
    /// Lower end of the lowest filter, in hertz.
    pub lowest: f64,
    /// Upper end of the highest filter, in hertz.
    pub highest: f64,
    /// Samples that the model reads of a clip.
    pub samples: usize,
    /// What becomes of longer clips, and with it the mel scale.
    pub truncation: Truncation,
    /// What becomes of shorter clips.
    pub padding: Padding,
    /// How the package that the model was published with reads a sound.
    #[serde(default)]
    pub reading: Reading,
}

/// What becomes of a clip that is longer than the model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncation {
    /// A piece at random is cut out; Slaney's mel scale and norm.
    RandTrunc,
    /// Three pieces and a version of the whole ([`Whole`]) are fused; the HTK scale without a norm.
    Fusion,
    /// The first piece is heard; Slaney's mel scale and norm.
    First,
}

/// What becomes of a clip that is shorter than the model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Padding {
    /// Repeated as often as it fits, then silence.
    #[serde(rename = "repeatpad")]
    RepeatPad,
    /// Repeated, and cut.
    #[serde(rename = "repeat")]
    Repeat,
    /// Followed by silence.
    #[serde(rename = "pad")]
    Pad,
}

/// The front end with its filters.
#[derive(Debug, Clone)]
pub struct LogMel {
    params: LogMelParams,
    /// `[window / 2 + 1, bins]`.
    filters: Array2<f64>,
    /// `[window]`.
    taper: Vec<f64>,
}

impl LogMel {
    /// # Errors
    ///
    /// [`ModelError::FrontEnd`] for sizes with which there is no spectrogram.
    pub fn new(params: LogMelParams) -> Result<Self> {
        let wrong = |reason: &str| Err(ModelError::FrontEnd { reason: reason.to_owned() });
        if params.window < 2 || params.window % 2 == 1 || params.hop == 0 {
            return wrong("a window has an even number of samples, and a hop at least one");
        }
        if params.samples <= params.window / 2 {
            return wrong("the input is no longer than half a window");
        }
        if !(0.0 <= params.lowest && params.lowest < params.highest) || params.bins == 0 {
            return wrong("the mel filters have no band");
        }
        let filters = match params.truncation {
            Truncation::RandTrunc | Truncation::First => {
                filters(&params, slaney_mel, slaney_hertz, true)
            }
            Truncation::Fusion => filters(&params, htk_mel, htk_hertz, false),
        };
        let taper = (0..params.window)
            .map(|i| 0.5 - 0.5 * (TAU * i as f64 / params.window as f64).cos())
            .collect();
        Ok(Self { params, filters, taper })
    }

    /// The parameters.
    pub fn params(&self) -> &LogMelParams {
        &self.params
    }

    /// `[window / 2 + 1, bins]`.
    pub(super) fn filters(&self) -> &Array2<f64> {
        &self.filters
    }

    /// `[window]`.
    pub(super) fn taper(&self) -> &[f64] {
        &self.taper
    }

    /// Frames of the model's input.
    pub fn frames(&self) -> usize {
        self.params.samples / self.params.hop + 1
    }

    /// What the model reads of a clip. Where the clip is longer than the model's input, the
    /// pieces are drawn from `seed`.
    ///
    /// # Shapes
    ///
    /// - clip: samples at the model's rate
    /// - output: `[1, frames, mel_bins]`; of a model that fuses, and a clip that is longer by a
    ///   frame or more, `[4, frames, mel_bins]`, the shrunk whole and three pieces of it
    ///
    /// # Errors
    ///
    /// [`ModelError::Sound`] for a clip without samples or with one that is not a number.
    pub fn of_clip(&self, clip: &[f32], seed: u64) -> Result<Input> {
        self.of_clip_at(clip, &self.starts(clip.len(), seed))
    }

    /// As [`LogMel::of_clip`], with given starts of the pieces: one, in samples, where a piece is
    /// cut out at random, or, in frames, those of the fused pieces that are drawn ([`Whole`]). A clip
    /// that fits needs none.
    ///
    /// # Errors
    ///
    /// As [`LogMel::of_clip`], and for starts that are missing or leave too little of the clip.
    pub fn of_clip_at(&self, clip: &[f32], starts: &[usize]) -> Result<Input> {
        let wrong = |reason: String| Err(ModelError::Sound { reason });
        if clip.is_empty() {
            return wrong("it has no sample".to_owned());
        }
        if let Some(at) = clip.iter().position(|sample| !sample.is_finite()) {
            return wrong(format!("sample {at} is {}", clip[at]));
        }
        let samples = self.params.samples;
        let clip: Vec<f32> =
            clip.iter().map(|sample| self.params.reading.resolution.of(*sample)).collect();
        if clip.len() <= samples {
            return Ok(input(&self.of_waveform(&self.padded(&clip))?));
        }
        match self.params.truncation {
            Truncation::First => Ok(input(&self.of_waveform(&clip[..samples])?)),
            Truncation::RandTrunc => match starts {
                [start] if start + samples <= clip.len() => {
                    Ok(input(&self.of_waveform(&clip[*start..start + samples])?))
                }
                _ => wrong(format!("{starts:?} is not where a piece of {samples} samples starts")),
            },
            Truncation::Fusion => self.fused(&self.of_waveform(&clip)?, starts),
        }
    }

    /// Draws where the pieces of a clip of that many samples start; see [`LogMel::of_clip_at`].
    pub fn starts(&self, samples: usize, seed: u64) -> Vec<usize> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let frames = (samples / self.params.hop + 1).saturating_sub(self.frames());
        match self.params.truncation {
            _ if samples <= self.params.samples => Vec::new(),
            Truncation::First => Vec::new(),
            Truncation::RandTrunc => vec![rng.random_range(0..=samples - self.params.samples)],
            Truncation::Fusion if self.params.reading.whole == Whole::Piece => {
                vec![rng.random_range(0..=frames)]
            }
            Truncation::Fusion => thirds(frames + 1)
                .map(|third| if third.is_empty() { 0 } else { rng.random_range(third) })
                .to_vec(),
        }
    }

    /// A clip made as long as the model's input.
    fn padded(&self, clip: &[f32]) -> Vec<f32> {
        let samples = self.params.samples;
        let repeats = match self.params.padding {
            Padding::Pad => 1,
            Padding::RepeatPad => samples / clip.len(),
            Padding::Repeat => samples / clip.len() + 1,
        };
        let mut padded = clip.repeat(repeats);
        padded.resize(samples, 0.0);
        padded
    }

    /// A version of the whole, and three pieces; `starts` are those of the pieces that are drawn.
    fn fused(&self, whole: &Array2<f32>, starts: &[usize]) -> Result<Input> {
        let frames = self.frames();
        if whole.nrows() == frames {
            return Ok(input(whole));
        }
        let spare = whole.nrows().saturating_sub(frames);
        let piece = |start: usize| whole.slice(s![start..start + frames, ..]);
        let drawn = if self.params.reading.whole == Whole::Piece { 1 } else { PIECES };
        if starts.len() != drawn || starts.iter().any(|start| *start > spare) {
            let reason = format!("{starts:?} is not where {drawn} pieces of {frames} frames start");
            return Err(ModelError::Sound { reason });
        }
        let (first, pieces) = match self.params.reading.whole {
            Whole::Shrunk => (shrunk(whole, frames), starts.to_vec()),
            Whole::ShrunkSmoothly => (shrunk_smoothly(whole, frames), starts.to_vec()),
            Whole::Piece => (piece(starts[0]).to_owned(), vec![0, spare / 2, spare]),
        };
        let mut values: Vec<f32> = first.into_iter().collect();
        for start in pieces {
            values.extend(piece(start));
        }
        Ok(Input { shape: [1 + PIECES, frames, whole.ncols()], values })
    }

    /// The largest value, in decibels, that each mel bin can have of a waveform in -1..1:
    /// `[mel_bins]`. The power of all frequencies together is bounded by the window's (Parseval).
    pub fn ceiling(&self) -> Vec<f32> {
        let power = self.taper.iter().map(|t| t * t).sum::<f64>() * self.params.window as f64;
        let peak = |filter: ArrayView1<f64>| filter.iter().copied().fold(0.0, f64::max);
        self.filters.columns().into_iter().map(|f| decibels(peak(f) * power)).collect()
    }

    /// The log-mel spectrogram of a waveform, in decibels.
    ///
    /// # Shapes
    ///
    /// - waveform: any number of samples over half a window
    /// - output: `[samples / hop + 1, bins]`
    ///
    /// # Errors
    ///
    /// [`ModelError::Sound`] for a waveform that is too short to be mirrored.
    ///
    /// # Panics
    ///
    /// Never: the transform's buffers are its own.
    pub fn of_waveform(&self, waveform: &[f32]) -> Result<Array2<f32>> {
        let (window, hop) = (self.params.window, self.params.hop);
        let mirrored = mirrored(waveform.len(), window / 2).ok_or_else(|| ModelError::Sound {
            reason: format!("{} samples are no more than half a window", waveform.len()),
        })?;
        let transform = RealFftPlanner::<f64>::new().plan_fft_forward(window);
        let (mut frame, mut spectrum) = (transform.make_input_vec(), transform.make_output_vec());
        let frames = waveform.len() / hop + 1;
        let mut power = Array2::zeros((frames, window / 2 + 1));
        for (i, mut row) in power.rows_mut().into_iter().enumerate() {
            let samples = &mirrored[i * hop..i * hop + window];
            for ((value, sample), taper) in frame.iter_mut().zip(samples).zip(&self.taper) {
                *value = f64::from(waveform[*sample]) * taper;
            }
            transform.process(&mut frame, &mut spectrum).expect("buffers of the planner's lengths");
            row.iter_mut().zip(&spectrum).for_each(|(power, value)| *power = value.norm_sqr());
        }
        Ok(power.dot(&self.filters).mapv(decibels))
    }

    /// The same for a tensor, differentiable: the transform is a product with a matrix.
    pub fn on(&self, device: &Device) -> LogMelTensors {
        let LogMelParams { window, hop, .. } = self.params;
        let bins = window / 2 + 1;
        let mut waves = Vec::with_capacity(window * 2 * bins);
        for (at, taper) in self.taper.iter().enumerate() {
            for wave in [f64::cos, f64::sin] {
                // Exact for large products: only the phase matters.
                let phase = |frequency: usize| (at * frequency % window) as f64 / window as f64;
                waves.extend((0..bins).map(|f| (wave(TAU * phase(f)) * taper) as f32));
            }
        }
        let filters: Vec<f32> = self.filters.iter().map(|value| *value as f32).collect();
        LogMelTensors {
            waves: Tensor::from_data(TensorData::new(waves, [window, 2 * bins]), device),
            filters: Tensor::from_data(TensorData::new(filters, [bins, self.params.bins]), device),
            frames: self.frames(),
            hop,
        }
    }
}

/// A front end on a device.
#[derive(Debug, Clone)]
pub struct LogMelTensors {
    /// Cosines, then sines, of every frequency, the window's taper multiplied in:
    /// `[window, 2 (window / 2 + 1)]`.
    waves: Tensor<2>,
    /// `[window / 2 + 1, bins]`.
    filters: Tensor<2>,
    frames: usize,
    hop: usize,
}

impl LogMelTensors {
    /// # Shapes
    ///
    /// - waveforms: `[batch, samples]`, of the model's input length
    /// - output: `[batch, 1, frames, bins]`
    pub fn forward(&self, waveforms: Tensor<2>) -> Tensor<4> {
        let [batch, _] = waveforms.dims();
        let [frequencies, bins] = self.filters.dims();
        let spectrum = self.framed(waveforms).matmul(self.waves.clone());
        let parts = (spectrum.clone() * spectrum).reshape([-1, 2, frequencies as i64]);
        let power = parts.sum_dim(1).reshape([batch * self.frames, frequencies]);
        let mel = power.matmul(self.filters.clone()).clamp_min(FLOOR);
        (mel.log() * (10.0 / std::f64::consts::LN_10)).reshape([batch, 1, self.frames, bins])
    }

    /// The windows of all frames, `[batch x frames, window]`, their ends mirrored. They overlap,
    /// and are put together from pieces of a hop: burn's gradient of a gather adds up a row in one
    /// thread of a GPU, and is wrong for rows of this length on software Vulkan.
    fn framed(&self, waveforms: Tensor<2>) -> Tensor<2> {
        let [batch, samples] = waveforms.dims();
        let [window, _] = self.waves.dims();
        let (frames, hop, margin) = (self.frames, self.hop, window / 2);
        let before = waveforms.clone().narrow(1, 1, margin).flip([1]);
        let behind = waveforms.clone().narrow(1, samples - 1 - margin, margin).flip([1]);
        let pieces = frames - 1 + window.div_ceil(hop);
        let mut parts = vec![before, waveforms, behind];
        // Behind the last window, up to a whole piece.
        let rest = (pieces * hop).saturating_sub(samples + window);
        if rest > 0 {
            parts.push(Tensor::zeros([batch, rest], &parts[0].device()));
        }
        let mirrored = Tensor::cat(parts, 1);
        let pieces = mirrored.narrow(1, 0, pieces * hop).reshape([batch, pieces, hop]);
        let overlapping = (0..window).step_by(hop).enumerate().map(|(piece, start)| {
            pieces.clone().narrow(1, piece, frames).narrow(2, 0, hop.min(window - start))
        });
        Tensor::cat(overlapping.collect(), 2).reshape([batch * frames, window])
    }
}

/// A clip that is read whole.
fn input(log_mel: &Array2<f32>) -> Input {
    let shape = [1, log_mel.nrows(), log_mel.ncols()];
    Input { shape, values: log_mel.iter().copied().collect() }
}

fn decibels(power: f64) -> f32 {
    (10.0 * power.max(FLOOR).log10()) as f32
}

/// Three consecutive ranges of almost equal length, the first ones longer.
fn thirds(count: usize) -> [Range<usize>; PIECES] {
    let end = |third: usize| third * (count / PIECES) + third.min(count % PIECES);
    std::array::from_fn(|third| end(third)..end(third + 1))
}

/// Fewer frames, each interpolated linearly between its two neighbours.
///
/// Reference: PyTorch, `interpolate(mode="bilinear", align_corners=False)` without antialiasing.
fn shrunk(whole: &Array2<f32>, frames: usize) -> Array2<f32> {
    let step = whole.nrows() as f64 / frames as f64;
    let last = whole.nrows() - 1;
    let mut out = Array2::zeros((frames, whole.ncols()));
    for (frame, mut row) in out.rows_mut().into_iter().enumerate() {
        let at = ((frame as f64 + 0.5) * step - 0.5).max(0.0);
        let (left, share) = (at.floor() as usize, at.fract() as f32);
        let right = (left + 1).min(last);
        Zip::from(&mut row)
            .and(whole.row(left))
            .and(whole.row(right))
            .for_each(|out, left, right| *out = left * (1.0 - share) + right * share);
    }
    out
}

/// Fewer frames, each a mean of those around it, weighted by a triangle.
///
/// Reference: PyTorch, `interpolate(mode="bilinear", antialias=True)`, which torchvision's `Resize`
/// calls.
fn shrunk_smoothly(whole: &Array2<f32>, frames: usize) -> Array2<f32> {
    let step = whole.nrows() as f64 / frames as f64;
    let mut out = Array2::zeros((frames, whole.ncols()));
    for (frame, mut row) in out.rows_mut().into_iter().enumerate() {
        let centre = (frame as f64 + 0.5) * step;
        let first = (centre - step + 0.5).max(0.0) as usize;
        let behind = ((centre + step + 0.5) as usize).min(whole.nrows());
        let weight = |at: usize| (1.0 - ((at as f64 + 0.5 - centre) / step).abs()).max(0.0);
        let sum: f64 = (first..behind).map(weight).sum();
        for at in first..behind {
            row.scaled_add((weight(at) / sum) as f32, &whole.row(at));
        }
    }
    out
}

/// Which sample stands where, `margin` mirrored samples before and behind; none where the waveform
/// is too short for that.
fn mirrored(samples: usize, margin: usize) -> Option<Vec<usize>> {
    let before = (1..=margin).rev();
    (samples > margin).then(|| {
        let behind = (samples - 1 - margin..samples - 1).rev();
        before.chain(0..samples).chain(behind).collect()
    })
}

/// Triangles between neighbouring points that lie evenly on a mel scale: `[frequencies, bins]`.
fn filters(
    params: &LogMelParams,
    to_mel: fn(f64) -> f64,
    to_hertz: fn(f64) -> f64,
    unit_area: bool,
) -> Array2<f64> {
    let (low, high) = (to_mel(params.lowest), to_mel(params.highest));
    let step = (high - low) / (params.bins + 1) as f64;
    let corner = |i: usize| to_hertz(low + step * i as f64);
    let count = params.window / 2 + 1;
    let rate = params.reading.filter_rate.unwrap_or(params.sample_rate);
    let frequency = |i: usize| (rate / 2) as f64 * i as f64 / (count - 1) as f64;
    Array2::from_shape_fn((count, params.bins), |(i, bin)| {
        let (left, peak, right) = (corner(bin), corner(bin + 1), corner(bin + 2));
        let at = frequency(i);
        let up = (at - left) / (peak - left);
        let down = (right - at) / (right - peak);
        let height = if unit_area { 2.0 / (right - left) } else { 1.0 };
        up.min(down).max(0.0) * height
    })
}

fn htk_mel(hertz: f64) -> f64 {
    2595.0 * (1.0 + hertz / 700.0).log10()
}

fn htk_hertz(mel: f64) -> f64 {
    700.0 * (10f64.powf(mel / 2595.0) - 1.0)
}

fn slaney_mel(hertz: f64) -> f64 {
    if hertz < SLANEY_TURN {
        hertz / SLANEY_STEP
    } else {
        SLANEY_TURN / SLANEY_STEP + (hertz / SLANEY_TURN).ln() * SLANEY_MELS / 6.4f64.ln()
    }
}

fn slaney_hertz(mel: f64) -> f64 {
    let turn = SLANEY_TURN / SLANEY_STEP;
    if mel < turn {
        mel * SLANEY_STEP
    } else {
        SLANEY_TURN * ((mel - turn) * 6.4f64.ln() / SLANEY_MELS).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows that are a multiple of the hop, that are not, and that leave gaps; and samples
    /// behind the last window, or too few for its last piece.
    #[test]
    fn the_tensor_version_agrees_with_the_transform() {
        /// In decibels, of sums in f32: a frame too far to either side moves bins by more than 1.
        const TOLERANCE: f32 = 1e-3;
        let device = crate::default_device().unwrap();
        for (window, hop, samples) in [
            (64, 16, 640),
            (64, 24, 480),
            (64, 24, 500),
            (64, 27, 499),
            (32, 48, 481),
            (64, 64, 64),
        ] {
            let front_end = LogMel::new(LogMelParams {
                sample_rate: 8_000,
                window,
                hop,
                bins: 8,
                lowest: 0.0,
                highest: 4_000.0,
                samples,
                truncation: Truncation::Fusion,
                padding: Padding::Pad,
                reading: Reading::LIBROSA,
            })
            .unwrap();
            let sound: Vec<f32> = (0..samples)
                .map(|i| (0.37 * i as f32).sin() + (0.011 * (i * i) as f32).cos())
                .collect();
            let expected = front_end.of_waveform(&sound).unwrap();
            let tensor = Tensor::from_data(TensorData::new(sound, [1, samples]), &device);
            let found = front_end.on(&device).forward(tensor);
            assert_eq!(found.dims(), [1, 1, expected.nrows(), expected.ncols()]);
            for (found, expected) in crate::to_host(found).iter().zip(&expected) {
                let sizes = (window, hop, samples);
                assert!((found - expected).abs() < TOLERANCE, "{sizes:?}: {found}, {expected} dB");
            }
        }
    }
}
