//! Procedural identities with known membership.
//!
//! A [`World`] is drawn from a seed and from name lists: members and non-members with names and
//! faces from one distribution, a public of unnamed people, a bank of public photos and fresh
//! names for a reference. Faces are drawn, not photographed, and names are random combinations:
//! nobody real is in here.
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

mod bpe;
mod canvas;
pub mod caption;
mod capture;
mod error;
mod face;
mod gallery;
mod hair;
mod identity;
mod membership;
mod names;
mod palette;
mod photo;
mod stream;
mod tokenizer;
mod view;
mod wear;
mod world;

pub use capture::{Capture, Occluder};
pub use error::Error;
pub use face::render;
pub use gallery::{contact_sheet, write_contact_sheet};
pub use identity::{
    Attributes, Beard, EyeColour, Glasses, HairColour, HairStyle, Headwear, Identity, Neckline,
};
pub use membership::{MembershipRow, read_membership, write_membership};
pub use names::{Name, NameLists};
pub use photo::{ImageSize, Photo};
pub use tokenizer::{CaptionTokenizer, TokenizerParams, tokenizer_corpus};
pub use world::{LabelAssignment, World, WorldParams};
