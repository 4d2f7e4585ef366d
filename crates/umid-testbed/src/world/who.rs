//! Whom a recording is of, and from which streams looks, voice and conditions are drawn.

use crate::stream::Purpose;

/// Whom a recording is of.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Who {
    /// Somebody with a name.
    Person,
    /// Somebody without who is trained on.
    Public,
    /// Somebody of the bank.
    Bank,
    /// Somebody else every time.
    Random,
}

impl Who {
    /// What the streams of a face and of a photo of it are for.
    pub(super) fn of_photos(self) -> [Purpose; 2] {
        match self {
            Self::Person => [Purpose::PersonAttributes, Purpose::PersonPhoto],
            Self::Public => [Purpose::PublicAttributes, Purpose::PublicPhoto],
            Self::Bank => [Purpose::BankAttributes, Purpose::BankPhoto],
            Self::Random => [Purpose::ReplacementAttributes, Purpose::ReplacementPhoto],
        }
    }

    /// What the streams of a voice and of a clip of it are for.
    pub(super) fn of_clips(self) -> [Purpose; 2] {
        match self {
            Self::Person => [Purpose::PersonVoice, Purpose::PersonUtterance],
            Self::Public => [Purpose::PublicVoice, Purpose::PublicUtterance],
            Self::Bank => [Purpose::BankVoice, Purpose::BankUtterance],
            Self::Random => [Purpose::ReplacementVoice, Purpose::ReplacementUtterance],
        }
    }

    /// The item of the stream of what stays with a person.
    pub(super) fn lasting_item(self, item: u64) -> u64 {
        if self == Self::Random { item } else { 0 }
    }
}
