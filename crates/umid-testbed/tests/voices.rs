//! Voices are sounds, their attributes can be measured, and speakers can be told apart by them.

use std::ops::Range;

use realfft::RealFftPlanner;
use umid_testbed::{LOWEST_RATE_HZ, Utterance, Voice, speak};

const RATE_HZ: u32 = 16_000;
const TWO_SECONDS: usize = 32_000;
const SPEAKERS: usize = 50;
const CLIPS: usize = 9;
/// Clips by which a speaker is known; the others are attributed.
const ENROLLED: usize = 4;

fn voice(number: usize) -> Voice {
    Voice::draw(1, number as u64)
}

fn clip(speaker: usize, clip: usize) -> Vec<f32> {
    let utterance = Utterance::draw(1, speaker as u64, clip as u64);
    speak(&voice(speaker), &utterance, RATE_HZ, TWO_SECONDS)
}

#[test]
fn clips_repeat_to_the_bit_in_any_order() {
    let clips: Vec<Vec<f32>> = (0..8).map(|speaker| clip(speaker, 1)).collect();
    let threads: Vec<Vec<f32>> = std::thread::scope(|scope| {
        let handles: Vec<_> =
            (0..8).rev().map(|speaker| scope.spawn(move || clip(speaker, 1))).collect();
        handles.into_iter().map(|handle| handle.join().expect("no voice panics")).collect()
    });
    assert!(clips.iter().eq(threads.iter().rev()));
    assert_ne!(clips[0], clips[1]);
    assert_ne!(clips[0], clip(0, 2));
}

#[test]
fn clips_are_sounds_of_a_sensible_level_at_every_rate() {
    for number in 0..200 {
        let (voice, utterance) = (Voice::draw(2, number), Utterance::draw(2, number, 0));
        for rate in [LOWEST_RATE_HZ, RATE_HZ, 48_000] {
            let clip = speak(&voice, &utterance, rate, rate as usize);
            assert_eq!(clip.len(), rate as usize);
            // A peak at full scale would be one that was clipped; NaN fails as well.
            assert!(clip.iter().all(|sample| sample.abs() < 0.98), "{number} at {rate} Hz");
            let level = root_mean_square(&clip);
            assert!((0.025..0.16).contains(&level), "{number} at {rate} Hz: {level}");
            assert!(mean(&clip).abs() < 0.1 * level, "{number} at {rate} Hz");
        }
    }
}

#[test]
fn rates_sound_alike_where_the_formants_are() {
    /// Octaves. Frames of another rate begin elsewhere.
    const TOLERANCE: f32 = 0.02;
    for number in 0..20 {
        let voice = voice(number);
        let [low, high] = [RATE_HZ, 3 * RATE_HZ].map(|rate| {
            let samples = 2 * rate as usize;
            centroid_hz(&speak(&voice, &Utterance::studio(1), rate, samples), rate)
        });
        assert!((high / low).log2().abs() < TOLERANCE, "{number}: {low} and {high} Hz");
    }
}

#[test]
fn the_fundamental_is_the_voice_s() {
    /// Octaves: intonation and mood move a clip's median by about two semitones.
    const TOLERANCE: f32 = 0.25;
    let mut errors = Vec::new();
    for number in 0..SPEAKERS {
        let found: Vec<f32> = (0..3).filter_map(|n| median_f0_hz(&clip(number, n))).collect();
        assert_eq!(found.len(), 3, "a clip of speaker {number} has no voiced frame");
        let error = (median(found) / voice(number).mean_f0_hz).log2();
        errors.push(error.abs());
    }
    let near = errors.iter().filter(|error| **error < TOLERANCE).count();
    assert!(near >= SPEAKERS * 49 / 50, "{near} of {SPEAKERS}: {errors:?}");
    assert!(mean(&errors) < 0.08, "{}", mean(&errors));
}

/// On an axis of octaves, the spectrum of one voice in a shorter tract is that in a longer one,
/// shifted: found by the correlation of the two.
#[test]
fn formants_move_with_the_tract_s_length() {
    /// Octaves: one and a half steps of the axis.
    const TOLERANCE: f32 = 0.0625;
    let scales = [0.9, 1.1];
    for number in 0..20 {
        let [long, short] = scales.map(|formant_scale| {
            // Breath alone shows the formants between harmonics as well, and without the side
            // cavities nothing stays where it is.
            let breathiness = 30.0;
            let mut voice = Voice { formant_scale, breathiness, ..voice(number) };
            (voice.sinus.zero_hz, voice.hollows.zero_hz) =
                (voice.sinus.pole_hz, voice.hollows.pole_hz);
            let clip = speak(&voice, &Utterance::studio(1), RATE_HZ, 5 * TWO_SECONDS);
            slopes(&octave_spectrum(&clip))
        });
        let like = |shift: usize| correlation(&long[..long.len() - shift], &short[shift..]);
        let best = (0..OCTAVE).max_by(|&a, &b| like(a).total_cmp(&like(b)));
        let octaves = best.expect("shifts to choose from") as f32 / OCTAVE as f32;
        let expected = (scales[1] / scales[0]).log2();
        assert!((octaves - expected).abs() < TOLERANCE, "{number}: {octaves} for {expected}");
    }
}

#[test]
fn breath_fills_the_gaps_between_harmonics() {
    let periodicity = |number: usize, breathiness| {
        let voice = Voice { breathiness, ..voice(number) };
        let clip = speak(&voice, &Utterance::studio(1), RATE_HZ, TWO_SECONDS);
        mean(&pitches(&clip).iter().map(|(_, strength)| *strength).collect::<Vec<_>>())
    };
    let breathier = (0..20).filter(|&n| periodicity(n, 0.1) < periodicity(n, 0.01)).count();
    assert!(breathier >= 19, "{breathier} of 20");
}

/// Each further clip goes to the speaker whose enrolled clips' mean is nearest, every value measured
/// in its own deviation within enrolled speakers (diagonal linear discriminant), as for faces.
#[test]
fn nearest_mean_names_nine_of_ten() {
    let albums = |clips: Range<usize>| -> Vec<Vec<Vec<f32>>> {
        (0..SPEAKERS)
            .map(|speaker| clips.clone().map(|n| descriptor(&clip(speaker, n))).collect())
            .collect()
    };
    let enrolled = albums(0..ENROLLED);
    let means: Vec<Vec<f32>> = enrolled.iter().map(|album| mean_of(album)).collect();
    let deviation = deviation_within(&enrolled, &means);
    let mut right = 0;
    for (speaker, album) in albums(ENROLLED..CLIPS).iter().enumerate() {
        for clip in album {
            let distances = means.iter().map(|mean| distance(clip, mean, &deviation));
            let nearest = distances.enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b));
            right += usize::from(nearest.expect("speakers to choose from").0 == speaker);
        }
    }
    let share = right as f32 / (SPEAKERS * (CLIPS - ENROLLED)) as f32;
    assert!(share >= 0.9, "{share}");
}

/// Samples of a frame; the next one begins after half of them.
const FRAME: usize = 512;
const BANDS: usize = 32;

/// Mean and deviation over voiced frames of the log-mel spectrum less the clip's mean, and the
/// median fundamental in octaves.
fn descriptor(clip: &[f32]) -> Vec<f32> {
    let spectra = log_mel_spectra(clip);
    let pitches = pitches(clip);
    assert!(!pitches.is_empty(), "a clip has no voiced frame");
    let voiced: Vec<&Vec<f32>> = pitches.iter().map(|(frame, _)| &spectra[frame.index]).collect();
    let band = |band: usize| voiced.iter().map(|frame| frame[band]).collect::<Vec<f32>>();
    let means: Vec<f32> = (0..BANDS).map(|b| mean(&band(b))).collect();
    let level = mean(&means);
    let deviations = (0..BANDS).map(|b| {
        let squares: Vec<f32> = band(b).iter().map(|x| (x - means[b]).powi(2)).collect();
        mean(&squares).sqrt()
    });
    let f0 = median(pitches.iter().map(|(frame, _)| frame.f0_hz).collect()).log2();
    means.iter().map(|mean| mean - level).chain(deviations).chain([f0]).collect()
}

/// A voiced frame.
struct Pitched {
    index: usize,
    f0_hz: f32,
}

/// Voiced frames and their normalised autocorrelation at the period.
fn pitches(clip: &[f32]) -> Vec<(Pitched, f32)> {
    /// Frames below this share of the loudest one's energy, or less periodic than this, are not
    /// voiced.
    const QUIET: f32 = 0.05;
    const PERIODIC: f32 = 0.6;
    // Half of the rate is enough for a period and takes a quarter of the time.
    let slow: Vec<f32> = clip.chunks_exact(2).map(|pair| pair[0] + pair[1]).collect();
    let (frame, hop) = (FRAME / 2, FRAME / 4);
    let starts = (0..slow.len().saturating_sub(2 * frame)).step_by(hop);
    let energies: Vec<f32> = starts.clone().map(|at| energy(&slow[at..at + frame])).collect();
    let loudest = energies.iter().copied().fold(0.0, f32::max);
    starts
        .enumerate()
        .filter(|(index, _)| energies[*index] > QUIET * loudest)
        .filter_map(|(index, at)| {
            let (f0_hz, strength) = period(&slow[at..at + 2 * frame], RATE_HZ as f32 / 2.0);
            (strength > PERIODIC).then_some((Pitched { index, f0_hz }, strength))
        })
        .collect()
}

/// The fundamental in Hz and the correlation of a window with itself one period later, over half
/// of the window.
fn period(window: &[f32], rate_hz: f32) -> (f32, f32) {
    const F0_HZ: [f32; 2] = [60.0, 400.0];
    /// A shorter lag that correlates nearly as well is the period, the longer one a multiple.
    const NEARLY: f32 = 0.85;
    let half = window.len() / 2;
    let lags = (rate_hz / F0_HZ[1]) as usize..=((rate_hz / F0_HZ[0]) as usize).min(half);
    let first = &window[..half];
    let correlations: Vec<(usize, f32)> = lags
        .map(|lag| {
            let later = &window[lag..lag + half];
            let product: f32 = first.iter().zip(later).map(|(a, b)| a * b).sum();
            (lag, product / (energy(first) * energy(later)).sqrt().max(f32::MIN_POSITIVE))
        })
        .collect();
    let most = correlations.iter().map(|(_, value)| *value).fold(0.0, f32::max);
    let (lag, value) = correlations
        .windows(3)
        .find(|three| {
            three[1].1 >= NEARLY * most && three[1].1 >= three[0].1 && three[1].1 >= three[2].1
        })
        .map_or((1, 0.0), |three| three[1]);
    (rate_hz / lag as f32, value)
}

fn median_f0_hz(clip: &[f32]) -> Option<f32> {
    let found: Vec<f32> = pitches(clip).iter().map(|(frame, _)| frame.f0_hz).collect();
    (!found.is_empty()).then(|| median(found))
}

/// [frame][band], natural logarithm of the energy.
fn log_mel_spectra(clip: &[f32]) -> Vec<Vec<f32>> {
    /// Far below any noise of these clips.
    const FLOOR: f32 = 1e-9;
    let bands = mel_bands();
    power_spectra(clip, FRAME)
        .iter()
        .map(|power| {
            bands
                .iter()
                .map(|band| {
                    let energy: f32 = band.iter().zip(power).map(|(w, p)| w * p).sum();
                    (energy + FLOOR).ln()
                })
                .collect()
        })
        .collect()
}

/// Triangles on the mel scale, [band][bin].
fn mel_bands() -> Vec<Vec<f32>> {
    let mel = |hz: f32| 2_595.0 * (1.0 + hz / 700.0).log10();
    let top = mel(RATE_HZ as f32 / 2.0);
    let place =
        |bin: usize| mel(bin as f32 * RATE_HZ as f32 / FRAME as f32) / top * (BANDS + 1) as f32;
    (1..=BANDS)
        .map(|band| {
            (0..=FRAME / 2).map(|bin| (1.0 - (place(bin) - band as f32).abs()).max(0.0)).collect()
        })
        .collect()
}

/// [frame][bin], under a Hann window.
fn power_spectra(clip: &[f32], frame: usize) -> Vec<Vec<f32>> {
    let transform = RealFftPlanner::<f32>::new().plan_fft_forward(frame);
    let hann = |n: usize| (std::f32::consts::PI * n as f32 / frame as f32).sin().powi(2);
    let mut spectrum = transform.make_output_vec();
    clip.windows(frame)
        .step_by(frame / 2)
        .map(|samples| {
            let mut input: Vec<f32> =
                samples.iter().enumerate().map(|(n, sample)| hann(n) * sample).collect();
            transform.process(&mut input, &mut spectrum).expect("buffers of the right lengths");
            spectrum.iter().map(realfft::num_complex::Complex::norm_sqr).collect()
        })
        .collect()
}

/// Points of an octave.
const OCTAVE: usize = 24;

/// Decibels of the mean spectrum from 250 Hz to 4 kHz in steps of an [`OCTAVE`]th, each over a
/// third of an octave.
fn octave_spectrum(clip: &[f32]) -> Vec<f32> {
    const LOWEST_HZ: f32 = 250.0;
    const OCTAVES: usize = 4;
    const LONG_FRAME: usize = 4 * FRAME;
    let spectra = power_spectra(clip, LONG_FRAME);
    let bin = |hz: f32| (hz * LONG_FRAME as f32 / RATE_HZ as f32) as usize;
    let sixth = 2.0_f32.powf(1.0 / 6.0);
    (0..OCTAVES * OCTAVE)
        .map(|point| {
            let hz = LOWEST_HZ * (point as f32 / OCTAVE as f32).exp2();
            let bins = bin(hz / sixth)..bin(hz * sixth);
            10.0 * mean(&spectra.iter().map(|power| mean(&power[bins.clone()])).collect::<Vec<_>>())
                .log10()
        })
        .collect()
}

/// Change over a sixth of an octave: a tilt, which does not move, becomes a constant.
fn slopes(spectrum: &[f32]) -> Vec<f32> {
    spectrum.windows(OCTAVE / 6 + 1).map(|part| part[OCTAVE / 6] - part[0]).collect()
}

/// Pearson's correlation.
fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let about = |values: &[f32], mean: f32| values.iter().map(|x| x - mean).collect::<Vec<f32>>();
    let (a, b) = (about(a, mean_a), about(b, mean_b));
    let product: f32 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
    product / (energy(&a) * energy(&b)).sqrt()
}

/// Mean frequency below 4 kHz, weighted by amplitude, over frames of equal duration.
fn centroid_hz(clip: &[f32], rate: u32) -> f32 {
    let frame = FRAME * (rate / RATE_HZ) as usize;
    let (mut weighted, mut sum) = (0.0, 0.0);
    for power in power_spectra(clip, frame) {
        for (bin, power) in power[..FRAME / 4].iter().enumerate() {
            weighted += bin as f32 * power.sqrt();
            sum += power.sqrt();
        }
    }
    weighted / sum * RATE_HZ as f32 / FRAME as f32
}

/// Root mean square of each value about its speaker's mean.
fn deviation_within(albums: &[Vec<Vec<f32>>], means: &[Vec<f32>]) -> Vec<f32> {
    (0..means[0].len())
        .map(|value| {
            let off = albums.iter().zip(means).flat_map(|(album, mean)| {
                album.iter().map(|clip| (clip[value] - mean[value]).powi(2))
            });
            mean(&off.collect::<Vec<f32>>()).sqrt()
        })
        .collect()
}

fn mean_of(album: &[Vec<f32>]) -> Vec<f32> {
    (0..album[0].len())
        .map(|value| mean(&album.iter().map(|clip| clip[value]).collect::<Vec<f32>>()))
        .collect()
}

fn distance(a: &[f32], b: &[f32], unit: &[f32]) -> f32 {
    a.iter().zip(b).zip(unit).map(|((a, b), unit)| ((a - b) / unit).powi(2)).sum()
}

fn energy(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum()
}

fn root_mean_square(samples: &[f32]) -> f32 {
    (energy(samples) / samples.len() as f32).sqrt()
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

fn median(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    values[values.len() / 2]
}
