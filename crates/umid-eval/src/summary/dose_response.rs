//! Worlds like a web crawl: what is found at each number of exposures, and whom the test accuses.

use std::collections::{BTreeMap, BTreeSet};

use umid_detect::{Dose, HalfDetected, Interval};
use umid_testbed::CrawlParams;

use super::results::{
    CALIBRATED, CSA, FALSE_DISCOVERY_RATE, Gap, PAPER, Results, SIMILARITY, VARIABILITY, Which,
    area_cell, share_cell, standing,
};
use crate::figure::{AreaCurve, CurvePoint, CurveSeries, Label};
use crate::page::{Part, Section};
use crate::suites::Target;
use crate::table::{Cell, Column, Table};

/// Readings of the tables.
const READINGS: [Which<'_>; 9] = [
    CALIBRATED,
    Which {
        variant: "often shown known members",
        ..Which::of("calibrated", "calibrated, often shown known members")
    },
    Which { variant: "known members", ..Which::of("calibrated", "calibrated, known members") },
    Which {
        variant: "known members, bank",
        ..Which::of("calibrated", "calibrated, known members, bank")
    },
    Which { variant: "bank", ..Which::of("calibrated", "calibrated, bank") },
    PAPER,
    SIMILARITY,
    VARIABILITY,
    CSA,
];
/// Readings of the figure, few enough to be told apart.
const DRAWN: [&str; 5] =
    ["calibrated", "calibrated, bank", "calibrated, known members", "paper", "CSA"];
/// Signals of the calibrated reading, for the areas alone.
const SIGNALS: [&str; 7] = [
    "response_norm",
    "response_norm_calibrated",
    "response_agreement",
    "response_agreement_calibrated",
    "context_agreement",
    "response_interaction",
    "response_coherence_calibrated",
];
/// Ablations whose runs are settings of the table of half-detected names.
const SETTINGS: [&str; 3] = ["templates", "bank", "siblings"];
/// Significance levels of a single test.
pub(super) const LEVELS: [f64; 2] = [0.05, 0.01];
/// Non-members by how often others with one of their parts were shown: from, and below.
const PARTS_SHOWN: [(usize, usize); 4] = [(0, 1), (1, 16), (16, 64), (64, usize::MAX)];

pub fn section(results: &Results<'_>) -> Option<Section> {
    let targets: Vec<(&Target, CrawlParams)> = results
        .targets()
        .iter()
        .filter_map(|target| Some((target, target.recipe()?.world.crawl?)))
        .collect();
    if targets.is_empty() {
        return None;
    }
    let mut parts: Vec<Part> = targets.iter().map(|(target, _)| figure(results, target)).collect();
    let tables = [
        areas(results, &targets),
        detected(results, &targets),
        half_detected(results, &targets),
        namesakes(results, &targets),
    ];
    parts.extend(tables.into_iter().filter(|table| !table.rows.is_empty()).map(Part::Table));
    Some(Section {
        id: "dose-response".to_owned(),
        title: "How often a name must have been seen".to_owned(),
        plain: vec![
            "One model holds names that were shown from a few times to hundreds of times, beside \
             names that were never shown. CSA, which is given a photo of the person, is what a test \
             by text alone could reach at best."
                .to_owned(),
        ],
        parts,
        notes: Vec::new(),
    })
}

/// Every number of exposures of these targets, in order.
fn exposures(targets: &[(&Target, CrawlParams)]) -> BTreeSet<usize> {
    targets.iter().flat_map(|(_, crawl)| crawl.exposures.clone()).collect()
}

fn areas(results: &Results<'_>, targets: &[(&Target, CrawlParams)]) -> Table {
    let exposures = exposures(targets);
    let mut columns = vec![Column::words("Target"), Column::words("Reading")];
    columns.extend(exposures.iter().map(|count| Column::intervals(&format!("{count} exposures"))));
    let mut table = Table::new("dose", "AUC by exposures", columns);
    "How well are members told from non-members, by how often they were shown?"
        .clone_into(&mut table.question);
    "Members of each number of exposures against all names that were never shown."
        .clone_into(&mut table.plain);
    let signals = SIGNALS.map(|signal| Which::of("calibrated", signal));
    for (target, _) in targets {
        for which in READINGS.into_iter().chain(signals) {
            if results.reading(target, which).is_err() {
                continue;
            }
            let mut row = vec![Cell::text(&target.name), Cell::text(which.reading)];
            row.extend(
                exposures.iter().map(|count| area_cell(results.auc_at(target, which, *count))),
            );
            table.push(standing(target), row);
        }
    }
    table
}

fn detected(results: &Results<'_>, targets: &[(&Target, CrawlParams)]) -> Table {
    let exposures = exposures(targets);
    let mut columns = vec![
        Column::words("Target"),
        Column::words("Reading"),
        Column::words("Detected if"),
        Column::intervals("Never shown"),
    ];
    columns.extend(exposures.iter().map(|count| Column::intervals(&format!("{count} exposures"))));
    columns.push(Column::words("Half are detected at"));
    let mut table = Table::new("dose-detected", "Detected by exposures", columns);
    "At which exposure is half of the members detected?".clone_into(&mut table.question);
    "Share of names that are detected, and the number of exposures at which it reaches one half."
        .clone_into(&mut table.plain);
    for (target, _) in targets {
        for which in READINGS {
            for rule in LEVELS.map(Rule::Level).into_iter().chain([Rule::FalseDiscovery]) {
                let Ok(decided) = decided(results, target, which, rule) else { continue };
                let mut row = vec![
                    Cell::text(&target.name),
                    Cell::text(which.reading),
                    Cell::Text(rule.words()),
                    share(&decided.non_members),
                ];
                row.extend(exposures.iter().map(|count| match decided.members.get(count) {
                    Some(flags) => share(flags),
                    None => Cell::Empty,
                }));
                row.push(half(results, &decided));
                table.push(standing(target), row);
            }
        }
    }
    table
}

/// The exposures at which half of the members are detected, by what differs between the targets and
/// by the settings of the calibrated reading.
fn half_detected(results: &Results<'_>, targets: &[(&Target, CrawlParams)]) -> Table {
    let mut columns = vec![
        Column::words("Target"),
        Column::words("Towers"),
        Column::numbers("Members"),
        Column::numbers("Pairs without a name, %"),
        Column::numbers("Exponent of Zipf's law"),
        Column::words("Setting"),
    ];
    columns.extend(LEVELS.map(|level| Column::words(&Rule::Level(level).words())));
    let mut table = Table::new("half-detected", "Exposures at which half are detected", columns);
    "How do towers, people, dilution, templates and the bank move the exposure at which half of the \
     members are detected?"
        .clone_into(&mut table.question);
    "The number of exposures at which half of the members have such a p-value, with its 95 % interval."
        .clone_into(&mut table.plain);
    for (target, crawl) in targets {
        let settings = results.cells().filter(|(planned, cell)| {
            cell.target == target.name
                && cell.method == CALIBRATED.method
                && planned.run.ablation.as_deref().is_none_or(|a| SETTINGS.contains(&a))
        });
        for (_, cell) in settings {
            let readings = results.readings(target, &cell.method, &cell.variant);
            let Some(reading) = readings.iter().rev().find(|r| r.name.starts_with("calibrated"))
            else {
                continue;
            };
            let which =
                Which { method: &cell.method, variant: &cell.variant, reading: &reading.name };
            let setting = if cell.variant.is_empty() { "defaults" } else { &cell.variant };
            let mut row = vec![
                Cell::text(&target.name),
                Cell::Text(
                    target.recipe().map_or_else(String::new, |r| r.architecture.to_string()),
                ),
                Cell::Number { value: crawl.members() as f64, digits: 0 },
                Cell::Number { value: 100.0 * f64::from(crawl.nobody), digits: 0 },
                Cell::Number { value: f64::from(crawl.zipf), digits: 1 },
                Cell::text(setting),
            ];
            row.extend(LEVELS.map(|level| {
                match decided(results, target, which, Rule::Level(level)) {
                    Ok(decided) => half(results, &decided),
                    Err(gap) => Cell::Failed(gap.to_string()),
                }
            }));
            table.push(standing(target), row);
        }
    }
    table
}

/// When a name counts as detected.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// A p-value of at most this.
    Level(f64),
    /// Benjamini and Hochberg's rule over all names of the target at 5 %.
    FalseDiscovery,
}

impl Rule {
    pub(super) fn words(self) -> String {
        match self {
            Self::Level(level) => format!("p \u{2264} {level}"),
            Self::FalseDiscovery => format!("FDR {FALSE_DISCOVERY_RATE}"),
        }
    }
}

/// Who is detected.
pub(super) struct Decided {
    /// Members by how often they were shown.
    pub members: BTreeMap<usize, Vec<bool>>,
    /// Names that were never shown.
    pub non_members: Vec<bool>,
}

/// Whom a rule detects; no member without a known number of exposures.
pub(super) fn decided(
    results: &Results<'_>,
    target: &Target,
    which: Which<'_>,
    rule: Rule,
) -> Result<Decided, Gap> {
    let [members, non_members] = match rule {
        Rule::FalseDiscovery => results.discoveries(target, which, FALSE_DISCOVERY_RATE)?,
        Rule::Level(level) => {
            let at_most = |group: Vec<Option<f64>>| {
                group.into_iter().map(|p| p.map(|p| p <= level)).collect()
            };
            results.p_values(target, which)?.map(at_most)
        }
    };
    let mut by_exposures: BTreeMap<usize, Vec<bool>> = BTreeMap::new();
    for (detected, exposures) in members.iter().zip(&results.names(target)?.exposures) {
        by_exposures.entry(*exposures).or_default().extend(detected);
    }
    Ok(Decided { members: by_exposures, non_members: non_members.into_iter().flatten().collect() })
}

/// The share of flags that are set.
pub(super) fn share(flags: &[bool]) -> Cell {
    let hits = flags.iter().filter(|flag| **flag).count();
    share_cell(umid_detect::share_interval(hits, flags.len()).map_err(Gap::from))
}

/// The exposures at which half are detected.
pub(super) fn half(results: &Results<'_>, decided: &Decided) -> Cell {
    let doses: Vec<Dose> = decided
        .members
        .iter()
        .filter(|(_, flags)| !flags.is_empty())
        .map(|(count, flags)| Dose { exposures: *count as f64, detected: flags.clone() })
        .collect();
    let most = decided.members.keys().max().copied().unwrap_or(0);
    match results.bootstrap().half_detected(&doses) {
        Err(error) => Cell::Failed(error.to_string()),
        Ok(HalfDetected { estimate, low, high }) => {
            let words = |end: Option<f64>| {
                end.map_or_else(|| format!("more than {most}"), |count| format!("{count:.0}"))
            };
            Cell::Text(format!("{} ({} to {})", words(estimate), words(low), words(high)))
        }
    }
}

fn namesakes(results: &Results<'_>, targets: &[(&Target, CrawlParams)]) -> Table {
    let mut columns = vec![Column::words("Target"), Column::words("Reading")];
    for part in ["First", "Last"] {
        columns.extend(PARTS_SHOWN.map(|(from, below)| {
            Column::intervals(&match (from, below) {
                (0, _) => format!("{part} name never shown"),
                (from, usize::MAX) => format!("{from} times or more"),
                (from, below) => format!("{from} to {}", below - 1),
            })
        }));
    }
    let mut table = Table::new("namesakes", "Non-members who share a name with members", columns);
    "Is somebody accused because others with the same first or last name were shown?"
        .clone_into(&mut table.question);
    "Share of non-members with p \u{2264} 0.05, by how often members with their first name, and with \
     their last name, were shown. It should be 5 % in every column."
        .clone_into(&mut table.plain);
    for (target, _) in targets {
        for which in READINGS {
            let Ok(rows) = results.part_exposures(target, which) else { continue };
            let mut row = vec![Cell::text(&target.name), Cell::text(which.reading)];
            for part in 0..2 {
                row.extend(PARTS_SHOWN.map(|(from, below)| {
                    let of_bin =
                        rows.iter().filter(|(_, shown)| (from..below).contains(&shown[part]));
                    let flags: Vec<bool> = of_bin.map(|(p, _)| *p <= LEVELS[0]).collect();
                    if flags.is_empty() { Cell::Empty } else { share(&flags) }
                }));
            }
            table.push(standing(target), row);
        }
    }
    table
}

fn figure(results: &Results<'_>, target: &Target) -> Part {
    let counts: BTreeSet<usize> = target
        .recipe()
        .and_then(|recipe| recipe.world.crawl)
        .map(|crawl| crawl.exposures)
        .unwrap_or_default()
        .into_iter()
        .collect();
    let series = READINGS
        .iter()
        .filter(|which| DRAWN.contains(&which.reading))
        .map(|which| CurveSeries {
            name: which.reading.to_owned(),
            points: counts
                .iter()
                .filter_map(|count| {
                    let area: Interval = results.auc_at(target, *which, *count).ok()?;
                    Some(CurvePoint { count: *count as f64, area })
                })
                .collect(),
        })
        .filter(|series| !series.points.is_empty())
        .collect();
    let label = Label::new(
        &format!("dose-{}", target.name),
        &format!("AUC by exposures in {}", target.name),
        "Area under the ROC curve against the number of times the members were shown.",
    );
    let axis = "exposures".to_owned();
    match (AreaCurve { label, axis, apart: true, series }).draw() {
        Ok(figure) => Part::Figure(figure),
        Err(error) => Part::Warning(format!("the dose-response figure failed: {error}")),
    }
}
