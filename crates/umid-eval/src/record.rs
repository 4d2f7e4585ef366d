//! What an evaluation keeps: one cell for each method on each target, as JSON.
//!
//! A cell holds scores and decisions, not metrics: tables are made anew from cells, so that a
//! table can change without a model being asked again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use umid_core::atomic::write_atomically;

use crate::error::Error;

/// Texts of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Names that the target was trained on; of the null target, the first group of its draw.
    Member,
    /// Names of the same draw that it was not.
    NonMember,
    /// Strings of ten random characters, of other seeds than any reference.
    Gibberish,
    /// The same strings in two words of five, so that scores of two-part names apply.
    GibberishPair,
    /// Members who were trained under photos of random people.
    Mispaired,
    /// Names of nobody, of origins that the training lists do not have.
    OtherOrigin,
    /// Names of nobody from the draw of the people, in numbers that resolve small false-positive rates.
    Stranger,
}

/// What one reading says of the texts of one group, in the group's order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Higher is more member-like; `None` where the reading does not apply to the text.
    pub scores: Vec<Option<f64>>,
    /// The reading's own decisions, if it makes any.
    pub flags: Option<Vec<Option<bool>>>,
    /// Its p-values, if it has any.
    pub p_values: Option<Vec<Option<f64>>>,
}

impl Column {
    /// Scores alone.
    pub fn of(scores: Vec<Option<f64>>) -> Self {
        Self { scores, flags: None, p_values: None }
    }

    /// The scores that are there.
    pub fn present(&self) -> Vec<f64> {
        self.scores.iter().copied().flatten().collect()
    }
}

/// What a query costs. Passes are counted for the whole model: one of the text tower and one of
/// the input tower are both a forward pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Forward passes per query. Of a score that shares work between queries, those of a query that
    /// has nothing in common with earlier ones.
    pub forward: f64,
    /// Backward passes per query.
    pub backward: f64,
    /// Seconds per query, many at once, on the machine that ran the evaluation.
    pub seconds: Option<f64>,
    /// Seconds for one query alone, when everything that queries share is ready.
    pub latency: Option<f64>,
}

/// What a method is given besides the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sees {
    /// The names, and no model.
    NamesOnly,
    /// The people's inputs, and no model.
    InputsOnly,
    /// The text.
    Text,
    /// The text, and public images that show nobody who is asked about.
    TextAndBank,
    /// The person's own images.
    Images,
    /// The person's own image, and models that were trained like the target.
    ImageAndModels,
}

impl Sees {
    /// For a table.
    pub fn words(self) -> &'static str {
        match self {
            Self::NamesOnly => "names, no model",
            Self::InputsOnly => "inputs, no model",
            Self::Text => "text",
            Self::TextAndBank => "text, public inputs",
            Self::Images => "the person's inputs",
            Self::ImageAndModels => "the person's input, reference models",
        }
    }
}

/// One way of reading a target: a score, perhaps with decisions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Name, such as `similarity`.
    pub name: String,
    /// What it is given.
    pub sees: Sees,
    /// Whether it stands in the tables that compare methods; others are details.
    pub headline: bool,
    /// By kind of text.
    pub groups: BTreeMap<Group, Column>,
    /// What a query costs.
    pub cost: Cost,
    /// Facts beside the scores, such as the permutation null of the blind control.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Vec<f64>>,
}

impl Reading {
    /// A detail without facts.
    pub fn new(
        name: impl Into<String>,
        sees: Sees,
        groups: BTreeMap<Group, Column>,
        cost: Cost,
    ) -> Self {
        Self { name: name.into(), sees, headline: false, groups, cost, facts: BTreeMap::new() }
    }

    /// The same as a headline.
    pub fn headline(self) -> Self {
        Self { headline: true, ..self }
    }
}

/// What became of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was measured.
    Done(Vec<Reading>),
    /// It was not, and why.
    Failed(String),
}

/// A method on a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Digest of everything that the outcome depends on.
    pub key: String,
    /// The target's name.
    pub target: String,
    /// The method's name.
    pub method: String,
    /// What tells this cell from others of the method and target, such as `steps 50`; empty for
    /// the method's defaults.
    pub variant: String,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// What became of it.
    pub outcome: Outcome,
}

/// The cells of a suite on disk, one file each, named by their keys.
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Cells under `folder`, which is made.
    pub fn open(folder: PathBuf) -> crate::Result<Self> {
        fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        Ok(Self { folder })
    }

    /// The cell of a key. One that cannot be read counts as missing: it is measured again.
    pub fn get(&self, key: &str) -> Option<Cell> {
        let cell: Cell = serde_json::from_slice(&fs::read(self.path(key)).ok()?).ok()?;
        (cell.key == key).then_some(cell)
    }

    /// Keeps a cell. It is there as a whole or not at all.
    pub fn put(&self, cell: &Cell) -> crate::Result<()> {
        let path = self.path(&cell.key);
        write_whole(&path, &serde_json::to_vec(cell)?)
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.json"))
    }
}

/// Writes a file so that it is there as a whole or not at all.
pub fn write_whole(path: &Path, bytes: &[u8]) -> crate::Result<()> {
    write_atomically(path, bytes).map_err(Error::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(key: &str, outcome: Outcome) -> Cell {
        Cell {
            key: key.into(),
            target: "t".into(),
            method: "m".into(),
            variant: String::new(),
            seconds: 1.0,
            outcome,
        }
    }

    #[test]
    fn a_cell_reads_back_to_the_last_digit_and_a_torn_one_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("cells")).unwrap();
        assert_eq!(store.get("a"), None);
        let column = Column {
            scores: vec![Some(0.1 + 0.2), None, Some(f64::MIN_POSITIVE)],
            flags: Some(vec![Some(true), None, Some(false)]),
            p_values: None,
        };
        let groups = BTreeMap::from([(Group::Member, column)]);
        let reading = Reading::new("similarity", Sees::Text, groups, Cost::default());
        let kept = cell("a", Outcome::Done(vec![reading]));
        store.put(&kept).unwrap();
        assert_eq!(store.get("a"), Some(kept));
        let path = store.path("a");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(store.get("a"), None);
    }

    #[test]
    fn a_file_under_another_cells_name_is_not_that_cell() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_owned()).unwrap();
        store.put(&cell("a", Outcome::Failed("why".into()))).unwrap();
        fs::rename(store.path("a"), store.path("b")).unwrap();
        assert_eq!(store.get("b"), None);
    }
}
