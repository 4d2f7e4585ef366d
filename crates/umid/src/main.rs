//! `umid`: the command line over the library of the same name. Arguments, progress, exit codes
//! and nothing else.

#![expect(clippy::print_stdout, reason = "the binary's output")]

mod cli;

use std::process::ExitCode;

use clap::Parser;

/// Everything was done.
const DONE: u8 = 0;
/// Everything was done, and members were found (only with `--fail-on-member`).
const MEMBER_FOUND: u8 = 1;
/// Bad usage or input; nothing was written.
const USAGE: u8 = 2;
/// The run failed part-way; what was finished is kept.
const FAILED: u8 = 3;

fn main() -> ExitCode {
    let outcome = cli::run(&cli::Cli::parse());
    ExitCode::from(match outcome {
        Ok(cli::Ended::Done) => DONE,
        Ok(cli::Ended::MemberFound) => MEMBER_FOUND,
        Err(error) => {
            eprintln!("umid: {}", message(&error));
            if let Some(remedy) = error.downcast_ref().and_then(cli::remedy) {
                eprintln!("umid: try {remedy}");
            }
            exit_code(&error)
        }
    })
}

/// The error and its causes, less those that a message before them already repeats.
fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !message.contains(&cause) {
            let separator = if message.is_empty() { "" } else { ": " };
            message.push_str(separator);
            message.push_str(&cause);
        }
    }
    message
}

/// By phase and not by type: 3 once a run's directory is there, 2 before.
fn exit_code(error: &anyhow::Error) -> u8 {
    let stopped =
        matches!(error.downcast_ref::<umid::AuditError>(), Some(umid::AuditError::Stopped { .. }));
    if stopped || error.is::<cli::AfterTheRun>() { FAILED } else { USAGE }
}
