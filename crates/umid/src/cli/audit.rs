//! `umid audit`: the main job.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args as ClapArgs;
use umid::audit::{AuditOptions, AuditSummary, DEFAULT_MIN_VOTES, audit};
use umid::checked::Checked;
use umid::known_members::KnownMembers;
use umid::queries::NameFile;
use umid::several::{run_names, write_table};
use umid_detect::Interval;
use umid_models::Model;

use super::Ended;
use super::asking::AskingArgs;
use super::options::{InversionArgs, OpeningArgs, Use};
use super::progress::watcher;

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Checkpoint: a directory as it was downloaded, a file of weights (.pt, .bin, .safetensors),
    /// or ORG/NAME[@REVISION] of a hub repository in the local cache. Repeated, each model has a run of
    /// its own below --out, and models.csv is over all
    #[arg(long, value_name = "PATH|ORG/NAME", required_unless_present = "models")]
    model: Vec<PathBuf>,
    /// Models from a file, one a line; lines that begin with # are left out
    #[arg(long, value_name = "FILE")]
    models: Option<PathBuf>,
    #[command(flatten)]
    opening: OpeningArgs,
    /// Names to ask about: CSV, TSV, JSON Lines, Parquet or Arrow with a column `text` (and `id`), or
    /// with `first` and `last`; or plain text with one name a line. gzip and Zstandard are unpacked, and
    /// - is the standard input
    #[arg(long, value_name = "FILE")]
    queries: PathBuf,
    /// Directory of the run; the same command resumes a run that was interrupted
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    asking: AskingArgs,
    /// Names that are known to be in the training data, read as --queries is: the calibrated score
    /// is fitted on them against the part of the reference that sets scales, and the rest of the
    /// reference gives the p-values. At least 30 with as many words in each part as the queries
    /// have, each of which costs as much as a query without inversions; names of other forms keep
    /// the default score. A query that is among them gets no verdict. If all are famous, the score
    /// looks for names that were seen very often
    #[arg(long, value_name = "FILE")]
    known_members: Option<PathBuf>,
    /// Votes of the four detectors that make a member in the paper's reading
    #[arg(long, default_value_t = DEFAULT_MIN_VOTES, value_name = "N")]
    min_votes: usize,
    /// Inverted inputs shown in the report
    #[arg(long, default_value_t = 6, value_name = "N")]
    previews: usize,
    /// Exit with 1 if a name is detected at the false discovery rate
    #[arg(long)]
    fail_on_member: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    inversion: InversionArgs,
}

pub(crate) fn run(args: &Args, given: &BTreeMap<String, Vec<String>>) -> anyhow::Result<Ended> {
    let queries = args.asking.queries(&args.queries)?;
    let models = args.models()?;
    let [model] = models.as_slice() else {
        return run_several(args, given, &queries, &models);
    };
    let summary = audit_one(args, given, &queries, model, &args.out)?;
    if args.json {
        println!("{}", summary_json(&summary));
    } else {
        print_summary(&summary);
    }
    Ok(args.ended(summary.discoveries() > 0))
}

fn audit_one(
    args: &Args,
    given: &BTreeMap<String, Vec<String>>,
    queries: &NameFile,
    model: &Path,
    out: &Path,
) -> anyhow::Result<AuditSummary> {
    let needs_inputs = args.inversion.restarts > 0 || args.asking.bank.is_some();
    let model =
        args.opening.load(model, if needs_inputs { Use::Audit } else { Use::AuditOfTexts })?;
    let options = AuditOptions { given: given.clone(), ..options(args, queries, &model)? };
    Ok(audit(&model, queries, &options, out, watcher(args.quiet).as_ref())?)
}

/// A run for each model; one that fails is said, and the others go on.
fn run_several(
    args: &Args,
    given: &BTreeMap<String, Vec<String>>,
    queries: &NameFile,
    models: &[PathBuf],
) -> anyhow::Result<Ended> {
    let (mut audits, mut failed) = (Vec::new(), Vec::new());
    for (model, name) in models.iter().zip(run_names(models)) {
        eprintln!("umid: model {} in {name}/", model.display());
        match audit_one(args, given, queries, model, &args.out.join(&name)) {
            Ok(summary) => audits.push((name, summary)),
            Err(error) => {
                eprintln!("umid: {}", crate::message(&error));
                failed.push((name, error));
            }
        }
    }
    // Nothing was written where every model was refused.
    if audits.is_empty()
        && !args.out.exists()
        && let Some((_, error)) = failed.pop()
    {
        return Err(error);
    }
    let table = write_table(&args.out, &audits)
        .map_err(|error| anyhow::Error::from(error).context(super::AfterTheRun))?;
    if args.json {
        let all: BTreeMap<&str, serde_json::Value> =
            audits.iter().map(|(name, audit)| (name.as_str(), summary_json(audit))).collect();
        let failed: BTreeMap<&str, String> =
            failed.iter().map(|(name, error)| (name.as_str(), crate::message(error))).collect();
        let table = table.display().to_string();
        println!("{}", serde_json::json!({ "models": all, "failed": failed, "table": table }));
    } else {
        for (name, audit) in &audits {
            println!("\n{name}");
            print_summary(audit);
        }
        println!("\ntable over all models: {}", table.display());
    }
    if !failed.is_empty() {
        let names: Vec<&str> = failed.iter().map(|(name, _)| name.as_str()).collect();
        let error = anyhow::anyhow!(
            "{} of {} models failed: {}",
            failed.len(),
            models.len(),
            names.join(", ")
        );
        return Err(error.context(super::AfterTheRun));
    }
    Ok(args.ended(audits.iter().any(|(_, audit)| audit.discoveries() > 0)))
}

impl Args {
    /// The models of the command line, and those of a file.
    fn models(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut models = self.model.clone();
        if let Some(path) = &self.models {
            let list = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the list of models {}", path.display()))?;
            let lines = list.lines().map(str::trim);
            models.extend(
                lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(PathBuf::from),
            );
            anyhow::ensure!(
                !models.is_empty(),
                "the list of models {} has none; give one a line",
                path.display()
            );
        }
        Ok(models)
    }

    fn ended(&self, found: bool) -> Ended {
        if self.fail_on_member && found { Ended::MemberFound } else { Ended::Done }
    }
}

fn options(args: &Args, queries: &NameFile, model: &Model) -> anyhow::Result<AuditOptions> {
    let options = AuditOptions {
        inversion: args.inversion.params(args.asking.seed, model)?,
        min_votes: args.min_votes,
        previews: args.previews,
        ..args.asking.options(queries, model.modality())?
    };
    let Some(path) = &args.known_members else { return Ok(options) };
    let known = KnownMembers::from_file(path, &args.asking.list_options())?;
    Ok(options.with_known_members(known))
}

/// The outcome in a few lines.
pub(crate) fn print_summary(summary: &AuditSummary) {
    let parameters = &summary.run.parameters;
    let overview = &summary.overview;
    let (names, tested, detected) = (overview.names(), overview.tested(), overview.detected());
    println!(
        "calibrated: {} of {tested} names detected at a false discovery rate of {} %; {detected} have \
         p <= {}, where about {:.1} would by chance alone",
        summary.discoveries(),
        parameters.false_discovery_rate * 100.0,
        parameters.alpha,
        tested as f64 * parameters.alpha
    );
    match summary.run.whole_list.as_ref().map(|list| &list.answer) {
        None => {}
        Some(list) if list.at_least == 0 => println!(
            "whole list: it is not shown that any of {tested} names stands out (p = {:.2})",
            list.p_value
        ),
        Some(list) => println!(
            "whole list: at least {} of {tested} names stand out as members do (95 % confidence), about \
             {:.0} by estimate",
            list.at_least, list.about
        ),
    }
    let known = summary.run.known_members.as_ref();
    for score in known.iter().flat_map(|known| &known.scores) {
        println!(
            "score:      fitted on {} known members that are names of {} (cross-validated AUC {:.2} \
             against the reference)",
            score.known_members, score.form, score.cross_validated_auc
        );
    }
    let asked = known.map_or(0, |known| known.asked);
    if asked > 0 {
        println!("no verdict: {asked} of {names} names, which are known members themselves");
    }
    if tested + asked < names {
        println!(
            "no verdict: {} of {names} names, of a form that the reference lacks",
            names - tested - asked
        );
    }
    match summary.overview.votes() {
        None => match &summary.run.model.text_alone {
            Some(reason) => {
                println!("paper:      not read, since nothing can be inverted: {reason}");
            }
            None => println!("paper:      not read, since no inversions were made"),
        },
        Some(votes) => println!(
            "paper:      {} of {} names voted members against gibberish (no error rate comes \
             with a vote)",
            votes.members, votes.voted_on
        ),
    }
    if let Some(checked) = &summary.run.checked {
        print_checked(checked);
    }
    let warnings = summary.run.warnings.len();
    let flagged = summary.overview.with_warnings();
    if warnings + flagged > 0 {
        println!(
            "warnings:   {warnings} about the run, {flagged} names with their own; see the report"
        );
    }
    println!("report:     {}", summary.report.display());
}

/// What the verdicts are worth on names whose answers were known.
fn print_checked(checked: &Checked) {
    println!(
        "known:      {} members and {} non-members{}",
        checked.members,
        checked.non_members,
        if checked.unknown > 0 {
            format!(", nothing of {}", checked.unknown)
        } else {
            String::new()
        }
    );
    let interval = |interval: &Interval| {
        format!("{:.3} ({:.3} to {:.3})", interval.estimate, interval.low, interval.high)
    };
    for reading in &checked.readings {
        let resolved =
            |found: &Option<Interval>| found.as_ref().map_or("not resolved".to_owned(), interval);
        let found: Vec<String> = reading
            .found_at
            .iter()
            .map(|(rate, found)| format!("TPR at {} % FPR {}", rate * 100.0, resolved(found)))
            .collect();
        if let Some(auc) = &reading.auc {
            println!("  {}: AUC {}, {}", reading.reading, interval(auc), found.join(", "));
        }
        for rule in &reading.rules {
            let of = |[hits, all]: [usize; 2]| format!("{hits} of {all}");
            println!(
                "  {}, {}: {} members called so, {} non-members called members",
                reading.reading,
                rule.rule,
                of(rule.members),
                of(rule.non_members)
            );
        }
    }
    if let Some(half) = checked.dose_response.as_ref().map(|dose| &dose.half_detected) {
        let dose = |dose: Option<f64>| dose.map_or("more".to_owned(), |dose| format!("{dose:.0}"));
        println!(
            "  half of the members are detected from {} exposures on ({} to {})",
            dose(half.estimate),
            dose(half.low),
            dose(half.high)
        );
    }
}

fn summary_json(summary: &AuditSummary) -> serde_json::Value {
    let overview = &summary.overview;
    serde_json::json!({
        "queries": overview.names(),
        "without_verdict": overview.names() - overview.tested(),
        "detected_at_false_discovery_rate": summary.discoveries(),
        "detected_at_alpha": overview.detected(),
        "whole_list": summary.run.whole_list,
        "voted_members": overview.votes().map(|votes| votes.members),
        "text_alone": summary.run.model.text_alone,
        "known_members": summary.run.known_members,
        "checked": summary.run.checked,
        "warnings": summary.run.warnings,
        "report": summary.report.display().to_string(),
    })
}
