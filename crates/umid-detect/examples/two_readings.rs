//! Reads four texts by their signals, as an audit does, without a model: the paper's vote against a
//! reference of gibberish, and calibrated p-values against a reference of plausible names.
//!
//! The signals are made up: normally distributed for texts that no model was trained on, shifted
//! for members. Run it with `cargo run -p umid-detect --example two_readings`; it prints the same
//! numbers every time.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use linfa::prelude::*;
use ndarray::{Array2, array};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use umid_detect::{
    CalibratedTest, DEFAULT_FIT_FRACTION, DetectError, EnsembleParams, SignalWeight, Split,
    benjamini_hochberg,
};

const SEED: u64 = 7;

fn main() -> Result<(), DetectError> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    // About normal: the sum of twelve uniform numbers has variance 1.
    let mut noise = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;

    println!("the paper's reading: similarity and variability of inversions against gibberish");
    let gibberish =
        Array2::from_shape_fn((100, 2), |(_, column)| [0.6, 0.3][column] + 0.05 * noise());
    let ensemble = EnsembleParams::paper(SEED).fit(&DatasetBase::from(gibberish))?;
    let texts = array![[0.61, 0.29], [0.58, 0.32], [0.85, 0.12], [0.80, 0.10]];
    for (text, reading) in ensemble.read(&texts.view())?.iter().enumerate() {
        let (votes, score) = (reading.votes, reading.vote_score);
        println!("  text {text}: {votes} votes of 4, {:?}, score {score:.3}", reading.decision);
    }

    println!("the calibrated reading: two signals of a text against plausible names");
    let names: Vec<Vec<Option<f64>>> =
        (0..300).map(|_| vec![Some(noise()), Some(noise())]).collect();
    let signals = [SignalWeight::new("norm", 1.0), SignalWeight::new("interaction", 2.0)];
    let split = Split::new(names.len(), DEFAULT_FIT_FRACTION, SEED)?;
    let test = CalibratedTest::fit(&signals, &names, &split)?;
    // The last text lacks a signal: it is compared by the other alone.
    let texts = [[Some(0.2), Some(-0.4)], [Some(-1.0), Some(0.5)], [Some(2.5), Some(3.5)]];
    let mut scored = texts.iter().map(|text| test.test(text)).collect::<Result<Vec<_>, _>>()?;
    scored.push(test.test(&[Some(2.9), None])?);
    let p_values: Vec<f64> = scored.iter().map(|scored| scored.p_value).collect();
    let found = benjamini_hochberg(&p_values, 0.1)?;
    for (text, scored) in scored.iter().enumerate() {
        println!(
            "  text {text}: p {:.3} by {}, discovery at a false discovery rate of 10 %: {}",
            scored.p_value,
            scored.signals_used.join(" and "),
            found.discoveries[text],
        );
    }
    Ok(())
}
