//! `report.html`: one self-contained page that says what was audited, what was found, how far
//! it can be trusted, and with which parameters.
//!
//! The page is drawn from [`RunInfo`] and two passes over the records, that is from what
//! `run.json` and `results.jsonl` hold, with the run's q-values and a few images beside them:
//! counts and charts come from an [`Overview`] of all records, the table from the [`Table`] of
//! those that it shows. It needs no network and forbids it: script and style are inlined under a content security policy that
//! lets nothing else in. Charts are SVG drawn here; the script adds the table (sorting,
//! filtering, paging), tooltips and downloads. Every text that came from outside is escaped,
//! in markup by `markup::escape` and in the embedded JSON by `markup::json_for_script`.

#![expect(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a page is drawn once; a short-lived string a piece keeps the markup readable"
)]

mod audited;
pub(crate) mod axes;
mod distribution;
mod embedded;
mod findings;
#[cfg(test)]
pub(crate) mod fixture;
mod guide;
pub mod imagined;
mod markup;
mod p_values;
pub mod preview;
mod readings;
mod scatter;
mod table;
mod truth;
mod warnings;

use std::io::{self, Write};

use thiserror::Error;

use crate::imagined::Imagined;
use crate::known_answers::KnownAnswers;
use crate::overview::{Overview, main_signal};
use crate::record::RunInfo;
pub use axes::Axis;
use embedded::Embedded;
use findings::Findings;
pub use markup::{count, escape};
use markup::{data_uri, fill};
pub use table::{MAX_ROWS, Table};

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
    /// What the queries' records say together; read with this `run`.
    pub overview: &'a Overview,
    /// The rows of the table; read with this overview.
    pub table: &'a Table,
    /// q-values, one for each record in the overview's order; empty when no
    /// false discovery rate was computed, which the report then says.
    pub q_values: &'a [Option<f64>],
    /// Images for the inversions section; may be empty.
    pub previews: &'a [Preview],
    /// What is known of the queries; the report then says how many verdicts were right.
    pub answers: &'a KnownAnswers,
}

impl Report<'_> {
    /// Whether anything is known of the queries.
    fn has_truth(&self) -> bool {
        !self.answers.is_empty()
    }
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
    /// The model refused something.
    #[error(transparent)]
    Model(#[from] umid_models::ModelError),
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
    /// An overview that was read with another run.
    #[error(
        "the overview's main signal is {found:?} and the run's is {expected:?}; read the \
         overview with the run that is reported"
    )]
    OtherRun {
        /// The run's main signal.
        expected: Option<String>,
        /// The overview's.
        found: Option<String>,
    },
    /// A table that was read with another overview.
    #[error("the table's rows are not the overview's records; read both from the same records")]
    OtherTable,
    /// The second reading of the records found others than the first.
    #[error(
        "record number {position}, counted from 0, is not what it was when the records were read \
         before; let nothing change them meanwhile and give the same command again"
    )]
    OtherRecords {
        /// Where the first difference is; the number of records where one is missing.
        position: usize,
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
/// [`ReportError::QValueCount`] when there are q-values but not one for each record;
/// [`ReportError::OtherRun`] and [`ReportError::OtherTable`] when the parts of the report do not
/// belong together.
pub fn render<'a>(report: &Report<'a>) -> Result<Page<'a>, ReportError> {
    let (expected, found) = (report.overview.names(), report.q_values.len());
    if found != 0 && found != expected {
        return Err(ReportError::QValueCount { expected, found });
    }
    let (expected, found) = (main_signal(report.run), report.overview.main_signal());
    if expected != found {
        let (expected, found) = (expected.map(str::to_owned), found.map(str::to_owned));
        return Err(ReportError::OtherRun { expected, found });
    }
    if !report.table.is_of(report.overview) {
        return Err(ReportError::OtherTable);
    }
    let outcome = Findings::of(report);
    let embedded = Embedded::new(report);
    let parts = vec![
        ("nonce", nonce(report.run)),
        ("title", escape(&title(report.run))),
        ("outcome", escape(&outcome.sentence())),
        ("truth", truth::section(report)),
        ("warnings", warnings::section(report, &outcome)),
        ("audited", audited::summary(report.run)),
        ("readings", readings::section(report.run, &outcome)),
        ("guide", guide::section(report.run, &outcome)),
        ("table_note", embedded.note()),
        ("scatter", scatter::figure(report)),
        ("p_values", p_values::figure(report.run, report.overview)),
        ("distribution", distribution::figure(report)),
        ("previews", previews(report)),
        ("parameters", audited::parameters(report.run)),
        ("methods", audited::methods(report.run, &outcome)),
        ("version", escape(&report.run.umid_version)),
        ("style", format!("{BASE_STYLE}{STYLE}")),
        ("script", SCRIPT.to_owned()),
    ];
    Ok(Page { parts, embedded })
}

/// A report that is drawn and not yet written.
#[derive(Debug)]
pub struct Page<'a> {
    parts: Vec<(&'static str, String)>,
    embedded: Embedded<'a>,
}

impl Page<'_> {
    /// Writes the HTML file. The rows of its table, which are most of it, are not held as text.
    ///
    /// # Errors
    /// A failed write.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        fill(PAGE, out, |name, out| match name {
            "data" => markup::write_json_for_script(&self.embedded, out),
            _ => out.write_all(self.part(name).as_bytes()),
        })
    }

    fn part(&self, name: &str) -> &str {
        let part = self.parts.iter().find(|(known, _)| *known == name);
        part.map(|(_, part)| part.as_str()).expect("every name in the template has a part")
    }
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

/// Why a run without inversions has none, and what to do about it.
fn without_inversions(run: &RunInfo) -> &'static str {
    if run.model.text_alone.is_some() {
        "The model was read with its text tower alone, so no inversions could be made."
    } else {
        "This run was made without inversions. Run it again with restarts to have them."
    }
}

/// What the model imagined, or why there is nothing.
fn previews(report: &Report<'_>) -> String {
    if report.run.parameters.restarts == 0 {
        return format!("<p>{}</p>\n", without_inversions(report.run));
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
