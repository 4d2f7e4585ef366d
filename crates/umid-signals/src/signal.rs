//! The list of signals: one name, one direction, one definition and one source each.
//!
//! The raw value of a signal follows its definition; the score that leaves for a detector is
//! [`Signal::oriented`], higher for more member-like. Directions are those of the source papers
//! and, where a signal is this project's own, those measured on targets with known membership.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Error;

/// A number about one query text under one model.
///
/// ```
/// use umid_signals::{Direction, Signal};
///
/// let signal: Signal = "variability".parse()?;
/// assert_eq!(signal.direction(), Direction::LowerIsMember);
/// assert!(signal.oriented(0.1) > signal.oriented(0.4));
/// # Ok::<(), umid_signals::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// S of UMID; [`crate::inversion::similarity`].
    Similarity,
    /// V of UMID; [`crate::inversion::variability`].
    Variability,
    /// V as TUNI's published code computes it; [`crate::inversion::variability_tuni`].
    VariabilityTuni,
    /// [`crate::inversion::steps_to_threshold`].
    StepsToThreshold,
    /// [`crate::inversion::final_gradient_norm`].
    FinalGradientNorm,
    /// [`crate::inversion::cross_template_transfer`].
    CrossTemplateTransfer,
    /// The plain bank's score of [`crate::inversion::centroid`].
    CentroidBank,
    /// [`crate::text::text_norm`].
    TextNorm,
    /// [`Signal::TextNorm`] after [`crate::siblings::sibling_calibrated`].
    TextNormCalibrated,
    /// [`crate::text::template_agreement`].
    TemplateAgreement,
    /// [`Signal::TemplateAgreement`] after [`crate::siblings::sibling_calibrated`].
    TemplateAgreementCalibrated,
    /// [`crate::text::nearest_reference_cosine`].
    NearestReferenceCosine,
    /// [`crate::Bank::scores`].
    Bank,
    /// [`Signal::Bank`] after [`crate::siblings::part_residual`].
    BankResidual,
    /// [`crate::CslsBank::scores`].
    BankCsls,
    /// [`Signal::BankCsls`] after [`crate::siblings::sibling_calibrated`].
    BankCslsCalibrated,
    /// [`crate::Interaction::log_residual_contrast`].
    Interaction,
    /// [`crate::Interaction::log_coherence`].
    InteractionCoherence,
    /// [`crate::text::log_norm`] of the [`crate::responses`], from which the direction of the mean
    /// response to reference names is taken out, as from those below
    /// ([`crate::responses::without_direction`]).
    ResponseNorm,
    /// [`Signal::ResponseNorm`] after [`crate::siblings::sibling_calibrated`].
    ResponseNormCalibrated,
    /// [`crate::text::log_agreement`] of the responses.
    ResponseAgreement,
    /// [`Signal::ResponseAgreement`] after [`crate::siblings::sibling_calibrated`].
    ResponseAgreementCalibrated,
    /// [`crate::Interaction::log_residual_contrast`] of the responses.
    ResponseInteraction,
    /// [`crate::Interaction::log_coherence_calibrated`] of the responses.
    ResponseCoherenceCalibrated,
}

/// Which way a raw value points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// A higher raw value is more member-like.
    HigherIsMember,
    /// A lower raw value is more member-like.
    LowerIsMember,
}

/// What must be at hand before a signal can be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// At least one restart of an inversion that stayed finite.
    Inversion,
    /// At least two such restarts.
    Restarts,
    /// At least two templates.
    Templates,
    /// Embeddings of public inputs of the model's domain.
    Bank,
    /// Embeddings of reference texts that are plausible and cannot be members.
    Reference,
    /// A query of two parts, and public parts to exchange them with.
    TwoPartQuery,
    /// The text tower's end-of-text states before its final layer norm.
    HiddenStates,
}

/// What [`Signal`] knows about one of its members.
struct Card {
    name: &'static str,
    direction: Direction,
    needs: &'static [Need],
    definition: &'static str,
    source: &'static str,
    /// Raised when the value of the signal changes for the same input.
    version: u32,
}

/// Raised when what the text signals are computed from changes: which texts are embedded, which
/// siblings a name gets, what is taken out of the responses.
const TEXT_READING_VERSION: u32 = 2;

/// Name and version of everything that the text signals of a name depend on, so that a cache can
/// tell values computed by another version.
pub fn text_signal_versions() -> Vec<(&'static str, u32)> {
    let signals = Signal::ALL.iter().filter(|signal| !signal.needs_inversion());
    let versions = signals.map(|signal| (signal.name(), signal.version()));
    std::iter::once(("text_reading", TEXT_READING_VERSION)).chain(versions).collect()
}

/// Name and version of every signal of an inversion.
pub fn inversion_signal_versions() -> Vec<(&'static str, u32)> {
    let signals = Signal::ALL.iter().filter(|signal| signal.needs_inversion());
    signals.map(|signal| (signal.name(), signal.version())).collect()
}

const UMID: &str = "UMID, arXiv 2603.14222";
const TUNI: &str = "TUNI, arXiv 2405.14517, published code";
const CSLS: &str = "CSLS of Conneau et al., arXiv 1710.04087, on one side only; docs/method.md";
const OWN: &str = "this project, docs/method.md";
const TWO_WAY: &str = "two-way analysis of variance on text states; this project, docs/method.md";

impl Signal {
    /// Every signal, in the order of reports.
    pub const ALL: [Self; 24] = [
        Self::Similarity,
        Self::Variability,
        Self::VariabilityTuni,
        Self::StepsToThreshold,
        Self::FinalGradientNorm,
        Self::CrossTemplateTransfer,
        Self::CentroidBank,
        Self::TextNorm,
        Self::TextNormCalibrated,
        Self::TemplateAgreement,
        Self::TemplateAgreementCalibrated,
        Self::NearestReferenceCosine,
        Self::Bank,
        Self::BankResidual,
        Self::BankCsls,
        Self::BankCslsCalibrated,
        Self::Interaction,
        Self::InteractionCoherence,
        Self::ResponseNorm,
        Self::ResponseNormCalibrated,
        Self::ResponseAgreement,
        Self::ResponseAgreementCalibrated,
        Self::ResponseInteraction,
        Self::ResponseCoherenceCalibrated,
    ];

    /// The name in files and on the command line, in snake case.
    pub const fn name(self) -> &'static str {
        self.card().name
    }

    /// Which way the raw value points.
    pub const fn direction(self) -> Direction {
        self.card().direction
    }

    /// The raw value as a score: higher is more member-like.
    pub const fn oriented(self, raw: f64) -> f64 {
        match self.direction() {
            Direction::HigherIsMember => raw,
            Direction::LowerIsMember => -raw,
        }
    }

    /// What must be at hand to compute it.
    pub const fn needs(self) -> &'static [Need] {
        self.card().needs
    }

    /// The definition, in one line.
    pub const fn definition(self) -> &'static str {
        self.card().definition
    }

    /// Where the definition comes from, in one line.
    pub const fn source(self) -> &'static str {
        self.card().source
    }

    /// Raised when the value of the signal changes for the same input.
    pub const fn version(self) -> u32 {
        self.card().version
    }

    fn needs_inversion(self) -> bool {
        self.needs().iter().any(|need| matches!(need, Need::Inversion | Need::Restarts))
    }

    #[expect(clippy::too_many_lines, reason = "one table row a signal")]
    const fn card(self) -> Card {
        use Direction::{HigherIsMember, LowerIsMember};
        match self {
            Self::Similarity => Card {
                name: "similarity",
                direction: HigherIsMember,
                needs: &[Need::Inversion],
                definition: "mean over restarts of the final cosine with the text",
                source: UMID,
                version: 1,
            },
            Self::Variability => Card {
                name: "variability",
                direction: LowerIsMember,
                needs: &[Need::Restarts],
                definition: "mean distance of the unit final embeddings to their mean",
                source: UMID,
                version: 1,
            },
            Self::VariabilityTuni => Card {
                name: "variability_tuni",
                direction: LowerIsMember,
                needs: &[Need::Restarts],
                definition: "summed distance of the raw final embeddings to their mean",
                source: TUNI,
                version: 1,
            },
            Self::StepsToThreshold => Card {
                name: "steps_to_threshold",
                direction: LowerIsMember,
                needs: &[Need::Inversion],
                definition: "mean number of steps until the cosine first reaches the threshold",
                source: OWN,
                version: 1,
            },
            Self::FinalGradientNorm => Card {
                name: "final_gradient_norm",
                direction: LowerIsMember,
                needs: &[Need::Inversion],
                definition: "mean over restarts of the length of the last gradient",
                source: OWN,
                version: 1,
            },
            Self::CrossTemplateTransfer => Card {
                name: "cross_template_transfer",
                direction: HigherIsMember,
                needs: &[Need::Inversion, Need::Templates],
                definition: "mean cosine of the final embeddings with the name in other templates",
                source: OWN,
                version: 1,
            },
            Self::CentroidBank => Card {
                name: "centroid_bank",
                direction: HigherIsMember,
                needs: &[Need::Inversion, Need::Bank],
                definition: "plain bank score of the mean unit final embedding",
                source: OWN,
                version: 1,
            },
            Self::TextNorm => Card {
                name: "text_norm",
                direction: HigherIsMember,
                needs: &[],
                definition: "length of the text embedding before normalisation",
                source: OWN,
                version: 1,
            },
            Self::TextNormCalibrated => Card {
                name: "text_norm_calibrated",
                direction: HigherIsMember,
                needs: &[Need::TwoPartQuery],
                definition: "text_norm minus half the mean of each group of siblings",
                source: OWN,
                version: 1,
            },
            Self::TemplateAgreement => Card {
                name: "template_agreement",
                direction: HigherIsMember,
                needs: &[Need::Templates],
                definition: "mean cosine between the embeddings of one name in two templates",
                source: OWN,
                version: 1,
            },
            Self::TemplateAgreementCalibrated => Card {
                name: "template_agreement_calibrated",
                direction: HigherIsMember,
                needs: &[Need::Templates, Need::TwoPartQuery],
                definition: "template_agreement minus half the mean of each group of siblings",
                source: OWN,
                version: 1,
            },
            Self::NearestReferenceCosine => Card {
                name: "nearest_reference_cosine",
                direction: LowerIsMember,
                needs: &[Need::Reference],
                definition: "mean cosine with the nearest reference texts",
                source: OWN,
                version: 1,
            },
            Self::Bank => Card {
                name: "bank",
                direction: HigherIsMember,
                needs: &[Need::Bank],
                definition: "log-sum-exp of the scaled cosines with public inputs",
                source: OWN,
                version: 1,
            },
            Self::BankResidual => Card {
                name: "bank_residual",
                direction: HigherIsMember,
                needs: &[Need::Bank, Need::TwoPartQuery],
                definition: "bank at twice the model's scale, minus what the two parts predict",
                source: OWN,
                version: 1,
            },
            Self::BankCsls => Card {
                name: "bank_csls",
                direction: HigherIsMember,
                needs: &[Need::Bank, Need::Reference],
                definition: "bank with each input's closeness to reference texts taken off",
                source: CSLS,
                version: 1,
            },
            Self::BankCslsCalibrated => Card {
                name: "bank_csls_calibrated",
                direction: HigherIsMember,
                needs: &[Need::Bank, Need::Reference, Need::TwoPartQuery],
                definition: "bank_csls minus half the mean of each group of siblings",
                source: CSLS,
                version: 1,
            },
            Self::Interaction => Card {
                name: "interaction",
                direction: HigherIsMember,
                needs: &[Need::TwoPartQuery, Need::HiddenStates],
                definition: "log size of what the two parts do not explain, against siblings",
                source: TWO_WAY,
                version: 1,
            },
            Self::InteractionCoherence => Card {
                name: "interaction_coherence",
                direction: HigherIsMember,
                needs: &[Need::TwoPartQuery, Need::HiddenStates, Need::Templates],
                definition: "log share of that residual which all templates have in common",
                source: TWO_WAY,
                version: 1,
            },
            Self::ResponseNorm => Card {
                name: "response_norm",
                direction: HigherIsMember,
                needs: &[Need::HiddenStates, Need::Reference],
                definition: "mean log length of the response, less what the model answers to any name",
                source: OWN,
                version: 1,
            },
            Self::ResponseNormCalibrated => Card {
                name: "response_norm_calibrated",
                direction: HigherIsMember,
                needs: &[Need::TwoPartQuery, Need::HiddenStates, Need::Reference],
                definition: "response_norm minus half the mean of each group of siblings",
                source: OWN,
                version: 1,
            },
            Self::ResponseAgreement => Card {
                name: "response_agreement",
                direction: HigherIsMember,
                needs: &[Need::Templates, Need::HiddenStates, Need::Reference],
                definition: "minus log of what the templates' responses lack to full agreement",
                source: OWN,
                version: 1,
            },
            Self::ResponseAgreementCalibrated => Card {
                name: "response_agreement_calibrated",
                direction: HigherIsMember,
                needs: &[Need::Templates, Need::TwoPartQuery, Need::HiddenStates, Need::Reference],
                definition: "response_agreement minus half the mean of each group of siblings",
                source: OWN,
                version: 1,
            },
            Self::ResponseInteraction => Card {
                name: "response_interaction",
                direction: HigherIsMember,
                needs: &[Need::TwoPartQuery, Need::HiddenStates, Need::Reference],
                definition: "interaction, of responses in the place of states",
                source: TWO_WAY,
                version: 1,
            },
            Self::ResponseCoherenceCalibrated => Card {
                name: "response_coherence_calibrated",
                direction: HigherIsMember,
                needs: &[Need::TwoPartQuery, Need::HiddenStates, Need::Reference, Need::Templates],
                definition: "coherence of the responses' residual, minus half that of siblings",
                source: TWO_WAY,
                version: 1,
            },
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Signal {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|signal| signal.name() == name)
            .ok_or_else(|| Error::UnknownSignal { found: name.to_owned() })
    }
}

/// Every name, for the message about an unknown one.
pub(crate) fn known_names() -> String {
    Signal::ALL.map(Signal::name).join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_survive_text_and_json() {
        let names: BTreeSet<_> = Signal::ALL.map(Signal::name).into();
        assert_eq!(names.len(), Signal::ALL.len());
        for signal in Signal::ALL {
            assert_eq!(signal.to_string().parse::<Signal>().unwrap(), signal);
            let json = serde_json::to_string(&signal).unwrap();
            assert_eq!(json, format!("\"{signal}\""));
            assert_eq!(serde_json::from_str::<Signal>(&json).unwrap(), signal);
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let message = "similarty".parse::<Signal>().unwrap_err().to_string();
        assert!(message.contains("\"similarty\""), "{message}");
        assert!(message.contains("cross_template_transfer"), "{message}");
    }

    #[test]
    fn every_signal_has_a_version_in_exactly_one_list() {
        let (text, inversion) = (text_signal_versions(), inversion_signal_versions());
        let names: BTreeSet<&str> = text.iter().chain(&inversion).map(|(name, _)| *name).collect();
        // The text signals share one more: that of what they are computed from.
        assert_eq!(names.len(), Signal::ALL.len() + 1);
        assert_eq!(text.len() + inversion.len(), names.len());
        assert!(names.contains("text_reading"));
        assert!(inversion.contains(&("variability", Signal::Variability.version())));
    }

    #[test]
    fn every_card_is_filled_in_with_one_line() {
        for signal in Signal::ALL {
            for line in [signal.definition(), signal.source()] {
                assert!(!line.is_empty() && !line.contains('\n'), "{signal}: {line}");
            }
        }
    }
}
