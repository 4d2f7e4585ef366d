//! Signals of an inversion: where its restarts ended, and how they got there.
//!
//! Restart i of m raises cos(f_in(x_i), f_txt(t)) for n steps and ends at the embedding v_i.
//! Similarity S and variability V are UMID's (arXiv 2603.14222); [`variability_tuni`] is V as the
//! published code of TUNI (arXiv 2405.14517) computes it; the others are this project's.
//!
//! Only restarts that stayed finite count. [`usable_restarts`] finds them, the caller selects
//! those rows, and a function that gets fewer rows than its definition needs answers `None`.
//! A non-finite row that is passed all the same is an error.

use ndarray::{Array1, ArrayView1, ArrayView2, Axis};

use crate::{Error, Result, UnitRows, checks, unit::norm};

/// The cosine at which [`steps_to_threshold`] stops counting (docs/method.md), below the
/// zone of .92 to .97 in which a well-set inversion ends.
pub const DEFAULT_COSINE_THRESHOLD: f64 = 0.9;

/// S: the mean final cosine over restarts; `None` without a restart.
///
/// ```
/// use ndarray::arr1;
/// use umid_signals::inversion::similarity;
///
/// assert_eq!(similarity(arr1(&[0.75, 0.5]).view())?, Some(0.625));
/// # Ok::<(), umid_signals::Error>(())
/// ```
///
/// # Shapes
/// `final_cosines` (m): cos(v_i, f_txt(t)).
///
/// # Errors
/// A value that is not a cosine.
///
/// # Source
/// UMID, arXiv 2603.14222.
pub fn similarity(final_cosines: ArrayView1<'_, f32>) -> Result<Option<f64>> {
    checks::cosines("final cosines", &final_cosines)?;
    Ok(final_cosines.mapv(f64::from).mean())
}

/// V: the mean distance of the unit final embeddings to their mean; `None` below two restarts.
///
/// The mean is not brought back to unit length: V = (1/m) sum_i |v_i - mean_j v_j|.
///
/// ```
/// use ndarray::arr2;
/// use umid_signals::inversion::variability;
///
/// let opposite = arr2(&[[2.0, 0.0], [-1.0, 0.0]]);
/// assert_eq!(variability(opposite.view())?, Some(1.0));
/// assert_eq!(variability(arr2(&[[2.0, 0.0]]).view())?, None);
/// # Ok::<(), umid_signals::Error>(())
/// ```
///
/// # Shapes
/// `final_embeddings` (m, d), normalised or not.
///
/// # Errors
/// A row that is not finite or has length zero.
///
/// # Source
/// UMID, arXiv 2603.14222.
pub fn variability(final_embeddings: ArrayView2<'_, f32>) -> Result<Option<f64>> {
    let restarts = UnitRows::new("final embeddings", final_embeddings)?;
    Ok(distances_to_mean(restarts.directions().view()).and_then(|distances| distances.mean()))
}

/// V as TUNI's code has it: the *sum* of the distances of *un-normalised* embeddings to their mean.
///
/// A sum grows with the number of restarts: compare only queries with equally many usable ones.
/// `None` below two restarts.
///
/// # Shapes
/// `final_embeddings` (m, d), as the input tower gives them.
///
/// # Errors
/// A row that is not finite.
///
/// # Source
/// TUNI, arXiv 2405.14517, published code.
pub fn variability_tuni(final_embeddings: ArrayView2<'_, f32>) -> Result<Option<f64>> {
    checks::finite("final embeddings", &final_embeddings)?;
    let embeddings = final_embeddings.mapv(f64::from);
    Ok(distances_to_mean(embeddings.view()).map(|distances| distances.sum()))
}

/// The mean number of steps after which the cosine first reaches `threshold`.
///
/// Step k is the state after k updates, so column 0 is the start. The crossing is interpolated
/// linearly between the last step below and the first step at or above the threshold: with a few
/// restarts of twenty steps whole numbers would leave most queries tied. A restart that never gets
/// there counts n + 1, one that starts there counts 0. `None` without a restart.
///
/// ```
/// use ndarray::arr2;
/// use umid_signals::inversion::steps_to_threshold;
///
/// let cosines = arr2(&[
///     [0.0, 0.5, 1.0], // reaches 0.75 half-way between steps 1 and 2
///     [0.0, 0.5, 0.5], // never: n + 1 = 3
/// ]);
/// assert_eq!(steps_to_threshold(cosines.view(), 0.75)?, Some((1.5 + 3.0) / 2.0));
/// # Ok::<(), umid_signals::Error>(())
/// ```
///
/// # Shapes
/// `cosines` (m, n + 1): one row a restart.
///
/// # Errors
/// A value that is not a cosine, no column, or a threshold outside (-1, 1].
pub fn steps_to_threshold(cosines: ArrayView2<'_, f32>, threshold: f64) -> Result<Option<f64>> {
    if !(threshold > -1.0 && threshold <= 1.0) {
        return Err(Error::OutOfRange {
            parameter: "cosine threshold",
            value: threshold,
            allowed: "a number in (-1, 1], such as 0.9",
        });
    }
    checks::cosines("cosine trajectories", &cosines)?;
    checks::at_least(1, "recorded steps", cosines.ncols())?;
    let steps: Array1<f64> =
        cosines.outer_iter().map(|trajectory| first_crossing(trajectory, threshold)).collect();
    Ok(steps.mean())
}

/// The mean over restarts of the length of the last gradient; `None` without a restart.
///
/// # Shapes
/// `gradient_norms` (m): |d cos / d x_i| at the last step.
///
/// # Errors
/// A value that is not finite or is negative.
pub fn final_gradient_norm(gradient_norms: ArrayView1<'_, f32>) -> Result<Option<f64>> {
    const ARRAY: &str = "final gradient norms";
    checks::finite(ARRAY, &gradient_norms)?;
    if let Some((row, &value)) = gradient_norms.iter().enumerate().find(|(_, v)| **v < 0.0) {
        return Err(Error::NegativeNorm { array: ARRAY, row, value });
    }
    Ok(gradient_norms.mapv(f64::from).mean())
}

/// How well the inversion of a name in one template fits the same name in the *other* templates:
/// the mean of cos(v_i, u_t) over restarts i and templates t other than `inverted_template`.
///
/// `None` without a restart or without another template.
///
/// # Shapes
/// `final_embeddings` (m, d); `template_embeddings` (T, d): one name in T templates.
///
/// # Errors
/// A row that is not finite or has length zero, two widths, or `inverted_template` >= T.
pub fn cross_template_transfer(
    final_embeddings: ArrayView2<'_, f32>,
    template_embeddings: ArrayView2<'_, f32>,
    inverted_template: usize,
) -> Result<Option<f64>> {
    let restarts = UnitRows::new("final embeddings", final_embeddings)?;
    let templates = UnitRows::new("template embeddings", template_embeddings)?;
    restarts.check_width("template embeddings", &templates)?;
    checks::index("inverted template", inverted_template, templates.len())?;
    let others: Vec<usize> =
        (0..templates.len()).filter(|&template| template != inverted_template).collect();
    let other_templates = templates.directions().select(Axis(0), &others);
    // The mean over all pairs of a dot product is the dot product of the means.
    let mean_restart = restarts.directions().mean_axis(Axis(0));
    let mean_template = other_templates.mean_axis(Axis(0));
    Ok(mean_restart.zip(mean_template).map(|(restart, template)| restart.dot(&template)))
}

/// The mean of the unit final embeddings, to be scored with [`crate::Bank::scores`]; `None` without
/// a restart.
///
/// The bank compares by cosine, so the length of the centroid, which V measures, plays no part.
///
/// # Shapes
/// `final_embeddings` (m, d) gives (d).
///
/// # Errors
/// A row that is not finite or has length zero.
pub fn centroid(final_embeddings: ArrayView2<'_, f32>) -> Result<Option<Array1<f32>>> {
    let restarts = UnitRows::new("final embeddings", final_embeddings)?;
    let mean = restarts.directions().mean_axis(Axis(0));
    Ok(mean.map(|mean| mean.mapv(|value| value as f32)))
}

/// The restarts that can be measured: every cosine and every coordinate finite, and the final
/// embedding not of length zero.
///
/// ```
/// use ndarray::{Axis, arr2};
/// use umid_signals::inversion::{usable_restarts, variability};
///
/// let cosines = arr2(&[[0.1, 0.9], [0.1, f32::NAN], [0.2, 0.8]]);
/// let embeddings = arr2(&[[1.0, 0.0], [f32::NAN, 0.0], [1.0, 0.0]]);
/// let usable = usable_restarts(cosines.view(), embeddings.view())?;
/// assert_eq!(usable, [0, 2]);
/// let finite = embeddings.select(Axis(0), &usable);
/// assert_eq!(variability(finite.view())?, Some(0.0));
/// # Ok::<(), umid_signals::Error>(())
/// ```
///
/// # Shapes
/// `cosines` (m, n + 1); `final_embeddings` (m, d).
///
/// # Errors
/// Two numbers of restarts.
pub fn usable_restarts(
    cosines: ArrayView2<'_, f32>,
    final_embeddings: ArrayView2<'_, f32>,
) -> Result<Vec<usize>> {
    checks::length("final embeddings", "restarts", final_embeddings.nrows(), cosines.nrows())?;
    Ok((0..cosines.nrows())
        .filter(|&restart| {
            let length = norm(final_embeddings.row(restart));
            let finite = cosines.row(restart).iter().all(|cosine| cosine.is_finite());
            finite && length > 0.0 && length.is_finite()
        })
        .collect())
}

/// The distance of each row to the mean row; `None` below two rows, which have no spread.
fn distances_to_mean(rows: ArrayView2<'_, f64>) -> Option<Array1<f64>> {
    if rows.nrows() < 2 {
        return None;
    }
    let mean = rows.mean_axis(Axis(0))?;
    let distance = |row: ArrayView1<'_, f64>| {
        let offset = &row - &mean;
        offset.dot(&offset).sqrt()
    };
    Some(rows.outer_iter().map(distance).collect())
}

/// Steps, interpolated, until one trajectory reaches `threshold`; its length if it never does.
fn first_crossing(trajectory: ArrayView1<'_, f32>, threshold: f64) -> f64 {
    let cosine = |step: usize| f64::from(trajectory[step]);
    match (0..trajectory.len()).find(|&step| cosine(step) >= threshold) {
        None => trajectory.len() as f64,
        Some(0) => 0.0,
        Some(step) => {
            let (before, after) = (cosine(step - 1), cosine(step));
            (step - 1) as f64 + (threshold - before) / (after - before)
        }
    }
}

#[cfg(test)]
mod tests;
