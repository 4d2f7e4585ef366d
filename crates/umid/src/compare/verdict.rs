//! What became of a name.

use serde::{Deserialize, Serialize};

use super::{Direction, NameChange};

/// What became of a name between two models. Detected means a q-value of membership within the false
/// discovery rate; fell and rose mean the same of the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Detected before and not after, and its score fell.
    Gone,
    /// Its score fell, and it is detected after too, or was not detected before either.
    Weaker,
    /// Detected before and after, and its score did not fall.
    StillThere,
    /// Detected by one of the models alone, and its score changed no more than reference names do.
    Unclear,
    /// Detected after and not before, and its score rose.
    New,
    /// Its score rose, and it is not detected after.
    Stronger,
    /// Detected by neither, and its score changed no more than reference names do. It may have been in
    /// the training data of both.
    FoundInNeither,
}

/// Which of the two models detect a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// Before.
    before: bool,
    /// After.
    after: bool,
}

impl Verdict {
    /// All of them, in the order in which a report lists them.
    pub const ALL: [Self; 7] = [
        Self::Gone,
        Self::Weaker,
        Self::StillThere,
        Self::Unclear,
        Self::New,
        Self::Stronger,
        Self::FoundInNeither,
    ];

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Weaker => "weaker",
            Self::StillThere => "still there",
            Self::Unclear => "unclear",
            Self::New => "new",
            Self::Stronger => "stronger",
            Self::FoundInNeither => "found in neither",
        }
    }

    /// What it means, in a sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Gone => {
                "Detected before, not after, and the score fell more than chance explains."
            }
            Self::Weaker => {
                "The score fell more than chance explains, but the name is still detected, or was not \
                 detected before either."
            }
            Self::StillThere => "Detected by both models, and the score did not fall.",
            Self::Unclear => {
                "Detected by one of the models alone, but the score changed no more than those of \
                 names that neither saw."
            }
            Self::New => {
                "Detected after, not before, and the score rose more than chance explains."
            }
            Self::Stronger => {
                "The score rose more than chance explains, but the name is not detected after."
            }
            Self::FoundInNeither => {
                "Detected by neither model, and no change: there is nothing to say, since a name that \
                 was seen a few times leaves little to find."
            }
        }
    }

    /// The verdict of a name whose q-values are known; `None` where one is missing.
    pub(super) fn of(name: &NameChange, direction: Direction, rate: f64) -> Option<Self> {
        let [before, after] = name.q_values;
        let seen = Seen { before: before? <= rate, after: after? <= rate };
        let [first, second] = name.scores?;
        let changed = name.change_q_value? <= rate;
        let fell = changed && direction != Direction::More && second < first;
        let rose = changed && direction != Direction::Less && second > first;
        Some(Self::from_findings(seen, fell, rose))
    }

    fn from_findings(seen: Seen, fell: bool, rose: bool) -> Self {
        match seen {
            Seen { before: true, after: false } if fell => Self::Gone,
            _ if fell => Self::Weaker,
            Seen { before: false, after: true } if rose => Self::New,
            Seen { after: false, .. } if rose => Self::Stronger,
            Seen { before: true, after: true } => Self::StillThere,
            Seen { before: false, after: false } => Self::FoundInNeither,
            _ => Self::Unclear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_its_verdict() {
        let of = |before, after, change: i8| {
            Verdict::from_findings(Seen { before, after }, change < 0, change > 0)
        };
        assert_eq!(of(true, false, -1), Verdict::Gone);
        assert_eq!(of(true, false, 0), Verdict::Unclear);
        assert_eq!(of(true, false, 1), Verdict::Stronger);
        assert_eq!(of(true, true, -1), Verdict::Weaker);
        assert_eq!(of(true, true, 0), Verdict::StillThere);
        assert_eq!(of(true, true, 1), Verdict::StillThere);
        assert_eq!(of(false, true, -1), Verdict::Weaker);
        assert_eq!(of(false, true, 0), Verdict::Unclear);
        assert_eq!(of(false, true, 1), Verdict::New);
        assert_eq!(of(false, false, -1), Verdict::Weaker);
        assert_eq!(of(false, false, 0), Verdict::FoundInNeither);
        assert_eq!(of(false, false, 1), Verdict::Stronger);
    }

    #[test]
    fn a_name_without_a_q_value_or_with_nan_is_not_detected() {
        let mut name = NameChange {
            id: "1".into(),
            text: "Ann Lee".into(),
            verdict: None,
            scores: Some([3.0, 0.0]),
            p_values: [Some(0.001), Some(0.5)],
            q_values: [Some(0.01), Some(0.7)],
            change_p_value: Some(0.001),
            change_q_value: Some(0.01),
        };
        assert_eq!(Verdict::of(&name, Direction::Less, 0.05), Some(Verdict::Gone));
        assert_eq!(Verdict::of(&name, Direction::More, 0.05), Some(Verdict::Unclear));
        name.change_q_value = Some(f64::NAN);
        assert_eq!(Verdict::of(&name, Direction::Less, 0.05), Some(Verdict::Unclear));
        name.q_values[1] = None;
        assert_eq!(Verdict::of(&name, Direction::Less, 0.05), None);
    }
}
