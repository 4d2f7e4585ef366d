//! What each attack needs and whose it is, for tables.

use serde::Serialize;

/// An attack of this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// [`BlindControl`](crate::BlindControl): a control, not an attack.
    Blind,
    /// [`cosine_similarity`](crate::cosine_similarity).
    CosineSimilarity,
    /// [`augmentation_enhanced`](crate::augmentation_enhanced).
    AugmentationEnhanced,
    /// [`WeaklySupervised`](crate::WeaklySupervised).
    WeaklySupervised,
    /// [`GradientNorm`](crate::GradientNorm).
    GradientNorm,
    /// [`IdentityCandidates`](crate::IdentityCandidates).
    IdentityInference,
    /// [`RankedCandidates`](crate::RankedCandidates).
    TextRank,
    /// [`embedding_norms`](crate::embedding_norms) and [`NormLikelihood`](crate::NormLikelihood).
    EmbeddingNorm,
    /// [`lira_online`](crate::lira_online) and [`lira_offline`](crate::lira_offline).
    Lira,
    /// [`Rmia`](crate::Rmia).
    Rmia,
}

/// What an attack needs beside the queried text and the model's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// Images or clips of the queried person.
    PairedImages,
    /// The model's weights, for a backward pass.
    Gradients,
    /// Models trained on known data.
    ReferenceModels,
    /// Texts or pairs that are known not to be in the training set.
    KnownNonMembers,
    /// Texts or pairs that are known to be in the training set.
    KnownMembers,
    /// Pairs of unknown membership, like those under test.
    UnlabelledPool,
    /// Names or pairs of other people.
    PublicCandidates,
}

/// A row of a table of attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AttackInfo {
    /// Which attack.
    pub attack: Attack,
    /// Its name in tables.
    pub name: &'static str,
    /// What it needs beside the queried text.
    pub needs: &'static [Need],
    /// Passes through the model for a query.
    pub cost: &'static str,
    /// Authors, title, venue.
    pub citation: &'static str,
}

const KO: &str = "Ko, Jin, Wang and Jia, \"Practical Membership Inference Attacks Against \
                  Large-Scale Multi-Modal Models: A Pilot Study\", ICCV 2023";

/// Every attack, in the order of the crate's table.
pub const ATTACKS: [AttackInfo; 10] = [
    AttackInfo {
        attack: Attack::Blind,
        name: "blind control",
        needs: &[Need::KnownMembers, Need::KnownNonMembers],
        cost: "none",
        citation: "Das, Zhang and Tramèr, \"Blind Baselines Beat Membership Inference Attacks for \
                   Foundation Models\", IEEE S&P Workshops 2025",
    },
    AttackInfo {
        attack: Attack::CosineSimilarity,
        name: "CSA",
        needs: &[Need::PairedImages],
        cost: "1 text and 1 image forward an image",
        citation: KO,
    },
    AttackInfo {
        attack: Attack::AugmentationEnhanced,
        name: "AEA",
        needs: &[Need::PairedImages],
        cost: "1 text forward, 1 + augmentations image forwards an image",
        citation: KO,
    },
    AttackInfo {
        attack: Attack::WeaklySupervised,
        name: "WSA",
        needs: &[Need::PairedImages, Need::KnownNonMembers, Need::UnlabelledPool],
        cost: "1 text and 1 image forward",
        citation: KO,
    },
    AttackInfo {
        attack: Attack::GradientNorm,
        name: "gradient norm",
        needs: &[Need::PairedImages, Need::PublicCandidates, Need::Gradients],
        cost: "1 text and 1 image forward and backward",
        citation: "Gomez, \"Rethinking Membership Inference Attacks for CLIP\", AAAI 2026",
    },
    AttackInfo {
        attack: Attack::IdentityInference,
        name: "IDIA",
        needs: &[Need::PairedImages, Need::PublicCandidates],
        cost: "1 image forward an image; prompts x candidates text forwards once",
        citation: "Hintersdorf, Struppek, Brack, Friedrich, Schramowski and Kersting, \"Does CLIP \
                   Know My Face?\", JAIR 80, 2024",
    },
    AttackInfo {
        attack: Attack::TextRank,
        name: "PRMID",
        needs: &[Need::PairedImages, Need::PublicCandidates],
        cost: "1 audio forward a clip; 1 text forward a candidate once",
        citation: "Li et al., \"A Unimodal Speaker-Level Membership Inference Detector for \
                   Contrastive Pretraining\", arXiv 2410.18371, TrustNLP 2025",
    },
    AttackInfo {
        attack: Attack::EmbeddingNorm,
        name: "LpLA",
        needs: &[],
        cost: "1 text forward",
        citation: "Sun, Hu, Luo, Zhang, Zhang, Yuan and Zhang, \"When Better Features Mean Greater \
                   Risks: The Performance-Privacy Trade-Off in Contrastive Learning\", ASIA CCS \
                   2025",
    },
    AttackInfo {
        attack: Attack::Lira,
        name: "LiRA",
        needs: &[Need::ReferenceModels],
        cost: "1 score under the target and under each reference model",
        citation: "Carlini, Chien, Nasr, Song, Terzis and Tramèr, \"Membership Inference Attacks \
                   From First Principles\", IEEE S&P 2022",
    },
    AttackInfo {
        attack: Attack::Rmia,
        name: "RMIA",
        needs: &[Need::ReferenceModels, Need::KnownNonMembers],
        cost: "1 score under the target and under each reference model; the population once",
        citation: "Zarifzadeh, Liu and Shokri, \"Low-Cost High-Power Membership Inference \
                   Attacks\", ICML 2024",
    },
];

impl Attack {
    /// The attack's row of [`ATTACKS`].
    pub fn info(self) -> &'static AttackInfo {
        &ATTACKS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attack_finds_its_own_row() {
        for info in &ATTACKS {
            assert_eq!(info.attack.info(), info);
        }
    }
}
