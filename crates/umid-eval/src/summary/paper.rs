//! The tables of the paper family, on the targets that stand for their columns: identity and speaker
//! inference, each detector and the vote, and the vote with the person's own photo or clip.

use super::decisions::{Decided, RULES};
use super::results::{
    CALIBRATED, CSA, Gap, PAPER, Results, Which, area_cell, share_cell, standing,
};
use crate::page::{Part, Section};
use crate::suites::Target;
use crate::table::{Cell, Column, Table};

const FIVE: Which<'_> = Which::of("photo-vote", "five votes");
const FIVE_KEPT: Which<'_> = Which::of("photo-vote", "five votes, never dropped");

/// The blind controls, then the attacks that are compared, from those that see most to those that
/// see only text.
const ATTACKS: [(&str, Which<'_>); 18] = [
    ("blind control", Which::of("blind", "blind control")),
    ("acoustic blind control", Which::of("acoustic-blind", "acoustic blind control")),
    ("CSA", CSA),
    ("AEA", Which::of("aea", "AEA")),
    ("WSA", Which::of("wsa", "WSA")),
    ("WSA, gradient and loss", Which::of("wsa-gradient", "WSA, gradient and loss")),
    ("MC dropout", Which::of("mc-dropout", "MC dropout")),
    ("gradient norm", Which::of("gradient-norm", "gradient norm")),
    ("embedding norm", Which::of("embedding-norm", "embedding norm")),
    ("IDIA", Which::of("idia", "IDIA")),
    ("speaker similarity", Which::of("speaker-similarity", "speaker similarity")),
    ("PRMID", Which::of("prmid", "PRMID")),
    ("TUNI", Which { variant: TUNI, ..Which::of("tuni", "TUNI vote") }),
    ("TUNI with photos", Which { variant: TUNI, ..Which::of("tuni", "TUNI five votes") }),
    ("UMID", PAPER),
    ("UMID with the person's inputs", FIVE),
    ("calibrated", CALIBRATED),
    ("calibrated, bank", Which { variant: "bank", ..Which::of("calibrated", "calibrated, bank") }),
];

/// Run of TUNI on these targets.
const TUNI: &str = "5 x 40 steps";

/// The detectors, and how many of their votes make a member.
const DETECTORS: [(&str, Which<'_>); 8] = [
    ("isolation forest", Which::of("inversion", "isolation_forest")),
    ("local outlier factor", Which::of("inversion", "local_outlier_factor")),
    ("one-class SVM", Which::of("inversion", "one_class_svm")),
    ("autoencoder", Which::of("inversion", "autoencoder")),
    ("at least 1 of 4", Which::of("inversion", "paper, 1 of 4")),
    ("at least 2 of 4", Which::of("inversion", "paper, 2 of 4")),
    ("at least 3 of 4", PAPER),
    ("4 of 4", Which::of("inversion", "paper, 4 of 4")),
];

/// The vote without and with the person's own input.
const VOTES: [(&str, Which<'_>); 8] = [
    ("UMID, 4 votes", PAPER),
    ("UMID, the input's vote alone", Which::of("photo-vote", "the input's vote")),
    ("UMID, 5 votes", FIVE),
    ("UMID, 5 votes, never dropped", FIVE_KEPT),
    ("TUNI, 4 votes", Which { variant: TUNI, ..Which::of("tuni", "TUNI vote") }),
    ("TUNI, the input's vote alone", Which { variant: TUNI, ..Which::of("tuni", "TUNI photo") }),
    ("TUNI, 5 votes", Which { variant: TUNI, ..Which::of("tuni", "TUNI five votes") }),
    (
        "TUNI, 5 votes, never dropped",
        Which { variant: TUNI, ..Which::of("tuni", "TUNI five votes, never dropped") },
    ),
];

pub fn section(results: &Results<'_>) -> Option<Section> {
    let columns = results.columns();
    if columns.is_empty() {
        return None;
    }
    let with_inputs = "Does the person's own input help the vote? The input's vote is TUNI's: two \
                       clusters of everybody's distance between inverted and real inputs, the nearer \
                       one called members.";
    let tables = [
        table(
            results,
            &columns,
            ("paper-attacks", "Identity inference, all metrics"),
            "How do the attacks compare by the paper family's metrics?",
            &ATTACKS,
        ),
        table(
            results,
            &columns,
            ("paper-detectors", "Each detector alone, and the vote"),
            "Is the vote better than its detectors, and how many votes should it take?",
            &DETECTORS,
        ),
        table(results, &columns, ("paper-real-inputs", "Four votes and five"), with_inputs, &VOTES),
    ];
    let parts: Vec<Part> =
        tables.into_iter().filter(|table| !table.rows.is_empty()).map(Part::Table).collect();
    (!parts.is_empty()).then(|| Section {
        id: "paper".to_owned(),
        title: "The paper family's tables".to_owned(),
        plain: vec![results.panel_words("columns").to_owned()],
        parts,
        notes: Vec::new(),
    })
}

fn table(
    results: &Results<'_>,
    columns: &[(&Target, &str)],
    (id, title): (&str, &str),
    question: &str,
    rows: &[(&str, Which<'_>)],
) -> Table {
    let heads = vec![
        Column::words("Column"),
        Column::words("Method"),
        Column::intervals("Precision"),
        Column::intervals("Recall"),
        Column::intervals("Accuracy"),
        Column::intervals("F1"),
        Column::intervals("AUC"),
        Column::intervals("TPR at 1 % FPR"),
        Column::intervals("TPR at 0.1 % FPR"),
    ];
    let mut table = Table::new(id, title, heads);
    question.clone_into(&mut table.question);
    "Members and non-members are equally many and drawn alike, so that guessing has an accuracy of \
     50 % and an AUC of .5."
        .clone_into(&mut table.plain);
    table.notes.push(RULES.to_owned());
    for (target, column) in columns {
        for (label, which) in rows {
            if matches!(results.reading(target, *which), Err(Gap::NotAsked)) {
                continue;
            }
            let decided = Decided::of(results, target, *which);
            table.push(
                standing(target),
                vec![
                    Cell::text(column),
                    Cell::text(label),
                    decided.precision(),
                    decided.recall(),
                    decided.accuracy(),
                    decided.f1(),
                    area_cell(results.auc(target, *which)),
                    share_cell(results.tpr(target, *which, 0.01)),
                    share_cell(results.tpr(target, *which, 0.001)),
                ],
            );
        }
    }
    table
}
