//! `umid demo`: the whole audit on a bundled model whose members are known, and an honest
//! account of how many verdicts were right.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args as ClapArgs, ValueEnum};
use umid::audit::{AuditOptions, AuditSummary, audit};
use umid::auditor::Auditor;
use umid::cache::ReferenceCache;
use umid::evaluation::{ScoreRow, table};
use umid::known_answers::Answer;
use umid::progress::{Progress, Silent};
use umid::queries::{NameFile, Query};
use umid::reference::{ReferenceSize, ReferenceTexts, choose_reference, gibberish};
use umid_detect::{Bootstrap, Interval};
use umid_models::Model;

use super::asking::GIBBERISH;
use super::audit::print_summary;
use super::options::DeviceArgs;
use super::progress::watcher;
use super::{AfterTheRun, Ended};

/// Names of each group that are audited unless `--all` is given.
const NAMES_OF_EACH_GROUP: usize = 60;
/// Seed of everything in the demo.
const SEED: u64 = 0;
/// Seed of the gibberish that is scored, not the one that the paper's reading is fitted on.
const SCORED_GIBBERISH_SEED: u64 = 1;
/// Characters of the first part of gibberish that is cut in two.
const GIBBERISH_CUT: usize = 5;

/// A bundled target.
struct Bundle {
    /// The files of the model's directory.
    model: [(&'static str, &'static [u8]); 4],
    /// List of those whom it was trained on.
    members: &'static str,
    /// List of those whom it was not.
    non_members: &'static str,
    /// What was done with whom, such as `CLIP model was trained on photos`.
    trained: &'static str,
}

macro_rules! zoo {
    ($folder:literal, $file:literal) => {
        concat!("../../../../datasets/zoo/", $folder, "/", $file)
    };
}

/// The target of a folder of `datasets/zoo`.
macro_rules! bundle {
    ($folder:literal, $trained:literal) => {
        Bundle {
            model: [
                ("config.json", include_bytes!(zoo!($folder, "config.json"))),
                ("model.safetensors", include_bytes!(zoo!($folder, "model.safetensors"))),
                (
                    "preprocessor_config.json",
                    include_bytes!(zoo!($folder, "preprocessor_config.json")),
                ),
                ("tokenizer.json", include_bytes!(zoo!($folder, "tokenizer.json"))),
            ],
            members: include_str!(zoo!($folder, "members.csv")),
            non_members: include_str!(zoo!($folder, "non_members.csv")),
            trained: $trained,
        }
    };
}

const IMAGE: Bundle = bundle!("demo", "CLIP model was trained on photos");
const AUDIO: Bundle = bundle!("clap-htsat", "CLAP model was trained on the synthetic voices");

/// Which bundled target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A CLIP and drawn faces
    Image,
    /// A CLAP and synthetic voices
    Audio,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Which bundled model is audited
    #[arg(long, value_enum, default_value = "image")]
    modality: Kind,
    /// Audit every member and as many non-members, instead of 60 of each
    #[arg(long)]
    all: bool,
    /// Directory of the run
    #[arg(long, default_value = "umid-demo", value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    device: DeviceArgs,
    /// No progress
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Ended> {
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    let bundle = match args.modality {
        Kind::Image => IMAGE,
        Kind::Audio => AUDIO,
    };
    let model = bundled_model(&bundle, directory.path(), &args.device.device)?;
    let progress = watcher(args.quiet);
    let count = if args.all { usize::MAX } else { NAMES_OF_EACH_GROUP };
    let members = people(bundle.members, count)?;
    let non_members = people(bundle.non_members, count)?;
    let queries = mixed(&members, &non_members);
    let ids = |group: &[Query]| group.iter().map(|q| q.id.clone()).collect::<BTreeSet<_>>();
    let (member_ids, non_member_ids) = (ids(&members), ids(&non_members));
    let names =
        choose_reference(SEED, ReferenceSize::exactly(ReferenceSize::LEAST), &queries.queries)?;
    let options = AuditOptions {
        // The demo shows the work, so it takes nothing from the user's cache; its own serves
        // the table at the end.
        cache: ReferenceCache::at(&directory.path().join("cache")),
        previews: 6,
        ..AuditOptions::new(model.modality(), SEED, gibberish(SEED, GIBBERISH)?, names)?
    };
    println!(
        "A small {} of {} made-up people. Audited are {} of them and {} made-up people that it \
         never met, drawn in the same way.",
        bundle.trained,
        people(bundle.members, usize::MAX)?.len(),
        members.len(),
        non_members.len()
    );
    let summary = audit(&model, &queries, &options, &args.out, progress.as_ref())?;
    print_summary(&summary);
    let rows =
        compare(&model, &options, &summary, &member_ids, &non_member_ids).context(AfterTheRun)?;
    print_table(&rows);
    Ok(Ended::Done)
}

/// A bundled model, unpacked into `directory`.
fn bundled_model(bundle: &Bundle, directory: &Path, device: &str) -> anyhow::Result<Model> {
    let directory = directory.join("bundled-demo");
    std::fs::create_dir(&directory).context("cannot unpack the bundled model")?;
    for (name, bytes) in bundle.model {
        std::fs::write(directory.join(name), bytes).context("cannot unpack the bundled model")?;
    }
    Ok(Model::load(&directory, &umid_models::parse_device(device)?)?)
}

/// The first `count` people of a bundled list; its order is random.
fn people(list: &str, count: usize) -> anyhow::Result<Vec<Query>> {
    let mut reader = csv::Reader::from_reader(list.as_bytes());
    let headers = reader.headers()?.clone();
    let column = |name: &str| {
        headers.iter().position(|h| h == name).context("a bundled list lacks a column")
    };
    let (id, text, first, last) =
        (column("id")?, column("text")?, column("first")?, column("last")?);
    let mut people = Vec::new();
    for row in reader.into_records().take(count) {
        let row = row?;
        people.push(Query {
            id: row[id].to_owned(),
            text: row[text].to_owned(),
            parts: Some((row[first].to_owned(), row[last].to_owned())),
        });
    }
    Ok(people)
}

/// Members and non-members in turn, so that no batch holds one kind only.
fn mixed(members: &[Query], non_members: &[Query]) -> NameFile {
    let pairs = members.iter().zip(non_members).flat_map(|(m, n)| [m.clone(), n.clone()]);
    let answer = |member| {
        move |query: &Query| {
            (query.id.clone(), Answer { member: Some(member), ..Answer::default() })
        }
    };
    let answers =
        members.iter().map(answer(true)).chain(non_members.iter().map(answer(false))).collect();
    NameFile { queries: pairs.collect(), answers, warnings: Vec::new() }
}

/// The AUCs of the run's scores, against non-members and against fresh gibberish.
fn compare(
    model: &Model,
    options: &AuditOptions,
    summary: &AuditSummary,
    members: &BTreeSet<String>,
    non_members: &BTreeSet<String>,
) -> anyhow::Result<Vec<ScoreRow>> {
    let records = summary.records()?.collect::<Result<Vec<_>, _>>()?;
    let group = |ids: &BTreeSet<String>| {
        records.iter().filter(|r| ids.contains(&r.id)).cloned().collect::<Vec<_>>()
    };
    let (members, non_members) = (group(members), group(non_members));
    let texts = gibberish(SCORED_GIBBERISH_SEED, members.len().max(GIBBERISH_CUT * 2))?;
    let texts = in_two_parts(texts);
    let silent: &dyn Progress = &Silent;
    let auditor = Auditor::prepare(model, options, silent)?;
    let gibberish = auditor.read(&texts.texts.iter().collect::<Vec<_>>())?;
    Ok(table(
        &members,
        &non_members,
        &gibberish,
        &Bootstrap { seed: SEED, ..Bootstrap::default() },
    )?)
}

/// Gibberish of two words, so that every score is defined for it.
fn in_two_parts(mut texts: ReferenceTexts) -> ReferenceTexts {
    for text in &mut texts.texts {
        let (first, last) = text.text.split_at(GIBBERISH_CUT);
        let parts = (first.to_owned(), last.to_owned());
        text.text = format!("{first} {last}");
        text.parts = Some(parts);
    }
    texts
}

fn print_table(rows: &[ScoreRow]) {
    println!("\nAUC with bootstrap 95 % interval; 0.5 is guessing");
    println!(
        "  {:<38} {:<22} {:<22} {:<22}",
        "", "member v non-member", "member v gibberish", "non-member v gibberish"
    );
    let cell = |i: &Interval| format!("{:.3} ({:.3} to {:.3})", i.estimate, i.low, i.high);
    for row in rows {
        println!(
            "  {:<38} {:<22} {:<22} {:<22}",
            row.score.to_string(),
            cell(&row.member_v_non_member),
            cell(&row.member_v_gibberish),
            cell(&row.non_member_v_gibberish)
        );
    }
    println!(
        "\nOnly the first column is about membership. A score whose last two columns are alike \
         tells names\nfrom gibberish. (Gibberish here is ten random characters in two words; the \
         paper's reading was\nfitted on other gibberish, of one word.)"
    );
}
