//! One list asked of several models: a run for each, and one table over all.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use umid_core::atomic::Replacement;

use crate::audit::AuditSummary;
use crate::error::AuditError;
use crate::store::StoreError;

/// The table over all models, beside their runs.
pub const MODELS_FILE: &str = "models.csv";

/// Names of the directories of these models' runs: the last part of a path, or a repository's name with
/// dashes for what no directory is called; equal ones get a number.
///
/// # Panics
/// Never: there is always a number that is not taken.
pub fn run_names(models: &[PathBuf]) -> Vec<String> {
    let mut taken = HashSet::new();
    models
        .iter()
        .map(|model| {
            let name = if model.exists() {
                model
                    .file_name()
                    .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
            } else {
                model.to_string_lossy().into_owned()
            };
            let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
            let name: String = name.chars().map(plain).collect();
            let name = match name.trim_matches(['.', '-']) {
                "" => "model".to_owned(),
                name => name.to_owned(),
            };
            let numbered = (2..).map(|number| format!("{name}-{number}"));
            let mut names = std::iter::once(name.clone()).chain(numbered);
            names.find(|name| taken.insert(name.clone())).expect("numbers do not end")
        })
        .collect()
}

/// Writes `models.csv` into `out`: a row a name, and for each model its p-value, q-value and whether the
/// name is detected at the false discovery rate. The audits are of one list. Rows are read back from the runs
/// one at a time.
///
/// # Errors
/// Records that cannot be read back, or a table that cannot be written.
pub fn write_table(out: &Path, audits: &[(String, AuditSummary)]) -> Result<PathBuf, AuditError> {
    let path = out.join(MODELS_FILE);
    let failed = |source: io::Error| StoreError::WriteOutput { path: path.clone(), source };
    let mut file = Replacement::begin(&path).map_err(failed)?;
    {
        let mut table = csv::Writer::from_writer(&mut file);
        let columns = audits.iter().flat_map(|(name, _)| {
            ["p_value", "q_value", "detected"].map(|column| format!("{name}.{column}"))
        });
        let header = ["id".to_owned(), "text".to_owned()].into_iter().chain(columns);
        table.write_record(header).map_err(|error| failed(error.into()))?;
        let mut records = Vec::new();
        for (_, audit) in audits {
            records.push(audit.records()?);
        }
        let names = audits.first().map_or(0, |(_, audit)| audit.overview.names());
        for place in 0..names {
            let mut row = Vec::new();
            for ((_, audit), records) in audits.iter().zip(&mut records) {
                let Some(record) = records.next() else { continue };
                let record = record?;
                if row.is_empty() {
                    row.extend([record.id.clone(), record.text.clone()]);
                }
                let q = audit.q_values[place];
                let level = audit.run.parameters.false_discovery_rate;
                row.push(cell(record.calibrated.map(|calibrated| calibrated.p_value)));
                row.push(cell(q));
                row.push(cell(q.map(|q| q <= level)));
            }
            table.write_record(row).map_err(|error| failed(error.into()))?;
        }
        table.flush().map_err(failed)?;
    }
    file.commit().map_err(failed)?;
    Ok(path)
}

fn cell<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_has_a_directory_of_its_own() {
        let models = ["org/name", "org-name", "/nowhere/a b/", "..", "org/name"].map(PathBuf::from);
        assert_eq!(
            run_names(&models),
            ["org-name", "org-name-2", "nowhere-a-b", "model", "org-name-3"]
        );
    }
}
