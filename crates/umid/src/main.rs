//! `umid`: the command line over the library of the same name. Arguments, progress, exit codes
//! and nothing else.

#[macro_use]
mod cli;

use std::process::ExitCode;

/// Everything was done.
const DONE: u8 = 0;
/// Everything was done, and members were found (only with `--fail-on-member`).
const MEMBER_FOUND: u8 = 1;
/// Bad usage or input; nothing was written.
const USAGE: u8 = 2;
/// The run failed part-way; what was finished is kept. Or standard output could not be written.
const FAILED: u8 = 3;

fn main() -> ExitCode {
    let outcome = cli::parse().and_then(|cli| cli::run(&cli));
    let code = match outcome {
        Ok(cli::Ended::Done) => DONE,
        Ok(cli::Ended::MemberFound) => MEMBER_FOUND,
        Err(error) => {
            eprintln!("umid: {}", message(&error));
            if let Some(remedy) = error.downcast_ref().and_then(cli::remedy) {
                eprintln!("umid: try {remedy}");
            }
            exit_code(&error)
        }
    };
    let Some(error) = cli::output::failure() else { return ExitCode::from(code) };
    eprintln!("umid: cannot write to standard output: {error}; what was printed is not complete");
    ExitCode::from(FAILED)
}

/// The error and its causes, less those that a message before them already repeats.
pub(crate) fn message(error: &anyhow::Error) -> String {
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use anyhow::Context;
    use umid::AuditError;

    use super::*;

    fn inversion_error() -> AuditError {
        umid_invert::InvertError::Target { row: 0, found: "zero" }.into()
    }

    #[test]
    fn an_error_is_bad_input_before_the_run_and_a_failed_run_after_it_began() {
        for error in [inversion_error, || AuditError::OneRestart] {
            assert_eq!(exit_code(&error().into()), USAGE);
            let stopped =
                AuditError::Stopped { dir: PathBuf::new(), kept: 3, source: Box::new(error()) };
            assert_eq!(exit_code(&stopped.into()), FAILED);
            let after = Err::<(), _>(error()).context(cli::AfterTheRun).unwrap_err();
            assert_eq!(exit_code(&after), FAILED);
            let other = Err::<(), _>(error()).context("cannot load the model").unwrap_err();
            assert_eq!(exit_code(&other), USAGE);
        }
    }

    #[test]
    fn a_message_repeats_no_cause() {
        let source = Box::new(inversion_error());
        let stopped = AuditError::Stopped { dir: PathBuf::from("out"), kept: 3, source };
        let message = message(&stopped.into());
        assert!(message.starts_with("the run in out stopped with 3 finished records"), "{message}");
        assert_eq!(message.matches("text embedding 0 is zero").count(), 1, "{message}");
    }
}
