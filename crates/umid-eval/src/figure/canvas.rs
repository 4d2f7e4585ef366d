//! The sheet that a figure is drawn on, as SVG.
//!
//! Coordinates are whole numbers on a sheet of twice its nominal size; nominal sizes are chosen for
//! a phone, where a figure is about 370 pixels wide.

#![expect(
    clippy::format_push_string,
    reason = "a drawing is short; `+=` reads better than `write!` with a discarded result"
)]

use umid::report::escape;

use super::mark::Look;
use super::{Figure, Label};

/// A colour in SVG's notation.
pub(super) type Colour = &'static str;

/// Width of every sheet in its own units.
pub(super) const WIDTH: i32 = 960;
/// Height of a line of text.
pub(super) const LINE: i32 = 46;
/// Size of a text as a reader sees it: 11 to 12 pixels on a phone.
const TEXT_SIZE: i32 = 30;
/// A letter's width as a share of its size: a little above the mean of common sans-serif fonts.
const LETTER: f64 = 0.53;
pub(super) const INK: Colour = "#282E33";
pub(super) const GRID: Colour = "#DEE1E1";
pub(super) const FRAME: Colour = "#788085";
pub(super) const WHITE: Colour = "#FFFFFF";
/// Half the width of a mark in the legend.
const LEGEND_MARK: i32 = 9;

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    /// Starts there, vertically centred.
    Start,
    /// Centred, below it.
    Below,
    /// Ends there, vertically centred.
    End,
}

/// A sheet in units of its own.
pub(super) struct Canvas {
    svg: String,
}

/// An entry of a legend.
pub(super) struct Entry {
    pub name: String,
    pub look: Look,
    pub key: Key,
}

/// What a legend shows of a series' look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Mark,
    Line,
    LineAndMark,
    /// An area, shaded as [`Canvas::shade`] does.
    Area,
}

/// Draws a figure of a given height, with its title and description. It scales to the width of its
/// container.
pub(super) fn figure(label: &Label, height: i32, draw: impl FnOnce(&mut Canvas)) -> Figure {
    let Label { id, title, description } = label.clone();
    let (anchor, name, words) = (escape(&id), escape(&title), escape(&description));
    let mut canvas = Canvas {
        svg: format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             width=\"100%\" role=\"img\" aria-labelledby=\"{anchor}-title {anchor}-desc\" \
             font-family=\"sans-serif\" font-size=\"{TEXT_SIZE}\">\n\
             <title id=\"{anchor}-title\">{name}</title>\n<desc id=\"{anchor}-desc\">{words}</desc>\n"
        ),
    };
    canvas.rectangle([(0, 0), (WIDTH, height)], WHITE, "");
    draw(&mut canvas);
    Figure { id, title, description, svg: canvas.svg + "</svg>\n" }
}

/// Width of a text, as near as can be told without its font.
pub(super) fn text_width(text: &str) -> i32 {
    (text.chars().count() as f64 * f64::from(TEXT_SIZE) * LETTER) as i32
}

/// Points in the notation of SVG's `points` attribute.
fn points(points: &[(i32, i32)]) -> String {
    points.iter().map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" ")
}

impl Canvas {
    pub(super) fn disc(&mut self, (x, y): (i32, i32), radius: i32, colour: Colour) {
        self.svg += &format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"{colour}\"/>\n");
    }

    /// The outline of a disc.
    pub(super) fn ring(&mut self, (x, y): (i32, i32), radius: i32, colour: Colour) {
        self.svg += &format!(
            "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"none\" stroke=\"{colour}\" \
             stroke-width=\"3\"/>\n"
        );
    }

    /// A filled polygon.
    pub(super) fn polygon(&mut self, corners: &[(i32, i32)], colour: Colour) {
        self.svg += &format!("<polygon points=\"{}\" fill=\"{colour}\"/>\n", points(corners));
    }

    fn rectangle(
        &mut self,
        [(x, y), (right, bottom)]: [(i32, i32); 2],
        colour: Colour,
        more: &str,
    ) {
        let (width, height) = (right - x, bottom - y);
        self.svg += &format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{colour}\"{more}/>\n"
        );
    }

    /// Shades a rectangle, for where a sample says nothing. Corners are the left upper and the
    /// right lower.
    pub(super) fn shade(&mut self, corners: [(i32, i32); 2]) {
        self.rectangle(corners, FRAME, " opacity=\"0.2\"");
    }

    /// A line through points with a pattern of dashes; an empty pattern is a solid line.
    pub(super) fn line(
        &mut self,
        line: &[(i32, i32)],
        colour: Colour,
        width: u32,
        dashes: &'static str,
    ) {
        let dashes = match dashes {
            "" => String::new(),
            dashes => format!(" stroke-dasharray=\"{dashes}\""),
        };
        self.svg += &format!(
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"{dashes} \
             points=\"{}\"/>\n",
            points(line)
        );
    }

    pub(super) fn text(&mut self, text: &str, at: (i32, i32), anchor: Anchor) {
        self.coloured_text(text, at, anchor, INK);
    }

    /// A text on a white ground that hides the lines behind it.
    pub(super) fn text_on_white(
        &mut self,
        text: &str,
        (x, y): (i32, i32),
        anchor: Anchor,
        colour: Colour,
    ) {
        let (width, half) = (text_width(text) + 8, LINE / 2);
        let left = match anchor {
            Anchor::Start => x,
            Anchor::Below => x - width / 2,
            Anchor::End => x - width,
        };
        self.rectangle([(left, y - half + 2), (left + width, y + half - 2)], WHITE, "");
        self.coloured_text(text, (x, y), anchor, colour);
    }

    fn coloured_text(&mut self, text: &str, (x, y): (i32, i32), anchor: Anchor, colour: Colour) {
        let (side, down) = match anchor {
            Anchor::Start => ("start", "0.5ex"),
            Anchor::Below => ("middle", "0.76em"),
            Anchor::End => ("end", "0.5ex"),
        };
        self.svg += &format!(
            "<text x=\"{x}\" y=\"{y}\" dy=\"{down}\" text-anchor=\"{side}\" fill=\"{colour}\">{}</text>\n",
            escape(text)
        );
    }

    /// The legend, from a height downwards, in as many lines as [`legend_lines`] says.
    pub(super) fn legend(&mut self, entries: &[Entry], left: i32, top: i32) {
        for (entry, (line, x)) in entries.iter().zip(places(entries, left)) {
            let y = top + line * LINE + LINE / 2;
            let x = left + x;
            let (end, middle) = (x + KEY, x + KEY / 2);
            if entry.key == Key::Area {
                self.shade([(x, y - LEGEND_MARK), (end, y + LEGEND_MARK)]);
            }
            if matches!(entry.key, Key::Line | Key::LineAndMark) {
                self.line(&[(x, y), (end, y)], entry.look.colour, 4, entry.look.dashes);
            }
            if matches!(entry.key, Key::Mark | Key::LineAndMark) {
                self.mark(entry.look, (middle, y), LEGEND_MARK);
            }
            self.text(&entry.name, (end + KEY_GAP, y), Anchor::Start);
        }
    }

    /// A short dashed line with a word beside it, for what is not a series.
    pub(super) fn reference_line(&mut self, points: &[(i32, i32)]) {
        self.line(points, "#000000", 2, "6 6");
    }
}

/// Width of a legend's key, the gap behind it and that between entries.
const KEY: i32 = 56;
const KEY_GAP: i32 = 12;
const ENTRY_GAP: i32 = 36;

/// Lines that a legend fills.
pub(super) fn legend_lines(entries: &[Entry], left: i32) -> i32 {
    places(entries, left).last().map_or(0, |(line, _)| line + 1)
}

/// Line and offset of each entry, with as many entries to a line as fit.
fn places(entries: &[Entry], left: i32) -> Vec<(i32, i32)> {
    let (mut line, mut x) = (0, 0);
    let mut places = Vec::with_capacity(entries.len());
    for entry in entries {
        let width = KEY + KEY_GAP + text_width(&entry.name);
        if x > 0 && left + x + width > WIDTH {
            (line, x) = (line + 1, 0);
        }
        places.push((line, x));
        x += width + ENTRY_GAP;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_scales_and_is_described() {
        let label = Label::new("a", "T <1>", "D & E");
        let svg =
            figure(&label, 300, |canvas| canvas.text("x < y & z", (10, 10), Anchor::Start)).svg;
        assert!(
            svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 960 300\"")
        );
        assert_eq!((svg.matches("<svg").count(), svg.matches("</svg>").count()), (1, 1));
        assert!(svg.contains("<title id=\"a-title\">T &lt;1&gt;</title>"));
        assert!(svg.contains("<desc id=\"a-desc\">D &amp; E</desc>"));
        assert!(svg.contains(">x &lt; y &amp; z</text>"));
    }

    #[test]
    fn only_a_line_with_a_pattern_is_dashed() {
        let label = Label::new("a", "T", "D");
        let line = |dashes| {
            figure(&label, 10, |canvas| canvas.line(&[(0, 0), (25, -5)], INK, 4, dashes)).svg
        };
        assert!(line("10 5").contains("stroke-dasharray=\"10 5\" points=\"0,0 25,-5\""));
        assert!(!line("").contains("dasharray"));
    }

    #[test]
    fn a_legend_breaks_its_lines() {
        let entry = |name: &str| Entry { name: name.to_owned(), look: Look::of(0), key: Key::Mark };
        let long = "a name that takes most of a line, not all";
        assert_eq!(legend_lines(&[entry("a"), entry("b")], 90), 1);
        assert_eq!(legend_lines(&[entry(long), entry(long)], 90), 2);
        assert_eq!(legend_lines(&[], 90), 0);
    }
}
