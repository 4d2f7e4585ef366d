//! Figures of results as SVG, which scales to the available width and needs neither scripts nor fonts.
//! Axes are those of the audit's report ([`umid::report::Axis`]).
//!
//! Colours are those of Okabe and Ito ("Color Universal Design", 2008), which people with any kind of
//! colour vision tell apart; each series also has its own mark and its own dashes. Every figure has
//! a title and a description for those who do not see it.

mod axis;
mod canvas;
mod curve;
mod forest;
mod mark;
mod roc;
mod scatter;

use serde::Serialize;

pub use curve::{AreaCurve, CurvePoint, CurveSeries};
pub use forest::{Forest, ForestItem, Reading};
pub use roc::{RocFigure, RocSeries};
pub use scatter::{Group, SignalScatter};

/// A drawn figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// Name of the file and of the anchor: lower-case letters, digits and hyphens.
    pub id: String,
    /// What is drawn.
    pub title: String,
    /// What there is to see, in plain words: the caption, and the description for screen readers.
    pub description: String,
    /// The drawing.
    pub svg: String,
}

/// What a figure is called, before it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// As [`Figure::id`].
    pub id: String,
    /// As [`Figure::title`].
    pub title: String,
    /// As [`Figure::description`].
    pub description: String,
}

impl Label {
    /// A label of three texts.
    pub fn new(id: &str, title: &str, description: &str) -> Self {
        let [id, title, description] = [id, title, description].map(str::to_owned);
        Self { id, title, description }
    }
}
