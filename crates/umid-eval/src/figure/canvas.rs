//! The sheet that a figure is drawn on, and the way from plotters' SVG to one that scales.
//!
//! plotters rounds coordinates to whole units, so a sheet is drawn at twice its nominal size; nominal
//! sizes are chosen for a phone, where a figure is about 370 pixels wide.

use anyhow::Context as _;
use plotters::coord::Shift;
use plotters::element::{Drawable, PointCollection};
use plotters::prelude::{
    BLACK, Circle, Color as _, DrawingArea, IntoDrawingArea as _, IntoFont as _, PathElement,
    RGBColor, Rectangle, SVGBackend, ShapeStyle, Text, TextStyle, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use umid::report::escape;

use super::mark::Look;
use super::{Figure, Label};

/// Width of every sheet in its own units.
pub(super) const WIDTH: i32 = 960;
/// Height of a line of text.
pub(super) const LINE: i32 = 46;
/// Size of a text as a reader sees it: 11 to 12 pixels on a phone.
const TEXT_SIZE: f64 = 30.0;
/// plotters writes a size divided by this, its ratio of a line to a letter.
const PLOTTERS_RATIO: f64 = 1.24;
/// A letter's width as a share of its size: a little above the mean of common sans-serif fonts.
const LETTER: f64 = 0.53;
pub(super) const INK: RGBColor = RGBColor(40, 46, 51);
pub(super) const GRID: RGBColor = RGBColor(222, 225, 225);
pub(super) const FRAME: RGBColor = RGBColor(120, 128, 133);
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
pub(super) struct Canvas<'a> {
    root: DrawingArea<SVGBackend<'a>, Shift>,
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

/// Draws a figure of a given height and gives it its title and description.
pub(super) fn figure(
    label: &Label,
    height: i32,
    draw: impl FnOnce(&Canvas<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<Figure> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH as u32, height as u32));
        let canvas = Canvas { root: root.into_drawing_area() };
        canvas.root.fill(&WHITE)?;
        draw(&canvas).with_context(|| format!("drawing figure {}", label.id))?;
        canvas.root.present()?;
    }
    Ok(Figure {
        id: label.id.clone(),
        title: label.title.clone(),
        description: label.description.clone(),
        svg: scaling(&svg, label, height)?,
    })
}

/// The drawing with an outer element that takes the width it is given.
fn scaling(svg: &str, label: &Label, height: i32) -> anyhow::Result<String> {
    let start = svg.find("<svg").context("plotters writes an svg element")?;
    let end = start + svg[start..].find('>').context("plotters closes its tags")?;
    let id = escape(&label.id);
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"100%\" \
         role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\n<title id=\"{id}-title\">{}</title>\n\
         <desc id=\"{id}-desc\">{}</desc>{}",
        escape(&label.title),
        escape(&label.description),
        &svg[end + 1..],
    ))
}

/// Width of a text, as near as can be told without its font.
pub(super) fn text_width(text: &str) -> i32 {
    (text.chars().count() as f64 * TEXT_SIZE * LETTER) as i32
}

impl Canvas<'_> {
    /// Draws an element of plotters.
    pub(super) fn draw<'b, E>(&self, element: &'b E) -> anyhow::Result<()>
    where
        &'b E: PointCollection<'b, (i32, i32)>,
        E: for<'c> Drawable<SVGBackend<'c>>,
    {
        Ok(self.root.draw(element)?)
    }

    pub(super) fn disc(
        &self,
        centre: (i32, i32),
        radius: i32,
        style: ShapeStyle,
    ) -> anyhow::Result<()> {
        self.draw(&Circle::new(centre, radius, style))
    }

    /// Shades a rectangle, for where a sample says nothing.
    pub(super) fn shade(&self, corners: [(i32, i32); 2]) -> anyhow::Result<()> {
        self.draw(&Rectangle::new(corners, FRAME.mix(0.2).filled()))
    }

    /// A line through points, dashed as the pattern says.
    pub(super) fn line(
        &self,
        points: &[(i32, i32)],
        colour: RGBColor,
        width: u32,
        dashes: &[f64],
    ) -> anyhow::Result<()> {
        let style = colour.stroke_width(width);
        if dashes.is_empty() {
            return self.draw(&PathElement::new(points.to_vec(), style));
        }
        for stroke in strokes(points, dashes) {
            self.draw(&PathElement::new(stroke, style))?;
        }
        Ok(())
    }

    pub(super) fn text(&self, text: &str, at: (i32, i32), anchor: Anchor) -> anyhow::Result<()> {
        self.coloured_text(text, at, anchor, INK)
    }

    /// A text on a white ground that hides the lines behind it.
    pub(super) fn text_on_white(
        &self,
        text: &str,
        (x, y): (i32, i32),
        anchor: Anchor,
        colour: RGBColor,
    ) -> anyhow::Result<()> {
        let (width, half) = (text_width(text) + 8, LINE / 2);
        let left = match anchor {
            Anchor::Start => x,
            Anchor::Below => x - width / 2,
            Anchor::End => x - width,
        };
        let ground = [(left, y - half + 2), (left + width, y + half - 2)];
        self.draw(&Rectangle::new(ground, WHITE.filled()))?;
        self.coloured_text(text, (x, y), anchor, colour)
    }

    pub(super) fn coloured_text(
        &self,
        text: &str,
        at: (i32, i32),
        anchor: Anchor,
        colour: RGBColor,
    ) -> anyhow::Result<()> {
        let pos = match anchor {
            Anchor::Start => Pos::new(HPos::Left, VPos::Center),
            Anchor::Below => Pos::new(HPos::Center, VPos::Top),
            Anchor::End => Pos::new(HPos::Right, VPos::Center),
        };
        let style = TextStyle::from(("sans-serif", TEXT_SIZE * PLOTTERS_RATIO).into_font())
            .color(&colour)
            .pos(pos);
        self.draw(&Text::new(text.to_owned(), at, style))
    }

    /// The legend, from a height downwards, in as many lines as [`legend_lines`] says.
    pub(super) fn legend(&self, entries: &[Entry], left: i32, top: i32) -> anyhow::Result<()> {
        for (entry, (line, x)) in entries.iter().zip(places(entries, left)) {
            let y = top + line * LINE + LINE / 2;
            let x = left + x;
            let (end, middle) = (x + KEY, x + KEY / 2);
            if entry.key == Key::Area {
                self.shade([(x, y - LEGEND_MARK), (end, y + LEGEND_MARK)])?;
            }
            if matches!(entry.key, Key::Line | Key::LineAndMark) {
                self.line(&[(x, y), (end, y)], entry.look.colour, 4, entry.look.dashes)?;
            }
            if matches!(entry.key, Key::Mark | Key::LineAndMark) {
                self.mark(entry.look, (middle, y), LEGEND_MARK)?;
            }
            self.text(&entry.name, (end + KEY_GAP, y), Anchor::Start)?;
        }
        Ok(())
    }

    /// A short dashed line with a word beside it, for what is not a series.
    pub(super) fn reference_line(&self, points: &[(i32, i32)]) -> anyhow::Result<()> {
        self.line(points, BLACK, 2, &[6.0, 6.0])
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

/// Line and offset of each entry: as many to a line as fit.
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

/// Cuts a line into strokes, along its length.
fn strokes(points: &[(i32, i32)], dashes: &[f64]) -> Vec<Vec<(i32, i32)>> {
    let whole = |(x, y): (f64, f64)| (x.round() as i32, y.round() as i32);
    let real = |(x, y): (i32, i32)| (f64::from(x), f64::from(y));
    let mut strokes = Vec::new();
    let (mut phase, mut left) = (0, dashes[0]);
    let mut stroke: Vec<(i32, i32)> = points.first().copied().into_iter().collect();
    for pair in points.windows(2) {
        let (mut from, to) = (real(pair[0]), real(pair[1]));
        loop {
            let (dx, dy) = (to.0 - from.0, to.1 - from.1);
            let length = dx.hypot(dy);
            if length < left {
                left -= length;
                stroke.push(pair[1]);
                break;
            }
            let share = left / length.max(f64::MIN_POSITIVE);
            from = (from.0 + share * dx, from.1 + share * dy);
            stroke.push(whole(from));
            if phase % 2 == 0 {
                strokes.push(std::mem::take(&mut stroke));
            }
            phase += 1;
            left = dashes[phase % dashes.len()];
            stroke = vec![whole(from)];
        }
    }
    if phase % 2 == 0 && stroke.len() > 1 {
        strokes.push(stroke);
    }
    strokes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_are_as_long_as_they_say() {
        let strokes = strokes(&[(0, 0), (25, 0), (25, 25)], &[10.0, 5.0]);
        assert_eq!(
            strokes,
            [
                vec![(0, 0), (10, 0)],
                vec![(15, 0), (25, 0)],
                vec![(25, 5), (25, 15)],
                vec![(25, 20), (25, 25)]
            ]
        );
    }

    #[test]
    fn a_drawing_scales_and_is_described() {
        let label = Label::new("a", "T <1>", "D & E");
        let figure =
            figure(&label, 300, |canvas| canvas.text("x < y & z", (10, 10), Anchor::Start));
        let svg = figure.expect("drawn").svg;
        assert!(
            svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 960 300\"")
        );
        assert_eq!(svg.matches("<svg").count(), 1);
        assert!(svg.contains("<title id=\"a-title\">T &lt;1&gt;</title>"));
        assert!(svg.contains("<desc id=\"a-desc\">D &amp; E</desc>"));
        assert!(svg.contains("x &lt; y &amp; z"));
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
