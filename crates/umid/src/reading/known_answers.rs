//! What the auditor knows of names that are asked about: whether they are members, and how often
//! training saw them. No score, reference or verdict sees it; verdicts are set beside it at the end.

use std::collections::BTreeMap;

/// What is known of one name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is a member.
    pub member: Option<bool>,
    /// How often training saw it.
    pub exposures: Option<u64>,
}

impl Answer {
    /// What two columns of a list say together: a name that was seen is a member, and one that was
    /// not is none. `None` where they contradict each other.
    pub(crate) fn of(member: Option<bool>, exposures: Option<u64>) -> Option<Self> {
        let seen = exposures.map(|count| count > 0);
        match (member, seen) {
            (Some(member), Some(seen)) if member != seen => None,
            _ => Some(Self { member: member.or(seen), exposures }),
        }
    }
}

/// What is known of the names of a list, by their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownAnswers(BTreeMap<String, Answer>);

impl KnownAnswers {
    /// Whether nothing is known of any name.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the name with this id is a member.
    pub fn member(&self, id: &str) -> Option<bool> {
        self.0.get(id)?.member
    }

    /// How often training saw the name with this id.
    pub fn exposures(&self, id: &str) -> Option<u64> {
        self.0.get(id)?.exposures
    }
}

/// Of several answers for one id the last stands; one that says nothing is left out.
impl FromIterator<(String, Answer)> for KnownAnswers {
    fn from_iter<I: IntoIterator<Item = (String, Answer)>>(answers: I) -> Self {
        let says_something = |(_, answer): &(String, Answer)| *answer != Answer::default();
        Self(answers.into_iter().filter(says_something).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_seen_is_a_member_and_no_other() {
        let of = |member, exposures| Answer::of(member, exposures).map(|answer| answer.member);
        assert_eq!(of(None, None), Some(None));
        assert_eq!(of(Some(true), None), Some(Some(true)));
        assert_eq!(of(None, Some(0)), Some(Some(false)));
        assert_eq!(of(None, Some(7)), Some(Some(true)));
        assert_eq!(of(Some(true), Some(7)), Some(Some(true)));
        assert_eq!(of(Some(false), Some(7)), None);
        assert_eq!(of(Some(true), Some(0)), None);
    }
}
