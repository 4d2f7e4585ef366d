//! Loads a checkpoint, embeds texts and an image in memory, and prints their cosines.
//!
//! ```sh
//! cargo run --release -p umid-models --example embed -- MODEL "a photo of Ada" "a photo of Bob"
//! ```
//!
//! Without arguments it takes a small random checkpoint of the test fixtures.
#![expect(clippy::print_stdout, reason = "an example shows what it computes")]

use std::path::{Path, PathBuf};

use image::{DynamicImage, RgbImage};
use ndarray::ArrayView1;
use umid_models::{LoadOptions, Model};

fn main() -> umid_models::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openclip-rn50");
    let directory = arguments.next().map_or(fixture, PathBuf::from);
    let mut texts: Vec<String> = arguments.collect();
    if texts.is_empty() {
        texts = ["a photo of Ada Lovelace", "a red square"].map(str::to_owned).to_vec();
    }

    let model = Model::load(&directory, LoadOptions::default())?;
    println!("{}", model.config.architecture());
    let embedded = model.embed_texts(&texts)?.embeddings;
    let Some(preprocess) = model.front_end.pixels() else {
        println!("the model reads sound, so there is no image to embed");
        return Ok(());
    };
    let red = DynamicImage::from(RgbImage::from_pixel(40, 30, image::Rgb([200, 30, 30])));
    let picture = model.embed_inputs(&[preprocess.apply(&red)?])?;
    for (text, row) in texts.iter().zip(embedded.rows()) {
        println!("{:+.3}  {text}", cosine(row, picture.row(0)));
    }
    Ok(())
}

fn cosine(a: ArrayView1<f32>, b: ArrayView1<f32>) -> f32 {
    a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
}
