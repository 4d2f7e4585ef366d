//! The commands, one a file.

#[macro_use]
pub(crate) mod output;

mod asking;
mod audit;
mod compare;
mod config;
mod demo;
mod embed;
mod inspect;
mod invert;
mod options;
mod progress;
mod remedy;
mod tensors;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

/// Was a name in the training set of a CLIP or CLAP model? Asked with text alone.
#[derive(Debug, Parser)]
#[command(name = "umid", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 done and at least one member found (only with \
    --fail-on-member), 2 bad usage or input, 3 the run failed part-way (what was finished is \
    kept; the same command resumes), or what was printed could not be written.\n\nA name that is not detected is not thereby shown to be \
    outside of the training data.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Audit a small bundled model whose members are known, and say how many verdicts were right
    Demo(demo::Args),
    /// Audit a checkpoint for a list of names and write verdicts and a report
    Audit(audit::Args),
    /// Compare two checkpoints for a list of names: what is gone, weaker, still there or new
    Compare(compare::Args),
    /// Say what a checkpoint holds
    Inspect(inspect::Args),
    /// Embed texts, images, sounds or tensors as the reference implementation does
    Embed(embed::Args),
    /// Invert one text and keep what the model imagines
    Invert(invert::Args),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Done,
    MemberFound,
}

pub(crate) use remedy::remedy;

/// Said of an error that came after the run was finished.
#[derive(Debug, thiserror::Error)]
#[error("the run is finished, what was to follow it failed")]
pub(crate) struct AfterTheRun;

/// The command line, or the end of the process: help, or an error with what to try.
///
/// # Errors
/// A configuration that cannot be read.
pub(crate) fn parse() -> anyhow::Result<(Cli, ArgMatches)> {
    let command = Cli::command();
    let arguments = config::expanded(std::env::args_os().collect(), &command)?;
    let matches =
        command.try_get_matches_from(arguments).unwrap_or_else(|error| with_tip(error).exit());
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| with_tip(error).exit());
    Ok((cli, matches))
}

/// What to try where a value was taken for an option, or a second value for another argument.
fn with_tip(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    if error.kind() != ErrorKind::UnknownArgument || argument.starts_with("--") {
        return error;
    }
    let tip = if argument.starts_with('-') {
        "a value that begins with a dash takes an equals sign before it, as in --text='-5 degrees'"
    } else {
        "to give an option several values, repeat it, as in --image a.png --image b.png"
    };
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    error
}

pub(crate) fn run((cli, matches): &(Cli, ArgMatches)) -> anyhow::Result<Ended> {
    match &cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Audit(args) => {
            let command = Cli::command();
            let own = matches
                .subcommand()
                .and_then(|(name, own)| Some(config::kept(own, command.find_subcommand(name)?)));
            audit::run(args, &own.unwrap_or_default())
        }
        Command::Compare(args) => compare::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Embed(args) => embed::run(args),
        Command::Invert(args) => invert::run(args),
    }
}
