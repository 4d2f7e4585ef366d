//! `--config FILE`: options from a file, which stand before those of the command line.
//!
//! A TOML file has the long names of the options as keys, with `-` or `_`; a list repeats an option,
//! and `true` gives one that takes no value. `run.json` of an audit is a configuration too: it gives the options
//! that the run was given, less those that name files and directories. What the command line gives takes the
//! place of what the file gives.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Command};
use toml::de::{DeTable, DeValue};

/// The option itself.
pub(crate) const CONFIG: &str = "config";
/// Options that name what is on this machine, or how a run is told of: no part of `run.json`.
const NOT_KEPT: [&str; 14] = [
    CONFIG,
    "model",
    "models",
    "queries",
    "out",
    "bank",
    "known_members",
    "sibling_first",
    "sibling_last",
    "device",
    "json",
    "quiet",
    "fail_on_member",
    "no_cache",
];

/// The command line with the options of its `--config` put in front of its own.
///
/// # Errors
/// A file that cannot be read or parsed, a key that is no option of the command, or a value of another kind
/// than the option's; the message names file, line and key.
pub(crate) fn expanded(arguments: Vec<OsString>, cli: &Command) -> anyhow::Result<Vec<OsString>> {
    let Some(path) = config_of(&arguments) else { return Ok(arguments) };
    let name = arguments.get(1).and_then(|name| name.to_str()).unwrap_or_default();
    let Some(command) = cli.find_subcommand(name) else { return Ok(arguments) };
    let given: BTreeSet<String> = arguments.iter().filter_map(|a| long_name(a)).collect();
    let mut expanded = arguments[..2].to_vec();
    for (key, values) in options_of(&path, command)? {
        if !given.contains(&key) {
            expanded.extend(values);
        }
    }
    expanded.extend_from_slice(&arguments[2..]);
    Ok(expanded)
}

/// The last `--config` of a command line.
fn config_of(arguments: &[OsString]) -> Option<PathBuf> {
    let mut found = None;
    for (at, argument) in arguments.iter().enumerate().skip(2) {
        let text = argument.to_str().unwrap_or_default();
        if text == "--" {
            break;
        }
        if text == "--config" {
            found = arguments.get(at + 1).map(PathBuf::from);
        } else if let Some(path) = text.strip_prefix("--config=") {
            found = Some(PathBuf::from(path));
        }
    }
    found
}

/// `alpha` of `--alpha` and `--alpha=0.1`.
fn long_name(argument: &OsStr) -> Option<String> {
    let name = argument.to_str()?.strip_prefix("--")?;
    Some(name.split('=').next().unwrap_or(name).to_owned())
}

type Options = Vec<(String, Vec<OsString>)>;

fn options_of(path: &Path, command: &Command) -> anyhow::Result<Options> {
    let content = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration {}", path.display()))?;
    if content.trim_start().starts_with('{') {
        return of_run(path, &content, command);
    }
    let table = DeTable::parse(&content)
        .with_context(|| format!("the configuration {} is not TOML", path.display()))?;
    let mut options = Options::new();
    for (key, value) in table.get_ref() {
        let line = 1 + content[..key.span().start].matches('\n').count();
        let place = format!("{}, line {line}", path.display());
        let values = match value.get_ref() {
            DeValue::Array(items) => items.iter().map(|item| scalar(item.get_ref())).collect(),
            single => scalar(single).map(|value| vec![value]),
        };
        let Some(values) = values else {
            bail!(
                "{place}: the value of `{}` is no text, number, truth value or list of them",
                key.get_ref()
            );
        };
        options.push(option(&place, key.get_ref(), &values, command)?);
    }
    Ok(options)
}

/// Text of a value; `None` for a table, a date or a list.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    Some(match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Array(_) | DeValue::Table(_) | DeValue::Datetime(_) => return None,
    })
}

/// The options that `run.json` kept.
fn of_run(path: &Path, content: &str, command: &Command) -> anyhow::Result<Options> {
    let place = path.display().to_string();
    let run: serde_json::Value = serde_json::from_str(content)
        .with_context(|| format!("the configuration {place} is not JSON"))?;
    let Some(kept) = run.get("options").and_then(serde_json::Value::as_object) else {
        bail!(
            "{place} is no run.json of an audit: it has no `options`; give a TOML file or a run.json"
        );
    };
    let mut options = Options::new();
    for (key, values) in kept {
        let values: Option<Vec<String>> = values.as_array().and_then(|values| {
            values.iter().map(|value| value.as_str().map(str::to_owned)).collect()
        });
        let values =
            values.with_context(|| format!("{place}: `options.{key}` is no list of texts"))?;
        options.push(option(&place, key, &values, command)?);
    }
    Ok(options)
}

/// An option as the command line has it, by its long name.
fn option(
    place: &str,
    key: &str,
    values: &[String],
    command: &Command,
) -> anyhow::Result<(String, Vec<OsString>)> {
    let name = key.replace('_', "-");
    let known = command.get_arguments().find(|a| a.get_long() == Some(name.as_str()));
    let Some(argument) = known.filter(|_| name != CONFIG) else {
        let names = command.get_arguments().filter_map(clap::Arg::get_long);
        let names: Vec<&str> = names.filter(|name| *name != CONFIG && *name != "help").collect();
        bail!(
            "{place}: `{key}` is no option of {}; there are {}",
            command.get_name(),
            names.join(", ")
        );
    };
    let as_given = match argument.get_action() {
        ArgAction::SetTrue => match values {
            [flag] if flag == "true" => vec![OsString::from(format!("--{name}"))],
            [flag] if flag == "false" => Vec::new(),
            _ => bail!("{place}: `{key}` takes true or false"),
        },
        action => {
            if values.len() != 1 && !matches!(action, ArgAction::Append) {
                bail!("{place}: `{key}` takes one value, and {} are given", values.len());
            }
            values.iter().map(|value| OsString::from(format!("--{name}={value}"))).collect()
        }
    };
    Ok((name, as_given))
}

/// The options that were given, by file or on the command line, without those that name files, for
/// `run.json`.
pub(crate) fn kept(matches: &ArgMatches, command: &Command) -> BTreeMap<String, Vec<String>> {
    // Groups of arguments have ids too.
    let is_option = |id: &str| command.get_arguments().any(|argument| argument.get_id() == id);
    let given = matches.ids().filter(|id| {
        matches.value_source(id.as_str()) == Some(ValueSource::CommandLine)
            && is_option(id.as_str())
            && !NOT_KEPT.contains(&id.as_str())
    });
    given
        .filter_map(|id| {
            let raw = matches.try_get_raw(id.as_str()).ok()??;
            let values: Vec<String> =
                raw.map(|value| value.to_string_lossy().into_owned()).collect();
            let is_path = values.iter().any(|value| value.starts_with("file:"));
            let name = id.as_str().replace('_', "-");
            (!is_path && !values.is_empty()).then_some((name, values))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn expand(content: &str, more: &[&str]) -> anyhow::Result<Vec<String>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.toml");
        std::fs::write(&path, content).unwrap();
        let mut arguments: Vec<OsString> = vec!["umid".into(), "audit".into(), "--config".into()];
        arguments.push(path.into());
        arguments.extend(more.iter().map(OsString::from));
        let all = expanded(arguments, &Cli::command())?;
        let own = all.iter().position(|a| a == "--config").unwrap();
        Ok(all[2..own].iter().map(|a| a.to_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn a_file_gives_options_and_the_command_line_takes_their_place() {
        let content = "alpha = 0.1\ntemplate = [\"a {}\", \"{} b\"]\nno_split = true\nredact = false\n\
                       seed = 7\nmodel = \"openai/clip\"\n";
        assert_eq!(
            expand(content, &[]).unwrap(),
            [
                "--alpha=0.1",
                "--model=openai/clip",
                "--no-split",
                "--seed=7",
                "--template=a {}",
                "--template={} b"
            ]
        );
        let left = expand(content, &["--template", "c {}", "--alpha=0.2"]).unwrap();
        assert_eq!(left, ["--model=openai/clip", "--no-split", "--seed=7"]);
    }

    #[test]
    fn what_is_no_option_or_of_another_kind_is_named_with_its_line() {
        for (content, expected) in [
            ("alpha = 0.1\nalhpa = 0.2\n", "line 2: `alhpa` is no option of audit"),
            ("\nseed = [1, 2]\n", "line 2: `seed` takes one value, and 2 are given"),
            ("no-split = 3\n", "`no-split` takes true or false"),
            ("[audit]\nseed = 1\n", "line 1: the value of `audit`"),
            ("seed = \n", "is not TOML"),
            ("config = \"other.toml\"\n", "`config` is no option"),
            ("{}", "no run.json"),
            ("{\"options\": {\"seed\": 3}}", "`options.seed` is no list of texts"),
        ] {
            let error = format!("{:#}", expand(content, &[]).unwrap_err());
            assert!(error.contains(expected), "{content}: {error}");
        }
    }

    #[test]
    fn a_run_gives_what_it_was_given_and_no_path() {
        let matches = Cli::command().try_get_matches_from([
            "umid",
            "audit",
            "--model",
            "/secret/m",
            "--queries",
            "/secret/q",
            "--out",
            "/secret/o",
            "--seed",
            "3",
            "--template",
            "a {}",
            "--template",
            "{} b",
            "--no-split",
            "--reference",
            "file:/secret/r",
            "--config",
            "/secret/c",
        ]);
        let matches = matches.unwrap();
        let command = Cli::command();
        let (name, own) = matches.subcommand().unwrap();
        let kept = kept(own, command.find_subcommand(name).unwrap());
        let kept = serde_json::to_string(&serde_json::json!({ "options": kept })).unwrap();
        assert!(!kept.contains("secret"), "{kept}");
        assert_eq!(
            expand(&kept, &[]).unwrap(),
            ["--no-split", "--seed=3", "--template=a {}", "--template={} b"]
        );
    }
}
