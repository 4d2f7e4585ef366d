//! How a series looks: its colour, its mark and its dashes.

use super::canvas::{Canvas, Colour};

/// Okabe and Ito's palette, without the yellow, which is hard to see on white.
const COLOURS: [Colour; 7] =
    ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"];

/// Lengths of strokes and gaps; the first is a solid line.
const DASHES: [&str; 5] = ["", "14 7", "4 5", "18 6 4 6", "8 4 2 4 2 4"];

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
    pub colour: Colour,
    pub mark: Mark,
    pub dashes: &'static str,
}

impl Look {
    /// The look of the n-th series. Colours and dashes repeat at different distances, and so do
    /// colours and marks, so that looks do not repeat.
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

impl Canvas {
    /// A mark around a point; `radius` is half of its width.
    pub(super) fn mark(&mut self, look: Look, (x, y): (i32, i32), radius: i32) {
        let (r, colour) = (radius, look.colour);
        match look.mark {
            Mark::Disc => self.disc((x, y), r, colour),
            Mark::Ring => self.ring((x, y), r, colour),
            Mark::Square => {
                self.polygon(
                    &[(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)],
                    colour,
                );
            }
            Mark::Triangle => {
                // Raised, so that the point is its centre of mass.
                let (top, base) = (y - r - r / 4, y + 3 * r / 4);
                self.polygon(&[(x, top), (x + r + r / 8, base), (x - r - r / 8, base)], colour);
            }
            Mark::Diamond => {
                let r = r + r / 3;
                self.polygon(&[(x, y - r), (x + r, y), (x, y + r), (x - r, y)], colour);
            }
            Mark::Cross => {
                self.line(&[(x - r, y - r), (x + r, y + r)], colour, 3, "");
                self.line(&[(x - r, y + r), (x + r, y - r)], colour, 3, "");
            }
        }
    }
}
