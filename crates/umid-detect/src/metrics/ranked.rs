//! The scores of both classes as ranks among their distinct values, and how many scores have each
//! rank.
//!
//! Every statistic of an ROC curve depends on the scores only through these counts. The scores are
//! sorted once; a bootstrap resample is then a new set of counts over the same ranks and costs no
//! sort. The sums are of integers, so a result does not depend on the order of the scores.

use crate::error::Result;
use crate::records::check_scores;

/// The rank of each score. Equal scores share a rank; higher scores have higher ranks.
#[derive(Debug)]
pub(super) struct Ranked {
    /// Rank of each member, in the order the scores came in.
    members: Vec<u32>,
    /// Rank of each non-member, in the order the scores came in.
    non_members: Vec<u32>,
    ranks: usize,
}

impl Ranked {
    /// Ranks checked scores: both classes have some, and all are finite.
    pub(super) fn new(members: &[f64], non_members: &[f64]) -> Result<Self> {
        check_scores("member", members)?;
        check_scores("non-member", non_members)?;
        let score = |i: usize| match i.checked_sub(members.len()) {
            None => members[i],
            Some(j) => non_members[j],
        };
        let mut order: Vec<usize> = (0..members.len() + non_members.len()).collect();
        order.sort_unstable_by(|&a, &b| score(a).total_cmp(&score(b)));
        let mut ranks = vec![0_u32; order.len()];
        let mut rank = 0;
        for pair in order.windows(2) {
            // Not `total_cmp`, which tells zeros of different sign apart.
            rank += u32::from(score(pair[0]) < score(pair[1]));
            ranks[pair[1]] = rank;
        }
        let non_members = ranks.split_off(members.len());
        Ok(Self { members: ranks, non_members, ranks: rank as usize + 1 })
    }

    pub(super) fn members(&self) -> usize {
        self.members.len()
    }

    pub(super) fn non_members(&self) -> usize {
        self.non_members.len()
    }

    /// The counts of the sample itself.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = self.no_counts();
        (0..self.members()).for_each(|i| counts.add_member(self, i));
        (0..self.non_members()).for_each(|i| counts.add_non_member(self, i));
        counts
    }

    /// Counts to which nothing has been added.
    pub(super) fn no_counts(&self) -> Counts {
        Counts { members: vec![0; self.ranks], non_members: vec![0; self.ranks] }
    }
}

/// How many scores of each class have each rank.
#[derive(Debug)]
pub(super) struct Counts {
    members: Vec<u32>,
    non_members: Vec<u32>,
}

impl Counts {
    pub(super) fn clear(&mut self) {
        self.members.fill(0);
        self.non_members.fill(0);
    }

    /// Counts the member at a place of the list once more.
    pub(super) fn add_member(&mut self, ranked: &Ranked, place: usize) {
        self.members[ranked.members[place] as usize] += 1;
    }

    /// Counts the non-member at a place of the list once more.
    pub(super) fn add_non_member(&mut self, ranked: &Ranked, place: usize) {
        self.non_members[ranked.non_members[place] as usize] += 1;
    }

    /// Members and non-members of each rank, from the highest downwards.
    pub(super) fn downwards(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let ranks = self.members.iter().zip(&self.non_members).rev();
        ranks.map(|(&members, &non_members)| (members.into(), non_members.into()))
    }

    /// Share of pairs in which the member stands higher, ties counting one half.
    pub(super) fn area(&self) -> f64 {
        let (mut above, mut non_members, mut doubled) = (0, 0, 0);
        // Twice the wins and once the ties is an integer: exact, whatever the order.
        for (m, n) in self.downwards() {
            doubled += n * (2 * above + m);
            above += m;
            non_members += n;
        }
        doubled as f64 / (2.0 * above as f64 * non_members as f64)
    }

    /// Share of members above all but `allowed` of the non-members.
    pub(super) fn share_found(&self, allowed: usize) -> f64 {
        let (mut flagged, mut found, mut members) = (0, 0, 0);
        for (m, n) in self.downwards() {
            flagged += n;
            members += m;
            if flagged <= allowed as u64 {
                found = members;
            }
        }
        found as f64 / members as f64
    }
}
