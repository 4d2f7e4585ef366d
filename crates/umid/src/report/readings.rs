//! The calibrated reading and the paper's side by side, and how many verdicts were right where
//! the truth is known.

use super::findings::{Findings, expected};
use super::markup::{count, escape, names, percent, probability};
use super::{Report, without_inversions};
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
            "With {}, that is too coarse for fewer than {} to pass FDR {rate} together; a larger \
             reference helps.",
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
         <p>{needed}</p>\n</section>\n",
        count(outcome.detected_at_level as u64),
        expected(outcome.expected_at_level),
        count(run.calibrated_reference.count as u64),
        probability(outcome.smallest_p),
        known_members(run),
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

/// How many verdicts were right, where the truth is known; empty otherwise.
pub(super) fn truth(report: &Report<'_>, outcome: &Findings) -> String {
    let Some(members) = report.ground_truth else {
        return String::new();
    };
    let parameters = &report.run.parameters;
    let overview = report.overview;
    let is_member = |index: usize| members.contains(overview.id(index));
    let all = 0..overview.names();
    let row = |reading: String, verdicts: Vec<(bool, bool)>| {
        let share = |positive: bool| {
            let of = verdicts.iter().filter(|(truth, _)| *truth == positive);
            let called = of.clone().filter(|(_, verdict)| *verdict).count();
            share_cell(called, of.count())
        };
        let right = verdicts.iter().filter(|(truth, verdict)| truth == verdict).count();
        format!(
            "<tr><th scope=\"row\">{reading}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            share(true),
            share(false),
            share_cell(right, verdicts.len())
        )
    };
    let mut rows = String::new();
    if outcome.detected_at_fdr.is_some() {
        let rate = parameters.false_discovery_rate;
        rows += &row(
            format!("Calibrated, FDR {}", percent(rate)),
            all.clone()
                .map(|i| (is_member(i), report.q_values[i].is_some_and(|q| q <= rate)))
                .collect(),
        );
    }
    rows += &row(
        format!("Calibrated, level {} a name", percent(parameters.alpha)),
        all.clone().map(|i| (is_member(i), overview.is_detected(i))).collect(),
    );
    if outcome.paper.is_some() {
        let voted = all.filter_map(|i| Some((is_member(i), overview.is_voted_member(i)?)));
        rows += &row("Paper\u{2019}s vote against gibberish".to_owned(), voted.collect());
    }
    format!(
        "<section aria-labelledby=\"h-truth\">\n<h2 id=\"h-truth\">How many were right</h2>\n\
         <p>The members of this target's training data are known, so every verdict can be \
         checked. In a real audit they are not.</p>\n<div class=\"scroll\" tabindex=\"0\" \
         role=\"region\" aria-label=\"Verdicts against the truth\"><table class=\"numbers\">\n\
         <caption>Verdicts against the truth</caption>\n<thead><tr><th scope=\"col\">Reading</th>\
         <th scope=\"col\">Members detected</th><th scope=\"col\">Non-members detected \
         (false)</th><th scope=\"col\">Right</th></tr></thead>\n<tbody>\n{rows}</tbody>\n\
         </table></div>\n</section>\n"
    )
}

fn share_cell(n: usize, of: usize) -> String {
    if of == 0 {
        return super::markup::missing("there are none");
    }
    let share = (n as f64 / of as f64 * 100.0).round() / 100.0;
    format!(
        "{} of {} <span class=\"muted\">({})</span>",
        count(n as u64),
        count(of as u64),
        percent(share)
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::report::fixture;

    #[test]
    fn verdicts_are_counted_against_the_truth() {
        let run = fixture::run(40);
        let mut records = fixture::records(4, 1);
        for (i, record) in records.iter_mut().enumerate() {
            record.id = i.to_string();
            record.calibrated.as_mut().unwrap().detected = i < 3;
            record.paper = None;
        }
        let members: BTreeSet<String> = ["0", "1"].map(String::from).into();
        let drawn = fixture::Drawn::of(&run, &records);
        let report = Report { ground_truth: Some(&members), ..drawn.report(&run, &[]) };
        let html = truth(&report, &Findings::of(&report)).replace('\u{a0}', " ");
        let cell = |n, share| format!("<td>{n} of 2 <span class=\"muted\">({share} %)</span></td>");
        assert!(html.contains(&(cell(2, 100) + &cell(1, 50))), "{html}");
        assert!(html.contains("3 of 4 <span class=\"muted\">(75 %)"), "{html}");
        assert!(!html.contains("gibberish"), "no paper reading, no row for it");
    }

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
