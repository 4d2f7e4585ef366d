//! How good decisions are: one flag per text, true where it was called a member.

use crate::error::{DetectError, Result};

/// Mean of the share of members that are flagged and the share of non-members that are not.
///
/// # Errors
/// When a class is empty.
pub fn balanced_accuracy(member_flags: &[bool], non_member_flags: &[bool]) -> Result<f64> {
    Ok(Tally::count(member_flags, non_member_flags)?.balanced_accuracy())
}

/// Share of the flagged that are members; `None` when nothing is flagged.
///
/// Unlike the other rates it depends on how many members the sample holds: it is the precision for
/// that mixture and for no other.
///
/// # Errors
/// When a class is empty.
pub fn precision(member_flags: &[bool], non_member_flags: &[bool]) -> Result<Option<f64>> {
    Ok(Tally::count(member_flags, non_member_flags)?.precision())
}

/// Share of all texts that are decided rightly. Like precision it is of the sample's mixture; where
/// both classes are equally large it is the balanced accuracy.
///
/// # Errors
/// When a class is empty.
pub fn accuracy(member_flags: &[bool], non_member_flags: &[bool]) -> Result<f64> {
    Ok(Tally::count(member_flags, non_member_flags)?.accuracy())
}

/// Harmonic mean of precision and recall; 0 where no member is flagged, as in scikit-learn.
///
/// # Errors
/// When a class is empty.
pub fn f1(member_flags: &[bool], non_member_flags: &[bool]) -> Result<f64> {
    Ok(Tally::count(member_flags, non_member_flags)?.f1())
}

/// Share of the members that are flagged.
///
/// # Errors
/// When there is no member.
pub fn recall(member_flags: &[bool]) -> Result<f64> {
    check_flags("member flags", member_flags)?;
    Ok(count_flags(member_flags) as f64 / member_flags.len() as f64)
}

/// What accuracy, precision and F1 are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally {
    pub members: usize,
    pub flagged_members: usize,
    pub non_members: usize,
    pub flagged_non_members: usize,
}

impl Tally {
    pub(super) fn count(member_flags: &[bool], non_member_flags: &[bool]) -> Result<Self> {
        check_flags("member flags", member_flags)?;
        check_flags("non-member flags", non_member_flags)?;
        Ok(Self {
            members: member_flags.len(),
            flagged_members: count_flags(member_flags),
            non_members: non_member_flags.len(),
            flagged_non_members: count_flags(non_member_flags),
        })
    }

    pub(super) fn balanced_accuracy(self) -> f64 {
        let sensitivity = self.flagged_members as f64 / self.members as f64;
        let passed = self.non_members - self.flagged_non_members;
        f64::midpoint(sensitivity, passed as f64 / self.non_members as f64)
    }

    pub(super) fn accuracy(self) -> f64 {
        let passed = self.non_members - self.flagged_non_members;
        (self.flagged_members + passed) as f64 / (self.members + self.non_members) as f64
    }

    /// Twice the flagged members over the flagged and the members, the form of the harmonic mean
    /// that needs no case for nothing flagged.
    pub(super) fn f1(self) -> f64 {
        let flagged = self.flagged_members + self.flagged_non_members;
        2.0 * self.flagged_members as f64 / (flagged + self.members) as f64
    }

    pub(super) fn precision(self) -> Option<f64> {
        let flagged = self.flagged_members + self.flagged_non_members;
        (flagged > 0).then(|| self.flagged_members as f64 / flagged as f64)
    }
}

pub(super) fn check_flags(list: &'static str, flags: &[bool]) -> Result<()> {
    if flags.is_empty() { Err(DetectError::Empty { list }) } else { Ok(()) }
}

pub(super) fn count_flags(flags: &[bool]) -> usize {
    flags.iter().filter(|&&flag| flag).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_accuracy_weighs_the_classes_alike() {
        let accuracy = balanced_accuracy(&[true, false], &[false; 10]).expect("two classes");
        assert!((accuracy - 0.75).abs() < f64::EPSILON);
    }

    #[test]
    fn precision_needs_something_flagged() {
        assert_eq!(precision(&[false], &[false]).expect("two classes"), None);
        assert_eq!(precision(&[false], &[true]).expect("two classes"), Some(0.0));
        assert_eq!(precision(&[true, true], &[true, true]).expect("two classes"), Some(0.5));
    }

    #[test]
    fn accuracy_counts_texts_and_f1_is_the_harmonic_mean() {
        // 3 of 4 members and 1 of 6 non-members: precision and recall are 3/4 each.
        let (members, others) =
            ([true, true, true, false], [true, false, false, false, false, false]);
        assert!((accuracy(&members, &others).expect("two classes") - 0.8).abs() < 1e-15);
        assert!((f1(&members, &others).expect("two classes") - 0.75).abs() < 1e-15);
        // Precision 1/3 and recall 1/2.
        let f = f1(&[true, false], &[true, true]).expect("two classes");
        assert!((f - 0.4).abs() < 1e-15);
        assert!(f1(&[false], &[false]).expect("two classes").abs() < 1e-15);
    }

    #[test]
    fn recall_is_of_members_alone() {
        assert!((recall(&[true, false, false, false]).expect("members") - 0.25).abs() < 1e-15);
    }

    #[test]
    fn an_empty_class_is_an_error() {
        assert!(matches!(balanced_accuracy(&[], &[true]), Err(DetectError::Empty { .. })));
        assert!(matches!(balanced_accuracy(&[true], &[]), Err(DetectError::Empty { .. })));
        assert!(matches!(accuracy(&[true], &[]), Err(DetectError::Empty { .. })));
        assert!(matches!(f1(&[], &[true]), Err(DetectError::Empty { .. })));
        assert!(matches!(precision(&[], &[true]), Err(DetectError::Empty { .. })));
        assert!(matches!(recall(&[]), Err(DetectError::Empty { list: "member flags" })));
    }
}
