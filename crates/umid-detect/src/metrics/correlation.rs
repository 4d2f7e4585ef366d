//! Spearman's rank correlation (1904): Pearson's correlation of the ranks, ties sharing the mean of
//! their ranks.

use rand::RngExt;

use super::bootstrap::Bootstrap;
use super::interval::Interval;
use crate::error::{DetectError, Result};

/// Rank correlation of two lists, from -1 to 1; `None` where one of them is constant.
///
/// ```
/// let rising = umid_detect::spearman(&[1.0, 2.0, 30.0], &[0.1, 0.2, 0.3])?;
/// assert_eq!(rising, Some(1.0));
/// # Ok::<(), umid_detect::DetectError>(())
/// ```
///
/// # Errors
/// When the lists are empty or of unequal length, or a value is not finite.
pub fn spearman(a: &[f64], b: &[f64]) -> Result<Option<f64>> {
    check(a, b)?;
    Ok(correlation(&ranks(a), &ranks(b)))
}

impl Bootstrap {
    /// Interval of [`spearman`]; `None` where one of the lists is constant. Pairs are drawn with
    /// replacement. A resample in which one side is constant could have any correlation: it counts
    /// as -1 for the lower end and as 1 for the upper one.
    ///
    /// # Errors
    /// As [`spearman`], and when `resamples` is 0.
    pub fn spearman(&self, a: &[f64], b: &[f64]) -> Result<Option<Interval>> {
        let Some(estimate) = spearman(a, b)? else { return Ok(None) };
        let replicates = self.replicates(|rng| {
            let drawn: Vec<usize> = (0..a.len()).map(|_| rng.random_range(0..a.len())).collect();
            let of = |list: &[f64]| -> Vec<f64> { drawn.iter().map(|&i| list[i]).collect() };
            correlation(&ranks(&of(a)), &ranks(&of(b)))
        })?;
        let with = |unknown: f64| {
            let replicates = replicates.iter().map(|r| r.unwrap_or(unknown));
            Interval::of_replicates(estimate, replicates.collect())
        };
        Ok(Some(Interval { estimate, low: with(-1.0).low, high: with(1.0).high }))
    }
}

fn check(a: &[f64], b: &[f64]) -> Result<()> {
    if a.len() != b.len() || a.is_empty() {
        return Err(DetectError::Unpaired { list: "values", first: a.len(), second: b.len() });
    }
    match a.iter().chain(b).find(|value| !value.is_finite()) {
        None => Ok(()),
        Some(&found) => {
            Err(DetectError::Argument { argument: "values", expected: "finite numbers", found })
        }
    }
}

/// Ranks from 1; those that tie share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    // `total_cmp` tells the two zeros apart, which are one value.
    for tied in order.chunk_by(|&i, &j| values[i] >= values[j]) {
        let mean = first as f64 + (tied.len() + 1) as f64 / 2.0;
        for &i in tied {
            ranks[i] = mean;
        }
        first += tied.len();
    }
    ranks
}

/// Pearson's correlation; `None` where a side is constant.
fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let centred = |list: &[f64]| -> Vec<f64> {
        let mean = list.iter().sum::<f64>() / list.len() as f64;
        list.iter().map(|value| value - mean).collect()
    };
    let (a, b) = (centred(a), centred(b));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let scale = (product(&a, &a) * product(&b, &b)).sqrt();
    (scale > 0.0).then(|| (product(&a, &b) / scale).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 400, seed: 5 };

    #[test]
    fn the_interval_is_as_wide_as_theory_has_it() {
        let a: Vec<f64> = (0..200).map(f64::from).collect();
        let b: Vec<f64> = (0..200).map(|i| f64::from(i * 37 % 200) + f64::from(i)).collect();
        let found = BOOTSTRAP.spearman(&a, &b).expect("finite").expect("not constant");
        assert!(found.low < found.estimate && found.estimate < found.high, "{found:?}");
        // Fisher's transformation: a standard error of 1.03 / sqrt(n - 3) (Fieller et al. 1957).
        let width = found.high.atanh() - found.low.atanh();
        assert!((width / (3.92 * 1.03 / 197_f64.sqrt()) - 1.0).abs() < 0.25, "{width}");
    }

    #[test]
    fn a_constant_list_has_no_correlation_and_bad_values_are_errors() {
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]).expect("finite"), None);
        assert_eq!(spearman(&[0.0, -0.0], &[1.0, 2.0]).expect("finite"), None);
        assert_eq!(BOOTSTRAP.spearman(&[1.0, 1.0], &[1.0, 2.0]).expect("finite"), None);
        assert!(spearman(&[1.0, f64::NAN], &[1.0, 2.0]).is_err());
        assert!(spearman(&[1.0], &[1.0, 2.0]).is_err());
        assert!(spearman(&[], &[]).is_err());
    }

    #[test]
    fn a_resample_of_one_pair_could_have_any_correlation() {
        let found = BOOTSTRAP.spearman(&[1.0, 2.0], &[1.0, 2.0]).expect("finite");
        assert_eq!(found, Some(Interval { estimate: 1.0, low: -1.0, high: 1.0 }));
    }
}
