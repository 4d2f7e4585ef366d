//! Controls: what a result would look like if it were not about membership.

use std::collections::HashSet;

use umid_detect::share_interval;

use super::results::{
    CALIBRATED, CSA, FALSE_DISCOVERY_RATE, Gap, PAPER, Results, SIMILARITY, Which, area_cell,
    share_cell, standing,
};
use crate::page::{Part, Section};
use crate::record::Group;
use crate::suites::Target;
use crate::table::{Cell, Column, Table};

/// Readings that stand for the text-only tests.
const READINGS: [Which<'_>; 8] = [
    CALIBRATED,
    Which::of("combined", "calibrated, inversion"),
    Which::of("calibrated", "interaction"),
    Which::of("calibrated", "template_agreement_calibrated"),
    Which::of("inversion", "cross_template_transfer"),
    CSA,
    SIMILARITY,
    PAPER,
];
const BLIND: [(&str, Which<'_>); 2] = [
    ("names", Which::of("blind", "blind control")),
    ("clips", Which::of("acoustic-blind", "acoustic blind control")),
];
/// Those that give p-values.
const CALIBRATED_READINGS: [Which<'_>; 4] = [
    CALIBRATED,
    Which { variant: "bank", ..Which::of("calibrated", "calibrated, bank") },
    Which { variant: "known members", ..Which::of("calibrated", "calibrated, known members") },
    Which {
        variant: "known members, bank",
        ..Which::of("calibrated", "calibrated, known members, bank")
    },
];

pub fn section(results: &Results<'_>) -> Option<Section> {
    let tables = [blind(results), mispaired(results), strangers(results), words(results)];
    let parts: Vec<Part> =
        tables.into_iter().filter(|table| !table.rows.is_empty()).map(Part::Table).collect();
    (!parts.is_empty()).then(|| Section {
        id: "controls".to_owned(),
        title: "Controls".to_owned(),
        plain: vec![
            "A score can be high for reasons that are not membership: the split may leak, names \
             may differ in kind, a name's exposure may be seen without the person's inputs. Each \
             control removes one of these explanations."
                .to_owned(),
        ],
        parts,
        notes: Vec::new(),
    })
}

/// The blind control against its permutation null.
fn blind(results: &Results<'_>) -> Table {
    let columns = vec![
        Column::words("Target"),
        Column::words("Sees"),
        Column::intervals("AUC of the blind control"),
        Column::numbers("Lowest of the null"),
        Column::numbers("Highest of the null"),
        Column::numbers("p-value"),
        Column::words("Inside the null"),
    ];
    let mut table = Table::new("blind", "The blind control", columns);
    "Can names or clips alone, without any model, tell members from non-members?"
        .clone_into(&mut table.question);
    "A classifier of character n-grams, or of the mean and deviation of each mel bin, \
     cross-validated; the null is the same with labels \
     shuffled. Inside: within the central 95 % of the null. One target in twenty is expected \
     outside by chance."
        .clone_into(&mut table.plain);
    let of_target = |target| BLIND.iter().map(move |(sees, which)| (target, *sees, *which));
    for (target, sees, which) in results.targets().iter().flat_map(of_target) {
        let Ok(reading) = results.reading(target, which) else { continue };
        let null = reading.facts.get("null").cloned().unwrap_or_default();
        let fact = |name: &str| reading.facts.get(name).and_then(|f| f.first()).copied();
        let number = |value: Option<f64>, digits| match value {
            Some(value) => Cell::Number { value, digits },
            None => Cell::Empty,
        };
        let p_value = fact("p_value");
        let inside = p_value.map(|p| (0.025..=0.975).contains(&p));
        table.push(
            standing(target),
            vec![
                Cell::text(&target.name),
                Cell::text(sees),
                number(fact("auc"), 3),
                number(null.iter().copied().reduce(f64::min), 3),
                number(null.iter().copied().reduce(f64::max), 3),
                number(p_value, 3),
                Cell::text(match inside {
                    Some(true) => "yes",
                    Some(false) => "no",
                    None => "",
                }),
            ],
        );
    }
    table
}

/// Members who were trained under other people's inputs.
fn mispaired(results: &Results<'_>) -> Table {
    let columns = vec![
        Column::words("Target"),
        Column::words("Reading"),
        Column::intervals("Own inputs v non-member"),
        Column::intervals("Random inputs v non-member"),
        Column::intervals("Own v random inputs"),
    ];
    let mut table = Table::new("mispaired", "Exposure of the name without the person", columns);
    "Is it the pairing of name and inputs that is measured, or the name's exposure?"
        .clone_into(&mut table.question);
    "Half of the members were trained under a new random person's input each time: their names \
     were shown as often, but there was nobody to memorise."
        .clone_into(&mut table.plain);
    for target in results.targets().iter().filter(|target| target.has_mispaired()) {
        for which in READINGS {
            if results.reading(target, which) == Err(Gap::NotAsked) {
                continue;
            }
            let area = |groups| area_cell(results.area(target, which, groups));
            table.push(
                standing(target),
                vec![
                    Cell::text(&target.name),
                    Cell::text(which.reading),
                    area([Group::Member, Group::NonMember]),
                    area([Group::Mispaired, Group::NonMember]),
                    area([Group::Member, Group::Mispaired]),
                ],
            );
        }
    }
    table
}

/// How often texts that cannot be members are called members.
fn strangers(results: &Results<'_>) -> Table {
    let columns = vec![
        Column::words("Target"),
        Column::words("Reading"),
        Column::intervals("All non-members"),
        Column::intervals("With a member's last name"),
        Column::intervals("Other non-members"),
        Column::intervals("Names of nobody"),
        Column::intervals("Names of other origins"),
        Column::intervals("Gibberish in two words"),
        Column::words("False among those detected at FDR 5 %"),
    ];
    let mut table = Table::new("strangers", "False positives of the calibrated reading", columns);
    "Are people accused for a name that they share, or for a strange one?"
        .clone_into(&mut table.question);
    "Share of names with p of at most 5 %, all of people whom the target was not trained on; and how \
     many non-members are among those who are detected in the list of all members and non-members at \
     a false discovery rate of 5 %."
        .clone_into(&mut table.plain);
    for target in results.targets() {
        for which in CALIBRATED_READINGS {
            if let Some(row) = strangers_row(results, target, which) {
                table.push(standing(target), row);
            }
        }
    }
    table
}

fn strangers_row(results: &Results<'_>, target: &Target, which: Which<'_>) -> Option<Vec<Cell>> {
    let flagged = results.flagged_non_members(target, which).ok()?;
    let names = results.names(target).ok()?;
    let last = |name: &str| name.split_whitespace().last().map(str::to_lowercase);
    let of_members: HashSet<Option<String>> = names.members.iter().map(|n| last(n)).collect();
    let rate = |shared: bool| {
        let kept: Vec<bool> = flagged
            .iter()
            .filter(|(name, _)| of_members.contains(&last(name)) == shared)
            .map(|(_, flag)| *flag)
            .collect();
        let hits = kept.iter().filter(|flag| **flag).count();
        share_cell(share_interval(hits, kept.len()).map_err(Gap::from))
    };
    let of_group = |group| share_cell(results.realised(target, which, group, 0.05));
    // Names of nobody are read in a run of their own.
    let nobody = Which { variant: "names of nobody", ..which };
    let nobody = results.realised(target, nobody, Group::Stranger, 0.05);
    let discovered = results.discoveries(target, which, FALSE_DISCOVERY_RATE).ok()?;
    let [members, others] =
        discovered.map(|flags| flags.into_iter().flatten().filter(|flag| *flag).count());
    Some(vec![
        Cell::text(&target.name),
        Cell::text(which.reading),
        of_group(Group::NonMember),
        rate(true),
        rate(false),
        share_cell(nobody),
        of_group(Group::OtherOrigin),
        of_group(Group::GibberishPair),
        Cell::Text(format!("{others} of {}", members + others)),
    ])
}

/// Names of one to four words.
fn words(results: &Results<'_>) -> Table {
    let columns = vec![
        Column::words("Target"),
        Column::words("Reading"),
        Column::intervals("One word"),
        Column::intervals("Two words"),
        Column::intervals("Three words"),
        Column::intervals("Four words"),
    ];
    let mut table = Table::new("words", "Names of one to four words", columns);
    "Does the test serve names that are not a first and a last name?"
        .clone_into(&mut table.question);
    "Members against non-members with equally many words. A name of one word has no parts to \
     interact, so weaker signals stand in."
        .clone_into(&mut table.plain);
    let mixed = |target: &&Target| {
        let names = target.recipe().map(|recipe| recipe.world.names);
        names == Some(umid_testbed::NameForm::OneToFourWords)
    };
    for target in results.targets().iter().filter(mixed) {
        for which in READINGS {
            if results.reading(target, which).is_err() {
                continue;
            }
            let of = |count: usize| {
                let keep = move |name: &str| name.split_whitespace().count() == count;
                area_cell(results.auc_of(target, which, keep))
            };
            let mut row = vec![Cell::text(&target.name), Cell::text(which.reading)];
            row.extend((1..=4).map(of));
            table.push(standing(target), row);
        }
    }
    table
}
