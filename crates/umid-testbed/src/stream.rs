//! Random numbers that depend on what they are for and on nothing else.
//!
//! Every draw comes from a ChaCha8 stream whose 256-bit key is the four words
//! (seed, purpose, index, item). Two draws with different keys never share a stream, so an
//! identity, a photo or a name is the same whatever else was drawn before it, in whichever
//! order and on whichever thread. The conversions from words to numbers are written here,
//! not taken from `rand`, because a fixed seed must give the same world with every later
//! version of that crate; ChaCha8 itself is a published cipher and does not change.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream is for. The discriminants are part of every world: never reuse (14 was one) or
/// renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Purpose {
    /// Names of the people of a world; the index counts attempts.
    PersonName = 1,
    /// The shuffle that splits a world's people into two groups.
    Split = 2,
    /// Names of nobody in a world; the index counts attempts.
    FreshName = 3,
    /// Attributes of a named person.
    PersonAttributes = 4,
    /// Attributes of an unnamed person of the bank.
    BankAttributes = 5,
    /// Attributes of an unnamed person who is seen in training.
    PublicAttributes = 6,
    /// One photo of a named person; the item is the photo.
    PersonPhoto = 7,
    /// One photo of an unnamed person of the bank; the item is the photo.
    BankPhoto = 8,
    /// One photo of an unnamed person who is seen in training; the item is the photo.
    PublicPhoto = 9,
    /// Which attributes a generic caption mentions; the item is the caption.
    AttributeCaption = 10,
    /// Sensor noise of one photo; the seed is the capture's own.
    SensorNoise = 11,
    /// The people, photos and captions of a training batch; the index is the step.
    TrainingBatch = 12,
    /// Initial weights; the index stands for the tensor.
    InitialWeights = 13,
    /// Names of people outside both groups of a world; the index counts attempts.
    OtherName = 15,
    /// Which members are shown under other people's photos.
    Mispaired = 16,
    /// The shuffle that splits all people in two halves for a pair of reference models.
    ShadowSplit = 19,
    /// Attributes of the random person whose photo replaces a member's; the index is the step,
    /// the item the row of the batch.
    ReplacementAttributes = 17,
    /// The photo of that person.
    ReplacementPhoto = 18,
    /// The voice of a person.
    PersonVoice = 20,
    /// The conditions of one clip of a person; the item is the clip.
    PersonUtterance = 21,
    /// The syllables of one clip; the seed is the utterance's own.
    UtteranceScript = 22,
    /// Noise in one clip; the seed is the utterance's own, the item stands for the kind.
    UtteranceNoise = 23,
    /// What a generic caption says of a voice; the item is the caption.
    VoiceCaption = 24,
    /// Voice of an unnamed person of the bank.
    BankVoice = 25,
    /// One clip of an unnamed person of the bank; the item is the clip.
    BankUtterance = 26,
    /// Voice of an unnamed person who is heard in training.
    PublicVoice = 27,
    /// One clip of an unnamed person who is heard in training; the item is the clip.
    PublicUtterance = 28,
    /// Voice of the random person whose clip replaces a member's; the index is the step, the
    /// item the row of the batch.
    ReplacementVoice = 29,
    /// The clip of that person.
    ReplacementUtterance = 30,
    /// The order of the pairs of a crawl; the index is the epoch.
    CrawlOrder = 31,
    /// The caption and the recording of a pair of a crawl; the item is the epoch.
    CrawlPair = 32,
    /// Names of the tail of a crawl; the index counts attempts.
    TailName = 33,
    /// Whether a person of a crawl has a namesake.
    CrawlNamesake = 34,
    /// Looks or voice of that namesake.
    NamesakeAttributes = 35,
    /// How frequent the parts of names are in a crawl; the index stands for the list.
    PartFrequency = 36,
    /// More names of nobody in a world than it keeps; the index counts attempts.
    StrangerName = 38,
    /// Captions of a test.
    #[cfg(test)]
    CrawlCaption = 37,
}

/// One stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    words: ChaCha8Rng,
}

impl Stream {
    /// The stream of one (seed, purpose, index, item).
    pub(crate) fn new(seed: u64, purpose: Purpose, index: u64, item: u64) -> Self {
        let mut key = [0_u8; 32];
        for (bytes, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, index, item]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self { words: ChaCha8Rng::from_seed(key) }
    }

    /// A uniform 32-bit word.
    pub(crate) fn word(&mut self) -> u32 {
        self.words.next_u32()
    }

    /// A uniform 64-bit word.
    pub(crate) fn long_word(&mut self) -> u64 {
        u64::from(self.word()) << 32 | u64::from(self.word())
    }

    /// Uniform in `0.0..1.0`, on the grid of 2^-24 that an `f32` holds exactly.
    pub(crate) fn unit(&mut self) -> f32 {
        const GRID: f32 = 1.0 / (1_u32 << 24) as f32;
        (self.word() >> 8) as f32 * GRID
    }

    /// Uniform in `low..high`.
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// A bell of mean 0 and deviation 1 that never leaves -3.5..3.5.
    ///
    /// Sum of four uniform draws (Irwin-Hall), so that no photo is an accident of a long tail
    /// and no transcendental function makes it differ between platforms.
    pub(crate) fn bell(&mut self) -> f32 {
        // The variance of one uniform draw is 1/12, of four 1/3.
        let sum = self.unit() + self.unit() + self.unit() + self.unit();
        (sum - 2.0) * 3.0_f32.sqrt()
    }

    /// Uniform in `0..bound`, without bias.
    ///
    /// # Panics
    /// If `bound` is 0, which no caller passes.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("a usize fits 64 bits");
        assert!(bound > 0, "a draw from nothing");
        // Words past the last whole multiple of the bound would favour small values.
        let limit = u64::MAX - u64::MAX % bound;
        loop {
            let word = self.long_word();
            if word < limit {
                return (word % bound) as usize;
            }
        }
    }

    /// True with the given probability.
    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// One of the choices, each as likely as its weight.
    pub(crate) fn weighted<T: Copy>(&mut self, choices: &[(T, f32)]) -> T {
        let total: f32 = choices.iter().map(|(_, weight)| weight).sum();
        let mut left = self.unit() * total;
        for &(choice, weight) in choices {
            if left < weight {
                return choice;
            }
            left -= weight;
        }
        // Rounding may leave a crumb: it belongs to the last choice.
        choices.last().expect("choices are constant tables").0
    }

    /// Shuffles in place (Fisher-Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_fixed_for_ever() {
        let mut stream = Stream::new(1, Purpose::PersonName, 2, 3);
        assert_eq!([stream.word(), stream.word()], [3715937880, 3372126085]);
    }

    #[test]
    fn every_part_of_the_key_matters() {
        let first = |seed, purpose, index, item| Stream::new(seed, purpose, index, item).word();
        let words = [
            first(1, Purpose::Split, 1, 1),
            first(2, Purpose::Split, 1, 1),
            first(1, Purpose::FreshName, 1, 1),
            first(1, Purpose::Split, 2, 1),
            first(1, Purpose::Split, 1, 2),
        ];
        for (i, word) in words.iter().enumerate() {
            assert!(!words[..i].contains(word));
        }
    }

    #[test]
    fn bell_has_the_stated_moments_and_range() {
        const DRAWS: usize = 20_000;
        let mut stream = Stream::new(5, Purpose::Split, 0, 0);
        let draws: Vec<f32> = (0..DRAWS).map(|_| stream.bell()).collect();
        let mean = draws.iter().sum::<f32>() / DRAWS as f32;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / DRAWS as f32;
        // Four standard errors of either moment at this count.
        assert!(mean.abs() < 0.03, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.04, "variance {variance}");
        assert!(draws.iter().all(|x| x.abs() < 3.5));
    }

    #[test]
    fn below_reaches_every_value() {
        let mut stream = Stream::new(6, Purpose::Split, 0, 0);
        let mut counts = [0_usize; 7];
        for _ in 0..7_000 {
            counts[stream.below(7)] += 1;
        }
        // 1,000 expected; five standard deviations are 146.
        assert!(counts.iter().all(|&n| n.abs_diff(1_000) < 146), "{counts:?}");
    }

    #[test]
    fn weights_are_kept() {
        let mut stream = Stream::new(7, Purpose::Split, 0, 0);
        let heads = (0..4_000).filter(|_| stream.weighted(&[(true, 3.0), (false, 1.0)])).count();
        // 3,000 expected; five standard deviations are 137.
        assert!(heads.abs_diff(3_000) < 137, "{heads}");
    }
}
