//! `cargo xtask bench texts`: times what an audit by text alone asks of a text tower, ours beside
//! PyTorch's, and the audit itself from nothing to its verdicts.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use umid::audit::{AuditOptions, audit};
use umid::cache::ReferenceCache;
use umid::progress::Silent;
use umid::queries::{NameFile, QueryOptions, read_queries};
use umid::reference::{ReferenceSize, choose_reference, gibberish};
use umid::siblings::{DEFAULT_SIBLINGS, Siblings};
use umid::templates::Templates;
use umid_kernels::SharedSequences;
use umid_models::config::TextConfig;
use umid_models::{LoadOptions, Modality, Model, Precision};
use umid_testbed::NameLists;

use super::contender::{self, Contender, Kind};
use super::models::{TEXT_MODELS, Timed};
use super::table::{least, median, most};
use super::worker::Request;
use super::{Arguments, Rate, matrix_rates};

/// Names whose texts are timed, all of different parts.
const NAMES: usize = 32;
/// Names whose texts PyTorch gets, which takes them one by one.
const NAMES_OF_PYTORCH: usize = 4;
/// Names of the audit.
const AUDITED: usize = 10;
/// Names of its reference, as by default.
const REFERENCE: usize = 600;
/// Texts that an audit asks for names of which no two share a part, without sharing anything.
const TEXTS_OF_AN_AUDIT: usize = (AUDITED + REFERENCE) * (18 + 2 * DEFAULT_SIBLINGS * 6);

/// What a process that embeds texts is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Texts {
    texts: Vec<String>,
    /// Each text in a call of its own.
    alone: bool,
}

/// Everything that was measured.
#[derive(Debug, Default, Serialize)]
struct Report {
    cores: usize,
    rates: Vec<Rate>,
    rows: Vec<Row>,
    audits: Vec<Audit>,
}

/// Timings of one way to embed one list.
#[derive(Debug, Serialize)]
struct Row {
    model: &'static str,
    contender: String,
    precision: Precision,
    what: &'static str,
    texts: usize,
    names: usize,
    seconds: Vec<f64>,
    /// Operations of the blocks' products, where what texts begin with alike is computed once.
    operations: Option<f64>,
    memory: Option<f64>,
}

/// Whole audits of ten names by text alone, nothing cached, from reading the checkpoint on.
#[derive(Debug, Serialize)]
struct Audit {
    model: &'static str,
    precision: Precision,
    seconds: Vec<f64>,
    memory: Option<f64>,
}

pub fn run(arguments: &Arguments, root: &Path, out: &Path) -> anyhow::Result<()> {
    let models: Vec<Timed> = if arguments.model.is_empty() {
        TEXT_MODELS.to_vec()
    } else {
        let named = |name: &String| Timed::among(&TEXT_MODELS, name);
        arguments.model.iter().map(named).collect::<anyhow::Result<_>>()?
    };
    let python = || match &arguments.python {
        Some(python) => Ok(python.clone()),
        None => contender::environment(root, out),
    };
    let mut report = Report {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        ..Report::default()
    };
    for model in models {
        let checkpoint = model.checkpoint(root, &out.join("models/texts"), python)?;
        let python = if arguments.ours_only { None } else { Some(python()?) };
        time_model(model, &checkpoint, arguments, root, python.as_deref(), &mut report)?;
        let json = serde_json::to_string_pretty(&report)?;
        umid_core::atomic::write_atomically(&out.join("texts.json"), json.as_bytes())?;
        umid_core::atomic::write_atomically(&out.join("texts.md"), table(&report).as_bytes())?;
    }
    println!("{}", table(&report));
    println!("{}", out.join("texts.json").display());
    Ok(())
}

fn time_model(
    model: Timed,
    checkpoint: &Path,
    arguments: &Arguments,
    root: &Path,
    python: Option<&Path>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let described = Model::load(checkpoint, LoadOptions::default().text_alone())?;
    let lists = Lists::of(described.modality())?;
    let own: Vec<String> = lists.own.concat();
    let whole = |names: usize| -> Vec<String> {
        let lists = lists.own.iter().zip(&lists.siblings).take(names);
        lists.flat_map(|(own, siblings)| own.iter().chain(siblings).cloned()).collect()
    };
    let mut asked = Vec::new();
    for &precision in &arguments.precision {
        let ours = Kind::Ours { precision, unfused: false };
        asked.push((ours.clone(), "each text alone", whole(1), 1, true));
        asked.push((ours.clone(), "names of new parts", whole(NAMES), NAMES, false));
        asked.push((ours, "names of known parts", own.clone(), NAMES, false));
        if let Some(python) = python {
            let texts = whole(NAMES_OF_PYTORCH);
            let eager = Kind::pytorch(python, root, precision, false);
            asked.push((eager, "names", texts.clone(), NAMES_OF_PYTORCH, false));
            if !arguments.no_compile {
                let compiled = Kind::pytorch(python, root, precision, true);
                asked.push((compiled, "names", texts, NAMES_OF_PYTORCH, false));
            }
        }
    }
    let start = |kind: &Kind| Contender::start_for_texts(kind, checkpoint, &arguments.device);
    let mut timed = Vec::new();
    for (kind, what, texts, names, alone) in asked {
        timed.push((start(&kind)?, what, Texts { texts, alone }, names, Vec::new()));
    }
    if report.rates.is_empty() {
        let once = timed.iter_mut().filter(|(_, what, ..)| !what.contains("parts"));
        report.rates = matrix_rates(once.map(|(contender, ..)| contender), arguments.rounds)?;
    }
    // The first of each allocates and compiles.
    for round in 0..=arguments.rounds {
        for (contender, what, texts, _, seconds) in &mut timed {
            eprintln!("{}, round {round}: {}, {what}", model.title, contender.name());
            let took = contender.ask(&Request::Texts(texts.clone()))?;
            if round > 0 {
                seconds.push(took);
            }
        }
    }
    for (mut contender, what, texts, names, seconds) in timed {
        report.rows.push(Row {
            model: model.title,
            contender: contender.name(),
            precision: contender.precision(),
            what,
            texts: texts.texts.len(),
            names,
            seconds,
            operations: operations(&described, &texts.texts)?,
            memory: contender.memory(&arguments.device)?,
        });
    }
    for &precision in &arguments.precision {
        let mut row = Audit { model: model.title, precision, seconds: Vec::new(), memory: None };
        for round in 0..arguments.rounds {
            eprintln!("{}, round {round}: audit in {precision}", model.title);
            // Each in a process that has read nothing.
            let mut contender = start(&Kind::Ours { precision, unfused: false })?;
            row.seconds.push(contender.ask(&Request::Audit)?);
            row.memory = contender.memory(&arguments.device)?;
        }
        report.audits.push(row);
    }
    Ok(())
}

/// What an audit asks of names of which no two share a part.
struct Lists {
    /// Of each name, the name itself in templates and contexts.
    own: Vec<Vec<String>>,
    /// Of each name, its siblings in templates.
    siblings: Vec<Vec<String>>,
}

impl Lists {
    fn of(modality: Modality) -> anyhow::Result<Self> {
        let (templates, contexts) = (Templates::of(modality), Templates::contexts_of(modality));
        let siblings = Siblings::bundled(DEFAULT_SIBLINGS)?;
        let fill = |name: &str, sentences: &[String]| -> Vec<String> {
            sentences.iter().map(|sentence| sentence.replacen("{}", name, 1)).collect()
        };
        let mut lists = Self { own: Vec::new(), siblings: Vec::new() };
        for (first, last) in names(NAMES)? {
            let name = format!("{first} {last}");
            let mut own = fill(&name, templates.as_slice());
            own.extend(fill(&name, contexts.as_slice()));
            lists.own.push(own);
            let same_first = siblings.last.iter().map(|last| format!("{first} {last}"));
            let same_last = siblings.first.iter().map(|first| format!("{first} {last}"));
            let names: Vec<String> = same_first.chain(same_last).collect();
            let texts = names.iter().flat_map(|name| fill(name, templates.as_slice()));
            lists.siblings.push(texts.collect());
        }
        Ok(lists)
    }
}

/// The first parts of the bundled lists, one pair of them a name.
fn names(count: usize) -> anyhow::Result<Vec<(String, String)>> {
    let lists = NameLists::bundled();
    let pairs: Vec<(String, String)> =
        lists.first().iter().cloned().zip(lists.last().iter().cloned()).take(count).collect();
    anyhow::ensure!(pairs.len() == count, "the bundled lists have fewer than {count} names");
    Ok(pairs)
}

/// Operations of the blocks' products over the distinct beginnings of some texts; `None` of a tower
/// without such.
fn operations(model: &Model, texts: &[String]) -> anyhow::Result<Option<f64>> {
    let TextConfig::Clip(tower) = &model.config.text else { return Ok(None) };
    let ids: Vec<Vec<u32>> = texts
        .iter()
        .map(|text| Ok(model.tokenizer.tokenize(text)?.ids))
        .collect::<anyhow::Result<_>>()?;
    let tokens = SharedSequences::new(&ids).tokens().len();
    let shape = &tower.transformer;
    let block = shape.width * (4 * shape.width + 2 * shape.mlp_width);
    Ok(Some(2.0 * (tokens * shape.layers * block) as f64))
}

/// Seconds in which a tower embeds texts.
pub fn embed(model: &Model, request: &Texts) -> anyhow::Result<f64> {
    let started = std::time::Instant::now();
    if request.alone {
        for text in &request.texts {
            model.embed_texts(std::slice::from_ref(text))?;
        }
    } else {
        model.embed_texts(&request.texts)?;
    }
    Ok(started.elapsed().as_secs_f64())
}

/// Seconds from an unread checkpoint to the verdicts on ten names: `umid audit --restarts 0 --no-cache`.
pub fn whole_audit(checkpoint: &Path, options: LoadOptions) -> anyhow::Result<f64> {
    let folder = TempDir::new()?;
    let queries = queries(&folder)?;
    let started = std::time::Instant::now();
    let model = Model::load(checkpoint, options.text_alone())?;
    let reference = choose_reference(0, ReferenceSize::exactly(REFERENCE), &queries.queries)?;
    let options = AuditOptions {
        inversion: None,
        cache: ReferenceCache::off(),
        ..AuditOptions::new(model.modality(), 0, gibberish(0, 100)?, reference)?
    };
    let summary = audit(&model, &queries, &options, &folder.path().join("run"), &Silent)?;
    anyhow::ensure!(summary.overview.tested() == AUDITED, "some name got no verdict");
    Ok(started.elapsed().as_secs_f64())
}

fn queries(folder: &TempDir) -> anyhow::Result<NameFile> {
    let path: PathBuf = folder.path().join("names.csv");
    let rows: Vec<String> =
        names(AUDITED)?.iter().map(|(first, last)| format!("{first},{last}\n")).collect();
    fs::write(&path, format!("first,last\n{}", rows.concat()))?;
    read_queries(&path, &QueryOptions::default()).context("ten names")
}

fn table(report: &Report) -> String {
    let mut text = format!("{} cores.\n\n", report.cores);
    text.push_str("| product of 2048 x 2048 | Gop/s |\n| --- | ---: |\n");
    for rate in &report.rates {
        let _ = writeln!(text, "| {} | {:.0} |", rate.contender, median(&rate.rates) / 1e9);
    }
    text.push_str(
        "\n| model | contender | list | texts | texts a second | spread | names a second | against eager \
         PyTorch | of the floor | peak MiB |\n\
         | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for row in &report.rows {
        let per_second = |seconds: f64| row.texts as f64 / seconds;
        let rate = per_second(median(&row.seconds));
        let against = eager(report, row.model, row.precision)
            .map_or("-".to_owned(), |eager| format!("{:.1}", rate / eager));
        let of_floor =
            floor(report, row).map_or("-".to_owned(), |floor| format!("{:.0} %", 100.0 * floor));
        let memory = row.memory.map_or("-".to_owned(), |mebibytes| format!("{mebibytes:.0}"));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {rate:.0} | {:.0} to {:.0} | {:.1} | {against} | {of_floor} | {memory} |",
            row.model,
            row.contender,
            row.what,
            row.texts,
            per_second(most(&row.seconds)),
            per_second(least(&row.seconds)),
            row.names as f64 / median(&row.seconds),
        );
    }
    let _ = writeln!(
        text,
        "\n| model | audit of ten names | seconds | spread | PyTorch eager, every text | peak MiB \
         |\n| --- | --- | ---: | ---: | ---: | ---: |"
    );
    for row in &report.audits {
        let pytorch = eager(report, row.model, row.precision)
            .map_or("-".to_owned(), |rate| format!("{:.0} s", TEXTS_OF_AN_AUDIT as f64 / rate));
        let memory = row.memory.map_or("-".to_owned(), |mebibytes| format!("{mebibytes:.0}"));
        let _ = writeln!(
            text,
            "| {} | umid {} | {:.1} | {:.1} to {:.1} | {pytorch} | {memory} |",
            row.model,
            row.precision,
            median(&row.seconds),
            least(&row.seconds),
            most(&row.seconds),
        );
    }
    let _ = writeln!(
        text,
        "\nMedians; the spread is least to most. Names of new parts: 18 texts of the name and 192 of its \
         siblings each. Names of known parts: the 18. PyTorch embeds in batches of texts of like length. \
         Against eager PyTorch: texts a second over its own in the same precision. The floor: operations of \
         the blocks' products over the distinct beginnings of the texts, at the best rate measured above in \
         the same precision. The audit reads the checkpoint, {REFERENCE} reference names and ten names, by \
         text alone and with nothing cached; PyTorch's time is scaled up from its texts a second to the \
         {TEXTS_OF_AN_AUDIT} texts of {} names of which no two share a part.",
        AUDITED + REFERENCE
    );
    text
}

/// Texts a second of eager PyTorch.
fn eager(report: &Report, model: &str, precision: Precision) -> Option<f64> {
    let name = format!("PyTorch {precision}");
    let row = report.rows.iter().find(|row| row.model == model && row.contender == name)?;
    Some(row.texts as f64 / median(&row.seconds))
}

/// Which share of a row's time the products alone would take at the best measured rate.
fn floor(report: &Report, row: &Row) -> Option<f64> {
    let rates = report.rates.iter().filter(|rate| rate.precision == row.precision);
    let best = rates.map(|rate| median(&rate.rates)).max_by(f64::total_cmp)?;
    Some(row.operations? / best / median(&row.seconds))
}
