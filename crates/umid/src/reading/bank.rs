//! A bank of public inputs: images or sounds of the model's domain with nobody in them who is asked
//! about.
//!
//! The bank must match the domain of what the model was trained on: on procedural targets a bank
//! of another domain (greyscale, narrow attributes) lost most of what it gives.

use std::path::{Path, PathBuf};

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use umid_models::{Modality, Model};
use umid_signals::Bank;

use crate::cache::{CacheKey, Lookup, ReferenceCache};
use crate::error::AuditError;
use crate::progress::Progress;

/// File endings that are taken for images. Other files are ignored, and so are hidden ones: macOS
/// leaves a `._name.jpg` beside every `name.jpg` on foreign drives and in archives.
const IMAGE_ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "gif"];
/// File endings that are taken for sounds.
const SOUND_ENDINGS: [&str; 5] = ["wav", "flac", "mp3", "ogg", "oga"];
/// Fewer inputs than this tell little: a prototype's AUC fell from .83 with 1,200 to .63 with 100.
const LEAST: usize = 100;
/// Inputs decoded and embedded together.
const CHUNK: usize = 64;

/// File endings that are taken for inputs of a model.
fn endings(modality: Modality) -> &'static [&'static str] {
    match modality {
        Modality::Image => &IMAGE_ENDINGS,
        Modality::Audio => &SOUND_ENDINGS,
    }
}

/// What the files are called in messages.
fn plural(modality: Modality) -> &'static str {
    match modality {
        Modality::Image => "images",
        Modality::Audio => "sounds",
    }
}

/// Embeddings as they are cached: one row per input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cached {
    rows: Vec<Vec<f32>>,
}

/// Embeds every image or sound of a directory, or reads the embeddings from the cache.
///
/// # Errors
///
/// [`AuditError::Bank`] for a directory without enough of them, and those of the model for one
/// that does not decode.
pub(crate) fn load_bank(
    model: &Model,
    directory: &Path,
    cache: &ReferenceCache,
    progress: &dyn Progress,
) -> Result<Bank, AuditError> {
    let files = files(directory, model.modality())?;
    let bank = fingerprint(directory, model.modality())?;
    let key = CacheKey::new(&model.source.digest, &("bank", bank, model.computed_by()), &[]);
    let found = cache.load::<Cached>(&key);
    if let Lookup::Damaged(warning) = &found {
        progress.note(warning);
    }
    let rows = match found {
        Lookup::Hit(cached) => cached.rows,
        Lookup::Miss | Lookup::Damaged(_) => {
            progress.stage("bank", files.len());
            let mut rows = Vec::with_capacity(files.len());
            for chunk in files.chunks(CHUNK) {
                let inputs: Result<Vec<_>, _> =
                    chunk.iter().map(|path| model.front_end.open(path)).collect();
                let embeddings = model.embed_inputs(&inputs?)?;
                rows.extend(embeddings.rows().into_iter().map(|row| row.to_vec()));
                progress.advance(chunk.len());
            }
            let cached = Cached { rows };
            if let Some(warning) = cache.store(&key, &cached) {
                progress.note(&warning);
            }
            cached.rows
        }
    };
    let width = rows.first().map_or(0, Vec::len);
    let shape = (rows.len(), width);
    let embeddings = Array2::from_shape_vec(shape, rows.concat()).map_err(|_| {
        bank_error(directory, "its cached embeddings are damaged; clear the cache and try again")
    })?;
    Ok(Bank::new(embeddings.view())?)
}

/// Digest of a bank's files in the order of their names.
///
/// # Errors
///
/// [`AuditError::Bank`] and [`AuditError::ReadFile`].
pub(crate) fn fingerprint(directory: &Path, modality: Modality) -> Result<String, AuditError> {
    let mut whole = blake3::Hasher::new_derive_key("umid 2026 bank");
    for path in files(directory, modality)? {
        let mut hasher = blake3::Hasher::new();
        hasher.update_mmap(&path).map_err(|source| AuditError::ReadFile {
            what: "bank file",
            path,
            source,
        })?;
        whole.update(hasher.finalize().as_bytes());
    }
    Ok(whole.finalize().to_hex().to_string())
}

fn files(directory: &Path, modality: Modality) -> Result<Vec<PathBuf>, AuditError> {
    let read = |source| AuditError::ReadFile {
        what: "bank directory",
        path: directory.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(read)? {
        let path = entry.map_err(read)?.path();
        let ending = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden
            && path.is_file()
            && ending.is_some_and(|e| endings(modality).contains(&e.as_str()))
        {
            files.push(path);
        }
    }
    if files.len() < LEAST {
        let kind = plural(modality);
        let found = format!(
            "it holds {} {kind} and at least {LEAST} are needed; add public {kind} of the model's \
             domain (files ending in {}; subdirectories are not read), or do without a bank",
            files.len(),
            endings(modality).join(", ")
        );
        return Err(bank_error(directory, &found));
    }
    files.sort();
    Ok(files)
}

fn bank_error(directory: &Path, reason: &str) -> AuditError {
    AuditError::Bank { path: directory.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use umid_models::parse_device;

    use super::*;

    /// Counts the images that are embedded.
    #[derive(Default)]
    struct Embedded(Cell<usize>);

    impl Progress for Embedded {
        fn stage(&self, _: &str, _: usize) {}
        fn advance(&self, count: usize) {
            self.0.set(self.0.get() + count);
        }
        fn note(&self, _: &str) {}
    }

    fn model() -> Model {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../umid-models/tests/fixtures");
        Model::load(&fixtures.join("openclip-gelu"), &parse_device("cpu").unwrap()).unwrap()
    }

    /// A directory of `count` images, each of another colour.
    fn bank_of(count: usize) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..count {
            write_image(dir.path(), &format!("{i:03}.png"), i as u8);
        }
        dir
    }

    fn write_image(dir: &Path, name: &str, shade: u8) {
        let image = image::RgbImage::from_pixel(3, 2, image::Rgb([shade, 255 - shade, 7]));
        image.save(dir.join(name)).unwrap();
    }

    #[test]
    fn fewer_than_a_hundred_images_are_refused() {
        let dir = bank_of(LEAST - 1);
        std::fs::write(dir.path().join("notes.txt"), "no image").unwrap();
        let error = fingerprint(dir.path(), Modality::Image).unwrap_err();
        assert!(matches!(error, AuditError::Bank { .. }));
        let message = error.to_string();
        assert!(
            message.contains("99 images") && message.contains("do without a bank"),
            "{message}"
        );
        write_image(dir.path(), "last.GIF", 200);
        assert!(fingerprint(dir.path(), Modality::Image).is_ok());
        // Images are no bank of a model that reads sound.
        let error = fingerprint(dir.path(), Modality::Audio).unwrap_err().to_string();
        assert!(error.contains("0 sounds") && error.contains("flac"), "{error}");
    }

    #[test]
    fn the_fingerprint_is_that_of_the_images() {
        let dir = bank_of(LEAST);
        let before = fingerprint(dir.path(), Modality::Image).unwrap();
        for other in ["notes.txt", "._001.png", ".hidden.jpg"] {
            std::fs::write(dir.path().join(other), "no image").unwrap();
        }
        assert_eq!(fingerprint(dir.path(), Modality::Image).unwrap(), before);
        write_image(dir.path(), "050.png", 250);
        assert_ne!(fingerprint(dir.path(), Modality::Image).unwrap(), before);
    }

    #[test]
    fn embeddings_are_computed_once_and_again_for_other_images() {
        let (model, dir) = (model(), bank_of(LEAST));
        let kept = tempfile::tempdir().unwrap();
        let cache = ReferenceCache::at(kept.path());
        let load = || {
            let embedded = Embedded::default();
            let bank = load_bank(&model, dir.path(), &cache, &embedded).unwrap();
            let queries = model.embed_texts(&["a", "b c"]).unwrap().embeddings;
            (bank.scores(queries.view(), 10.0).unwrap(), embedded.0.get())
        };
        let (fresh, computed) = load();
        assert_eq!(computed, LEAST);
        assert_eq!(load(), (fresh.clone(), 0));
        write_image(dir.path(), "050.png", 250);
        let (other, computed) = load();
        assert_eq!(computed, LEAST);
        assert_ne!(other, fresh);
    }

    #[test]
    fn an_image_that_does_not_decode_is_named() {
        let (model, dir) = (model(), bank_of(LEAST));
        std::fs::write(dir.path().join("070.png"), "no image").unwrap();
        let silent = crate::progress::Silent;
        let error = load_bank(&model, dir.path(), &ReferenceCache::off(), &silent).unwrap_err();
        assert!(error.to_string().contains("070.png"), "{error}");
    }
}
