//! The area of a figure between its two axes.

use umid::report::Axis;

use super::canvas::{Anchor, Canvas, FRAME, GRID, LINE, WIDTH, text_width};

/// Space at the left for the labels of the vertical axis.
pub(super) const LEFT: i32 = 104;
/// Space at the right for half a label.
const RIGHT: i32 = 30;

/// The area between two axes.
pub(super) struct Plot {
    pub x: Axis,
    pub y: Axis,
    x_title: String,
    y_title: String,
    left: i32,
    top: i32,
    bottom: i32,
}

impl Plot {
    /// Height of everything around the area: a title above it, labels and a title below.
    pub(super) const AROUND: i32 = 3 * LINE + Self::TITLE_GAP + 10;
    /// Between the vertical axis' title and its highest label.
    const TITLE_GAP: i32 = 12;

    /// An area that fills a sheet from `top` downwards, its titles included.
    pub(super) fn new(x: (Axis, &str), y: (Axis, &str), top: i32, height: i32) -> Self {
        let top = top + LINE + Self::TITLE_GAP;
        let titles = [x.1, y.1].map(str::to_owned);
        let [x_title, y_title] = titles;
        Self { x: x.0, y: y.0, x_title, y_title, left: LEFT, top, bottom: top + height }
    }

    /// The area over the whole width, for a vertical axis without labels.
    pub(super) fn over_the_whole_width(self) -> Self {
        Self { left: RIGHT, ..self }
    }

    pub(super) fn left(&self) -> i32 {
        self.left
    }

    pub(super) fn right() -> i32 {
        WIDTH - RIGHT
    }

    pub(super) fn top(&self) -> i32 {
        self.top
    }

    pub(super) fn bottom(&self) -> i32 {
        self.bottom
    }

    /// Where a point stands on the sheet.
    pub(super) fn at(&self, x: f64, y: f64) -> (i32, i32) {
        let place = |axis: &Axis, value, from, to| {
            axis.place(value, f64::from(from), f64::from(to)).round() as i32
        };
        let across = place(&self.x, x, self.left, Self::right());
        (across, place(&self.y, y, self.bottom, self.top))
    }

    /// Grid, ticks and titles. The title of the vertical axis stands above it, so that it can be
    /// read without turning one's head.
    pub(super) fn draw(&self, canvas: &mut Canvas) {
        let (left, right) = (self.left, Self::right());
        for (tick, label) in self.y.ticks() {
            let (_, y) = self.at(self.x.low, tick);
            canvas.line(&[(left, y), (right, y)], GRID, 2, "");
            canvas.text(&label, (left - 14, y), Anchor::End);
        }
        let mut free_from = i32::MIN;
        for (tick, label) in self.x.ticks() {
            let (x, _) = self.at(tick, self.y.low);
            canvas.line(&[(x, self.top), (x, self.bottom)], GRID, 2, "");
            canvas.line(&[(x, self.bottom), (x, self.bottom + 10)], FRAME, 2, "");
            let half = text_width(&label) / 2 + 6;
            // Neighbouring numbers of exposures may be too close for two labels.
            if x - half >= free_from {
                canvas.text(&label, (x, self.bottom + 14), Anchor::Below);
                free_from = x + half;
            }
        }
        let frame = [(left, self.top), (left, self.bottom), (right, self.bottom)];
        canvas.line(&frame, FRAME, 2, "");
        canvas.text(&self.y_title, (8, self.top - Self::TITLE_GAP - LINE / 2), Anchor::Start);
        let middle = i32::midpoint(left, right);
        canvas.text(&self.x_title, (middle, self.bottom + LINE + 16), Anchor::Below);
    }
}
