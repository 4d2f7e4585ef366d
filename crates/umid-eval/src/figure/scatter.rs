//! Similarity against variability, the plane in which the paper's ensemble votes: members,
//! non-members and gibberish.

use std::collections::BTreeSet;

use umid::report::Axis;

use super::axis::{LEFT, Plot};
use super::canvas::{Entry, Key, LINE, figure, legend_lines};
use super::mark::Look;
use super::{Figure, Label};
use crate::error::Error;

const HEIGHT: i32 = 640;
/// Half the width of a mark, and the same where there are many marks.
const RADIUS: i32 = 7;
const SMALL_RADIUS: i32 = 5;
const MANY: usize = 1000;

/// Texts in the plane of the two signals.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalScatter {
    /// What the figure is called.
    pub label: Label,
    /// Groups, the first drawn lowest.
    pub groups: Vec<Group>,
}

/// Texts of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Name in the legend, where the number of texts follows it.
    pub name: String,
    /// Similarity and variability of each text. Pairs that are not finite are neither drawn nor
    /// counted.
    pub points: Vec<(f64, f64)>,
}

impl SignalScatter {
    /// Draws the figure.
    ///
    /// # Errors
    /// When no group has a point.
    pub fn draw(&self) -> crate::Result<Figure> {
        let groups: Vec<(&str, Vec<(f64, f64)>)> = self
            .groups
            .iter()
            .map(|group| {
                let finite = group.points.iter().filter(|(s, v)| s.is_finite() && v.is_finite());
                (group.name.as_str(), finite.copied().collect())
            })
            .collect();
        let entries: Vec<Entry> = groups
            .iter()
            .enumerate()
            .map(|(i, (name, points))| Entry {
                name: format!("{name} ({})", points.len()),
                look: Look::of(i),
                key: Key::Mark,
            })
            .collect();
        let top = legend_lines(&entries, LEFT) * LINE;
        let points = || groups.iter().flat_map(|(_, points)| points);
        let axis = |axis: Option<Axis>, title: &'static str| {
            axis.map(|axis| (axis, title)).ok_or(Error::NothingToDraw { axis: title.to_owned() })
        };
        let x =
            axis(Axis::covering(points().map(|p| p.0)), "similarity (mean cosine with the text)")?;
        let y = axis(
            Axis::covering(points().map(|p| p.1)),
            "variability (mean distance from the centroid)",
        )?;
        let plot = Plot::new(x, y, top, HEIGHT);
        let radius = if points().count() > MANY { SMALL_RADIUS } else { RADIUS };
        Ok(figure(&self.label, top + HEIGHT + Plot::AROUND, |canvas| {
            canvas.legend(&entries, LEFT, 0);
            plot.draw(canvas);
            for (i, (_, points)) in groups.iter().enumerate() {
                // Marks in one place are drawn once, so that the file stays small.
                let places: BTreeSet<(i32, i32)> =
                    points.iter().map(|&(s, v)| plot.at(s, v)).collect();
                for place in places {
                    canvas.mark(Look::of(i), place, radius);
                }
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_that_are_not_numbers_are_not_counted() {
        let group = |name: &str, points: Vec<(f64, f64)>| Group { name: name.to_owned(), points };
        let label = Label::new("plane", "Plane", "Texts.");
        let groups = vec![
            group("members", vec![(0.1, 0.2), (f64::NAN, 0.1)]),
            group("gibberish", vec![(0.3, 0.1), (0.3, 0.1)]),
        ];
        let figure = SignalScatter { label: label.clone(), groups }.draw().expect("drawn");
        assert!(figure.svg.contains("members (1)") && figure.svg.contains("gibberish (2)"));
        assert!(!figure.svg.contains("NaN"));
        let empty = SignalScatter { label, groups: vec![group("members", Vec::new())] };
        assert!(empty.draw().is_err());
    }
}
