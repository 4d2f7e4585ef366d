//! `report.html`: one self-contained page that says what was audited, what was found, how far
//! it can be trusted, and with which parameters.
//!
//! The page is drawn from [`RunInfo`] and [`QueryRecord`]s, that is from what `run.json` and
//! `results.jsonl` hold, with the run's q-values and a few images beside them. It needs no
//! network and forbids it: script and style are inlined under a content security policy that
//! lets nothing else in. Charts are SVG drawn here; the script adds the table (sorting,
//! filtering, paging), tooltips and downloads. Every text that came from outside is escaped,
//! in markup by `markup::escape` and in the embedded JSON by `markup::json_for_script`.

#![expect(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a page is drawn once; a short-lived string a piece keeps the markup readable"
)]

mod audited;
mod axes;
mod distribution;
mod embedded;
#[cfg(test)]
mod fixture;
mod guide;
mod markup;
mod outcome;
mod p_values;
pub mod preview;
mod readings;
mod scatter;
mod warnings;

use std::collections::BTreeSet;

use thiserror::Error;

use crate::imagined::Imagined;
use crate::record::{QueryRecord, RunInfo};
pub use markup::escape;
use markup::{data_uri, fill};
use outcome::Outcome;

const PAGE: &str = include_str!("report.html");
const STYLE: &str = include_str!("report.css");
/// The style sheet that this report shares with other pages of the project.
pub const BASE_STYLE: &str = include_str!("base.css");
const SCRIPT: &str = include_str!("report.js");

/// Everything that one report shows.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// What was run, and on what.
    pub run: &'a RunInfo,
    /// The queries' records, in any order.
    pub records: &'a [QueryRecord],
    /// Benjamini-Hochberg q-values, one for each record in the records' order; empty when no
    /// false discovery rate was computed, which the report then says.
    pub q_values: &'a [f64],
    /// Images for the inversions section; may be empty.
    pub previews: &'a [Preview],
    /// Ids of the queries that are members, where that is known: the report then says how many
    /// verdicts were right. Every other query counts as a non-member.
    pub ground_truth: Option<&'a BTreeSet<String>>,
}

/// One image of the inversions section, shown as it is given: in a redacted run it is the
/// caller who keeps names out of the caption and the note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// What was inverted.
    pub caption: String,
    /// What the model imagined; see [`crate::imagined`].
    pub imagined: Imagined,
    /// What to know about it, such as the final cosine; may be empty.
    pub note: String,
}

/// Why a report could not be drawn.
#[derive(Debug, Error)]
pub enum ReportError {
    /// There are q-values, but not one for each record.
    #[error(
        "{found} q-values for {expected} records; give one for each record in the same order, \
         or none"
    )]
    QValueCount {
        /// Number of records.
        expected: usize,
        /// Number of q-values.
        found: usize,
    },
    /// A preview's pixels do not fill its shape.
    #[error(
        "{found} pixel values for an image of 3 x {height} x {width}; give a non-empty \
         [3, height, width] array"
    )]
    PreviewShape {
        /// Rows of the image.
        height: usize,
        /// Columns of the image.
        width: usize,
        /// Number of values given.
        found: usize,
    },
    /// A sound could not be written as WAV.
    #[error("could not write a sound: {0}; report this as a defect")]
    Sound(#[from] hound::Error),
    /// A preview could not be written as PNG.
    #[error("could not encode a {width} x {height} preview as PNG; try a smaller scale")]
    PreviewEncode {
        /// Rows of the upscaled image.
        height: usize,
        /// Columns of the upscaled image.
        width: usize,
        /// What the encoder said.
        #[source]
        source: image::ImageError,
    },
}

/// Draws the report as one HTML file.
///
/// # Errors
/// [`ReportError::QValueCount`] when there are q-values but not one for each record.
pub fn render(report: &Report<'_>) -> Result<String, ReportError> {
    let (expected, found) = (report.records.len(), report.q_values.len());
    if found != 0 && found != expected {
        return Err(ReportError::QValueCount { expected, found });
    }
    let outcome = Outcome::of(report);
    let order = embedded::by_p_value(report.records);
    let embedded = embedded::Embedded::new(report, &order);

    let parts = [
        ("nonce", nonce(report.run)),
        ("title", escape(&title(report.run))),
        ("outcome", escape(&outcome.sentence())),
        ("truth", readings::truth(report, &outcome)),
        ("warnings", warnings::section(report, &outcome)),
        ("audited", audited::summary(report.run)),
        ("readings", readings::section(report.run, &outcome)),
        ("guide", guide::section(report.run, &outcome)),
        ("table_note", embedded.note()),
        ("scatter", scatter::figure(report)),
        ("p_values", p_values::figure(report.run, report.records)),
        ("distribution", distribution::figure(report)),
        ("previews", previews(report)),
        ("parameters", audited::parameters(report.run)),
        ("version", escape(&report.run.umid_version)),
        ("style", format!("{BASE_STYLE}{STYLE}")),
        ("data", markup::json_for_script(&embedded)),
        ("script", SCRIPT.to_owned()),
    ];
    Ok(fill(PAGE, &parts))
}

/// The title of the page.
fn title(run: &RunInfo) -> String {
    format!("Membership audit of {}", run.model.name)
}

/// The token that marks the page's own script and style in its content security policy.
///
/// It is taken from the digest of the queries, so that no query can hold it: a text that did
/// would have to contain its own hash. It is a second line behind escaping.
fn nonce(run: &RunInfo) -> String {
    let digest = run.queries_digest.chars().filter(char::is_ascii_alphanumeric);
    "umid".chars().chain(digest).collect()
}

/// What the model imagined, or why there is nothing.
fn previews(report: &Report<'_>) -> String {
    if report.run.parameters.restarts == 0 {
        return "<p>This run was made without inversions, so there is nothing to show here.</p>\n"
            .to_owned();
    }
    if report.previews.is_empty() {
        return "<p>Nothing that the model imagined was kept in this run.</p>\n".to_owned();
    }
    let mut html = String::from(
        "<p>What the optimisation arrives at when it looks for an input that the model matches \
         with a text. It shows the model\u{2019}s associations; a likeness, or the lack of one, \
         is not evidence. A sound is one of many with the spectrogram above it, whose phase the \
         model does not hear.</p>\n\
         <div class=\"previews\">\n",
    );
    for preview in report.previews {
        let caption = escape(&preview.caption);
        let source = data_uri("image/png", &preview.imagined.png);
        let player = preview.imagined.wav.as_ref().map_or_else(String::new, |wav| {
            format!(
                "<audio controls preload=\"none\" src=\"{}\"></audio>",
                data_uri("audio/wav", wav)
            )
        });
        let note = if preview.note.is_empty() {
            String::new()
        } else {
            format!("<span class=\"muted\">{}</span>", escape(&preview.note))
        };
        html += &format!(
            "<figure><img alt=\"Inverted input for {caption}\" src=\"{source}\">{player}\
             <figcaption><bdi>{caption}</bdi>{note}</figcaption></figure>\n"
        );
    }
    html + "</div>\n"
}

#[cfg(test)]
mod tests;
