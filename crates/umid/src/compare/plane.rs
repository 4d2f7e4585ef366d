//! Scores before against scores after, as a figure.

#![expect(
    clippy::format_push_string,
    reason = "a figure is drawn once; a short-lived string a piece keeps the markup readable"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::report::axes::{Axis, Frame};
use crate::report::count;

const FRAME: Frame = Frame { width: 560.0, height: 520.0 };

/// A kind of mark: its class in the style sheet, its words, and its points `[before, after]`.
pub(super) struct Series {
    pub(super) class: &'static str,
    pub(super) words: &'static str,
    pub(super) points: Vec<[f64; 2]>,
}

/// The figure; empty where there is no point.
pub(super) fn figure(series: &[Series]) -> String {
    let points = || series.iter().flat_map(|series| series.points.iter().copied());
    // One scale for both, so that the diagonal is where nothing changed.
    let Some(axis) = Axis::covering(points().flatten()) else { return String::new() };
    let mut marks = String::new();
    let mut legend = String::new();
    for series in series.iter().filter(|series| !series.points.is_empty()) {
        let class = series.class;
        marks += &format!("<path class=\"mark {class}\" d=\"{}\"/>", path(series, &axis));
        legend += &format!(
            "<li><svg viewBox=\"0 0 14 14\" aria-hidden=\"true\"><path class=\"mark {class}\" d=\"{}\"/>\
             </svg>{} ({})</li>",
            mark(class, 7.0, 7.0),
            series.words,
            count(series.points.len() as u64)
        );
    }
    let [from, to] = [axis.low, axis.high];
    format!(
        "<figure class=\"plane\">\n<h2 id=\"h-plane\">Scores before and after</h2>\n\
         <svg viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"h-plane d-plane\">{}\
         <path class=\"diagonal\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>{marks}</svg>\n\
         <ul class=\"legend\">{legend}</ul>\n<figcaption id=\"d-plane\">Each mark is a name: its score \
         under the model before (right: stands out more) and under the one after (up). On the dashed line \
         nothing changed. Grey dots are reference names, which neither model saw: how far they lie from \
         the line is what chance does.</figcaption>\n</figure>\n",
        FRAME.width,
        FRAME.height,
        FRAME.draw(
            &axis,
            &axis,
            "before, in deviations of the reference",
            "after, in deviations of the reference"
        ),
        FRAME.x(&axis, from),
        FRAME.y(&axis, from),
        FRAME.x(&axis, to),
        FRAME.y(&axis, to),
    )
}

/// One path for all marks, rounded to a quarter of a unit and without repeats.
fn path(series: &Series, axis: &Axis) -> String {
    let quarters = |value: f64| (value * 4.0).round() as i64;
    let finite = series.points.iter().filter(|[x, y]| x.is_finite() && y.is_finite());
    let places: BTreeSet<[i64; 2]> =
        finite.map(|[x, y]| [quarters(FRAME.x(axis, *x)), quarters(FRAME.y(axis, *y))]).collect();
    let mut all = String::new();
    for [x, y] in places {
        let _ = write!(all, "{}", mark(series.class, x as f64 / 4.0, y as f64 / 4.0));
    }
    all
}

/// Marks differ in form, so that colour is not needed to tell them apart.
fn mark(class: &str, x: f64, y: f64) -> String {
    match class {
        "reference" => format!("M{} {y}a1.8 1.8 0 1 0 3.6 0a1.8 1.8 0 1 0-3.6 0z", x - 1.8),
        "gone" | "weaker" => format!("M{} {}h9l-4.5 8z", x - 4.5, y - 3.5),
        "new" | "stronger" => format!("M{} {}h9l-4.5-8z", x - 4.5, y + 3.5),
        "still" => format!("M{x} {}l4.5 5-4.5 5-4.5-5z", y - 5.0),
        _ => format!("M{} {y}a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0-5.2 0z", x - 2.6),
    }
}
