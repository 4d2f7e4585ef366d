//! `umid compare`: two models, the same names.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use umid::AuditError;
use umid::audit::{AuditSummary, audit, check};
use umid::compare::{CompareError, CompareSummary, Direction, Directory, Verdict, compare};
use umid::progress::Progress;
use umid::queries::NameFile;
use umid_models::Model;

use super::asking::AskingArgs;
use super::options::{OpeningArgs, Use};
use super::progress::watcher;
use super::{AfterTheRun, Ended};

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Checkpoint before the change, as --model of an audit takes it
    #[arg(long, value_name = "PATH|ORG/NAME")]
    before: PathBuf,
    /// Checkpoint after the change
    #[arg(long, value_name = "PATH|ORG/NAME")]
    after: PathBuf,
    /// Names to ask about, as --queries of an audit takes them
    #[arg(long, value_name = "FILE")]
    queries: PathBuf,
    /// Directory of the comparison, with one of a run for each model; the same command resumes
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Which changes of a score count: less (something was to be forgotten), more, or both
    #[arg(long, default_value = "both", value_name = "NAME")]
    direction: Direction,
    #[command(flatten)]
    asking: AskingArgs,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    opening: OpeningArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Ended> {
    let directory = Directory::open(&args.out).map_err(AuditError::from)?;
    let queries = args.asking.queries(&args.queries)?;
    let progress = watcher(args.quiet);
    // Whatever the second model would be refused for is said before the first is asked.
    let after = args.ready(&args.after, &queries)?;
    let modality = after.modality();
    drop(after);
    let before = args.ready(&args.before, &queries)?;
    if before.modality() != modality {
        let (before, after) = (before.modality().to_string(), modality.to_string());
        return Err(AuditError::from(CompareError::OtherModality { before, after }).into());
    }
    let [before_run, after_run] = directory.runs();
    let first = args.audit(&before, &queries, &before_run, "before", progress.as_ref())?;
    // One model is in memory at a time.
    drop(before);
    let after = args.ready(&args.after, &queries)?;
    let second = args.audit(&after, &queries, &after_run, "after", progress.as_ref())?;
    let summary = compare([&first, &second], &queries, args.direction, &directory)
        .map_err(|error| anyhow::Error::from(error).context(AfterTheRun))?;
    if args.json {
        println!(
            "{}",
            serde_json::json!({
                "comparison": summary.comparison,
                "report": summary.report.display().to_string(),
            })
        );
    } else {
        print_summary(&summary);
    }
    Ok(Ended::Done)
}

impl Args {
    /// The model at this path, after everything that an audit of it would be refused for.
    fn ready(&self, path: &Path, queries: &NameFile) -> anyhow::Result<Model> {
        let purpose = if self.asking.bank.is_some() { Use::Audit } else { Use::AuditOfTexts };
        let model = self.opening.load(path, purpose)?;
        check(&model, queries, &self.asking.options(queries, model.modality())?)?;
        Ok(model)
    }

    fn audit(
        &self,
        model: &Model,
        queries: &NameFile,
        out: &Path,
        which: &str,
        progress: &dyn Progress,
    ) -> anyhow::Result<AuditSummary> {
        progress.note(&format!("the model {which}: {}", model.source.name));
        let options = self.asking.options(queries, model.modality())?;
        Ok(audit(model, queries, &options, out, progress)?)
    }
}

fn print_summary(summary: &CompareSummary) {
    let comparison = &summary.comparison;
    println!(
        "{} and {}, {} names, at a false discovery rate of {} %:",
        comparison.models[0].name,
        comparison.models[1].name,
        summary.changes.len(),
        comparison.false_discovery_rate * 100.0
    );
    for verdict in Verdict::ALL {
        let count = comparison.verdicts.get(&verdict).copied().unwrap_or(0);
        let known: Vec<String> = comparison
            .verdicts_of_known
            .iter()
            .map(|(group, verdicts)| {
                format!("{} known {group}", verdicts.get(&verdict).copied().unwrap_or(0))
            })
            .collect();
        let known =
            if known.is_empty() { String::new() } else { format!(" ({})", known.join(", ")) };
        println!("  {:<17} {count}{known}", verdict.words());
    }
    if comparison.without_verdict > 0 {
        println!("  {:<17} {}", "no verdict", comparison.without_verdict);
    }
    if !comparison.warnings.is_empty() {
        println!("warnings: {}; see the report", comparison.warnings.len());
    }
    println!("report:   {}", summary.report.display());
}
