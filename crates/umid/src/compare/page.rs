//! The report of a comparison: one page without scripts.

#![expect(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a page is drawn once; a short-lived string a piece keeps the markup readable"
)]

use std::io::{self, Write};

use super::change::Changes;
use super::plane::{self, Series};
use super::{Comparison, Direction, NameChange, Verdict};
use crate::audit::AuditSummary;
use crate::report::{BASE_STYLE, count, escape};

const STYLE: &str = include_str!("page.css");

/// Most names in the page's table; all are in the CSV file.
const MAX_ROWS: usize = 2_000;

pub(super) fn write(
    out: &mut dyn Write,
    comparison: &Comparison,
    names: &[NameChange],
    changes: &Changes,
    audits: [&AuditSummary; 2],
) -> io::Result<()> {
    let [before, after] = &comparison.models;
    let title = format!("{} and {} compared", escape(&before.name), escape(&after.name));
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
         'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>\n{BASE_STYLE}{STYLE}</style>\n</head>\n<body>\n<header>\n\
         <p class=\"instrument\">umid {}<span>two models, the same names</span></p>\n<h1>{title}</h1>\n\
         <p class=\"outcome\">{}</p>\n</header>\n<main>\n",
        escape(&comparison.umid_version),
        escape(&outcome(comparison, names.len())),
    )?;
    out.write_all(warnings(comparison).as_bytes())?;
    out.write_all(compared(comparison, audits).as_bytes())?;
    out.write_all(verdicts(comparison).as_bytes())?;
    out.write_all(figure(names, changes).as_bytes())?;
    table(out, comparison, names)?;
    out.write_all(guide(comparison).as_bytes())?;
    out.write_all(
        b"</main>\n<footer><p>A change is statistical evidence about two models, not proof. This file is \
          complete in itself and opens no connection.</p></footer>\n</body>\n</html>\n",
    )
}

fn outcome(comparison: &Comparison, names: usize) -> String {
    let of = |verdict| comparison.verdicts.get(&verdict).copied().unwrap_or(0);
    format!(
        "Of {} names, {} are gone, {} are weaker, {} are still there and {} are new, at a false discovery \
         rate of {}\u{a0}%.",
        count(names as u64),
        count(of(Verdict::Gone) as u64),
        count(of(Verdict::Weaker) as u64),
        count(of(Verdict::StillThere) as u64),
        count(of(Verdict::New) as u64),
        100.0 * comparison.false_discovery_rate,
    )
}

fn warnings(comparison: &Comparison) -> String {
    if comparison.warnings.is_empty() {
        return String::new();
    }
    let items: Vec<String> =
        comparison.warnings.iter().map(|w| format!("<li>{}</li>\n", escape(w))).collect();
    format!(
        "<section class=\"warnings\" aria-labelledby=\"h-warnings\">\n<h2 id=\"h-warnings\">Warnings</h2>\n\
         <ul>\n{}</ul>\n</section>\n",
        items.concat()
    )
}

fn compared(comparison: &Comparison, audits: [&AuditSummary; 2]) -> String {
    let mut rows = String::new();
    let mut row = |what: &str, values: [String; 2]| {
        rows += &format!(
            "<tr><th scope=\"row\">{what}</th><td>{}</td><td>{}</td></tr>\n",
            values[0], values[1]
        );
    };
    let models = &comparison.models;
    row("Model", [0, 1].map(|i| format!("<bdi>{}</bdi>", escape(&models[i].name))));
    row("Architecture", [0, 1].map(|i| escape(&models[i].architecture)));
    row("Digest (BLAKE3)", [0, 1].map(|i| escape(&models[i].digest)));
    row(
        "Names detected at the false discovery rate",
        audits.map(|audit| count(audit.discoveries() as u64)),
    );
    let least = |audit: &AuditSummary| {
        let list = audit.run.whole_list.as_ref();
        list.map_or_else(String::new, |list| count(list.answer.at_least as u64))
    };
    row("Names that stand out, at least", audits.map(least));
    row(
        "Report",
        ["before", "after"]
            .map(|run| format!("<a href=\"{run}/report.html\">{run}/report.html</a>")),
    );
    format!(
        "<section aria-labelledby=\"h-compared\">\n<h2 id=\"h-compared\">What was compared</h2>\n\
         <table class=\"sides\"><thead><tr><th></th><th scope=\"col\">Before</th><th scope=\"col\">After\
         </th></tr></thead>\n<tbody>\n{rows}</tbody></table>\n{}</section>\n",
        facts(&[
            ("Begun on", comparison.begun.clone()),
            ("Direction", direction(comparison.direction).to_owned()),
            ("Reference names a change is ranked among", count(comparison.ranked as u64)),
            ("Correlation of their scores", correlations(comparison)),
        ])
    )
}

fn facts(facts: &[(&str, String)]) -> String {
    let of = |(term, value): &(&str, String)| {
        format!("<div><dt>{term}</dt><dd>{}</dd></div>\n", escape(value))
    };
    format!("<dl class=\"facts\">\n{}</dl>\n", facts.iter().map(of).collect::<String>())
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Less => "falls count",
        Direction::More => "rises count",
        Direction::Both => "falls and rises count",
    }
}

fn correlations(comparison: &Comparison) -> String {
    let of = |(form, value): (&String, &f64)| format!("{value:.2} (names of {form})");
    let all: Vec<String> = comparison.correlation.iter().map(of).collect();
    if all.is_empty() { "no reference names are ranked".to_owned() } else { all.join(", ") }
}

fn verdicts(comparison: &Comparison) -> String {
    let known: Vec<&String> = comparison.verdicts_of_known.keys().collect();
    let columns: String = known
        .iter()
        .map(|group| format!("<th scope=\"col\">Known {}</th>", escape(group)))
        .collect();
    let rows: String = Verdict::ALL
        .iter()
        .map(|verdict| {
            let of_known: String = known
                .iter()
                .map(|group| {
                    let n = comparison.verdicts_of_known[*group].get(verdict).copied().unwrap_or(0);
                    format!("<td class=\"number\">{}</td>", count(n as u64))
                })
                .collect();
            let n = comparison.verdicts.get(verdict).copied().unwrap_or(0);
            format!(
                "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td>{of_known}<td>{}</td></tr>\n",
                mark(*verdict),
                count(n as u64),
                escape(verdict.meaning())
            )
        })
        .collect();
    let without = match comparison.without_verdict {
        0 => String::new(),
        n => format!("<p>{} names have no verdict under one of the models.</p>\n", count(n as u64)),
    };
    format!(
        "<section aria-labelledby=\"h-verdicts\">\n<h2 id=\"h-verdicts\">Verdicts</h2>\n\
         <div class=\"scroll\"><table class=\"sides\"><thead><tr><th scope=\"col\">Verdict</th>\
         <th scope=\"col\">Names</th>{columns}<th scope=\"col\">Meaning</th></tr></thead>\n\
         <tbody>\n{rows}</tbody></table></div>\n{without}</section>\n"
    )
}

fn mark(verdict: Verdict) -> String {
    format!("<span class=\"verdict {}\">{}</span>", class(verdict), verdict.words())
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Gone => "gone",
        Verdict::Weaker => "weaker",
        Verdict::StillThere => "still",
        Verdict::New => "new",
        Verdict::Stronger => "stronger",
        Verdict::Unclear | Verdict::FoundInNeither => "neither",
    }
}

fn figure(names: &[NameChange], changes: &Changes) -> String {
    let of = |class: &'static str, words: &'static str, verdicts: &[Verdict]| Series {
        class,
        words,
        points: names
            .iter()
            .filter(|name| name.verdict.is_some_and(|verdict| verdicts.contains(&verdict)))
            .filter_map(|name| name.scores)
            .collect(),
    };
    let reference = Series {
        class: "reference",
        words: "reference names",
        points: changes.reference().collect(),
    };
    plane::figure(&[
        reference,
        of("neither", "unclear, or found in neither", &[Verdict::Unclear, Verdict::FoundInNeither]),
        of("gone", "gone", &[Verdict::Gone]),
        of("weaker", "weaker", &[Verdict::Weaker]),
        of("still", "still there", &[Verdict::StillThere]),
        of("new", "new", &[Verdict::New]),
        of("stronger", "stronger", &[Verdict::Stronger]),
    ])
}

fn table(out: &mut dyn Write, comparison: &Comparison, names: &[NameChange]) -> io::Result<()> {
    let mut order: Vec<&NameChange> = names.iter().collect();
    let p = |name: &NameChange| name.change_p_value.unwrap_or(f64::INFINITY);
    order.sort_by(|a, b| a.verdict.cmp(&b.verdict).then(p(a).total_cmp(&p(b))));
    // Those without a verdict come last.
    let without = order.iter().take_while(|name| name.verdict.is_none()).count();
    order.rotate_left(without);
    let note = if names.len() > MAX_ROWS {
        format!(
            "<p>The first {} of {} names; <code>changes.csv</code> has all.</p>\n",
            count(MAX_ROWS as u64),
            count(names.len() as u64)
        )
    } else {
        String::new()
    };
    write!(
        out,
        "<section aria-labelledby=\"h-names\">\n<h2 id=\"h-names\">Names</h2>\n{note}\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"h-names\">\
         <table class=\"sides names\"><thead><tr><th scope=\"col\">Name</th><th scope=\"col\">Id</th>\
         <th scope=\"col\">Verdict</th><th scope=\"col\">Score before</th><th scope=\"col\">after</th>\
         <th scope=\"col\">q before</th><th scope=\"col\">after</th><th scope=\"col\">p of change</th>\
         <th scope=\"col\">q of change</th></tr></thead>\n<tbody>\n"
    )?;
    let number = |value: Option<f64>, digits: usize| {
        value.filter(|value| value.is_finite()).map_or_else(
            || "\u{2013}".to_owned(),
            |value| format!("{value:.digits$}").replace('-', "\u{2212}"),
        )
    };
    for name in order.into_iter().take(MAX_ROWS) {
        let detected = |q: Option<f64>| match q {
            Some(q) if q <= comparison.false_discovery_rate => " hit",
            _ => "",
        };
        let score = |side: usize| number(name.scores.map(|scores| scores[side]), 2);
        writeln!(
            out,
            "<tr><th scope=\"row\"><bdi>{}</bdi></th><td>{}</td><td>{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td class=\"number{}\">{}</td><td class=\"number{}\">{}</td>\
             <td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            escape(&name.text),
            escape(&name.id),
            name.verdict.map_or_else(|| "no verdict".to_owned(), mark),
            score(0),
            score(1),
            detected(name.q_values[0]),
            number(name.q_values[0], 4),
            detected(name.q_values[1]),
            number(name.q_values[1], 4),
            number(name.change_p_value, 4),
            number(name.change_q_value, 4),
        )?;
    }
    out.write_all(b"</tbody></table></div>\n</section>\n")
}

fn guide(comparison: &Comparison) -> String {
    format!(
        "<section aria-labelledby=\"h-guide\">\n<h2 id=\"h-guide\">How to read it</h2>\n\
         <p>Both models read each name, and the same reference names, by text alone. A score is given in \
         deviations of the scores of reference names under the same model. The p-value of a change is its \
         rank among the changes of {} reference names that neither model saw: of names like \
         these, at most a share of p changes as much in the direction that counts. q-values are over the \
         list.</p>\n\
         <p><strong>What it does not say.</strong> &ldquo;Gone&rdquo; means that what was found before is not found \
         any more by this test; a name can be hidden from it, and a name that was seen a few times leaves little to \
         find in the first place. Two trainings on the same data differ too: a member\u{2019}s score may fall or \
         rise although nothing was forgotten. Models of different architectures agree less on names that neither \
         saw, which widens the reference\u{2019}s changes and costs power.</p>\n</section>\n",
        count(comparison.ranked as u64)
    )
}
