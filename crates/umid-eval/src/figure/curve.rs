//! How the area under the ROC curve changes with something that is counted, such as exposures.

use umid::report::Axis;
use umid_detect::Interval;

use super::axis::{LEFT, Plot};
use super::canvas::{Anchor, Entry, Key, LINE, figure, legend_lines};
use super::mark::Look;
use super::{Figure, Label};
use crate::error::Error;

const HEIGHT: i32 = 520;
const CHANCE: f64 = 0.5;
/// The vertical axis starts here unless an interval reaches lower.
const LOWEST: f64 = 0.4;
/// Sideways distance between series at the same place, so that bars stay apart.
const APART: i32 = 14;
const CAP: i32 = 8;

/// Area against a count, one line per series.
#[derive(Debug, Clone, PartialEq)]
pub struct AreaCurve {
    /// What the figure is called.
    pub label: Label,
    /// What is counted.
    pub axis: String,
    /// Whether marks at the same place are moved apart sideways, for series whose intervals would
    /// lie on one another.
    pub apart: bool,
    /// The lines.
    pub series: Vec<CurveSeries>,
}

/// A method or a model.
#[derive(Debug, Clone, PartialEq)]
pub struct CurveSeries {
    /// Name in the legend.
    pub name: String,
    /// What was measured. Where a measurement failed there is no point.
    pub points: Vec<CurvePoint>,
}

/// What was measured at one place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// How many, above 0.
    pub count: f64,
    /// Area under the ROC curve.
    pub area: Interval,
}

impl AreaCurve {
    /// Draws the figure.
    ///
    /// # Errors
    /// When there is no point, a count is not above 0 or a value is not finite.
    pub fn draw(&self) -> crate::Result<Figure> {
        let plot = self.plot()?;
        let entries = self.entries();
        let height = HEIGHT + Plot::AROUND + legend_lines(&entries, LEFT) * LINE;
        Ok(figure(&self.label, height, |canvas| {
            canvas.legend(&entries, LEFT, 0);
            plot.draw(canvas);
            let (_, chance) = plot.at(1.0, CHANCE);
            canvas.reference_line(&[(plot.left(), chance), (Plot::right(), chance)]);
            canvas.text("chance", (Plot::right(), chance + LINE / 2), Anchor::End);
            for (i, series) in self.series.iter().enumerate() {
                let look = Look::of(i);
                // Twice the distance from the middle series.
                let side = if self.apart { 2 * i as i32 + 1 - self.series.len() as i32 } else { 0 };
                let at = |point: &CurvePoint, area: f64| {
                    let (x, y) = plot.at(point.count, area);
                    (x + side * APART / 2, y)
                };
                let mut points = series.points.clone();
                points.sort_by(|a, b| a.count.total_cmp(&b.count));
                let line: Vec<_> = points.iter().map(|p| at(p, p.area.estimate)).collect();
                canvas.line(&line, look.colour, 3, look.dashes);
                for point in &points {
                    let (low, high) = (at(point, point.area.low), at(point, point.area.high));
                    canvas.line(&[low, high], look.colour, 3, "");
                    for (x, y) in [low, high] {
                        canvas.line(&[(x - CAP, y), (x + CAP, y)], look.colour, 3, "");
                    }
                    canvas.mark(look, at(point, point.area.estimate), 9);
                }
            }
        }))
    }

    fn entries(&self) -> Vec<Entry> {
        let names = self.series.iter().enumerate();
        names
            .map(|(i, s)| Entry { name: s.name.clone(), look: Look::of(i), key: Key::LineAndMark })
            .collect()
    }

    fn plot(&self) -> crate::Result<Plot> {
        let points = || self.series.iter().flat_map(|series| &series.points);
        for series in &self.series {
            let bad = |point: &&CurvePoint| {
                let Interval { estimate, low, high } = point.area;
                !(point.count > 0.0 && [estimate, low, high].iter().all(|x| x.is_finite()))
            };
            if let Some(point) = series.points.iter().find(bad) {
                let (series, value) = (series.name.clone(), format!("{point:?}"));
                return Err(Error::Undrawable { series, value });
            }
        }
        let mut ticks: Vec<f64> = points().map(|point| point.count).collect();
        ticks.sort_by(f64::total_cmp);
        ticks.dedup();
        let ends = ticks.first().zip(ticks.last()).map(|(&low, &high)| (low, high));
        let (low, high) = ends.unwrap_or((f64::NAN, f64::NAN));
        // A margin of a tenth of the length keeps bars off the frame.
        let margin = (high / low).powf(0.1).max(1.5);
        let x = Axis::logarithmic(low / margin, high * margin, &ticks)
            .ok_or_else(|| Error::NothingToDraw { axis: self.axis.clone() })?;
        let x_title = format!("{} (logarithmic)", self.axis);
        let lowest = points().map(|point| point.area.low).fold(LOWEST, f64::min);
        let y = Axis::between(lowest, 1.0);
        let top = legend_lines(&self.entries(), LEFT) * LINE;
        Ok(Plot::new((x, &x_title), (y, "AUC with 95 % interval"), top, HEIGHT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(count: f64, estimate: f64) -> CurvePoint {
        let area = Interval { estimate, low: estimate - 0.05, high: (estimate + 0.05).min(1.0) };
        CurvePoint { count, area }
    }

    fn curve(points: Vec<CurvePoint>) -> AreaCurve {
        let label = Label::new("exposure", "Exposures", "AUC rises.");
        AreaCurve {
            label,
            axis: "exposures per name".to_owned(),
            apart: true,
            series: vec![CurveSeries { name: "vote".to_owned(), points }],
        }
    }

    #[test]
    fn measured_counts_are_the_ticks() {
        let svg = curve(vec![point(64.0, 0.8), point(4.0, 0.55)]).draw().expect("drawn").svg;
        for text in [">4<", ">64<", ">vote<", ">chance<"] {
            assert!(svg.contains(text), "{text:?} in {svg}");
        }
    }

    #[test]
    fn one_point_is_enough_and_none_is_not() {
        assert!(curve(vec![point(4.0, 0.5)]).draw().is_ok());
        assert!(curve(Vec::new()).draw().is_err());
    }

    #[test]
    fn points_that_cannot_be_placed_are_refused() {
        assert!(curve(vec![point(0.0, 0.5)]).draw().is_err());
        assert!(curve(vec![point(1.0, f64::NAN)]).draw().is_err());
    }
}
