//! How well scores tell members from non-members, where membership is known.
//!
//! Beside the comparison that counts (members against non-members drawn like them) stand the
//! paper's (members against gibberish) and its control (non-members against gibberish): a
//! score that separates both from gibberish measures being a name, not being a member.

use umid_detect::{Bootstrap, DetectError, Interval};
use umid_signals::Signal;

use crate::auditor::Reading;
use crate::record::QueryRecord;

/// One row of the table: a score and its three AUCs with bootstrap 95 % intervals.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRow {
    /// The score.
    pub score: Score,
    /// Members against non-members drawn like them.
    pub member_v_non_member: Interval,
    /// Members against gibberish.
    pub member_v_gibberish: Interval,
    /// Non-members against gibberish.
    pub non_member_v_gibberish: Interval,
}

/// What is compared; higher is more member-like for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Score {
    /// A signal, oriented.
    Signal(Signal),
    /// Votes of the paper's ensemble, ties broken by its ranks against the reference.
    PaperVote,
    /// The calibrated score.
    Calibrated,
}

/// The scores that the demo's table compares, in its order.
pub const TABLE: [Score; 5] = [
    Score::Signal(Signal::Similarity),
    Score::Signal(Signal::Variability),
    Score::PaperVote,
    Score::Signal(Signal::Interaction),
    Score::Calibrated,
];

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Signal(Signal::Similarity) => "similarity",
            Self::Signal(Signal::Variability) => "variability (less is more member-like)",
            Self::Signal(Signal::Interaction) => "part-interaction residual",
            Self::Signal(signal) => signal.name(),
            Self::PaperVote => "paper's vote",
            Self::Calibrated => "calibrated score",
        })
    }
}

/// A score's value for one name.
pub trait Scored {
    /// `None` where the name lacks it.
    fn value(&self, score: Score) -> Option<f64>;
}

impl Scored for QueryRecord {
    fn value(&self, score: Score) -> Option<f64> {
        match score {
            Score::Signal(signal) => {
                let raw = self.signals.get(signal.name()).copied().flatten();
                raw.map(|raw| signal.oriented(raw))
            }
            Score::PaperVote => self.paper.as_ref().map(|p| p.vote_score),
            Score::Calibrated => Some(self.calibrated.score),
        }
    }
}

impl Scored for Reading {
    fn value(&self, score: Score) -> Option<f64> {
        match score {
            Score::Signal(signal) => {
                let raw = self.signals.get(&signal).copied().flatten();
                raw.map(|raw| signal.oriented(raw))
            }
            Score::PaperVote => self.paper.as_ref().map(|p| p.vote_score),
            Score::Calibrated => Some(self.calibrated.score),
        }
    }
}

/// The table of AUCs. A score that a group lacks altogether has no row.
///
/// # Errors
///
/// Those of the bootstrap.
pub fn table<A: Scored, B: Scored, C: Scored>(
    members: &[A],
    non_members: &[B],
    gibberish: &[C],
    bootstrap: &Bootstrap,
) -> Result<Vec<ScoreRow>, DetectError> {
    fn column<S: Scored>(group: &[S], score: Score) -> Vec<f64> {
        group.iter().filter_map(|one| one.value(score)).collect()
    }
    let mut rows = Vec::new();
    for score in TABLE {
        let members = column(members, score);
        let non_members = column(non_members, score);
        let gibberish = column(gibberish, score);
        if members.is_empty() || non_members.is_empty() || gibberish.is_empty() {
            continue;
        }
        rows.push(ScoreRow {
            score,
            member_v_non_member: bootstrap.auc(&members, &non_members)?,
            member_v_gibberish: bootstrap.auc(&members, &gibberish)?,
            non_member_v_gibberish: bootstrap.auc(&non_members, &gibberish)?,
        });
    }
    Ok(rows)
}
