//! Signals of texts and of inversions, and the calibrated score, with this crate and `umid-detect`
//! alone.
//!
//! The text tower below is **made up**: it hashes words into vectors and gives the names that it is
//! told to have memorised something of their own. Put a model in its place by implementing
//! [`TextEmbedder`].
//!
//! `cargo run -p umid-signals --example calibrated_score`

#![expect(clippy::print_stdout, reason = "an example shows its results")]

use std::error::Error;

use ndarray::{Array1, Array2, arr1};
use umid_detect::{CalibratedTest, DEFAULT_FIT_FRACTION, SignalWeight, Split};
use umid_signals::inversion::InversionView;
use umid_signals::score::{DEFAULT_SCORE, oriented, weights_on};
use umid_signals::{EmbeddedTexts, Name, Setting, TextEmbedder, TextReader};

const WIDTH: usize = 24;
/// How much a memorised name has of its own, where words have vectors of about unit length.
const MEMORY: f32 = 1.5;
const SEED: u64 = 0;

fn main() -> Result<(), Box<dyn Error>> {
    let tower = MadeUpTower { memorised: vec!["ada quill".to_owned(), "ivo marsh".to_owned()] };
    let templates = strings(&["a photo of {}", "a portrait of {}", "{} in a photo"]);
    let first_parts = strings(&["Ann", "Ben", "Cleo", "Dan", "Eve", "Finn"]);
    let last_parts = strings(&["Ash", "Birch", "Cedar", "Dogwood", "Elm", "Fir"]);
    let contexts = strings(&["{} in Paris", "happy birthday {}", "an interview with {}"]);
    let setting = Setting {
        templates: &templates,
        contexts: &contexts,
        first_parts: &first_parts,
        last_parts: &last_parts,
    };

    // Plausible names that cannot be members: one part of them sets scales, the other ranks.
    let reference: Vec<(String, String)> = (0..12)
        .flat_map(|i| (0..8).map(move |j| (format!("First{i}"), format!("Last{j}"))))
        .collect();
    let texts: Vec<String> = reference.iter().map(|(f, l)| format!("{f} {l}")).collect();
    let reference: Vec<Name<'_>> = reference
        .iter()
        .zip(&texts)
        .map(|((first, last), text)| Name { text, parts: Some((first, last)) })
        .collect();
    let split = Split::new(reference.len(), DEFAULT_FIT_FRACTION, SEED)?;
    let neighbours: Vec<Name<'_>> = split.fit.iter().map(|&row| reference[row]).collect();
    let reader = TextReader::new(tower, setting, &neighbours, None)?;

    let rows = reader.read(&reference, |row| split.fit.binary_search(&row).ok())?;
    let scales: Vec<_> = split.fit.iter().map(|&row| &rows[row].signals).collect();
    let score = weights_on(&DEFAULT_SCORE, &scales);
    let weights: Vec<SignalWeight> =
        score.iter().map(|(signal, w)| SignalWeight::new(signal.name(), *w)).collect();
    let rows: Vec<_> = rows.iter().map(|row| oriented(&score, &row.signals)).collect();
    let test = CalibratedTest::fit(&weights, &rows, &split)?;

    let asked = [("Ada", "Quill"), ("Ivo", "Marsh"), ("Ada", "Marsh"), ("Una", "Vale")];
    let texts = asked.map(|(first, last)| format!("{first} {last}"));
    let names: Vec<Name<'_>> =
        asked.iter().zip(&texts).map(|(&parts, text)| Name { text, parts: Some(parts) }).collect();
    for (name, reading) in names.iter().zip(reader.read(&names, |_| None)?) {
        let outcome = test.test(&oriented(&score, &reading.signals))?;
        println!("{:10} score {:6.2}, p {:.3}", name.text, outcome.score, outcome.p_value);

        // Made-up restarts of an inversion: where they ended, and the cosines on the way.
        let end = reading.embeddings.row(0);
        let ends =
            Array2::from_shape_fn((3, WIDTH), |(i, k)| end[k] + 0.1 * ((i + k) as f32).sin());
        let cosines = Array2::from_shape_fn((3, 6), |(i, step)| 0.95 - 0.3 / (i + step + 1) as f32);
        let norms = arr1(&[0.02, 0.03, 0.01]);
        let templates = reading.embeddings.view();
        let view = InversionView::new(cosines.view(), ends.view(), norms.view(), templates)?;
        for (signal, value) in view.signals()? {
            println!(
                "    {:24} {}",
                signal.name(),
                value.map_or("-".to_owned(), |v| format!("{v:.3}"))
            );
        }
    }
    Ok(())
}

/// Not a model: each word has a random vector, each text a little noise, and each memorised name a
/// vector of its own.
struct MadeUpTower {
    memorised: Vec<String>,
}

impl TextEmbedder for MadeUpTower {
    type Error = umid_signals::Error;

    fn embed(&self, texts: &[String]) -> Result<EmbeddedTexts, Self::Error> {
        let mut states = Array2::zeros((texts.len(), WIDTH));
        for (text, mut state) in texts.iter().zip(states.rows_mut()) {
            let text = text.to_lowercase();
            for word in text.split(' ') {
                state += &random_vector(word);
            }
            state.scaled_add(0.2, &random_vector(&text));
            for name in self.memorised.iter().filter(|name| text.contains(name.as_str())) {
                state.scaled_add(MEMORY, &random_vector(name));
            }
        }
        // Nothing is divided by or added here, so embeddings and responses are the states.
        Ok(EmbeddedTexts { embeddings: states.clone(), responses: states.clone(), states })
    }

    fn logit_scale(&self) -> f64 {
        100.0
    }
}

/// Deterministic values in [-0.35, 0.35], which give a length of about one: FNV-1a for each element.
fn random_vector(of: &str) -> Array1<f32> {
    let element = |k: usize| {
        let bytes = of.bytes().chain(k.to_le_bytes());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // The low bits of this hash are no better than the last bytes: take the high ones, mixed.
        let mixed = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        0.7 * ((mixed >> 40) as f32 / (1_u32 << 24) as f32 - 0.5)
    };
    (0..WIDTH).map(element).collect()
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|&item| item.to_owned()).collect()
}
