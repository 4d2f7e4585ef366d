//! The attacks UMID is compared with, and the blind control.
//!
//! Every score is **higher for members**, and none is ever NaN: bad input is an error that says
//! what to try. Attacks are functions of arrays; only [`GradientNorm`] takes a model. They do not
//! know where embeddings, reference models or labels came from.
//!
//! | attack | item | needs | passes per query | source |
//! | --- | --- | --- | --- | --- |
//! | blind control | [`BlindControl`] | labels, no model | none | Das et al. 2025 |
//! | cosine similarity (CSA) | [`cosine_similarity`] | paired images | 1 text, 1 per image | Ko et al. 2023 |
//! | augmentation-enhanced (AEA) | [`augmentation_enhanced`] | paired images | 1 text, 10 per image | Ko et al. 2023 |
//! | weakly supervised (WSA) | [`WeaklySupervised`] | paired images, known non-members, a pool | 1 text, 1 image | Ko et al. 2023 |
//! | gradient norm | [`GradientNorm`] | paired images, public pairs, weights | 1 text, 1 image, 1 backward | Gomez 2026 |
//! | weakly supervised, gradient and loss | [`WeaklySupervisedGradient`] | as the gradient norm, known non-members, a pool | 1 text, 1 image | Gomez 2026 |
//! | Monte Carlo dropout | [`MonteCarloDropout`] | paired images, weights | 10 text, 10 image | Gomez 2026 |
//! | identity inference (IDIA) | [`IdentityCandidates`] | paired images, candidate names | 1 per image | Hintersdorf et al. 2024 |
//! | rank of the true text (PRMID) | [`RankedCandidates`] | paired clips, other texts | 1 per clip | Li et al. 2025 |
//! | embedding norm (LpLA) | [`embedding_norms`], [`NormLikelihood`] | none; labels for the likelihood | 1 | Sun et al. 2025 |
//! | LiRA | [`lira_online`], [`lira_offline`] | reference models | 1 score per model | Carlini et al. 2022 |
//! | RMIA | [`Rmia`] | reference models, a population | 1 score per model | Zarifzadeh et al. 2024 |

mod aea;
mod blind;
mod checks;
mod csa;
mod embedding_norm;
mod error;
mod gaussian;
mod gradient_norm;
mod idia;
mod lira;
mod logistic;
mod mc_dropout;
mod prmid;
mod reference_models;
mod rmia;
mod wsa;
mod wsa_gradient;

pub use aea::{Augmentation, augmentation_enhanced, augmentations};
pub use blind::{BlindControl, BlindOutcome, PreparedBlindControl};
pub use csa::cosine_similarity;
pub use embedding_norm::{NormLikelihood, embedding_norms};
pub use error::{BaselineError, Result};
pub use gradient_norm::GradientNorm;
pub use idia::{DEFAULT_TAU, IdentityCandidates, IdentityOutcome, PROMPTS};
pub use lira::{lira_offline, lira_online};
pub use mc_dropout::MonteCarloDropout;
pub use prmid::RankedCandidates;
pub use reference_models::Points;
pub use rmia::{ReferenceSide, Rmia};
pub use wsa::{Pairs, WeaklySupervised, WeaklySupervisedModel};
pub use wsa_gradient::{LossAndGradient, WeaklySupervisedGradient};
