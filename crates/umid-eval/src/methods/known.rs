//! Decisions of methods that only score: the rule of CSA in CLIP-MIA-Bench (Gomez, AAAI 2026), a
//! threshold that 1 % of pairs which are known not to be in the training data reach.

use umid_detect::quantile;

use crate::error::Error;
use crate::record::Column;

/// Share of the known non-members below the threshold.
const BELOW: f64 = 0.99;

/// Scores with the decision whether they reach the 99th percentile of known non-members' scores.
pub fn decided(scores: Vec<Option<f64>>, known: &[f64]) -> crate::Result<Column> {
    if known.is_empty() {
        return Err(Error::NoKnownNonMembers);
    }
    Ok(reaching(scores, quantile(known.iter().copied(), BELOW)))
}

/// Scores with the decision whether they reach a threshold.
pub fn reaching(scores: Vec<Option<f64>>, threshold: f64) -> Column {
    let flags = scores.iter().map(|score| Some((*score)? >= threshold)).collect();
    Column { scores, flags: Some(flags), p_values: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_is_the_99th_percentile_of_the_known() {
        // numpy.quantile(range(101), 0.99) == 99.
        let known: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        let column = decided(vec![Some(99.0), Some(98.9), None], &known).unwrap();
        assert_eq!(column.flags, Some(vec![Some(true), Some(false), None]));
        assert_eq!(column.scores, [Some(99.0), Some(98.9), None]);
        assert!(decided(vec![Some(1.0)], &[]).is_err());
    }
}
