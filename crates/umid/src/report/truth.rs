//! What the verdicts are worth on names whose answers were known: rates, ROC curves, and detection by
//! how often names were seen.

use umid_detect::{Interval, RocPoint, roc_curve};

use super::Report;
use super::axes::{Axis, Frame};
use super::markup::{count, escape, missing, trimmed};
use crate::checked::{Checked, CheckedReading, CheckedRule, DoseResponse, DoseRow};

const FRAME: Frame = Frame { width: 520.0, height: 320.0 };
const POWERS: [f64; 13] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6];

/// The section; empty where nothing was known.
pub(super) fn section(report: &Report<'_>) -> String {
    let Some(checked) = &report.run.checked else { return String::new() };
    let unknown = match checked.unknown {
        0 => String::new(),
        n => format!(", and nothing of {}", count(n as u64)),
    };
    let figures = [roc(report), checked.dose_response.as_ref().map(dose_figure)];
    let figures: String = figures.into_iter().flatten().collect();
    let figures = if figures.is_empty() {
        figures
    } else {
        format!("<div class=\"charts\">\n{figures}</div>\n")
    };
    format!(
        "<section aria-labelledby=\"h-truth\">\n<h2 id=\"h-truth\">How many were right</h2>\n\
         <p>The list says that {} names are members and {} are not{unknown}. Verdicts were made \
         without it. Intervals are of 95 %.</p>\n{}{}{}{figures}</section>\n",
        count(checked.members as u64),
        count(checked.non_members as u64),
        rules(checked),
        rankings(checked),
        checked.dose_response.as_ref().map(dose_table).unwrap_or_default(),
    )
}

fn rules(checked: &Checked) -> String {
    let row = |reading: &CheckedReading, rule: &CheckedRule| {
        let share = |[hits, of]: [usize; 2], interval: &Option<Interval>| match interval {
            None => missing("there are none"),
            Some(interval) => format!(
                "{} of {} <span class=\"muted\">({})</span>",
                count(hits as u64),
                count(of as u64),
                ends(interval)
            ),
        };
        let cells = [
            share(rule.members, &rule.recall),
            share(rule.non_members, &rule.false_positive_rate),
            figure_cell(
                rule.precision.as_ref(),
                "nobody is called a member, or one kind is missing",
            ),
            figure_cell(rule.f1.as_ref(), "names of one kind are missing"),
        ];
        row_of(&format!("{}, {}", title(&reading.reading), rule.rule), &cells)
    };
    let rows = checked
        .readings
        .iter()
        .flat_map(|reading| reading.rules.iter().map(move |rule| row(reading, rule)));
    table(
        "Verdicts against what is known",
        &["Rule", "Members called so", "Non-members called members", "Precision", "F1"],
        rows,
    )
}

fn rankings(checked: &Checked) -> String {
    let row = |reading: &CheckedReading| {
        let mut cells = vec![figure_cell(reading.auc.as_ref(), "names of one kind are missing")];
        cells.extend(reading.found_at.iter().map(|(_, found)| {
            found.as_ref().map_or("not resolved".to_owned(), |found| figure_cell(Some(found), ""))
        }));
        row_of(title(&reading.reading), &cells)
    };
    table(
        "How well scores rank members above non-members",
        &["Score", "AUC", "Members found at 1 % false positives", "at 0.1 %"],
        checked.readings.iter().map(row),
    )
}

fn dose_table(dose: &DoseResponse) -> String {
    let row = |row: &DoseRow| {
        let counts = if row.from == row.to {
            count(row.from)
        } else {
            format!("{} to {}", count(row.from), count(row.to))
        };
        let cells = [
            count(row.members as u64),
            figure_cell(Some(&row.detected), ""),
            figure_cell(row.auc.as_ref(), "there are no non-members"),
        ];
        row_of(&counts, &cells)
    };
    table(
        "By how often training saw the name",
        &["Exposures", "Members", "Share detected", "AUC against all non-members"],
        dose.doses.iter().map(row),
    )
}

/// ROC curves on logarithmic axes; `None` without names of both kinds.
fn roc(report: &Report<'_>) -> Option<String> {
    let curve = |say: &dyn Fn(usize) -> Option<f64>| -> Option<Vec<RocPoint>> {
        let of = |wanted: bool| -> Vec<f64> {
            let overview = report.overview;
            (0..overview.names())
                .filter(|i| report.answers.member(overview.id(*i)) == Some(wanted))
                .filter_map(say)
                .collect()
        };
        roc_curve(&of(true), &of(false)).ok()
    };
    let calibrated = curve(&|i| report.overview.score(i))?;
    let paper = curve(&|i| report.overview.vote_score(i));
    let above_zero = |points: &[RocPoint]| {
        let rates = points.iter().flat_map(|p| [p.false_positive_rate, p.true_positive_rate]);
        rates.filter(|rate| *rate > 0.0).fold(1.0, f64::min)
    };
    let low = above_zero(&calibrated).min(paper.as_deref().map_or(1.0, above_zero)) / 1.5;
    let axis = Axis::logarithmic(low, 1.0, &POWERS)?;
    let path = |points: &[RocPoint], class: &str| {
        let mut path = String::new();
        for point in points {
            let x = FRAME.x(&axis, axis.within(point.false_positive_rate));
            let y = FRAME.y(&axis, axis.within(point.true_positive_rate));
            let step = if path.is_empty() { 'M' } else { 'L' };
            path += &format!("{step}{x:.1} {y:.1}");
        }
        format!("<path class=\"dist {class}\" d=\"{path}\"/>")
    };
    let curves = path(&calibrated, "dist-queries")
        + &paper.as_deref().map(|points| path(points, "dist-other")).unwrap_or_default();
    let dashed = if paper.is_some() { " and, dashed, of the paper\u{2019}s vote" } else { "" };
    Some(figure(
        "roc",
        "ROC curve",
        &axis,
        &axis,
        ["False positive rate", "Share of members found"],
        &format!(
            "{curves}<path class=\"uniform\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>",
            Frame::LEFT,
            FRAME.bottom(),
            FRAME.right(),
            Frame::TOP
        ),
        &format!(
            "Of the calibrated score{dashed}, on logarithmic axes. The straight dashed line is \
             guessing."
        ),
    ))
}

/// Detection rates with their intervals by exposures.
fn dose_figure(dose: &DoseResponse) -> String {
    let centre = |row: &DoseRow| (row.from as f64 * row.to as f64).sqrt();
    let ends = dose.doses.first().zip(dose.doses.last());
    let Some((first, last)) = ends else { return String::new() };
    let ticks: Vec<f64> = dose.doses.iter().map(|row| row.from as f64).collect();
    let x = Axis::logarithmic(centre(first) / 1.4, centre(last) * 1.4, &ticks);
    let Some(x) = x else { return String::new() };
    let y = Axis::between(0.0, 1.0);
    let mut marks = String::new();
    let mut line = String::new();
    for row in &dose.doses {
        let (at, share) = (FRAME.x(&x, centre(row)), FRAME.y(&y, row.detected.estimate));
        let [low, high] = [row.detected.low, row.detected.high].map(|end| FRAME.y(&y, end));
        let fitted = FRAME.y(&y, row.fitted);
        line += &format!("{}{at:.1} {fitted:.1}", if line.is_empty() { 'M' } else { 'L' });
        marks += &format!(
            "<path class=\"axis\" d=\"M{at:.1} {low:.1}V{high:.1}\"/>\
             <circle class=\"bar-hit\" cx=\"{at:.1}\" cy=\"{share:.1}\" r=\"3.5\"/>"
        );
    }
    let exposures = |dose: Option<f64>| dose.map_or("more".to_owned(), |dose| trimmed(dose, 0));
    let half = dose.half_detected;
    let spearman = dose.spearman.as_ref().map_or(String::new(), |rho| {
        format!(" Spearman\u{2019}s rank correlation of score and exposures: {}.", figures(rho))
    });
    figure(
        "dose",
        "Detection by exposures",
        &x,
        &y,
        ["Exposures in training", "Share detected"],
        &format!("<path class=\"dist dist-queries\" d=\"{line}\"/>{marks}"),
        &format!(
            "Dots are shares with their 95&nbsp;% intervals, the line is the curve that rises with exposures \
             and fits them best. Half of the members are detected from {} exposures on ({} to {}).{spearman}",
            exposures(half.estimate),
            exposures(half.low),
            exposures(half.high),
        ),
    )
}

fn figure(
    id: &str,
    heading: &str,
    x: &Axis,
    y: &Axis,
    [x_title, y_title]: [&str; 2],
    marks: &str,
    caption: &str,
) -> String {
    format!(
        "<figure>\n<h3 id=\"h-{id}\">{heading}</h3>\n<svg viewBox=\"0 0 {} {}\" role=\"img\" \
         aria-labelledby=\"h-{id} d-{id}\">{}{marks}</svg>\n<figcaption id=\"d-{id}\">{caption}\
         </figcaption>\n</figure>\n",
        FRAME.width,
        FRAME.height,
        FRAME.draw(x, y, x_title, y_title)
    )
}

fn table(caption: &str, heads: &[&str], rows: impl Iterator<Item = String>) -> String {
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{head}</th>")).collect();
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\">\
         <table class=\"numbers\">\n<caption>{caption}</caption>\n<thead><tr>{heads}</tr></thead>\n\
         <tbody>\n{}</tbody>\n</table></div>\n",
        rows.collect::<String>()
    )
}

fn row_of(head: &str, cells: &[String]) -> String {
    let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
    format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", escape(head))
}

fn title(reading: &str) -> &str {
    if reading == "paper" { "Paper\u{2019}s vote" } else { "Calibrated" }
}

fn figure_cell(interval: Option<&Interval>, why_not: &str) -> String {
    match interval {
        None => missing(why_not),
        Some(interval) => format!(
            "{} <span class=\"muted\">({})</span>",
            trimmed(interval.estimate, 3),
            ends(interval)
        ),
    }
}

fn figures(interval: &Interval) -> String {
    format!("{} ({})", trimmed(interval.estimate, 2), ends(interval))
}

fn ends(interval: &Interval) -> String {
    format!("{} to {}", trimmed(interval.low, 3), trimmed(interval.high, 3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known_answers::Answer;
    use crate::report::fixture;

    #[test]
    fn verdicts_are_counted_against_what_is_known_and_unknown_names_left_out() {
        let mut run = fixture::run(40);
        let mut records = fixture::records(6, 1);
        for (i, record) in records.iter_mut().enumerate() {
            record.id = i.to_string();
            let calibrated = record.calibrated.as_mut().unwrap();
            (calibrated.detected, calibrated.score) = (i < 3, -(i as f64));
            record.paper = None;
        }
        let mut drawn = fixture::Drawn::of(&run, &records);
        // Members 0, 1 and 5 with counts; non-members 2 and 3; nothing of 4.
        let counts = [Some(40), Some(9), Some(0), Some(0), None, Some(2)];
        let answer = |(i, exposures): (usize, &Option<u64>)| {
            (i.to_string(), Answer::of(None, *exposures).unwrap())
        };
        drawn.answers = counts.iter().enumerate().map(answer).collect();
        let q_values = vec![None; 6];
        let checked =
            Checked::of(&drawn.overview, &q_values, &drawn.answers, &run.parameters).unwrap();
        let checked = checked.unwrap();
        assert_eq!((checked.members, checked.non_members, checked.unknown), (3, 2, 1));
        let [calibrated] = &checked.readings[..] else { panic!("{:?}", checked.readings) };
        let rule = &calibrated.rules[0];
        assert_eq!((rule.members, rule.non_members), ([2, 3], [1, 2]));
        assert!((rule.precision.unwrap().estimate - 2.0 / 3.0).abs() < 1e-12);
        // Of six pairs, the non-members 2 and 3 are below 0 and 1 and above 5.
        assert!((calibrated.auc.unwrap().estimate - 4.0 / 6.0).abs() < 1e-12);
        assert!(calibrated.found_at.iter().all(|(_, found)| found.is_none()), "two non-members");
        let dose = checked.dose_response.as_ref().unwrap();
        assert_eq!(dose.doses.iter().map(|row| row.from).collect::<Vec<_>>(), [2, 9, 40]);
        assert!((dose.spearman.unwrap().estimate - 1.0).abs() < 1e-12);
        run.checked = Some(checked);
        let html = section(&drawn.report(&run, &[])).replace('\u{a0}', " ");
        assert!(html.contains("3 names are members and 2 are not, and nothing of 1"), "{html}");
        assert!(html.contains("2 of 3") && html.contains("1 of 2"), "{html}");
        assert!(html.contains("ROC curve") && html.contains("Detection by exposures"), "{html}");
        assert!(!html.contains("NaN"), "{html}");
        assert!(!html.contains("Paper"), "no paper reading, no row for it");
    }

    #[test]
    fn a_list_that_says_nothing_has_no_section_and_one_kind_alone_has_no_ranking() {
        let mut run = fixture::run(40);
        let records = fixture::records(3, 1);
        let mut drawn = fixture::Drawn::of(&run, &records);
        assert_eq!(section(&drawn.report(&run, &[])), "");
        let member = Answer { member: Some(true), exposures: None };
        drawn.answers = records.iter().map(|record| (record.id.clone(), member)).collect();
        run.checked =
            Checked::of(&drawn.overview, &[None; 3], &drawn.answers, &run.parameters).unwrap();
        let html = section(&drawn.report(&run, &[]));
        assert!(html.contains("names of one kind are missing") && !html.contains("<svg"), "{html}");
    }
}
