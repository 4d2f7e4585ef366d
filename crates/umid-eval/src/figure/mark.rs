//! How a series looks: its colour, its mark and its dashes.

use plotters::prelude::{Color as _, PathElement, Polygon, RGBColor, ShapeStyle};

use super::canvas::Canvas;

/// Okabe and Ito's palette, without the yellow, which is hard to see on white.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// Lengths of strokes and gaps; nothing is a solid line.
const DASHES: [&[f64]; 5] =
    [&[], &[14.0, 7.0], &[4.0, 5.0], &[18.0, 6.0, 4.0, 6.0], &[8.0, 4.0, 2.0, 4.0, 2.0, 4.0]];

/// A form that is told from the others without colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Disc,
    Square,
    Triangle,
    Diamond,
    Ring,
    Cross,
}

/// The look of a series.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub colour: RGBColor,
    pub mark: Mark,
    pub dashes: &'static [f64],
}

impl Look {
    /// The look of the n-th series. Numbers of colours, marks and dashes have no common factor, so
    /// that looks do not repeat.
    pub(super) fn of(series: usize) -> Self {
        const MARKS: [Mark; 6] =
            [Mark::Disc, Mark::Square, Mark::Triangle, Mark::Diamond, Mark::Cross, Mark::Ring];
        Self {
            colour: COLOURS[series % COLOURS.len()],
            mark: MARKS[series % MARKS.len()],
            dashes: DASHES[series % DASHES.len()],
        }
    }
}

impl Canvas<'_> {
    /// A mark around a point; `radius` is half of its width.
    pub(super) fn mark(&self, look: Look, (x, y): (i32, i32), radius: i32) -> anyhow::Result<()> {
        let r = radius;
        let filled = |points: Vec<(i32, i32)>| Polygon::new(points, look.colour);
        let stroke = ShapeStyle { color: look.colour.into(), filled: false, stroke_width: 3 };
        match look.mark {
            Mark::Disc => self.disc((x, y), r, look.colour.filled())?,
            Mark::Ring => self.disc((x, y), r, stroke)?,
            Mark::Square => {
                self.draw(&filled(vec![
                    (x - r, y - r),
                    (x + r, y - r),
                    (x + r, y + r),
                    (x - r, y + r),
                ]))?;
            }
            Mark::Triangle => {
                // Raised, so that the point is its centre of mass.
                let (top, base) = (y - r - r / 4, y + 3 * r / 4);
                self.draw(&filled(vec![(x, top), (x + r + r / 8, base), (x - r - r / 8, base)]))?;
            }
            Mark::Diamond => {
                let r = r + r / 3;
                self.draw(&filled(vec![(x, y - r), (x + r, y), (x, y + r), (x - r, y)]))?;
            }
            Mark::Cross => {
                self.draw(&PathElement::new([(x - r, y - r), (x + r, y + r)], stroke))?;
                self.draw(&PathElement::new([(x - r, y + r), (x + r, y - r)], stroke))?;
            }
        }
        Ok(())
    }
}
