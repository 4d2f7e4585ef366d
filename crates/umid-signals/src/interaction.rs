//! The part-interaction residual: what a text tower knows of a name beyond its two parts.
//!
//! A memorised name (f, l) adds something to the tower's state that its first part f and its last
//! part l do not explain. Given J public last parts l_j and K public first parts f_i, the same for
//! every query, a two-way analysis of variance with one observation a cell (Scheffe 1959, "The
//! Analysis of Variance", chapter 4) removes what the parts explain from the state x, per template:
//!
//! - r(f, l) = x(f, l) - mean_j x(f, l_j) - mean_i x(f_i, l) + mean_ij x(f_i, l_j),
//! - r(f, l_j) and r(f_i, l) by the same formula, with l_j in the place of l and f_i in that of f,
//! - contrast = log |r(f, l)| - mean_j log |r(f, l_j)| - mean_i log |r(f_i, l)|, where each r is the
//!   mean over templates,
//! - coherence = |mean_t r_t|^2 / mean_t |r_t|^2 over the templates t of r(f, l).
//!
//! x is the text tower's state before its last layer norm, centred over features, or a response
//! ([`crate::responses`]), as it is. Centring is linear, so it is applied to the few residuals and
//! not to the many states. Source: this project, docs/method.md.

use ndarray::{Array2, Array3, Array4, ArrayView2, ArrayView3, ArrayView4, Axis};

use crate::siblings::{self, Shares};
use crate::{Error, Result, checks};

/// Siblings on each axis without which no residual is left: with a single one, r(f, l_j) is zero by
/// construction. Sixteen are enough in practice.
const MIN_SIBLINGS: usize = 2;

/// What the siblings say about one query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interaction {
    /// The contrast of log residuals, the raw value of [`crate::text::INTERACTION`]: higher is
    /// more member-like. It moves with the scale of the states, so it compares queries of one
    /// model, one map and one set of siblings.
    pub log_residual_contrast: f64,
    /// The log of the coherence, in (-inf, 0], the raw value of
    /// [`crate::text::INTERACTION_COHERENCE`]; `None` with a single template.
    pub log_coherence: Option<f64>,
    /// The log of the coherence minus half the mean of each group of siblings
    /// ([`crate::siblings`]), whose residuals and coherences follow the same formulas.
    pub log_coherence_calibrated: Option<f64>,
}

/// The part that the names of a group of siblings have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum SharedPart {
    /// The names (f, l_j).
    First,
    /// The names (f_i, l).
    Last,
}

/// The public parts that are a query's own. They are left out of every mean, as if this query's
/// siblings had never contained them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct LeftOut {
    /// Index of the public first part that is the query's own, if any.
    pub(crate) first: Option<usize>,
    /// Index of the public last part that is the query's own, if any.
    pub(crate) last: Option<usize>,
}

/// What the states of one group of siblings say. It depends on the part that they share and on what is
/// left out, and on nothing else of the query.
#[derive(Debug, Clone)]
pub(crate) struct GroupStates {
    /// The mean state, (T, D): mean_j x(f, l_j) or mean_i x(f_i, l).
    pub(crate) mean: Array2<f64>,
    /// The mean log length of the siblings' residuals.
    log_norm: f64,
    /// The mean log coherence of these; `None` with a single template.
    log_coherence: Option<f64>,
}

/// The states of all names made of public parts, shared by every query.
///
/// Its marginal means are summed once, so a group of siblings costs O(n T D) and a query
/// O(T D).
#[derive(Debug, Clone)]
pub(crate) struct SiblingGrid {
    /// x(f_i, l_j), (K, J, T, D).
    states: Array4<f32>,
    /// sum_j x(f_i, l_j), (K, T, D).
    first_sums: Array3<f64>,
    /// sum_i x(f_i, l_j), (J, T, D).
    last_sums: Array3<f64>,
    /// sum_ij x(f_i, l_j), (T, D).
    total: Array2<f64>,
    /// Whether residuals lose the mean of their features, as a layer norm takes it.
    centred: bool,
}

impl SiblingGrid {
    /// Sums up the states of all public names, (K, J, T, D): first part, last part, template,
    /// feature. Fewer than two parts on an axis are an error.
    pub(crate) fn new(states: ArrayView4<'_, f32>) -> Result<Self> {
        let (firsts, lasts, ..) = states.dim();
        checks::at_least(MIN_SIBLINGS, "public first parts", firsts)?;
        checks::at_least(MIN_SIBLINGS, "public last parts", lasts)?;
        checks::finite("sibling grid states", &states)?;
        let wide = states.mapv(f64::from);
        let first_sums = wide.sum_axis(Axis(1));
        Ok(Self {
            total: first_sums.sum_axis(Axis(0)),
            first_sums,
            last_sums: wide.sum_axis(Axis(0)),
            states: states.to_owned(),
            centred: true,
        })
    }

    /// Measures residuals as they are, without taking the mean of their features from them: for
    /// vectors behind a layer norm, such as responses, whose mean is no accident of scale.
    pub(crate) fn without_centring(self) -> Self {
        Self { centred: false, ..self }
    }

    /// Sums up one group of siblings from their states, (n, T, D), which come in the order of the
    /// public parts and lack those that are left out. Fewer than two siblings are an error, and so is
    /// a residual of exactly zero.
    pub(crate) fn group(
        &self,
        shared: SharedPart,
        left_out: LeftOut,
        siblings: ArrayView3<'_, f32>,
    ) -> Result<GroupStates> {
        let (firsts, lasts, ..) = self.states.dim();
        let others: Vec<usize> = match shared {
            SharedPart::First => others(lasts, left_out.last).collect(),
            SharedPart::Last => others(firsts, left_out.first).collect(),
        };
        checks::length("states of siblings", "names", siblings.dim().0, others.len())?;
        checks::at_least(MIN_SIBLINGS, "siblings besides the query itself", others.len())?;
        checks::finite("states of siblings", &siblings)?;

        let mean = mean_of(&siblings);
        let overall = self.overall_mean(left_out);
        let (mut log_norms, mut log_coherences) = (Vec::new(), Vec::new());
        for (state, other) in siblings.outer_iter().zip(others) {
            let residual = match shared {
                SharedPart::First => {
                    residual(state, &mean, &self.last_mean(other, left_out.first), &overall)
                }
                SharedPart::Last => {
                    residual(state, &self.first_mean(other, left_out.last), &mean, &overall)
                }
            };
            let residual = self.measured(residual);
            let log = log_norm(&residual, "a sibling of the query")?;
            log_norms.push(log);
            log_coherences.extend(log_coherence(&residual, log));
        }
        let log_norm = siblings::mean(&log_norms).expect("two siblings or more");
        Ok(GroupStates { mean, log_norm, log_coherence: siblings::mean(&log_coherences) })
    }

    /// The interaction of the parts of a query with this state, (T, D), set against that of its
    /// siblings. A residual of exactly zero is an error.
    pub(crate) fn interaction(
        &self,
        query: ArrayView2<'_, f32>,
        same_first: &GroupStates,
        same_last: &GroupStates,
        left_out: LeftOut,
    ) -> Result<Interaction> {
        checks::length("query states", "features", query.ncols(), self.states.dim().3)?;
        checks::finite("query states", &query)?;
        let overall = self.overall_mean(left_out);
        let own = self.measured(residual(query, &same_first.mean, &same_last.mean, &overall));
        let own_log = log_norm(&own, "the query")?;
        let log_coherence = log_coherence(&own, own_log);
        let of_siblings = same_first.log_coherence.zip(same_last.log_coherence);
        Ok(Interaction {
            log_residual_contrast: own_log - same_first.log_norm - same_last.log_norm,
            log_coherence,
            log_coherence_calibrated: log_coherence.zip(of_siblings).map(
                |(own, (same_first, same_last))| {
                    Shares::HALVES.taken_off(own, same_first, same_last)
                },
            ),
        })
    }

    /// mean_j x(f_i, l_j) without the query's own last part, (T, D).
    fn first_mean(&self, i: usize, own_last: Option<usize>) -> Array2<f64> {
        let lasts = self.last_sums.dim().0;
        let sum = self.first_sums.index_axis(Axis(0), i);
        match own_last {
            None => &sum / lasts as f64,
            Some(j) => (&sum - self.cell(i, j)) / (lasts - 1) as f64,
        }
    }

    /// mean_i x(f_i, l_j) without the query's own first part, (T, D).
    fn last_mean(&self, j: usize, own_first: Option<usize>) -> Array2<f64> {
        let firsts = self.first_sums.dim().0;
        let sum = self.last_sums.index_axis(Axis(0), j);
        match own_first {
            None => &sum / firsts as f64,
            Some(i) => (&sum - self.cell(i, j)) / (firsts - 1) as f64,
        }
    }

    /// mean_ij x(f_i, l_j) without the query's own parts, (T, D).
    fn overall_mean(&self, left_out: LeftOut) -> Array2<f64> {
        let (mut firsts, mut lasts) = (self.first_sums.dim().0, self.last_sums.dim().0);
        let mut sum = self.total.clone();
        if let Some(i) = left_out.first {
            sum -= &self.first_sums.index_axis(Axis(0), i);
            firsts -= 1;
        }
        if let Some(j) = left_out.last {
            sum -= &self.last_sums.index_axis(Axis(0), j);
            lasts -= 1;
        }
        if let (Some(i), Some(j)) = (left_out.first, left_out.last) {
            sum += &self.cell(i, j);
        }
        sum / (firsts * lasts) as f64
    }

    fn cell(&self, i: usize, j: usize) -> Array2<f64> {
        let lasts = self.states.index_axis(Axis(0), i);
        lasts.index_axis(Axis(0), j).mapv(f64::from)
    }

    /// A residual as it is measured, (T, D).
    fn measured(&self, residual: Array2<f64>) -> Array2<f64> {
        if self.centred { center_over_features(residual.view()) } else { residual }
    }
}

/// Takes from each state the mean of its features, as a layer norm does: (n, D) gives (n, D).
fn center_over_features(states: ArrayView2<'_, f64>) -> Array2<f64> {
    match states.mean_axis(Axis(1)) {
        Some(means) => &states - &means.insert_axis(Axis(1)),
        None => states.to_owned(),
    }
}

/// x - mean over last parts - mean over first parts + mean over both, (T, D).
fn residual(
    state: ArrayView2<'_, f32>,
    of_first: &Array2<f64>,
    of_last: &Array2<f64>,
    overall: &Array2<f64>,
) -> Array2<f64> {
    state.mapv(f64::from) - of_first - of_last + overall
}

/// The indices below `len` other than the query's own.
pub(crate) fn others(len: usize, own: Option<usize>) -> impl Iterator<Item = usize> {
    (0..len).filter(move |&index| Some(index) != own)
}

/// The mean state of siblings, (n, T, D) to (T, D).
fn mean_of(siblings: &ArrayView3<'_, f32>) -> Array2<f64> {
    let (count, templates, width) = siblings.dim();
    let mut sum = Array2::<f64>::zeros((templates, width));
    for sibling in siblings.outer_iter() {
        sum.zip_mut_with(&sibling, |sum, &state| *sum += f64::from(state));
    }
    sum / count as f64
}

/// The log length of the residual's mean over templates, (T, D).
fn log_norm(residual: &Array2<f64>, of: &'static str) -> Result<f64> {
    let mean = residual.sum_axis(Axis(0)) / residual.nrows() as f64;
    let norm = mean.dot(&mean).sqrt();
    if norm > 0.0 { Ok(norm.ln()) } else { Err(Error::ZeroResidual { residual: of }) }
}

/// log(|mean_t r_t|^2 / mean_t |r_t|^2) for a residual (T, D) whose mean has this log length.
fn log_coherence(residual: &Array2<f64>, log_norm: f64) -> Option<f64> {
    let templates = residual.nrows();
    let squares = residual.iter().map(|value| value * value).sum::<f64>();
    (templates > 1).then(|| 2.0 * log_norm - (squares / templates as f64).ln())
}

#[cfg(test)]
mod tests;
