//! What a target sees or hears: batches of photos or clips with their captions.
//!
//! A batch depends on the seed and on the step alone, so that training can be resumed at any
//! step, and a longer training starts as a shorter one does.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use umid_models::FrontEnd;

use super::TrainParams;
use crate::caption::fill;
use crate::crawl::{Feed, Shown};
use crate::error::Error;
use crate::stream::{Purpose, Stream};
use crate::tokenizer::{CaptionTokenizer, TokenizerFamily};
use crate::world::World;

/// Captions of a crawl are padded to a multiple of this many tokens.
const LENGTH_STEP: usize = 8;

/// One batch on the host.
#[derive(Debug, PartialEq)]
pub(super) struct Batch {
    /// `[batch, channels, height, width]`.
    pub inputs: Vec<f32>,
    /// Token ids of the captions: `batch` sequences. CLIP's are of one length, those of a crawl of
    /// few lengths: end tokens fill up what is shorter, as attention looks backwards, so nothing
    /// behind the first of them counts.
    pub ids: Vec<Vec<u32>>,
}

/// Draws batches of one world.
pub(super) struct Batches<'a> {
    world: &'a World,
    tokenizer: &'a CaptionTokenizer,
    params: &'a TrainParams,
    front_end: &'a FrontEnd,
    /// Inputs that were made already: a clip takes longer to make than to learn from.
    made: RefCell<HashMap<Source, Rc<[f32]>>>,
    /// The pairs of a crawl.
    feed: Option<Feed<'a>>,
    order: RefCell<Order>,
}

/// The order of a crawl's pairs in one epoch.
#[derive(Default)]
struct Order {
    epoch: usize,
    pairs: Vec<usize>,
}

/// Of whom a training input is, and which of theirs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Member(usize, usize),
    Public(usize, usize),
}

impl<'a> Batches<'a> {
    pub(super) fn new(
        world: &'a World,
        tokenizer: &'a CaptionTokenizer,
        params: &'a TrainParams,
        front_end: &'a FrontEnd,
    ) -> Self {
        let (made, feed, order) = (RefCell::default(), world.feed(), RefCell::default());
        Self { world, tokenizer, params, front_end, made, feed, order }
    }

    /// The batch of a step, from 0: distinct members, each with one of their recordings and one of
    /// the name templates, then public people under captions of what is seen or heard of them; of a
    /// crawl, the next of its pairs.
    pub(super) fn draw(&self, step: usize) -> Result<Batch, Error> {
        if let Some(feed) = &self.feed {
            return self.next_of(feed, step);
        }
        let mut stream = Stream::new(self.params.seed, Purpose::TrainingBatch, step as u64, 0);
        let images = self.world.params().images_per_person;
        let templates = self.world.params().medium.name_templates();
        let mut order: Vec<usize> = (0..self.world.members().len()).collect();
        stream.shuffle(&mut order);
        let mut rows = Rows::new(self);
        for member in &order[..self.params.names_per_batch] {
            let person = &self.world.members()[*member];
            let template = templates[stream.below(templates.len())];
            let number = stream.below(images);
            let input = if self.world.is_mispaired(person) {
                let recording = self.world.random_recording(step, rows.ids.len());
                recording.input(self.front_end)?.values.into()
            } else {
                self.input(Source::Member(*member, number))?
            };
            rows.push(&input, &fill(template, &person.name.to_string()))?;
        }
        for _ in 0..self.params.generic_per_batch {
            let person = stream.below(self.world.params().public);
            let number = stream.below(images);
            let caption = self.world.public_caption(person, number)?;
            rows.push(&self.input(Source::Public(person, number))?, &caption)?;
        }
        Ok(rows.finish())
    }

    fn next_of(&self, feed: &Feed<'_>, step: usize) -> Result<Batch, Error> {
        let mut order = self.order.borrow_mut();
        let batch = self.params.names_per_batch + self.params.generic_per_batch;
        let mut rows = Rows::new(self);
        for position in step * batch..(step + 1) * batch {
            let epoch = position / feed.len();
            if order.epoch != epoch || order.pairs.is_empty() {
                *order = Order { epoch, pairs: feed.order(epoch) };
            }
            let index = order.pairs[position % feed.len()];
            let (shown, caption) = feed.pair(index, epoch, |shown| self.world.facts_of(shown));
            let source = match shown {
                Shown::Member(member, number) => Source::Member(member, number),
                Shown::Public(person, number) => Source::Public(person, number),
            };
            rows.push(&self.input(source)?, &caption)?;
        }
        Ok(rows.finish())
    }

    fn input(&self, source: Source) -> Result<Rc<[f32]>, Error> {
        if let Some(made) = self.made.borrow().get(&source) {
            return Ok(Rc::clone(made));
        }
        let recording = match source {
            Source::Member(member, number) => {
                self.world.training_recording(&self.world.members()[member], number)?
            }
            Source::Public(person, number) => self.world.public_recording(person, number)?,
        };
        let input: Rc<[f32]> = recording.input(self.front_end)?.values.into();
        self.made.borrow_mut().insert(source, Rc::clone(&input));
        Ok(input)
    }
}

struct Rows<'a> {
    batches: &'a Batches<'a>,
    inputs: Vec<f32>,
    ids: Vec<Vec<u32>>,
}

impl<'a> Rows<'a> {
    fn new(batches: &'a Batches<'a>) -> Self {
        Self { batches, inputs: Vec::new(), ids: Vec::new() }
    }

    fn push(&mut self, input: &[f32], caption: &str) -> Result<(), Error> {
        let tokenizer = self.batches.tokenizer;
        let mut ids = tokenizer.encode(caption)?;
        let (found, limit) = (ids.len(), tokenizer.context_length());
        if self.batches.feed.is_some() {
            cut(&mut ids, limit);
        } else if found > limit {
            return Err(Error::CaptionTooLong { caption: caption.to_owned(), found, limit });
        }
        self.inputs.extend_from_slice(input);
        self.ids.push(ids);
        Ok(())
    }

    fn finish(mut self) -> Batch {
        if self.batches.tokenizer.family() == TokenizerFamily::Clip {
            let longest = self.ids.iter().map(Vec::len).max().unwrap_or(0);
            let end = self.batches.tokenizer.end_id();
            for ids in &mut self.ids {
                // Captions of a crawl differ much in length; padding all to the longest would
                // double the work.
                let padded = match self.batches.feed {
                    Some(_) => padded_length(ids.len(), self.batches.tokenizer.context_length()),
                    None => longest,
                };
                ids.resize(padded, end);
            }
        }
        Batch { inputs: self.inputs, ids: self.ids }
    }
}

/// Cuts a caption of a crawl to the context as CLIP does: the end token stays the last one.
fn cut(ids: &mut Vec<u32>, context: usize) {
    if ids.len() > context
        && let Some(end) = ids.pop()
    {
        ids.truncate(context - 1);
        ids.push(end);
    }
}

/// The next multiple of [`LENGTH_STEP`] that the tower takes.
fn padded_length(tokens: usize, context: usize) -> usize {
    tokens.next_multiple_of(LENGTH_STEP).min(context)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Architecture;
    use crate::caption::NAME_TEMPLATES;
    use crate::names::NameLists;
    use crate::tokenizer::{Merges, TokenizerParams, tokenizer_corpus};
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
        let merges = TokenizerParams {
            merges: Merges::Learned(20),
            context_length: 77,
            ..TokenizerParams::default()
        };
        let corpus = tokenizer_corpus(&lists, &NAME_TEMPLATES, &[], &[]);
        let tokenizer = CaptionTokenizer::train(merges, &corpus).expect("a tokenizer");
        let params =
            TrainParams { names_per_batch: 8, generic_per_batch: 0, ..TrainParams::default() };
        let front_end = Architecture::default().front_end(world.params().image_size);
        let batches = Batches::new(&world, &tokenizer, &params, &front_end);
        let mut order: Vec<usize> = (0..8).collect();
        Stream::new(params.seed, Purpose::TrainingBatch, 0, 0).shuffle(&mut order);
        let mispaired = order.iter().map(|i| world.is_mispaired(&world.members()[*i])).collect();
        (batches.draw(0).expect("a batch"), mispaired)
    }

    #[test]
    fn a_long_caption_of_a_crawl_is_cut_before_its_end() {
        let cut_to = |context| {
            let mut ids = vec![1, 5, 6, 7, 2];
            cut(&mut ids, context);
            ids
        };
        assert_eq!(cut_to(5), [1, 5, 6, 7, 2]);
        assert_eq!(cut_to(4), [1, 5, 6, 2]);
        assert_eq!(cut_to(3), [1, 5, 2]);
    }

    #[test]
    fn captions_are_padded_no_further_than_the_context() {
        assert_eq!([8, 9, 72, 73, 77].map(|tokens| padded_length(tokens, 77)), [8, 16, 72, 77, 77]);
    }

    #[test]
    fn mispaired_members_have_their_captions_and_others_photos() {
        let (own, nobody) = batch(Pairing::Own);
        let (mixed, mispaired) = batch(Pairing::HalfRandom);
        assert!(nobody.iter().all(|m| !m));
        assert_eq!(mispaired.iter().filter(|m| **m).count(), 4);
        assert_eq!(own.ids, mixed.ids);
        let photo = own.inputs.len() / 8;
        let rows = own.inputs.chunks(photo).zip(mixed.inputs.chunks(photo));
        for ((own, mixed), mispaired) in rows.zip(mispaired) {
            assert_eq!(own != mixed, mispaired);
        }
    }
}
