//! Writes tables, figures and the page.

use std::fs;
use std::path::Path;

use super::{Results, sections};
use crate::error::Error;
use crate::page::{Page, Part};
use crate::record::{Outcome, write_whole};
use crate::suites::Suite;

/// Writes `tables/*.{md,csv,tex}`, `figures/*.svg` and `index.html` under `out`.
pub fn write(name: &str, suite: &Suite, results: &Results<'_>, out: &Path) -> crate::Result<()> {
    let page = page(name, suite, results);
    let (tables, figures) = (out.join("tables"), out.join("figures"));
    for folder in [&tables, &figures] {
        // What another version of the suite left must not pass for a result of this one.
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(Error::file(folder))?;
        }
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
    }
    for part in page.sections.iter().flat_map(|section| &section.parts) {
        match part {
            Part::Table(table) => {
                let file = |ending: &str| tables.join(format!("{}.{ending}", table.id));
                write_whole(&file("md"), table.markdown().as_bytes())?;
                write_whole(&file("csv"), table.csv()?.as_bytes())?;
                write_whole(&file("tex"), table.latex().as_bytes())?;
            }
            Part::Figure(figure) => {
                write_whole(&figures.join(format!("{}.svg", figure.id)), figure.svg.as_bytes())?;
            }
            Part::Warning(_) => {}
        }
    }
    write_whole(&out.join("index.html"), page.html().as_bytes())
}

fn page(name: &str, suite: &Suite, results: &Results<'_>) -> Page {
    let failed: Vec<String> = results
        .cells()
        .filter_map(|(planned, cell)| match &cell.outcome {
            Outcome::Failed(reason) => Some(format!("{} failed: {reason}", planned.title())),
            Outcome::Done(_) => None,
        })
        .collect();
    let seconds: f64 = results.cells().map(|(_, cell)| cell.seconds).sum();
    let cells = results.cells().count();
    Page {
        title: format!("Suite {name}"),
        outcome: suite.about.trim().replace('\n', " "),
        facts: vec![
            ("umid".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("targets".to_owned(), results.targets().len().to_string()),
            ("cells".to_owned(), format!("{cells}, {} failed", failed.len())),
            ("computing time".to_owned(), format!("{:.0} min", seconds / 60.0)),
        ],
        warnings: failed,
        sections: sections(results),
    }
}
