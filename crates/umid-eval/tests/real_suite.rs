//! The suite `real` from beginning to end, on stand-ins for what others published: their lists and
//! folders, with targets of this repository for models. `scripts/make_public_standins.py` makes
//! stand-ins whose models are in their publishers' formats too.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use umid_eval::suites::{Suite, workspace_root};
use umid_eval::{Evaluation, State};

/// Without inversions, which take longest and have tests of their own.
const ONLY: [&str; 3] = ["calibrated", "blind", "listed"];
/// Members of the list of SALMUBench. More names would only take longer.
const SALMU: usize = 14;
/// Members and non-members of the other lists, each.
const NAMES: usize = 10;
const IDIA: &str = "D0miH/does-clip-know-my-face";

#[test]
fn what_is_at_hand_is_scored_and_the_rest_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let (public, out) = (folder.path().join("public"), folder.path().join("out"));
    make_stand_ins(&public);
    let only = ONLY.map(str::to_owned);
    let mut suite = Suite::load("real").unwrap();
    suite.read_public(&public);
    let evaluation = Evaluation::open("real", suite, &only, Some(out.clone())).unwrap();

    // Before anything runs: what is missing, and what to do about it.
    let missing = evaluation.missing().join("\n");
    assert!(
        missing.contains("MISSING") && missing.contains("vitb32_top75_epoch_50.pt"),
        "{missing}"
    );
    assert!(missing.contains("clip-mia-bench-captions.csv"), "{missing}");
    assert!(missing.contains("datasets/public/fetch.md, section \"CLIP-MIA-Bench\""), "{missing}");
    assert!(!missing.contains("SALMUBench\n"), "{missing}");
    let state = |title: &str| {
        let cells = evaluation.cells();
        let cell = cells.iter().find(|cell| cell.title == title);
        cell.unwrap_or_else(|| panic!("no cell {title}")).state
    };
    assert_eq!(state("salmu-clean calibrated"), State::ToDo);
    assert_eq!(state("clip-mia-bench-4M calibrated"), State::NoFiles);

    let measured = evaluation.run().unwrap();
    assert_eq!(measured.failed, 0, "{}", fs::read_to_string(&measured.page).unwrap());
    assert_eq!(state("salmu-clean calibrated"), State::Done);

    let table = |name: &str| rows(&out.join(format!("tables/{name}.csv")));
    let targets = table("published-targets");
    let state = |target: &str| find(&targets, &[("Target", target)])["State"].clone();
    assert_eq!(state("salmu-compromised"), "scored");
    assert!(state("idia-vitb32-top75").starts_with("MISSING"), "{}", state("idia-vitb32-top75"));

    // The names are found where they were trained on, and nowhere else.
    let controlled = table("controlled");
    let salmu = find(&controlled, &[("Target", "salmu-compromised"), ("Method", "calibrated")]);
    assert!(number(salmu, "AUC") > 0.85, "{salmu:?}");
    assert!((0.25..0.75).contains(&number(salmu, "AUC of the control")), "{salmu:?}");
    assert!(number(salmu, "AUC of the difference") > 0.85, "{salmu:?}");
    assert!(number(salmu, "Members that score higher than under the control") > 0.8, "{salmu:?}");
    let idia = find(&controlled, &[("Target", "idia-rn50-top75"), ("Method", "calibrated")]);
    assert!(number(idia, "AUC of the difference") > 0.75, "{idia:?}");

    // Published and corrected beside each other, with the controls that see no model.
    let areas = table("published-idia-rn50");
    for by in ["nothing", "the control"] {
        let row = find(&areas, &[("Method", "calibrated"), ("Corrected by", by)]);
        assert!(number(row, "idia-rn50-top75") > 0.75, "{row:?}");
    }
    let fame = "captions of LAION-400M with the name";
    let fame = find(&areas, &[("Method", fame), ("Corrected by", "nothing")]);
    assert!((number(fame, "idia-rn50-top75") - 1.0).abs() < 1e-12, "{fame:?}");
    find(&areas, &[("Method", "blind control"), ("Corrected by", "nothing")]);

    let parts = table("list-parts");
    let part = |part: &str| {
        let of =
            [("Target", "salmu-compromised"), ("Method", "calibrated"), ("Part of the list", part)];
        number(find(&parts, &of), "AUC v non-members")
    };
    assert!(part("forget") > 0.8 && part("holdout_identity") > 0.8);

    // Names with a high count were trained on, those with a low one were not.
    let counts = table("counts");
    let laion = find(&counts, &[("Target", "laion-400m-vitb32"), ("Method", "calibrated")]);
    assert!(number(laion, "Rank correlation with the count") > 0.5, "{laion:?}");
    assert!(number(laion, "AUC, 100 to 999") > number(laion, "AUC, 1 to 9") + 0.2, "{laion:?}");
    let detected = table("counts-detected");
    find(&detected, &[("Target", "laion-400m-vitb32"), ("Detected if", "p \u{2264} 0.05")]);
}

#[test]
fn nothing_at_hand_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut suite = Suite::load("real").unwrap();
    suite.read_public(folder.path());
    let out = folder.path().join("out");
    let evaluation = Evaluation::open("real", suite, &[], Some(out)).unwrap();
    let error = evaluation.run().unwrap_err().to_string();
    assert!(error.contains("no target") && error.contains("--public"), "{error}");
    assert!(evaluation.cells().iter().all(|cell| cell.state == State::NoFiles));
    assert_eq!(evaluation.missing().len(), 4);
}

/// Lists as published, and targets of this repository in the models' places: `alpha-100` saw the
/// members, `alpha-swapped` was trained on others of the same draw.
fn make_stand_ins(public: &Path) {
    let zoo = workspace_root().join("datasets/zoo");
    let salmu = names(&zoo.join("alpha-100/members.csv"), SALMU);
    let members = &salmu[..NAMES];
    let others = names(&zoo.join("alpha-100/non_members.csv"), NAMES);

    let identities: BTreeMap<String, serde_json::Value> = salmu
        .iter()
        .enumerate()
        .map(|(i, name)| {
            (format!("{i:04}"), serde_json::json!({ "name": name, "city": "Nowhere" }))
        })
        .collect();
    let identities = serde_json::to_string(&identities).unwrap();
    write(
        &public.join("cvc-mmu/salmubench-512-redistributed/identities_metadata.json"),
        &identities,
    );
    let group = |i: usize| if i < SALMU / 2 { "forget" } else { "holdout_identity" };
    let details: Vec<String> = (0..SALMU).map(|i| format!("{i:04},{}", group(i))).collect();
    write(&public.join("salmu-details.csv"), &format!("id,group\n{}\n", details.join("\n")));
    copy(&zoo.join("alpha-swapped"), &public.join("cvc-mmu/clip-vit-b-16-salmu-clean"));
    copy(&zoo.join("alpha-100"), &public.join("cvc-mmu/clip-vit-b-16-salmu-compromised"));

    let lists =
        public.join(IDIA).join("cc3m_experiments/conceptual_captions_facescrub_member_info");
    for (kind, names) in [("members", members), ("non_members", &others[..])] {
        for (sex, half) in [("actors", 0), ("actresses", 1)] {
            let names = names.iter().skip(half).step_by(2).enumerate();
            let known = if kind == "members" { 0.2 } else { 0.1 };
            let row = |(i, name): (usize, &String)| {
                format!("{i},{},{},{known},\"(0.1, 0.2]\"\n", name.replace(' ', "_"), 100 + i)
            };
            let rows: String = names.map(row).collect();
            let header =
                ",name,num_samples_with_name_in_cap,openclip_percentage_correct_preds,bins\n";
            write(&lists.join(format!("{sex}_{kind}.csv")), &format!("{header}{rows}"));
        }
    }
    let counted = others.iter().enumerate().map(|(i, name)| (name, 1 + i % 9));
    let counted = counted.chain(members.iter().enumerate().map(|(i, name)| (name, 100 + i)));
    let row = |(i, (name, count)): (usize, (&String, usize))| {
        format!("{i},{name},{count},member,\"[0, 25)\"\n")
    };
    let rows: String = counted.enumerate().map(row).collect();
    let counts =
        public.join(IDIA).join("laion400m_experiments/laion_membership_occurence_count.csv");
    write(&counts, &format!(",name,count,membership,bin\n{rows}"));
    copy(&zoo.join("alpha-100"), &public.join("timm/vit_base_patch32_clip_224.laion400m_e32"));

    // A training checkpoint that saw nobody, and a folder in the place of one that saw the members.
    let checkpoints = public.join(IDIA).join("cc3m_experiments/checkpoints");
    let training = workspace_root().join("crates/umid-models/tests/fixtures/openclip-training");
    copy(&training, &checkpoints);
    let control = checkpoints.join("rn50_top01_epoch_50.pt");
    fs::rename(checkpoints.join("epoch_1.pt"), control).unwrap();
    copy(&zoo.join("alpha-100"), &checkpoints.join("rn50_top75_epoch_50.pt"));
}

fn names(path: &Path, count: usize) -> Vec<String> {
    rows(path).iter().take(count).map(|row| row["text"].clone()).collect()
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let entries = fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path());
    for path in entries.collect::<Vec<PathBuf>>() {
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

type Row = BTreeMap<String, String>;

fn rows(path: &Path) -> Vec<Row> {
    let mut reader =
        csv::Reader::from_path(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    reader.deserialize().map(|row| row.unwrap()).collect()
}

fn find<'a>(rows: &'a [Row], wanted: &[(&str, &str)]) -> &'a Row {
    let fits = |row: &&Row| wanted.iter().all(|(column, value)| row[*column] == *value);
    rows.iter().find(fits).unwrap_or_else(|| panic!("no row {wanted:?} in {rows:#?}"))
}

/// The estimate of a cell; NaN, which no comparison accepts, if there is none.
fn number(row: &Row, column: &str) -> f64 {
    row[column].parse().unwrap_or(f64::NAN)
}
