//! A forest plot: estimates with their intervals, one below the other. Names stand above their bars,
//! so that long ones have room on a narrow screen; a result without a value says why not.

use umid::report::Axis;
use umid_detect::Interval;

use super::axis::Plot;
use super::canvas::{Anchor, Canvas, Colour, INK, LINE, WHITE, figure, text_width};
use super::mark::{Look, Mark};
use super::{Figure, Label};
use crate::table::interval_text;

const CHANCE: f64 = 0.5;
/// Height of a name with its bar.
const ITEM: i32 = 100;
/// The axis starts here unless an interval reaches lower.
const LOWEST: f64 = 0.4;
const CAP: i32 = 9;
/// Also used in the page for what failed.
const FAILED: Colour = "#B02A00";
const UNRESOLVED: Colour = "#57616A";

/// Areas under the ROC curve with their intervals.
#[derive(Debug, Clone, PartialEq)]
pub struct Forest {
    /// What the figure is called.
    pub label: Label,
    /// Title of the axis.
    pub axis: String,
    /// The estimates, from top to bottom.
    pub items: Vec<ForestItem>,
}

/// An estimate with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct ForestItem {
    /// Name of the method.
    pub name: String,
    /// What it gave.
    pub reading: Reading,
}

/// What a method gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// An area with its interval.
    Area(Interval),
    /// An area on which signals or settings were chosen: an open mark and a dagger.
    UsedForChoosing(Interval),
    /// The sample cannot resolve it; why not.
    Unresolved(String),
    /// It failed; why.
    Failed(String),
}

impl Forest {
    /// Draws the figure.
    pub fn draw(&self) -> Figure {
        let lows = self.items.iter().filter_map(|item| item.reading.interval()).map(|i| i.low);
        let lowest = lows.filter(|low| low.is_finite()).fold(LOWEST, f64::min);
        let height = ITEM * self.items.len().max(1) as i32;
        let nowhere = Axis::between(0.0, 1.0).without_ticks();
        let axis = (Axis::between(lowest, 1.0), self.axis.as_str());
        let plot = Plot::new(axis, (nowhere, ""), 0, height).over_the_whole_width();
        figure(&self.label, height + Plot::AROUND, |canvas| {
            plot.draw(canvas);
            let (chance, _) = plot.at(CHANCE, 0.0);
            canvas.reference_line(&[(chance, plot.top()), (chance, plot.bottom())]);
            canvas.text("chance", (chance, plot.top() - LINE + 8), Anchor::Below);
            for (i, item) in self.items.iter().enumerate() {
                let top = plot.top() + ITEM * i as i32;
                Self::item(canvas, &plot, item, top);
            }
        })
    }

    /// A name with its value on the right, and the bar below them.
    fn item(canvas: &mut Canvas, plot: &Plot, item: &ForestItem, top: i32) {
        let (words, bar) = (top + LINE / 2 + 4, top + LINE + LINE / 2);
        let value = item
            .reading
            .interval()
            .and_then(|interval| Some((interval, interval_text(&interval, 3)?)));
        let name = match item.reading {
            Reading::UsedForChoosing(_) => format!("{} \u{2020}", item.name),
            _ => item.name.clone(),
        };
        let value_width = value.as_ref().map_or(0, |(_, text)| text_width(text) + 20);
        let name = shortened(&name, Plot::right() - plot.left() - value_width);
        canvas.text_on_white(&name, (plot.left(), words), Anchor::Start, INK);
        let Some((interval, text)) = value else {
            let (reason, colour) = item.reading.without_value();
            let reason = shortened(&reason, Plot::right() - plot.left());
            canvas.text_on_white(&reason, (plot.left(), bar), Anchor::Start, colour);
            return;
        };
        canvas.text_on_white(&text, (Plot::right(), words), Anchor::End, INK);
        let across = |value: f64| (plot.at(plot.x.within(value), 0.0).0, bar);
        let (low, high) = (across(interval.low), across(interval.high));
        let mut look = Look::of(0);
        canvas.line(&[low, high], look.colour, 4, "");
        for (x, y) in [low, high] {
            canvas.line(&[(x, y - CAP), (x, y + CAP)], look.colour, 4, "");
        }
        if matches!(item.reading, Reading::UsedForChoosing(_)) {
            canvas.disc(across(interval.estimate), 9, WHITE);
            look.mark = Mark::Ring;
        }
        canvas.mark(look, across(interval.estimate), 9);
    }
}

impl Reading {
    /// The area, if there is one.
    fn interval(&self) -> Option<Interval> {
        match self {
            Self::Area(interval) | Self::UsedForChoosing(interval) => Some(*interval),
            Self::Unresolved(_) | Self::Failed(_) => None,
        }
    }

    /// The words in place of a bar, and their colour.
    fn without_value(&self) -> (String, Colour) {
        match self {
            Self::Area(_) | Self::UsedForChoosing(_) => {
                ("failed: the value is not a finite number".to_owned(), FAILED)
            }
            Self::Unresolved(reason) => (format!("not resolved: {reason}"), UNRESOLVED),
            Self::Failed(reason) => (format!("failed: {reason}"), FAILED),
        }
    }
}

/// A text that fits a width, with an ellipsis if it was cut.
fn shortened(text: &str, width: i32) -> String {
    if text_width(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if text_width(&kept) + text_width("\u{2026}") > width {
            kept.pop();
            break;
        }
    }
    format!("{}\u{2026}", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forest(readings: Vec<(&str, Reading)>) -> String {
        let items = readings
            .into_iter()
            .map(|(name, reading)| ForestItem { name: name.to_owned(), reading })
            .collect();
        let label = Label::new("forest", "Methods", "Areas.");
        Forest { label, axis: "AUC".to_owned(), items }.draw().svg
    }

    #[test]
    fn values_and_reasons_stand_beside_the_names() {
        let interval = Interval { estimate: 0.9172, low: 0.8991, high: 0.9349 };
        let svg = forest(vec![
            ("vote", Reading::Area(interval)),
            ("score", Reading::UsedForChoosing(interval)),
            ("svm", Reading::Failed("no solution".to_owned())),
            ("odd", Reading::Area(Interval { low: f64::NEG_INFINITY, ..interval })),
            ("small", Reading::Unresolved("too few".to_owned())),
        ]);
        for text in [
            ".917 (.899\u{2013}.935)",
            "score \u{2020}",
            "failed: no solution",
            "failed: the value is not a finite number",
            "not resolved: too few",
        ] {
            assert!(svg.contains(text), "{text} in {svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn long_names_are_cut_and_nothing_is_an_empty_plot() {
        let long =
            "a very long name of a method that says all of its settings, one after the other";
        let svg = forest(vec![(long, Reading::Failed(long.to_owned()))]);
        assert!(svg.contains('\u{2026}') && !svg.contains(long));
        assert!(forest(Vec::new()).contains("chance"));
    }
}
