//! The calibrated reading and the paper's side by side, and how many verdicts were right where
//! the truth is known.

use super::findings::{Findings, expected};
use super::markup::{count, escape, names, percent, probability};
use super::without_inversions;
use crate::overview::Votes;
use crate::record::RunInfo;

/// Both readings as two panels.
pub(super) fn section(run: &RunInfo, outcome: &Findings) -> String {
    let paper = match outcome.paper {
        Some(paper) => paper_panel(run, &paper),
        None => no_paper_panel(run),
    };
    format!("<div class=\"panels\">\n{}{paper}</div>\n", calibrated_panel(run, outcome))
}

fn calibrated_panel(run: &RunInfo, outcome: &Findings) -> String {
    let level = percent(run.parameters.alpha);
    let rate = percent(run.parameters.false_discovery_rate);
    let headline = match outcome.detected_at_fdr {
        Some(detected) => figure(detected, outcome.tested, &format!("detected at FDR {rate}")),
        None => figure(outcome.detected_at_level, outcome.tested, &format!("detected at {level}")),
    };
    let needed = match outcome.names_needed_for_fdr {
        _ if outcome.detected_at_fdr.is_none() => String::new(),
        1 => format!("One name with that p-value is enough to pass FDR {rate}."),
        n => format!(
            "With {}, that is too coarse for fewer than {} to pass FDR {rate} together by rank. A score \
             above the whole reference counts by the tail of the reference's scores, which is \
             extrapolated; a larger reference is better.",
            names(outcome.tested),
            count(n as u64)
        ),
    };
    format!(
        "<section class=\"panel panel-main\" aria-labelledby=\"h-cal\">\n\
         <h3 id=\"h-cal\">Calibrated reading</h3>\n<p class=\"tag\">carries the error rate</p>\n\
         {headline}<dl class=\"lines\">\n\
         <div><dt>Detected at level {level} a name</dt><dd>{}</dd></div>\n\
         <div><dt>Expected there by chance alone</dt><dd>about {}</dd></div>\n\
         <div><dt>Reference: plausible names</dt><dd>{}</dd></div>\n\
         <div><dt>Smallest p-value it can give</dt><dd>{}</dd></div>\n{}</dl>\n\
         {}<p>{needed}</p>\n</section>\n",
        count(outcome.detected_at_level as u64),
        expected(outcome.expected_at_level),
        count(run.calibrated_reference.count as u64),
        probability(outcome.smallest_p),
        known_members(run),
        whole_list(run),
    )
}

/// What the list says as a whole; empty before the run is done.
fn whole_list(run: &RunInfo) -> String {
    let Some(list) = &run.whole_list else { return String::new() };
    let found = match list.answer.at_least {
        0 => "it is not shown that any of them stands out".to_owned(),
        n => format!(
            "at least {} of them {} out from the reference as members do (95&nbsp;% confidence), \
             about {} by estimate",
            count(n as u64),
            if n == 1 { "stands" } else { "stand" },
            count(list.answer.about.round() as u64)
        ),
    };
    format!(
        "<p><strong>The list as a whole.</strong> Of {}, {found}. So many small p-values have a chance \
         of {} in a list without members. There is no upper bound: members of whom nothing is left \
         in the model do not stand out.</p>\n",
        names(list.answer.names),
        probability(list.answer.p_value),
    )
}

/// What the score was fitted on, if it was; empty for the default score.
fn known_members(run: &RunInfo) -> String {
    let scores = run.known_members.iter().flat_map(|known| &known.scores);
    let lines = scores.map(|score| {
        format!(
            "<div><dt>Score for names of {}</dt><dd>fitted on {} known members</dd></div>\n",
            escape(&score.form),
            count(score.known_members as u64)
        )
    });
    lines.collect()
}

fn paper_panel(run: &RunInfo, paper: &Votes) -> String {
    let reference = run.paper_reference.as_ref().map_or(0, |r| r.count);
    format!(
        "<section class=\"panel\" aria-labelledby=\"h-pap\">\n\
         <h3 id=\"h-pap\">Paper reading</h3>\n<p class=\"tag\">no error rate</p>\n\
         {}<dl class=\"lines\">\n\
         <div><dt>Votes needed</dt><dd>{} of {}</dd></div>\n\
         <div><dt>Of these, detected by the calibrated test at {}</dt><dd>{} of {}</dd></div>\n\
         <div><dt>Reference: gibberish</dt><dd>{}</dd></div>\n</dl>\n\
         <p><strong>It measures name-likeness.</strong> Real names differ from gibberish whether \
         the model was trained on them or not. A high count here is not a finding.</p>\n</section>\n",
        figure(paper.members, paper.voted_on, "voted unlike gibberish"),
        run.parameters.min_votes,
        paper.detectors,
        percent(run.parameters.alpha),
        count(paper.members_detected as u64),
        count(paper.members as u64),
        count(reference as u64),
    )
}

fn no_paper_panel(run: &RunInfo) -> String {
    let why = if run.parameters.restarts == 0 {
        format!(
            "{} The paper's vote needs them; the calibrated reading does not.",
            without_inversions(run)
        )
    } else {
        "No name has been put to the vote yet.".to_owned()
    };
    format!(
        "<section class=\"panel panel-absent\" aria-labelledby=\"h-pap\">\n\
         <h3 id=\"h-pap\">Paper reading</h3>\n<p class=\"tag\">not made</p>\n\
         <p>{why}</p>\n</section>\n"
    )
}

fn figure(n: usize, of: usize, what: &str) -> String {
    format!(
        "<p class=\"figure-number\"><b>{}</b> <span>of {} {what}</span></p>\n",
        count(n as u64),
        names(of)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn a_run_without_inversions_has_no_empty_panel() {
        let mut run = fixture::run(40);
        run.parameters.restarts = 0;
        let mut records = fixture::records(2, 1);
        for record in &mut records {
            record.paper = None;
        }
        let drawn = fixture::Drawn::of(&run, &records);
        let report = drawn.report(&run, &[]);
        let html = section(&run, &Findings::of(&report));
        assert!(html.contains("made without inversions"));
    }
}
