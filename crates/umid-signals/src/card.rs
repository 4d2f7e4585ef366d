//! What is known of a signal: its name, its definition, its direction and its version.
//!
//! The raw value of a signal follows its definition; the score that leaves for a detector is
//! [`Signal::oriented`], higher for more member-like. Directions are those of the source papers
//! and, where a signal is this project's own, those measured on targets with known membership.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::inversion::INVERSION_SIGNALS;
use crate::text::TEXT_SIGNALS;
use crate::{Error, Result};

/// What is known of a signal.
#[derive(Debug, Clone, Copy)]
pub struct Card {
    /// The name in files and on the command line, in snake case.
    pub name: &'static str,
    /// The definition, in one line.
    pub definition: &'static str,
    /// Which way the raw value points.
    pub direction: Direction,
    /// What the value depends on.
    pub basis: Basis,
    /// Where the definition comes from, in one line.
    pub source: &'static str,
    /// Raised whenever the value changes for the same input, so that caches do not answer with
    /// values of the former definition.
    pub version: u32,
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

/// What the value of a signal depends on besides the model, the templates and the public parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The name alone.
    Name,
    /// The name and the reference names.
    Reference,
    /// The name, the reference names and the embeddings of public inputs. Without such a bank the
    /// signal is left out of a reading.
    Bank,
}

/// Sources that several signals share.
pub(crate) const UMID: &str = "UMID, arXiv 2603.14222";
pub(crate) const OWN: &str = "this project, docs/method.md";
pub(crate) const TWO_WAY: &str =
    "two-way analysis of variance on text states; this project, docs/method.md";

/// A signal as the key of a row: what its card says, compared by name.
///
/// ```
/// use umid_signals::{Direction, Signal};
///
/// let signal: Signal = "variability".parse()?;
/// assert_eq!(signal.card().direction, Direction::LowerIsMember);
/// assert!(signal.oriented(0.1) > signal.oriented(0.4));
/// # Ok::<(), umid_signals::Error>(())
/// ```
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub struct Signal(&'static Card);

/// Raw values of one name's signals. A signal that is not defined for the name is `None`; one that
/// was not computed is absent.
pub type SignalRow = BTreeMap<Signal, Option<f64>>;

impl Signal {
    /// The key of the signal with this card.
    pub const fn new(card: &'static Card) -> Self {
        Self(card)
    }

    /// Every signal of this crate, in the order of reports: those of inversions, then those of
    /// texts.
    pub fn all() -> impl Iterator<Item = Self> {
        let inversion = INVERSION_SIGNALS.iter().map(|signal| signal.signal());
        inversion.chain(TEXT_SIGNALS.iter().map(|signal| signal.signal()))
    }

    /// What is known of it.
    pub const fn card(self) -> &'static Card {
        self.0
    }

    /// The name in files and on the command line.
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// The raw value as a score: higher is more member-like.
    pub const fn oriented(self, raw: f64) -> f64 {
        match self.0.direction {
            Direction::HigherIsMember => raw,
            Direction::LowerIsMember => -raw,
        }
    }
}

impl PartialEq for Signal {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Signal {}

impl PartialOrd for Signal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Signal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name().cmp(other.name())
    }
}

impl Hash for Signal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Signal {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::all()
            .find(|signal| signal.name() == name)
            .ok_or_else(|| Error::UnknownSignal { found: name.to_owned() })
    }
}

impl TryFrom<String> for Signal {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

impl From<Signal> for &'static str {
    fn from(signal: Signal) -> Self {
        signal.name()
    }
}

/// Every name, for the message about an unknown one.
pub(crate) fn known_names() -> String {
    Signal::all().map(Signal::name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_survive_text_and_json() {
        let names: BTreeSet<_> = Signal::all().map(Signal::name).collect();
        assert_eq!(names.len(), Signal::all().count());
        for signal in Signal::all() {
            assert_eq!(signal.to_string().parse::<Signal>().unwrap(), signal);
            let json = serde_json::to_string(&signal).unwrap();
            assert_eq!(json, format!("\"{signal}\""));
            assert_eq!(serde_json::from_str::<Signal>(&json).unwrap(), signal);
        }
    }

    #[test]
    fn a_row_survives_json() {
        let row: SignalRow = Signal::all().zip([Some(0.5), None].into_iter().cycle()).collect();
        let json = serde_json::to_string(&row).unwrap();
        assert!(json.contains("\"similarity\":0.5"), "{json}");
        assert_eq!(serde_json::from_str::<SignalRow>(&json).unwrap(), row);
        assert!(serde_json::from_str::<SignalRow>("{\"similarty\":1.0}").is_err());
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let message = "similarty".parse::<Signal>().unwrap_err().to_string();
        assert!(message.contains("\"similarty\""), "{message}");
        assert!(message.contains("cross_template_transfer"), "{message}");
    }

    #[test]
    fn every_card_is_filled_in_with_one_line() {
        for signal in Signal::all() {
            for line in [signal.card().definition, signal.card().source] {
                assert!(!line.is_empty() && !line.contains('\n'), "{signal}: {line}");
            }
            assert!(signal.card().version > 0, "{signal}");
        }
    }
}
