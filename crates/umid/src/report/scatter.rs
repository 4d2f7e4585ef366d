//! Similarity against variability: the plane in which the paper's ensemble votes.
//!
//! Points of one kind are one path, rounded to a quarter of a unit and without repeats, so the
//! page stays small at any number of queries. The script finds the nearest query for its
//! tooltip from the embedded data and the axes' ends, which the element carries.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::axes::{Axis, Frame};
use super::markup::{count, finite};
use super::{Report, without_inversions};
use crate::record::ReferenceInfo;

const FRAME: Frame = Frame { width: 520.0, height: 470.0 };
const SIMILARITY: &str = "similarity";
const VARIABILITY: &str = "variability";

/// Queries from which on their marks are drawn smaller.
const DENSE_FROM: usize = 1500;

/// Texts that are drawn alike.
struct Series {
    label: String,
    mark: Mark,
    points: Vec<(f64, f64)>,
}

/// A mark has its own form, so that colour is not needed to tell series apart.
#[derive(Clone, Copy)]
enum Mark {
    Triangle,
    Cross,
    Dot,
    OpenDiamond,
    Diamond,
}

/// Queries' marks are smaller where there are many.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    Usual,
    Small,
}

impl Mark {
    fn class(self) -> &'static str {
        match self {
            Self::Triangle => "mark mark-plausible",
            Self::Cross => "mark mark-gibberish",
            Self::Dot => "mark mark-query",
            Self::OpenDiamond => "mark mark-level",
            Self::Diamond => "mark mark-fdr",
        }
    }

    /// The mark's path around a point.
    fn draw(self, path: &mut String, x: f64, y: f64, size: Size) {
        let _ = match self {
            Self::Triangle => write!(path, "M{x} {}l2.5 4.5h-5z", y - 3.0),
            Self::Cross => write!(path, "M{} {}l5 5m0-5l-5 5", x - 2.5, y - 2.5),
            Self::Dot => write!(path, "M{x} {y}h.01"),
            Self::OpenDiamond | Self::Diamond if size == Size::Small => {
                write!(path, "M{x} {}l2.5 3-2.5 3-2.5-3z", y - 3.0)
            }
            Self::OpenDiamond | Self::Diamond => {
                write!(path, "M{x} {}l4.5 5-4.5 5-4.5-5z", y - 5.0)
            }
        };
    }
}

/// The figure, or a sentence when there is nothing to draw.
pub(super) fn figure(report: &Report<'_>) -> String {
    let heading = "<h3 id=\"h-s\">Similarity and variability</h3>\n";
    if report.run.parameters.restarts == 0 {
        return format!(
            "<figure class=\"across\">{heading}<p class=\"figure-note\">{} Similarity and \
             variability were not measured, and there is no paper reading.</p></figure>\n",
            without_inversions(report.run)
        );
    }
    let series = series(report);
    let points = || series.iter().flat_map(|s| s.points.iter().copied());
    let axes = Axis::covering(points().map(|p| p.0)).zip(Axis::covering(points().map(|p| p.1)));
    let Some((x, y)) = axes else {
        return format!(
            "<figure class=\"across\">{heading}<p class=\"figure-note\">No text has both \
             similarity and variability, so there is nothing to draw.</p></figure>\n"
        );
    };
    let (size, class) = if report.overview.names() >= DENSE_FROM {
        (Size::Small, " class=\"dense\"")
    } else {
        (Size::Usual, "")
    };
    let mut marks = String::new();
    let mut legend = String::new();
    for series in series.iter().filter(|s| !s.points.is_empty()) {
        let class = series.mark.class();
        marks += &format!("<path class=\"{class}\" d=\"{}\"/>", path(series, &x, &y, size));
        let mut key = String::new();
        series.mark.draw(&mut key, 7.0, 7.0, Size::Usual);
        legend += &format!(
            "<li><svg class=\"key key-mark\" viewBox=\"0 0 14 14\" aria-hidden=\"true\"><path \
             class=\"{class}\" d=\"{key}\"/></svg>{} ({})</li>",
            series.label,
            count(series.points.len() as u64),
        );
    }
    format!(
        "<figure class=\"tall\">\n{heading}<div class=\"plot\">\
         <svg id=\"scatter\"{class} viewBox=\"0 0 {} {}\" role=\"img\" \
         aria-labelledby=\"h-s d-s\" \
         data-x-signal=\"{SIMILARITY}\" data-y-signal=\"{VARIABILITY}\" \
         data-x=\"{} {} {} {}\" data-y=\"{} {} {} {}\">{}{marks}\
         <circle id=\"scatter-ring\" r=\"8\" visibility=\"hidden\"/></svg>\
         <div id=\"scatter-tip\" class=\"tip\" role=\"status\" hidden></div></div>\n\
         <ul class=\"legend\">{legend}</ul>\n\
         <figcaption id=\"d-s\">Each mark is a text. Right: its inversions end closer to it; low: \
         they end closer to each other. Distance of the queries from the gibberish shows that they \
         are names, not that they were trained on.<span class=\"screen\"> Point at a query to see \
         its name, click to find it in the table.</span></figcaption>\n</figure>\n",
        FRAME.width,
        FRAME.height,
        x.low,
        x.high,
        Frame::LEFT,
        FRAME.right(),
        y.low,
        y.high,
        FRAME.bottom(),
        Frame::TOP,
        FRAME.draw(
            &x,
            &y,
            "Similarity (mean cosine with the text)",
            "Variability (mean distance from the centroid)"
        ),
    )
}

/// References below, queries above, the detected on top.
fn series(report: &Report<'_>) -> Vec<Series> {
    let Report { run, overview, q_values, .. } = *report;
    let mut undetected = Vec::new();
    let mut at_level = Vec::new();
    let mut at_fdr = Vec::new();
    for i in 0..overview.names() {
        let Some(point) = point(overview.similarity(i), overview.variability(i)) else { continue };
        let passes_fdr = q_values
            .get(i)
            .is_some_and(|q| q.is_some_and(|q| q <= run.parameters.false_discovery_rate));
        if passes_fdr {
            at_fdr.push(point);
        } else if overview.is_detected(i) {
            at_level.push(point);
        } else {
            undetected.push(point);
        }
    }
    let of_reference =
        |reference: Option<&ReferenceInfo>| reference.map(reference_points).unwrap_or_default();
    let fdr = super::markup::percent(run.parameters.false_discovery_rate);
    let level = super::markup::percent(run.parameters.alpha);
    let only = if q_values.is_empty() { "" } else { " only" };
    [
        (
            "plausible names".to_owned(),
            Mark::Triangle,
            of_reference(Some(&run.calibrated_reference)),
        ),
        ("gibberish".to_owned(), Mark::Cross, of_reference(run.paper_reference.as_ref())),
        ("queries, not detected".to_owned(), Mark::Dot, undetected),
        (format!("detected at level {level}{only}"), Mark::OpenDiamond, at_level),
        (format!("detected at FDR {fdr}"), Mark::Diamond, at_fdr),
    ]
    .map(|(label, mark, points)| Series { label, mark, points })
    .into()
}

fn reference_points(reference: &ReferenceInfo) -> Vec<(f64, f64)> {
    let signal = |name| reference.signals.get(name).map_or(&[][..], Vec::as_slice);
    let pairs = signal(SIMILARITY).iter().zip(signal(VARIABILITY));
    pairs.filter_map(|(s, v)| point(*s, *v)).collect()
}

fn point(similarity: Option<f64>, variability: Option<f64>) -> Option<(f64, f64)> {
    similarity.and_then(finite).zip(variability.and_then(finite))
}

fn path(series: &Series, x: &Axis, y: &Axis, size: Size) -> String {
    let quarters = |coordinate: f64| (coordinate * 4.0).round() as i64;
    let places: BTreeSet<(i64, i64)> = series
        .points
        .iter()
        .map(|&(s, v)| (quarters(FRAME.x(x, s)), quarters(FRAME.y(y, v))))
        .collect();
    let mut path = String::new();
    for (left, top) in places {
        series.mark.draw(&mut path, left as f64 / 4.0, top as f64 / 4.0, size);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn values_that_are_not_numbers_are_not_drawn() {
        let run = fixture::run(40);
        let mut records = fixture::records(3, 1);
        records[0].signals.insert(SIMILARITY.to_owned(), Some(f64::NAN));
        records[1].signals.insert(VARIABILITY.to_owned(), None);
        for record in &mut records {
            record.calibrated.as_mut().unwrap().detected = false;
        }
        let html = figure(&fixture::Drawn::of(&run, &records).report(&run, &[]));
        assert!(!html.contains("NaN"));
        assert!(html.contains("queries, not detected (1)"), "{html}");
    }

    #[test]
    fn repeated_points_are_drawn_once() {
        let series =
            Series { label: String::new(), mark: Mark::Dot, points: vec![(0.5, 0.5); 1000] };
        let axis = Axis::between(0.0, 1.0);
        assert_eq!(path(&series, &axis, &axis, Size::Usual).matches('M').count(), 1);
    }

    #[test]
    fn a_run_without_inversions_says_so() {
        let mut run = fixture::run(40);
        run.parameters.restarts = 0;
        let html = figure(&fixture::Drawn::of(&run, &[]).report(&run, &[]));
        assert!(html.contains("without inversions"));
        assert!(!html.contains("<svg"));
    }
}
