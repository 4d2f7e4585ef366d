//! What makes two runs the same run: model, parameters, queries and references. Where they
//! are computed, by which version and in what time may change between resumptions.

use std::fmt;

use serde_json::{Value, json};

use crate::record::{ReferenceInfo, RunInfo};
use crate::shown::shown;

/// One setting in which two runs differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The setting, such as `parameters.restarts`.
    pub field: String,
    /// Its value in the directory.
    pub stored: String,
    /// Its value in the run that was asked for.
    pub asked: String,
}

impl Difference {
    /// The differences in one line.
    pub(crate) fn list(differences: &[Self]) -> String {
        differences.iter().map(Self::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {} there and {} here", self.field, self.stored, self.asked)
    }
}

/// Where `asked` is another run than `stored`.
pub(super) fn differences(stored: &RunInfo, asked: &RunInfo) -> Vec<Difference> {
    let mut found = Vec::new();
    let (mut stored_identity, asked_identity) = (identity(stored), identity(asked));
    if stored.parameters.redact != asked.parameters.redact {
        // The digest is under the run's key in a redacted run alone; comparing them would
        // report other queries where there are none.
        stored_identity["queries_digest"] = asked_identity["queries_digest"].clone();
    }
    compare("", &stored_identity, &asked_identity, &mut found);
    found
}

fn identity(info: &RunInfo) -> Value {
    let reference = |reference: &ReferenceInfo| json!(reference.digest);
    json!({
        "schema_version": info.schema_version,
        "model": { "digest": info.model.digest },
        "parameters": info.parameters,
        "queries_digest": info.queries_digest,
        "paper_reference": info.paper_reference.as_ref().map(reference),
        "calibrated_reference": reference(&info.calibrated_reference),
        "known_members": info.known_members.as_ref().map_or("none", |known| &known.digest),
    })
}

fn compare(field: &str, stored: &Value, asked: &Value, found: &mut Vec<Difference>) {
    if let (Value::Object(stored), Value::Object(asked)) = (stored, asked) {
        for key in stored.keys().chain(asked.keys().filter(|key| !stored.contains_key(*key))) {
            let inner = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
            let [stored, asked] =
                [stored, asked].map(|object| object.get(key).unwrap_or(&Value::Null));
            compare(&inner, stored, asked, found);
        }
    } else if stored != asked {
        let [stored, asked] = [stored, asked].map(|value| shown(&value.to_string()));
        found.push(Difference { field: field.to_owned(), stored, asked });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::KnownMembersInfo;
    use crate::store::tests::{info, queries};

    fn fields(edit: impl FnOnce(&mut RunInfo)) -> Vec<String> {
        let stored = info(&queries(2));
        let mut asked = stored.clone();
        edit(&mut asked);
        differences(&stored, &asked).into_iter().map(|difference| difference.field).collect()
    }

    #[test]
    fn everything_that_decides_a_result_is_compared() {
        assert!(fields(|_| ()).is_empty());
        assert_eq!(fields(|i| i.schema_version += 1), ["schema_version"]);
        assert_eq!(fields(|i| i.model.digest = "x".into()), ["model.digest"]);
        assert_eq!(fields(|i| i.parameters.seed += 1), ["parameters.seed"]);
        assert_eq!(fields(|i| i.parameters.alpha = 0.01), ["parameters.alpha"]);
        assert_eq!(
            fields(|i| {
                i.parameters.calibrated_signals.clear();
                i.parameters.calibrated_signals.insert("new".into(), 1.0);
            }),
            ["parameters.calibrated_signals.interaction", "parameters.calibrated_signals.new"]
        );
        assert_eq!(fields(|i| i.queries_digest = "x".into()), ["queries_digest"]);
        assert_eq!(fields(|i| i.paper_reference = None), ["paper_reference"]);
        assert_eq!(
            fields(|i| i.calibrated_reference.digest = "x".into()),
            ["calibrated_reference"]
        );
        let known = |digest: &str| {
            Some(KnownMembersInfo {
                count: 30,
                digest: digest.to_owned(),
                asked: 0,
                scores: vec![],
            })
        };
        assert_eq!(fields(|i| i.known_members = known("k")), ["known_members"]);
        let redacted = |i: &mut RunInfo| {
            i.parameters.redact = true;
            i.queries_digest = "blinded".into();
        };
        assert_eq!(fields(redacted), ["parameters.redact"]);
    }

    #[test]
    fn what_decides_no_result_is_not() {
        assert!(
            fields(|i| {
                i.device = "cuda".into();
                i.umid_version = "9".into();
                i.counts.done = 1;
                i.wall_s.insert("load".into(), 3.0);
                i.warnings.push("w".into());
                i.calibrated_reference.signals.clear();
            })
            .is_empty()
        );
    }

    #[test]
    fn other_known_members_are_another_run_and_what_was_fitted_on_them_is_not_compared() {
        let with = |digest: &str| {
            let mut info = info(&queries(2));
            let digest = digest.to_owned();
            info.known_members =
                Some(KnownMembersInfo { count: 30, digest, asked: 0, scores: vec![] });
            info
        };
        let list = Difference::list(&differences(&with("a"), &with("b")));
        assert_eq!(list, "known_members is \"a\" there and \"b\" here");
        let list = Difference::list(&differences(&info(&queries(2)), &with("b")));
        assert_eq!(list, "known_members is \"none\" there and \"b\" here");
        let mut fitted = with("a");
        fitted.known_members.as_mut().unwrap().scores.push(crate::report::fixture::fitted_score());
        assert!(differences(&with("a"), &fitted).is_empty());
    }

    #[test]
    fn the_list_says_both_values() {
        let stored = info(&queries(2));
        let mut asked = stored.clone();
        asked.parameters.restarts = 8;
        let list = Difference::list(&differences(&stored, &asked));
        assert_eq!(list, "parameters.restarts is 4 there and 8 here");
    }
}
