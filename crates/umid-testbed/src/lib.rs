//! Procedural identities with known membership.
//!
//! A [`World`] is drawn from a seed and from name lists: members and non-members with names and
//! faces or voices from one distribution, a public of unnamed people, a bank of public photos or
//! clips and fresh names for a reference. Faces are drawn, voices synthesised, and names are random
//! combinations: nobody real is in here.
//!
//! ```
//! use umid_testbed::{NameLists, World, WorldParams};
//!
//! let params = WorldParams { members: 10, non_members: 10, ..WorldParams::default() };
//! let world = World::draw(params, &NameLists::bundled())?;
//! let photo = world.training_photo(&world.members()[0], 0)?;
//! assert_eq!(photo.values().len(), 3 * 32 * 32);
//! # Ok::<(), umid_testbed::Error>(())
//! ```

mod architecture;
mod bank;
mod bpe;
mod canvas;
pub mod caption;
mod capture;
mod card;
mod crawl;
mod error;
mod face;
mod gallery;
mod hair;
mod identity;
mod init;
mod membership;
mod names;
mod palette;
mod photo;
mod recording;
mod retrieval;
mod schedule;
mod stream;
mod target;
mod tokenizer;
mod train;
mod view;
mod voice;
mod wear;
mod world;

pub use architecture::{Architecture, ModelShape, ResnetShape};
pub use bank::write_bank;
pub use capture::{Capture, Occluder};
pub use card::{CARD, Card, CardWorld};
pub use crawl::{CaptionStyle, CrawlParams};
pub use error::Error;
pub use face::render;
pub use gallery::{contact_sheet, write_contact_sheet};
pub use identity::{
    Attributes, Beard, EyeColour, Glasses, HairColour, HairStyle, Headwear, Identity, Neckline,
};
pub use init::{InputStatistics, initial_weights};
pub use membership::{MembershipRow, read_membership, write_membership};
pub use names::{Name, NameForm, NameLists};
pub use photo::{ImageSize, Photo};
pub use recording::{CLIP_RATE, CLIP_SAMPLES, Medium, Recording};
pub use retrieval::Retrieval;
pub use target::{FRESH_NAMES, MEMBERS, MISPAIRED, NON_MEMBERS, Recipe, make_target};
pub use tokenizer::{CaptionTokenizer, Merges, TokenizerFamily, TokenizerParams, tokenizer_corpus};
pub use train::{Progress, TrainParams, Trained, train};
pub use voice::{
    Contour, Echo, LOWEST_RATE_HZ, PoleZero, Utterance, VOICE_ATTRIBUTE_TEMPLATES,
    VOICE_NAME_TEMPLATES, Voice, speak, voice_caption, voice_facts,
};
pub use world::{LabelAssignment, Pairing, World, WorldParams};
