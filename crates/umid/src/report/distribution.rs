//! Where the queries lie among the reference in the main signal of the calibrated score.

use super::Report;
use super::axes::{Axis, Frame};
use super::markup::{count, escape, finite, percent, words};
use crate::overview::Overview;

const FRAME: Frame = Frame { width: 520.0, height: 300.0 };
const BINS: usize = 24;

/// One set of texts in the chart.
struct Series {
    label: &'static str,
    class: &'static str,
    values: Vec<f64>,
}

/// The figure, or a sentence when there is nothing to draw.
pub(super) fn figure(report: &Report<'_>) -> String {
    let Some(signal) = report.overview.main_signal() else {
        return absent_figure(
            "The calibrated reference keeps no signal of the score, so its distribution cannot be \
             drawn.",
        );
    };
    let series = series(report, signal);
    let all = series.iter().flat_map(|s| s.values.iter().copied());
    let (Some(x), false) = (Axis::covering(all), series[1..].iter().all(|s| s.values.is_empty()))
    else {
        return absent_figure("No name has a value of the main signal yet.");
    };
    let shares: Vec<Vec<f64>> = series.iter().map(|s| shares(&s.values, &x)).collect();
    let highest = shares.iter().flatten().copied().fold(0.0, f64::max);
    let y = Axis::up_to(highest * 100.0);
    let mut outlines = String::new();
    let mut legend = String::new();
    for (series, shares) in series.iter().zip(&shares).filter(|(s, _)| !s.values.is_empty()) {
        outlines +=
            &format!("<path class=\"{}\" d=\"{}\"/>", series.class, outline(shares, &x, &y));
        legend += &format!(
            "<li><svg class=\"key\" viewBox=\"0 0 24 14\" aria-hidden=\"true\"><path \
             class=\"{}\" d=\"M1 13V4h11V8h11V13\"/></svg>{} ({})</li>",
            series.class,
            series.label,
            count(series.values.len() as u64),
        );
    }
    let words = escape(&words(signal));
    format!(
        "<figure>\n<h3 id=\"h-d\">Main signal: {words}</h3>\n\
         <svg viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"h-d d-d\">{}{outlines}</svg>\n\
         <ul class=\"legend\">{legend}</ul>\n\
         <figcaption id=\"d-d\">Share of texts by value, as the signal's definition gives it, for \
         the signal with the largest weight in the score. The reference is that of the calibrated \
         reading.{}</figcaption>\n</figure>\n",
        FRAME.width,
        FRAME.height,
        FRAME.draw(&x, &y, &sentence_case(&words), "Share of texts (%)"),
        absent(report.overview),
    )
}

fn absent_figure(why: &str) -> String {
    format!("<figure><h3>Main signal</h3><p class=\"figure-note\">{why}</p></figure>\n")
}

/// The reference first, then the queries, by membership where it is known.
fn series(report: &Report<'_>, signal: &str) -> Vec<Series> {
    let reference = &report.run.calibrated_reference.signals[signal];
    let reference = reference.iter().copied().flatten().filter_map(finite).collect();
    let queries = |wanted: Option<bool>| -> Vec<f64> {
        let overview = report.overview;
        let is_wanted =
            |i: &usize| wanted.is_none() || report.answers.member(overview.id(*i)) == wanted;
        (0..overview.names()).filter(is_wanted).filter_map(|i| overview.main(i)).collect()
    };
    let mut series =
        vec![Series { label: "reference", class: "dist dist-reference", values: reference }];
    if report.has_truth() {
        series.extend([
            Series { label: "non-members", class: "dist dist-other", values: queries(Some(false)) },
            Series { label: "members", class: "dist dist-queries", values: queries(Some(true)) },
        ]);
    } else {
        series.push(Series { label: "queries", class: "dist dist-queries", values: queries(None) });
    }
    series
}

/// Share of the values in each bin.
fn shares(values: &[f64], x: &Axis) -> Vec<f64> {
    let mut shares = vec![0.0; BINS];
    for &value in values {
        let bin = x.place(value, 0.0, BINS as f64) as usize;
        shares[bin.min(BINS - 1)] += 1.0 / values.len() as f64;
    }
    shares
}

/// The steps of a histogram as a path, from base line to base line.
fn outline(shares: &[f64], x: &Axis, y: &Axis) -> String {
    let edge = |bin: usize| Axis::between(0.0, BINS as f64).place(bin as f64, x.low, x.high);
    let occupied = |share: &f64| *share > 0.0;
    let first = shares.iter().position(occupied).unwrap_or(0);
    let last = shares.iter().rposition(occupied).unwrap_or(0);
    let mut path = format!("M{:.1} {:.1}", FRAME.x(x, edge(first)), FRAME.bottom());
    for (bin, share) in shares.iter().enumerate().take(last + 1).skip(first) {
        let top = FRAME.y(y, share * 100.0);
        path += &format!("V{top:.1}H{:.1}", FRAME.x(x, edge(bin + 1)));
    }
    path + &format!("V{:.1}", FRAME.bottom())
}

/// How many queries the signal does not cover.
fn absent(overview: &Overview) -> String {
    let total = overview.names();
    let absent = (0..total).filter(|&i| overview.main(i).is_none()).count();
    if absent == 0 {
        return String::new();
    }
    format!(
        " {} of {} queries ({}) have no value of it and are scored by the other signals.",
        count(absent as u64),
        count(total as u64),
        percent((absent as f64 / total as f64 * 1000.0).round() / 1000.0),
    )
}

fn sentence_case(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overview::main_signal;
    use crate::report::fixture;

    #[test]
    fn shares_sum_to_one_and_hold_the_ends() {
        let values = [0.0, 0.5, 1.0, 1.0];
        let x = Axis::between(0.0, 1.0);
        let shares = shares(&values, &x);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((shares[BINS - 1] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_reference_without_signals_is_said() {
        let mut run = fixture::run(40);
        run.calibrated_reference.signals.clear();
        let records = fixture::records(3, 1);
        assert!(
            figure(&fixture::Drawn::of(&run, &records).report(&run, &[]))
                .contains("cannot be drawn")
        );
    }

    #[test]
    fn queries_without_the_signal_are_counted() {
        let run = fixture::run(40);
        let mut records = fixture::records(4, 1);
        let signal = main_signal(&run).expect("the fixture has one");
        records[0].signals.insert(signal.to_owned(), None);
        let html = figure(&fixture::Drawn::of(&run, &records).report(&run, &[]));
        assert!(html.contains("1 of 4 queries (25\u{a0}%)"), "{html}");
    }
}
