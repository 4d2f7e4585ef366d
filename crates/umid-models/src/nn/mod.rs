//! What towers are made of. Each module describes its tensors once (see [`visit`]); nothing here
//! knows a family or a file format.

pub(crate) mod activation;
pub(crate) mod batch_norm;
pub(crate) mod block;
pub(crate) mod branched;
pub(crate) mod convolution;
pub(crate) mod dropout;
pub(crate) mod export;
pub(crate) mod frozen;
pub(crate) mod head;
pub(crate) mod load;
pub(crate) mod mobile_stem;
pub(crate) mod patches;
pub(crate) mod projection;
pub(crate) mod queries;
pub(crate) mod relative;
pub(crate) mod rotary;
pub(crate) mod visit;
pub(crate) mod vit_block;
pub(crate) mod windows;

pub use activation::Activation;
pub use dropout::AttentionDropout;
