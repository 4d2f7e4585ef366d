//! ROC curves on logarithmic axes, as Carlini et al. (2022) ask: what matters in an audit is its
//! power at a low false positive rate, which a linear axis hides in its first pixels.
//!
//! A curve starts at one false positive: further to the left the sample says nothing. Where no
//! curve starts the area is shaded.

use umid::report::Axis;
use umid_detect::RocPoint;

use super::axis::{LEFT, Plot};
use super::canvas::{Anchor, Entry, Key, LINE, figure, legend_lines};
use super::mark::Look;
use super::{Figure, Label};
use crate::error::Error;

const HEIGHT: i32 = 760;
/// Lower end of both axes.
const FLOOR: f64 = 1e-3;
const DECADES: [f64; 4] = [1e-3, 1e-2, 1e-1, 1.0];
/// Pieces in which an oblique step is drawn; it is a curve on these axes.
const PIECES: usize = 24;

/// ROC curves, one per series.
#[derive(Debug, Clone, PartialEq)]
pub struct RocFigure {
    /// What the figure is called.
    pub label: Label,
    /// The curves.
    pub series: Vec<RocSeries>,
}

/// The curve of a method or a model.
#[derive(Debug, Clone, PartialEq)]
pub struct RocSeries {
    /// Name in the legend.
    pub name: String,
    /// As [`umid_detect::roc_curve`] gives it.
    pub points: Vec<RocPoint>,
    /// Non-members of the sample: rates below `1 / non_members` are not drawn.
    pub non_members: usize,
}

impl RocFigure {
    /// Draws the figure.
    ///
    /// # Errors
    /// When a rate is not in `0..=1`.
    pub fn draw(&self) -> crate::Result<Figure> {
        for series in &self.series {
            let rates = series.points.iter().map(|p| [p.false_positive_rate, p.true_positive_rate]);
            if let Some(rate) = rates.flatten().find(|rate| !(0.0..=1.0).contains(rate)) {
                let (series, value) = (series.name.clone(), format!("a rate of {rate}"));
                return Err(Error::Undrawable { series, value });
            }
        }
        let resolved = self.series.iter().map(RocSeries::finest_rate).fold(1.0, f64::min);
        let mut entries: Vec<Entry> = self
            .series
            .iter()
            .enumerate()
            .map(|(i, s)| Entry { name: s.name.clone(), look: Look::of(i), key: Key::Line })
            .collect();
        if resolved > FLOOR {
            let name = "not resolved by the sample".to_owned();
            entries.push(Entry { name, look: Look::of(0), key: Key::Area });
        }
        let top = legend_lines(&entries, LEFT) * LINE;
        let axis = Axis::logarithmic(FLOOR, 1.0, &DECADES).expect("two ends above zero");
        let (x, y) = ((axis.clone(), "false positive rate"), (axis, "true positive rate"));
        let plot = Plot::new(x, y, top, HEIGHT);
        Ok(figure(&self.label, top + HEIGHT + Plot::AROUND, |canvas| {
            canvas.legend(&entries, LEFT, 0);
            if resolved > FLOOR {
                canvas.shade([(plot.left(), plot.top()), plot.at(resolved, FLOOR)]);
            }
            plot.draw(canvas);
            canvas.reference_line(&[plot.at(FLOOR, FLOOR), plot.at(1.0, 1.0)]);
            for (i, series) in self.series.iter().enumerate() {
                let look = Look::of(i);
                let line: Vec<_> =
                    series.path().map(|(x, y)| plot.at(x, plot.y.within(y))).collect();
                canvas.line(&without_repeats(line), look.colour, 4, look.dashes);
            }
            let (x, y) = plot.at(0.2, 0.1);
            canvas.text("chance", (x + 10, y + LINE), Anchor::Start);
        }))
    }
}

impl RocSeries {
    /// One false positive of the sample, or the axis' end.
    fn finest_rate(&self) -> f64 {
        (1.0 / self.non_members.max(1) as f64).max(FLOOR)
    }

    /// The curve from the finest rate on. A step that goes up and to the right at once, which scores
    /// that tie make, is straight between its ends in rates and so bent on these axes.
    fn path(&self) -> impl Iterator<Item = (f64, f64)> {
        let start = self.finest_rate();
        let pairs: Vec<(f64, f64)> =
            self.points.iter().map(|p| (p.false_positive_rate, p.true_positive_rate)).collect();
        let mut path = Vec::new();
        for pair in pairs.windows(2) {
            let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
            if x1 < start {
                continue;
            }
            let from = x0.max(start);
            let pieces = if x1 > from && y1 > y0 { PIECES } else { 1 };
            for piece in 0..=pieces {
                let x = from * (x1 / from).powf(piece as f64 / pieces as f64);
                let y = if x1 > x0 { y0 + (y1 - y0) * (x - x0) / (x1 - x0) } else { y1 };
                // A vertical step starts where the one before it ended.
                if piece > 0 || x1 > x0 || path.is_empty() {
                    path.push((x, y));
                }
            }
        }
        path.into_iter()
    }
}

/// Points that round to the same place, or that lie between their neighbours on a level or upright
/// line, add nothing.
fn without_repeats(points: Vec<(i32, i32)>) -> Vec<(i32, i32)> {
    let mut kept: Vec<(i32, i32)> = Vec::new();
    for point in points {
        if let [.., a, b] = kept[..]
            && ((a.0 == b.0 && b.0 == point.0) || (a.1 == b.1 && b.1 == point.1))
        {
            kept.pop();
        }
        if kept.last() != Some(&point) {
            kept.push(point);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use umid_detect::roc_curve;

    fn series(members: &[f64], non_members: &[f64]) -> RocSeries {
        let points = roc_curve(members, non_members).expect("two classes");
        RocSeries { name: "x".to_owned(), points, non_members: non_members.len() }
    }

    #[test]
    fn a_curve_starts_at_one_false_positive() {
        let scores: Vec<f64> = (0..100).map(f64::from).collect();
        let above: Vec<f64> = scores.iter().map(|s| s + 10.5).collect();
        let path: Vec<_> = series(&above, &scores).path().collect();
        assert!((path[0].0 - 0.01).abs() < 1e-12, "{path:?}");
        assert!(path.iter().all(|&(x, y)| x >= 0.01 && y > 0.0), "{path:?}");
        assert!(path.windows(2).all(|w| w[0].0 <= w[1].0 + 1e-12 && w[0].1 <= w[1].1 + 1e-12));
        assert_eq!(path.last(), Some(&(1.0, 1.0)));
    }

    #[test]
    fn constant_scores_follow_the_diagonal() {
        for (x, y) in series(&[1.0; 50], &[1.0; 200]).path() {
            assert!((x - y).abs() < 1e-12, "({x}, {y})");
        }
    }

    #[test]
    fn a_rate_that_is_none_is_refused() {
        let mut series = series(&[1.0], &[0.0]);
        series.points[0].true_positive_rate = f64::NAN;
        let label = Label::new("roc", "ROC", "Curves.");
        assert!(RocFigure { label, series: vec![series] }.draw().is_err());
    }

    #[test]
    fn the_unresolved_area_is_shaded_and_named() {
        let scores: Vec<f64> = (0..60).map(f64::from).collect();
        let figure = |non_members: usize| {
            let mut series = series(&scores, &scores);
            series.non_members = non_members;
            let label = Label::new("roc", "ROC", "Curves.");
            RocFigure { label, series: vec![series] }.draw().expect("drawn").svg
        };
        assert!(figure(60).contains("not resolved"));
        assert!(!figure(1000).contains("not resolved"));
    }

    #[test]
    fn points_in_a_row_are_merged() {
        let line = vec![(0, 0), (0, 0), (5, 0), (9, 0), (9, 4), (9, 8)];
        assert_eq!(without_repeats(line), [(0, 0), (9, 0), (9, 8)]);
    }
}
