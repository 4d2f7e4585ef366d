//! Stratified folds and shuffles within them.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// The stream that deals the folds; permutation p draws from stream p + 1.
const FOLD_STREAM: u64 = 0;

/// The fold of each text: either class is shuffled and dealt out in turn, so that every fold has
/// its share of both.
pub(crate) fn deal(members: &[bool], folds: usize, seed: u64) -> Vec<usize> {
    let mut rng = stream(seed, FOLD_STREAM);
    let mut order: Vec<usize> = (0..members.len()).filter(|&i| members[i]).collect();
    order.shuffle(&mut rng);
    let mut non_members: Vec<usize> = (0..members.len()).filter(|&i| !members[i]).collect();
    non_members.shuffle(&mut rng);
    // Going on where the members ended keeps the folds' sizes within one of each other.
    order.extend(non_members);
    let mut fold_of = vec![0; members.len()];
    order.iter().enumerate().for_each(|(turn, &text)| fold_of[text] = turn % folds);
    fold_of
}

/// Labels shuffled within each fold, which keeps every fold's share of both classes.
pub(crate) fn shuffle_within(
    members: &[bool],
    fold_of: &[usize],
    folds: usize,
    seed: u64,
    permutation: usize,
) -> Vec<bool> {
    let mut rng = stream(seed, permutation as u64 + 1);
    let mut shuffled = members.to_vec();
    for fold in 0..folds {
        let texts: Vec<usize> = (0..members.len()).filter(|&i| fold_of[i] == fold).collect();
        let mut labels: Vec<bool> = texts.iter().map(|&i| members[i]).collect();
        labels.shuffle(&mut rng);
        texts.into_iter().zip(labels).for_each(|(text, label)| shuffled[text] = label);
    }
    shuffled
}

fn stream(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_have_equal_shares_of_both_classes() {
        let members: Vec<bool> = (0..53).map(|i| i % 3 == 0).collect();
        let fold_of = deal(&members, 5, 7);
        for fold in 0..5 {
            let count =
                |wanted| (0..53).filter(|&i| fold_of[i] == fold && members[i] == wanted).count();
            assert!((3..=4).contains(&count(true)), "{}", count(true));
            assert!((7..=7).contains(&count(false)), "{}", count(false));
        }
        assert_ne!(fold_of, deal(&members, 5, 8));
    }

    #[test]
    fn a_shuffle_keeps_each_fold_s_share_and_differs_between_permutations() {
        let members: Vec<bool> = (0..60).map(|i| i % 2 == 0).collect();
        let fold_of = deal(&members, 5, 0);
        let shuffled = shuffle_within(&members, &fold_of, 5, 3, 0);
        for fold in 0..5 {
            let count =
                |labels: &[bool]| (0..60).filter(|&i| fold_of[i] == fold && labels[i]).count();
            assert_eq!(count(&shuffled), count(&members));
        }
        assert_ne!(shuffled, members);
        assert_ne!(shuffled, shuffle_within(&members, &fold_of, 5, 3, 1));
        assert_eq!(shuffled, shuffle_within(&members, &fold_of, 5, 3, 0));
    }
}
