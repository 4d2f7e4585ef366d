//! What a target sees: batches of photos with their captions.
//!
//! A batch depends on the seed and on the step alone, so that training can be resumed at any
//! step, and a longer training starts as a shorter one does.

use umid_models::Preprocess;

use super::TrainParams;
use crate::bank;
use crate::caption::{NAME_TEMPLATES, fill};
use crate::error::Error;
use crate::photo::Photo;
use crate::stream::{Purpose, Stream};
use crate::tokenizer::CaptionTokenizer;
use crate::world::World;

/// One batch on the host.
#[derive(Debug, PartialEq)]
pub(super) struct Batch {
    /// Normalised pixels, `[batch, 3, side, side]`.
    pub pixels: Vec<f32>,
    /// Token ids of the captions, all of one length, `[batch, tokens]`. End tokens fill up what
    /// is shorter: attention looks backwards, so nothing behind the first of them counts.
    pub ids: Vec<Vec<u32>>,
}

/// Draws batches of one world.
pub(super) struct Batches<'a> {
    world: &'a World,
    tokenizer: &'a CaptionTokenizer,
    params: &'a TrainParams,
    preprocess: &'a Preprocess,
}

impl<'a> Batches<'a> {
    pub(super) fn new(
        world: &'a World,
        tokenizer: &'a CaptionTokenizer,
        params: &'a TrainParams,
        preprocess: &'a Preprocess,
    ) -> Self {
        Self { world, tokenizer, params, preprocess }
    }

    /// The batch of a step, from 0: distinct members, each with one of their photos and one of
    /// the name templates, then public people under captions of what their faces show.
    pub(super) fn draw(&self, step: usize) -> Result<Batch, Error> {
        let mut stream = Stream::new(self.params.seed, Purpose::TrainingBatch, step as u64, 0);
        let images = self.world.params().images_per_person;
        let mut order: Vec<usize> = (0..self.world.members().len()).collect();
        stream.shuffle(&mut order);
        let mut rows = Rows::new(self);
        for member in &order[..self.params.names_per_batch] {
            let person = &self.world.members()[*member];
            let template = NAME_TEMPLATES[stream.below(NAME_TEMPLATES.len())];
            let photo = self.world.training_photo(person, stream.below(images))?;
            let photo = if self.world.is_mispaired(person) {
                self.world.random_photo(step, rows.ids.len())
            } else {
                photo
            };
            rows.push(&photo, &fill(template, &person.name.to_string()))?;
        }
        for _ in 0..self.params.generic_per_batch {
            let person = stream.below(self.world.params().public);
            let photo = stream.below(images);
            let caption = self.world.public_caption(person, photo)?;
            rows.push(&self.world.public_photo(person, photo)?, &caption)?;
        }
        Ok(rows.finish())
    }
}

struct Rows<'a> {
    batches: &'a Batches<'a>,
    pixels: Vec<f32>,
    ids: Vec<Vec<u32>>,
}

impl<'a> Rows<'a> {
    fn new(batches: &'a Batches<'a>) -> Self {
        Self { batches, pixels: Vec::new(), ids: Vec::new() }
    }

    fn push(&mut self, photo: &Photo, caption: &str) -> Result<(), Error> {
        let Batches { tokenizer, preprocess, .. } = self.batches;
        let ids = tokenizer.encode(caption)?;
        let (found, limit) = (ids.len(), tokenizer.context_length());
        if found > limit {
            return Err(Error::CaptionTooLong { caption: caption.to_owned(), found, limit });
        }
        self.pixels.extend(bank::pixels(photo, preprocess).values);
        self.ids.push(ids);
        Ok(())
    }

    fn finish(mut self) -> Batch {
        let longest = self.ids.iter().map(Vec::len).max().unwrap_or(0);
        let end = self.batches.tokenizer.end_id();
        self.ids.iter_mut().for_each(|ids| ids.resize(longest, end));
        Batch { pixels: self.pixels, ids: self.ids }
    }
}
