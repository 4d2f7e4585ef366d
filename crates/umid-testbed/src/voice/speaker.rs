//! A speaker outside of any world, known by a seed and a number.

use super::caption::voice_caption;
use super::{Utterance, Voice};
use crate::stream::{Purpose, Stream};

/// One of the speakers of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Speaker {
    seed: u64,
    number: u64,
}

impl Speaker {
    /// The speaker of this seed and number.
    pub fn new(seed: u64, number: u64) -> Self {
        Self { seed, number }
    }

    /// The voice, the same in every clip.
    pub fn voice(&self) -> Voice {
        Voice::draw(&mut Stream::new(self.seed, Purpose::PersonVoice, self.number, 0))
    }

    /// The conditions of one clip.
    pub fn utterance(&self, clip: u64) -> Utterance {
        Utterance::draw(&mut Stream::new(self.seed, Purpose::PersonUtterance, self.number, clip))
    }

    /// A caption of one clip that says how the voice sounds and not whose it is.
    pub fn caption(&self, clip: u64) -> String {
        let mut stream = Stream::new(self.seed, Purpose::VoiceCaption, self.number, clip);
        voice_caption(&self.voice(), &mut stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_a_number_and_a_clip_each_make_a_difference() {
        let speaker = Speaker::new(1, 2);
        assert_eq!(speaker.voice(), Speaker::new(1, 2).voice());
        assert_ne!(speaker.voice(), Speaker::new(2, 2).voice());
        assert_ne!(speaker.voice(), Speaker::new(1, 3).voice());
        assert_ne!(speaker.utterance(0), speaker.utterance(1));
        assert_ne!(speaker.utterance(0), Speaker::new(1, 3).utterance(0));
    }
}
