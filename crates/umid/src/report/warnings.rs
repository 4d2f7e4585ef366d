//! What the reader must know before believing anything below, each with its remedy.

use super::Report;
use super::findings::Findings;
use super::markup::{count, escape, names, percent, probability};

/// Kinds of query warnings that are listed; the table shows all of them.
const LISTED: usize = 8;

/// The section, or nothing when there is no warning.
pub(super) fn section(report: &Report<'_>, outcome: &Findings) -> String {
    let mut items: Vec<String> = own_warnings(report, outcome)
        .iter()
        .chain(&report.run.warnings)
        .map(|w| escape(w))
        .collect();
    items.extend(query_warnings(report));
    if items.is_empty() {
        return String::new();
    }
    let items: String = items.iter().map(|item| format!("<li>{item}</li>\n")).collect();
    format!(
        "<section class=\"warnings\" id=\"warnings\" aria-labelledby=\"h-warn\">\n\
         <h2 id=\"h-warn\"><span aria-hidden=\"true\">\u{26a0}\u{fe0e} </span>Warnings</h2>\n\
         <ul>\n{items}</ul>\n</section>\n"
    )
}

/// What follows from the counts alone.
fn own_warnings(report: &Report<'_>, outcome: &Findings) -> Vec<String> {
    let mut warnings = Vec::new();
    let counts = report.run.counts;
    if counts.done < counts.queries {
        warnings.push(format!(
            "The run is not complete: {} of {} are answered, and q-values will change with the \
             rest. Run the same command again to resume.",
            count(counts.done as u64),
            names(counts.queries)
        ));
    }
    let alpha = report.run.parameters.alpha;
    if alpha > 0.0 && outcome.smallest_p > alpha {
        // Of a larger reference, the same share would be ranked among.
        let reference = &report.run.calibrated_reference;
        let share = reference.count as f64 / reference.ranked.max(1) as f64;
        let ranked = 1.0 / alpha - 1.0;
        warnings.push(format!(
            "No name can be detected at level {}: the smallest p-value that {} reference texts can \
             give is {}. Use at least {} reference texts.",
            percent(alpha),
            count(reference.count as u64),
            probability(outcome.smallest_p),
            count((ranked * share - 1e-9).ceil() as u64),
        ));
    }
    warnings
}

/// The queries' own warnings, equal ones together.
fn query_warnings(report: &Report<'_>) -> Option<String> {
    let by_text = report.overview.warnings().iter();
    let affected = report.overview.with_warnings();
    if affected == 0 {
        return None;
    }
    let mut kinds: Vec<(&str, usize)> = by_text.map(|(text, n)| (text.as_str(), *n)).collect();
    kinds.sort_by_key(|&(_, n)| std::cmp::Reverse(n));
    let listed: String = kinds
        .iter()
        .take(LISTED)
        .map(|(text, n)| format!("<li>{}: {}</li>\n", names(*n), escape(text)))
        .collect();
    let more = match kinds.len().saturating_sub(LISTED) {
        0 => String::new(),
        n => format!("<li>and {} more kinds</li>\n", count(n as u64)),
    };
    Some(format!(
        "{} of {} carry a warning of their own, marked \u{26a0}\u{fe0e} in the table; a \
         row\u{2019}s details give its text.\n<ul>\n{listed}{more}</ul>",
        count(affected as u64),
        names(report.overview.names()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn a_clean_run_has_no_section() {
        let run = fixture::run(40);
        let mut records = fixture::records(2, 1);
        for record in &mut records {
            record.warnings.clear();
        }
        let drawn = fixture::Drawn::of(&run, &records);
        let report = drawn.report(&run, &[]);
        assert_eq!(section(&report, &Findings::of(&report)), "");
    }

    #[test]
    fn a_reference_that_cannot_reach_the_level_is_named_with_its_remedy() {
        let run = fixture::run(10);
        let drawn = fixture::Drawn::of(&run, &[]);
        let report = drawn.report(&run, &[]);
        let html = section(&report, &Findings::of(&report));
        assert!(html.contains("Use at least 19 reference texts."), "{html}");
    }

    #[test]
    fn equal_query_warnings_are_counted_together() {
        let run = fixture::run(40);
        let mut records = fixture::records(3, 1);
        for record in &mut records {
            record.warnings = vec!["<b> saturated".to_owned()];
        }
        let drawn = fixture::Drawn::of(&run, &records);
        let report = drawn.report(&run, &[]);
        let html = section(&report, &Findings::of(&report));
        assert!(html.contains("<li>3 names: &lt;b&gt; saturated</li>"), "{html}");
    }

    #[test]
    fn an_unfinished_run_says_how_to_resume() {
        let mut run = fixture::run(40);
        run.counts.queries = 5;
        run.counts.done = 2;
        let drawn = fixture::Drawn::of(&run, &[]);
        let report = drawn.report(&run, &[]);
        assert!(section(&report, &Findings::of(&report)).contains("2 of 5 names are answered"));
    }
}
