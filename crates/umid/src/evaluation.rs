//! How well scores tell members from non-members, where membership is known.
//!
//! Beside the comparison that counts (members against non-members drawn like them) stand the
//! paper's (members against gibberish) and its control (non-members against gibberish): a
//! score that separates both from gibberish measures being a name, not being a member.

use umid_detect::{Bootstrap, DetectError, Interval};
use umid_signals::Signal;
use umid_signals::inversion::{SIMILARITY, VARIABILITY};
use umid_signals::text::INTERACTION;

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
pub static TABLE: [Score; 5] = [
    Score::Signal(SIMILARITY.signal()),
    Score::Signal(VARIABILITY.signal()),
    Score::PaperVote,
    Score::Signal(INTERACTION.signal()),
    Score::Calibrated,
];

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Signal(signal) if *signal == VARIABILITY.signal() => {
                "variability (less is more member-like)"
            }
            Self::Signal(signal) if *signal == INTERACTION.signal() => "part-interaction residual",
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
            Score::Calibrated => self.calibrated.as_ref().map(|c| c.score),
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
            Score::Calibrated => self.calibrated.as_ref().map(|c| c.score),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Has one value for the scores in a list and none for the others.
    struct Fixed(f64, &'static [Score]);

    impl Scored for Fixed {
        fn value(&self, score: Score) -> Option<f64> {
            self.1.contains(&score).then_some(self.0)
        }
    }

    fn group(values: &[f64], scores: &'static [Score]) -> Vec<Fixed> {
        values.iter().map(|value| Fixed(*value, scores)).collect()
    }

    #[test]
    fn the_three_comparisons_are_not_mixed_up() {
        let members = group(&[3.0, 4.0, 1.0, 5.0], &TABLE);
        let non_members = group(&[2.0, 2.5], &TABLE);
        let gibberish = group(&[0.0, 2.0], &TABLE);
        let rows = table(&members, &non_members, &gibberish, &Bootstrap::default()).unwrap();
        assert_eq!(rows.len(), TABLE.len());
        for row in rows {
            assert!((row.member_v_non_member.estimate - 0.75).abs() < 1e-12);
            assert!((row.member_v_gibberish.estimate - 7.0 / 8.0).abs() < 1e-12);
            // One tie of four pairs counts half.
            assert!((row.non_member_v_gibberish.estimate - 3.5 / 4.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_score_that_a_group_lacks_has_no_row_and_is_not_taken_for_zero() {
        const WITHOUT_PARTS: [Score; 2] = [Score::PaperVote, Score::Calibrated];
        let members = group(&[3.0, 4.0], &TABLE);
        let gibberish = group(&[0.0, 2.0], &WITHOUT_PARTS);
        let rows = table(&members, &members, &gibberish, &Bootstrap::default()).unwrap();
        assert_eq!(rows.iter().map(|row| row.score).collect::<Vec<_>>(), WITHOUT_PARTS);
    }

    #[test]
    fn a_signal_is_oriented_before_it_is_compared() {
        let mut record = crate::store::tests::record("a", "Ann Lee");
        record.signals.insert("variability".into(), Some(0.25));
        record.signals.insert("interaction".into(), None);
        assert_eq!(record.value(Score::Signal(VARIABILITY.signal())), Some(-0.25));
        assert_eq!(record.value(Score::Signal(INTERACTION.signal())), None);
        assert_eq!(record.value(Score::Calibrated), record.calibrated.map(|c| c.score));
    }
}
