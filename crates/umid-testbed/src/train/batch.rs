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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::preprocessing;
    use crate::names::NameLists;
    use crate::tokenizer::{TokenizerParams, tokenizer_corpus};
    use crate::world::{Pairing, WorldParams};

    fn batch(pairing: Pairing) -> (Batch, Vec<bool>) {
        let lists = NameLists::bundled();
        let params = WorldParams {
            members: 8,
            non_members: 8,
            public: 0,
            images_per_person: 2,
            pairing,
            ..WorldParams::default()
        };
        let world = World::draw(params, &lists).expect("a world");
        let merges = TokenizerParams { merges: 20, context_length: 77 };
        let corpus = tokenizer_corpus(&lists, &[]);
        let tokenizer = CaptionTokenizer::train(merges, &corpus).expect("a tokenizer");
        let params =
            TrainParams { names_per_batch: 8, generic_per_batch: 0, ..TrainParams::default() };
        let preprocess = preprocessing(world.params().image_size);
        let batches = Batches::new(&world, &tokenizer, &params, &preprocess);
        let mut order: Vec<usize> = (0..8).collect();
        Stream::new(params.seed, Purpose::TrainingBatch, 0, 0).shuffle(&mut order);
        let mispaired = order.iter().map(|i| world.is_mispaired(&world.members()[*i])).collect();
        (batches.draw(0).expect("a batch"), mispaired)
    }

    #[test]
    fn mispaired_members_have_their_captions_and_others_photos() {
        let (own, nobody) = batch(Pairing::Own);
        let (mixed, mispaired) = batch(Pairing::HalfRandom);
        assert!(nobody.iter().all(|m| !m));
        assert_eq!(mispaired.iter().filter(|m| **m).count(), 4);
        assert_eq!(own.ids, mixed.ids);
        let photo = own.pixels.len() / 8;
        let rows = own.pixels.chunks(photo).zip(mixed.pixels.chunks(photo));
        for ((own, mixed), mispaired) in rows.zip(mispaired) {
            assert_eq!(own != mixed, mispaired);
        }
    }
}
