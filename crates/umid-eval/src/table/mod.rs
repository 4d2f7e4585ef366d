//! A table of results that knows what it answers, and that is written as Markdown, CSV, LaTeX and
//! HTML from the same cells.
//!
//! A cell that failed or that the sample cannot resolve is never a number: it says so, with its
//! reason in a lettered note below the table. A number that is not finite counts as failed.

#![expect(
    clippy::format_push_string,
    reason = "a table is a few kilobytes; `+=` reads better than `write!` with a discarded result"
)]

mod cell;
mod csv;
mod html;
mod latex;
mod markdown;

use serde::Serialize;

pub use cell::{Cell, interval_text};
use cell::{NO_BREAK, Shown};

/// Marks a row that was used for choosing.
const DAGGER: char = '\u{2020}';
const DAGGER_NOTE: &str = "Used for choosing signals or settings: what it shows flatters the \
                           method and is no evidence.";

/// A table of results.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// Name of the file and of the anchor: lower-case letters, digits and hyphens.
    pub id: String,
    /// What the table shows.
    pub title: String,
    /// The paper's question that it answers.
    pub question: String,
    /// What it says, in plain words.
    pub plain: String,
    /// The columns; the first names the row.
    pub columns: Vec<Column>,
    /// The rows; each has one cell per column.
    pub rows: Vec<Row>,
    /// Remarks below the table.
    pub notes: Vec<String>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Column {
    /// Heading, with the unit where there is one.
    pub name: String,
    /// What its cells hold.
    pub kind: Kind,
}

/// What the cells of a column hold. Any cell may be empty, unresolved or failed instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Kind {
    /// Words, set to the left.
    Words,
    /// Single numbers, set to the right.
    Numbers,
    /// Estimates with the ends of an interval: three columns in a CSV file.
    Intervals,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// One cell per column.
    pub cells: Vec<Cell>,
    /// What the row may be used for.
    pub standing: Standing,
}

/// Whether a result is evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Standing {
    /// Nothing was chosen on it.
    Evidence,
    /// Signals or settings were chosen on it; shown with a dagger and a note.
    UsedForChoosing,
}

impl Column {
    /// A column of words.
    pub fn words(name: &str) -> Self {
        Self { name: name.to_owned(), kind: Kind::Words }
    }

    /// A column of single numbers.
    pub fn numbers(name: &str) -> Self {
        Self { name: name.to_owned(), kind: Kind::Numbers }
    }

    /// A column of estimates with intervals.
    pub fn intervals(name: &str) -> Self {
        Self { name: name.to_owned(), kind: Kind::Intervals }
    }
}

impl Table {
    /// A table without rows and words.
    pub fn new(id: &str, title: &str, columns: Vec<Column>) -> Self {
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            question: String::new(),
            plain: String::new(),
            columns,
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// When it does not have one cell per column.
    pub fn push(&mut self, standing: Standing, cells: Vec<Cell>) {
        assert_eq!(cells.len(), self.columns.len(), "table {}: one cell per column", self.id);
        self.rows.push(Row { cells, standing });
    }

    /// How many cells failed, and how many the sample cannot resolve.
    pub fn gaps(&self) -> Gaps {
        let mut gaps = Gaps::default();
        for cell in self.rows.iter().flat_map(|row| &row.cells) {
            match cell.shown() {
                Shown::Failed(_) => gaps.failed += 1,
                Shown::Unresolved(_) => gaps.unresolved += 1,
                Shown::Words(_) | Shown::Number(_) | Shown::Empty => {}
            }
        }
        gaps
    }

    /// The reasons of cells without a value, each once, in the order in which they are first met.
    fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        for cell in self.rows.iter().flat_map(|row| &row.cells) {
            if let Shown::Failed(reason) | Shown::Unresolved(reason) = cell.shown()
                && !reasons.contains(&reason)
            {
                reasons.push(reason);
            }
        }
        reasons
    }

    /// The table's own notes and the dagger's.
    fn remarks(&self) -> Vec<String> {
        let chosen = self.rows.iter().any(|row| row.standing == Standing::UsedForChoosing);
        let dagger = chosen.then(|| format!("{DAGGER} {DAGGER_NOTE}"));
        dagger.into_iter().chain(self.notes.iter().cloned()).collect()
    }

    /// The cells of a row as they are shown, with the first marked if the row was chosen on. A cell
    /// that is missing is empty; one too many is left out.
    fn shown<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = (&'a Column, Shown)> {
        self.columns.iter().enumerate().map(move |(i, column)| {
            let shown = row.cells.get(i).map_or(Shown::Empty, Cell::shown);
            let chosen = i == 0 && row.standing == Standing::UsedForChoosing;
            match shown {
                Shown::Words(text) if chosen => {
                    (column, Shown::Words(format!("{text}{NO_BREAK}{DAGGER}")))
                }
                Shown::Number(text) if chosen => {
                    (column, Shown::Number(format!("{text} {DAGGER}")))
                }
                shown => (column, shown),
            }
        })
    }
}

/// Cells of a table that have no value although one was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Cells whose computation failed.
    pub failed: usize,
    /// Cells that the sample cannot resolve.
    pub unresolved: usize,
}

/// The letter of a reason: a to z, then a1, b1 and so on.
fn letter(reasons: &[String], reason: &str) -> String {
    let place = reasons.iter().position(|known| known == reason).unwrap_or(reasons.len());
    let letter = char::from(b'a' + (place % 26) as u8);
    if place < 26 { letter.to_string() } else { format!("{letter}{}", place / 26) }
}

/// A table with every kind of cell and with names that need escaping, for the tests of renderers.
#[cfg(test)]
fn example() -> Table {
    use umid_detect::Interval;

    let columns = vec![
        Column::words("Method"),
        Column::numbers("Steps"),
        Column::intervals("AUC"),
        Column::intervals("TPR at 1 % FPR"),
    ];
    let mut table = Table::new("main-result", "Signals & votes", columns);
    table.question = "Does it find members?".to_owned();
    table.plain = "Half is chance; <1> is perfect.".to_owned();
    table.notes = vec!["400 v 400 names.".to_owned()];
    let area = Interval { estimate: 0.9172, low: 0.8991, high: 0.9349 };
    let rate = Interval { estimate: 0.123, low: 0.08, high: 0.1705 };
    table.push(
        Standing::UsedForChoosing,
        vec![
            Cell::text("R&D <a_b> 5%, $x|y"),
            Cell::Count(12_000),
            Cell::Interval { interval: area, digits: 3 },
            Cell::Share { interval: rate, digits: 1 },
        ],
    );
    table.push(
        Standing::Evidence,
        vec![
            Cell::text("vote"),
            Cell::Empty,
            Cell::Failed("solver stopped & gave up".to_owned()),
            Cell::Unresolved("1 % needs 100 non-members, 60 are at hand".to_owned()),
        ],
    );
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_counted_and_their_reasons_lettered_once() {
        let mut table = example();
        table.push(
            Standing::Evidence,
            vec![
                Cell::text("again"),
                Cell::Number { value: f64::NAN, digits: 2 },
                Cell::Failed("solver stopped & gave up".to_owned()),
                Cell::Empty,
            ],
        );
        assert_eq!(table.gaps(), Gaps { failed: 3, unresolved: 1 });
        let reasons = table.reasons();
        assert_eq!(reasons.len(), 3, "{reasons:?}");
        assert_eq!(letter(&reasons, &reasons[2]), "c");
    }

    #[test]
    fn no_renderer_prints_a_number_that_is_none() {
        let mut table = example();
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let interval = umid_detect::Interval { estimate: 0.5, low: bad, high: 0.6 };
            table.push(
                Standing::Evidence,
                vec![
                    Cell::text("x"),
                    Cell::Number { value: bad, digits: 2 },
                    Cell::Interval { interval, digits: 3 },
                    Cell::Share { interval, digits: 1 },
                ],
            );
        }
        let csv = table.csv().expect("written to memory");
        for text in [table.markdown(), csv, table.latex(), table.html()] {
            let text = text.to_lowercase();
            assert!(!text.contains("nan") && !text.contains("inf"), "{text}");
        }
    }

    #[test]
    #[should_panic(expected = "one cell per column")]
    fn a_short_row_is_refused() {
        example().push(Standing::Evidence, vec![Cell::text("alone")]);
    }
}
