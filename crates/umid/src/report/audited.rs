//! What was audited and with which parameters.

use super::findings::Findings;
use super::markup::{count, escape, missing, names, percent, trimmed, words};
use crate::overview::signals_by_weight;
use crate::record::{Parameters, ReferenceInfo, RunInfo};

/// Leading characters of a digest that identify it to a reader.
const SHORT_DIGEST: usize = 16;

/// The model and the extent of the run, as a definition list.
pub(super) fn summary(run: &RunInfo) -> String {
    let model = &run.model;
    let entry = |term: &str, value: String| format!("<div><dt>{term}</dt><dd>{value}</dd></div>\n");
    let mut html = String::from("<dl class=\"facts\">\n");
    html += &entry("Model", format!("<bdi>{}</bdi>", escape(&model.name)));
    html += &entry("Architecture", escape(&model.architecture));
    if let Some(reason) = &model.text_alone {
        html += &entry("Input tower", format!("not read: {}", escape(reason)));
    }
    html += &entry("Weights", count(model.parameter_count));
    for (what, lines) in [
        ("Inferred from shapes", &model.provenance.inferred),
        ("Assumed", &model.provenance.assumed),
    ] {
        if !lines.is_empty() {
            html += &entry(what, escape(&lines.join("; ")));
        }
    }
    html += &entry("Digest (BLAKE3)", short_digest(&model.digest));
    html += &entry("Begun on", escape(&run.begun));
    html += &entry("Names asked", {
        let (asked, done) = (run.counts.queries as u64, run.counts.done as u64);
        if asked == done {
            count(asked)
        } else {
            format!("{} of {} answered", count(done), count(asked))
        }
    });
    html += &entry(
        "Texts",
        if run.parameters.redact {
            "redacted: names are shown as keyed hashes".to_owned()
        } else {
            "in the clear: this file holds the names".to_owned()
        },
    );
    html + "</dl>\n"
}

/// The tables of parameters, references and digests.
pub(super) fn parameters(run: &RunInfo) -> String {
    let mut html = String::new();
    html += &table("Parameters", &parameter_rows(run));
    html += &table("References", &reference_rows(run));
    html += &table("Digests and environment", &environment_rows(run));
    html
}

/// The method in one paragraph, for an assessment that quotes it.
pub(super) fn methods(run: &RunInfo, outcome: &Findings) -> String {
    let (p, reference) = (&run.parameters, &run.calibrated_reference);
    let contexts = match p.contexts.len() {
        0 => String::new(),
        n => format!(" and in {n} captions that say other things beside it"),
    };
    let score = match &run.known_members {
        Some(known) if !known.scores.is_empty() => {
            format!("a score fitted on {} known members", count(known.count as u64))
        }
        _ => "a fixed score".to_owned(),
    };
    let found = outcome.detected_at_fdr.map_or(String::new(), |found| {
        format!(" {} detected.", counted(found, "name was", "names were"))
    });
    format!(
        "<p>The checkpoint <bdi>{}</bdi> ({}; BLAKE3 {}) was asked about {} with umid {}, by text{}. \
         The text tower read each name in {}{contexts}. Its responses give {score}, which was ranked \
         among the scores of {} reference names ({}), after {} others had set the scales. The rank is a \
         conformal p-value: of names that are like the reference and that the model has not seen, a share of \
         at most p has one of at most p. The false discovery rate over the list was controlled \
         at {} by the procedure of Benjamini and Hochberg{}.{found} A name that was not detected may have \
         been in the training data all the same.</p>\n",
        escape(&run.model.name),
        escape(&run.model.architecture),
        short_digest(&run.model.digest),
        names(run.counts.queries),
        escape(&run.umid_version),
        if p.bank.is_some() { " and with a bank of public inputs" } else { " alone" },
        counted(p.templates.len(), "caption", "captions"),
        count(reference.ranked as u64),
        escape(reference.description.trim_end_matches('.')),
        count(reference.count.saturating_sub(reference.ranked) as u64),
        percent(p.false_discovery_rate),
        non_members(run),
    )
}

/// The estimated share of non-members, where one was estimated.
fn non_members(run: &RunInfo) -> String {
    let share = run.whole_list.as_ref().map(|list| list.non_member_share);
    share.filter(|share| *share < 1.0).map_or(String::new(), |share| {
        format!(
            ", with q-values scaled by Storey's estimate of the share of non-members ({})",
            percent(share)
        )
    })
}

fn counted(n: usize, one: &str, several: &str) -> String {
    format!("{} {}", count(n as u64), if n == 1 { one } else { several })
}

fn parameter_rows(run: &RunInfo) -> Vec<(&'static str, String)> {
    let p = &run.parameters;
    let mut rows = vec![
        ("Seed", p.seed.to_string()),
        ("Templates, the first of which is inverted", list(&p.templates)),
        ("Captions of other contents", list(&p.contexts)),
        ("Level of the calibrated test", percent(p.alpha)),
        ("False discovery rate across the run", percent(p.false_discovery_rate)),
        ("Signals of the default score, with weights", weights(run)),
    ];
    if p.restarts == 0 {
        rows.push(("Inversions", "none; no paper reading".to_owned()));
    } else {
        rows.extend([
            ("Inversions", inversions(p)),
            ("Optimiser", escape(&p.optimiser)),
            ("Optimised variable", escape(&p.space)),
            ("Starts", escape(&p.starts)),
            ("Clamped to the valid range", yes_no(p.clamp)),
            ("Votes that make a member (paper reading)", p.min_votes.to_string()),
        ]);
    }
    rows.push(("Precision of the input tower", p.precision.to_string()));
    rows.push(("Precision of the text tower", p.text_precision.to_string()));
    rows.push(("Redacted", yes_no(p.redact)));
    rows
}

fn inversions(p: &Parameters) -> String {
    let stop = p.stop_at.map(|cosine| format!(", until a cosine of {cosine}"));
    format!("{} restarts of {} steps{}", p.restarts, p.steps, stop.unwrap_or_default())
}

fn reference_rows(run: &RunInfo) -> Vec<(&'static str, String)> {
    let describe = |reference: &ReferenceInfo| {
        format!(
            "{} texts: {}<br>{}",
            count(reference.count as u64),
            escape(&reference.description),
            digest(&reference.digest)
        )
    };
    let paper = run.paper_reference.as_ref();
    let mut rows = vec![
        ("Calibrated reading", describe(&run.calibrated_reference)),
        (
            "Paper reading",
            paper.map_or_else(|| missing("the run was made without inversions"), describe),
        ),
    ];
    if let Some(known) = &run.known_members {
        let mut value = format!("{} names", count(known.count as u64));
        for score in &known.scores {
            let signals: Vec<String> = score.signals.iter().map(|s| escape(&words(s))).collect();
            value += &format!(
                "<br>names of {}: {} of them, fitted against {} reference names by {}, each with \
                 its square",
                escape(&score.form),
                count(score.known_members as u64),
                count(score.reference_names as u64),
                signals.join(", ")
            );
        }
        rows.push(("Known members", format!("{value}<br>{}", digest(&known.digest))));
    }
    rows
}

fn environment_rows(run: &RunInfo) -> Vec<(&'static str, String)> {
    let seconds = |(stage, s): (&String, &f64)| {
        let s = if s.is_finite() { trimmed(*s, 1) } else { "\u{2013}".to_owned() };
        format!("{} {s}\u{a0}s", escape(&words(stage)))
    };
    let wall: Vec<String> = run.wall_s.iter().map(seconds).collect();
    vec![
        ("Model", digest(&run.model.digest)),
        ("Queries", digest(&run.queries_digest)),
        ("Checkpoint layout", escape(&run.model.layout)),
        ("Device", escape(&run.device)),
        (
            "Products of the input tower",
            run.unit.as_deref().map_or_else(|| missing("not recorded"), escape),
        ),
        (
            "Wall-clock time",
            if wall.is_empty() { missing("not recorded") } else { wall.join(", ") },
        ),
        (
            "Written by",
            format!("umid {}, schema {}", escape(&run.umid_version), run.schema_version),
        ),
    ]
}

fn table(caption: &str, rows: &[(&str, String)]) -> String {
    let mut html = format!("<table class=\"pairs\">\n<caption>{caption}</caption>\n<tbody>\n");
    for (name, value) in rows {
        html += &format!("<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>\n");
    }
    html + "</tbody>\n</table>\n"
}

fn list(items: &[String]) -> String {
    let items: Vec<String> =
        items.iter().map(|item| format!("<code>{}</code>", escape(item))).collect();
    if items.is_empty() { missing("none were given") } else { items.join("<br>") }
}

fn weights(run: &RunInfo) -> String {
    let weights: Vec<String> = signals_by_weight(run)
        .iter()
        .map(|(name, weight)| {
            format!("{} \u{d7}\u{a0}{}", escape(&words(name)), trimmed(*weight, 3))
        })
        .collect();
    if weights.is_empty() { missing("the score has no signals") } else { weights.join(", ") }
}

fn yes_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

fn digest(digest: &str) -> String {
    format!("<code class=\"digest\">{}</code>", escape(digest))
}

fn short_digest(digest: &str) -> String {
    let short: String = digest.chars().take(SHORT_DIGEST).collect();
    let more = if short.len() < digest.len() { "\u{2026}" } else { "" };
    format!("<code title=\"{}\">{}{more}</code>", escape(digest), escape(&short))
}
