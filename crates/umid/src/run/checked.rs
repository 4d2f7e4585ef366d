//! Verdicts beside what the auditor knew of some names: how well scores rank members above
//! non-members, and how often verdicts are right.

use serde::{Deserialize, Serialize};
use umid_detect::{
    Bootstrap, DetectError, Dose, HalfDetected, Interval, monotone_rates, share_interval,
};

use crate::known_answers::KnownAnswers;
use crate::overview::Overview;
use crate::record::Parameters;

/// False-positive rates at which the share of members found is given.
pub const LOW_RATES: [f64; 2] = [0.01, 0.001];

/// What a run's verdicts are worth on the names whose answers were known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// Names that are known to be members.
    pub members: usize,
    /// Names that are known not to be.
    pub non_members: usize,
    /// Names of which nothing was known.
    pub unknown: usize,
    /// The calibrated reading and, with inversions, the paper's.
    pub readings: Vec<CheckedReading>,
    /// By how often names were seen, where that was known of at least two members with different
    /// counts.
    pub dose_response: Option<DoseResponse>,
}

/// One reading beside what was known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckedReading {
    /// `calibrated` or `paper`.
    pub reading: String,
    /// Members with a score.
    pub members: usize,
    /// Non-members with a score.
    pub non_members: usize,
    /// Area under the ROC curve; `None` without names of both kinds.
    pub auc: Option<Interval>,
    /// Share of the members whose score is above all but [`LOW_RATES`] of the non-members; `None`
    /// where these are too few to resolve the rate.
    pub found_at: Vec<(f64, Option<Interval>)>,
    /// Its rules of decision.
    pub rules: Vec<CheckedRule>,
}

/// One rule of decision beside what was known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckedRule {
    /// Such as `p <= 0.05`.
    pub rule: String,
    /// Members that are called members, and all that the rule decides on.
    pub members: [usize; 2],
    /// Non-members that are called members, and all that the rule decides on.
    pub non_members: [usize; 2],
    /// Share of the members that are called members; `None` without members.
    pub recall: Option<Interval>,
    /// Share of the non-members that are called members; `None` without non-members.
    pub false_positive_rate: Option<Interval>,
    /// Share of members among those called so; `None` where nobody is, and without names of both kinds.
    pub precision: Option<Interval>,
    /// Harmonic mean of precision and recall; `None` without names of both kinds.
    pub f1: Option<Interval>,
}

/// The calibrated score by how often names were seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DoseResponse {
    /// Rank correlation of the score with the count, over the members; `None` where one of them is
    /// constant.
    pub spearman: Option<Interval>,
    /// Exposures at which half of the members are detected at the run's level.
    pub half_detected: HalfDetected,
    /// Counts by octaves, rising.
    pub doses: Vec<DoseRow>,
}

/// Members that were seen about equally often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DoseRow {
    /// Least count.
    pub from: u64,
    /// Greatest count.
    pub to: u64,
    /// How many there are.
    pub members: usize,
    /// Share of them that is detected at the run's level.
    pub detected: Interval,
    /// The share by the curve that rises with exposures and fits best (pooled adjacent violators).
    pub fitted: f64,
    /// Area under the ROC curve against all known non-members; `None` without these.
    pub auc: Option<Interval>,
}

/// Whether a name is known to be a member, and what a reading says.
type Judged<T> = (bool, T);

impl Checked {
    /// Sets a run's verdicts beside what was known; `None` where nothing was.
    ///
    /// # Errors
    /// Those of the metrics.
    pub fn of(
        overview: &Overview,
        q_values: &[Option<f64>],
        answers: &KnownAnswers,
        parameters: &Parameters,
    ) -> Result<Option<Self>, DetectError> {
        if answers.is_empty() {
            return Ok(None);
        }
        let bootstrap = Bootstrap { seed: parameters.seed, ..Bootstrap::default() };
        let known: Vec<(usize, bool)> = (0..overview.names())
            .filter_map(|i| Some((i, answers.member(overview.id(i))?)))
            .collect();
        let judged = |say: &dyn Fn(usize) -> Option<bool>| -> Vec<Judged<bool>> {
            known.iter().filter_map(|(i, member)| Some((*member, say(*i)?))).collect()
        };
        let scored = |say: &dyn Fn(usize) -> Option<f64>| -> Vec<Judged<f64>> {
            known.iter().filter_map(|(i, member)| Some((*member, say(*i)?))).collect()
        };
        let (alpha, rate) = (parameters.alpha, parameters.false_discovery_rate);
        let tested = |i: usize| overview.p_value(i).is_some();
        let at_level = |i: usize| tested(i).then(|| overview.is_detected(i));
        let at_rate = |i: usize| tested(i).then(|| q_values[i].is_some_and(|q| q <= rate));
        let rules = [
            (format!("p <= {alpha}"), judged(&at_level)),
            (format!("false discovery rate {rate}"), judged(&at_rate)),
        ];
        let mut readings = Vec::new();
        let scores = scored(&|i| overview.score(i));
        readings.extend(reading("calibrated", &scores, &rules, &bootstrap)?);
        let votes = scored(&|i| overview.vote_score(i));
        let rules = [("vote".to_owned(), judged(&|i| overview.is_voted_member(i)))];
        readings.extend(reading("paper", &votes, &rules, &bootstrap)?);
        let members = known.iter().filter(|(_, member)| *member).count();
        Ok(Some(Self {
            members,
            non_members: known.len() - members,
            unknown: overview.names() - known.len(),
            readings,
            dose_response: dose_response(overview, answers, &known, &bootstrap)?,
        }))
    }
}

/// `None` where no name that is known has a score.
fn reading(
    name: &str,
    scores: &[Judged<f64>],
    rules: &[(String, Vec<Judged<bool>>)],
    bootstrap: &Bootstrap,
) -> Result<Option<CheckedReading>, DetectError> {
    let [members, non_members] = split(scores);
    if scores.is_empty() {
        return Ok(None);
    }
    let both = !members.is_empty() && !non_members.is_empty();
    let found_at = |rate: f64| -> Result<(f64, Option<Interval>), DetectError> {
        let found = both.then(|| bootstrap.tpr_at_fpr(&members, &non_members, rate)).transpose()?;
        Ok((rate, found.flatten()))
    };
    Ok(Some(CheckedReading {
        reading: name.to_owned(),
        members: members.len(),
        non_members: non_members.len(),
        auc: both.then(|| bootstrap.auc(&members, &non_members)).transpose()?,
        found_at: LOW_RATES.into_iter().map(found_at).collect::<Result<_, _>>()?,
        rules: rules
            .iter()
            .map(|(rule, verdicts)| checked_rule(rule, verdicts, bootstrap))
            .collect::<Result<_, _>>()?,
    }))
}

fn checked_rule(
    rule: &str,
    verdicts: &[Judged<bool>],
    bootstrap: &Bootstrap,
) -> Result<CheckedRule, DetectError> {
    let [members, non_members] = split(verdicts);
    let called = |flags: &[bool]| [flags.iter().filter(|flag| **flag).count(), flags.len()];
    let [of_members, of_others] = [called(&members), called(&non_members)];
    let both = of_members[1] > 0 && of_others[1] > 0;
    Ok(CheckedRule {
        rule: rule.to_owned(),
        members: of_members,
        non_members: of_others,
        recall: (of_members[1] > 0).then(|| bootstrap.recall(&members)).transpose()?,
        false_positive_rate: (of_others[1] > 0)
            .then(|| share_interval(of_others[0], of_others[1]))
            .transpose()?,
        precision: both.then(|| bootstrap.precision(&members, &non_members)).transpose()?.flatten(),
        f1: both.then(|| bootstrap.f1(&members, &non_members)).transpose()?,
    })
}

/// What is said of members, and of non-members.
fn split<T: Copy>(judged: &[Judged<T>]) -> [Vec<T>; 2] {
    [true, false].map(|wanted| {
        judged.iter().filter(|(member, _)| *member == wanted).map(|(_, said)| *said).collect()
    })
}

fn dose_response(
    overview: &Overview,
    answers: &KnownAnswers,
    known: &[(usize, bool)],
    bootstrap: &Bootstrap,
) -> Result<Option<DoseResponse>, DetectError> {
    let scored = |member: bool| {
        let of_kind = known.iter().filter(move |(_, is_member)| *is_member == member);
        of_kind.filter_map(|(i, _)| Some((*i, overview.score(*i)?)))
    };
    let others: Vec<f64> = scored(false).map(|(_, score)| score).collect();
    let mut members: Vec<(u64, f64, bool)> = scored(true)
        .filter_map(|(i, score)| {
            Some((answers.exposures(overview.id(i))?, score, overview.is_detected(i)))
        })
        .collect();
    members.sort_by_key(|(count, ..)| *count);
    let rising = members.first().zip(members.last()).is_some_and(|(a, b)| a.0 < b.0);
    if !rising {
        return Ok(None);
    }
    let octave = |count: u64| count.ilog2();
    let doses: Vec<&[(u64, f64, bool)]> =
        members.chunk_by(|a, b| octave(a.0) == octave(b.0)).collect();
    let row = |(dose, fitted): (&&[(u64, f64, bool)], f64)| -> Result<DoseRow, DetectError> {
        let scores: Vec<f64> = dose.iter().map(|(_, score, _)| *score).collect();
        let hits = dose.iter().filter(|(_, _, detected)| *detected).count();
        Ok(DoseRow {
            from: dose[0].0,
            to: dose[dose.len() - 1].0,
            members: dose.len(),
            detected: share_interval(hits, dose.len())?,
            fitted,
            auc: (!others.is_empty()).then(|| bootstrap.auc(&scores, &others)).transpose()?,
        })
    };
    let as_dose = |dose: &&[(u64, f64, bool)]| Dose {
        // The geometric mean of the counts, which rises from octave to octave.
        exposures: (dose.iter().map(|(count, ..)| (*count as f64).ln()).sum::<f64>()
            / dose.len() as f64)
            .exp(),
        detected: dose.iter().map(|(_, _, detected)| *detected).collect(),
    };
    let as_doses: Vec<Dose> = doses.iter().map(as_dose).collect();
    let (counts, scores): (Vec<f64>, Vec<f64>) =
        members.iter().map(|(count, score, _)| (*count as f64, *score)).unzip();
    Ok(Some(DoseResponse {
        spearman: bootstrap.spearman(&counts, &scores)?,
        half_detected: bootstrap.half_detected(&as_doses)?,
        doses: doses.iter().zip(monotone_rates(&as_doses)).map(row).collect::<Result<_, _>>()?,
    }))
}
