//! Which cells a suite asks for.

use std::iter;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::methods::{self, Method, Needs};
use crate::suites::{Role, Suite, Target};

/// Layout of cells. A change of it measures everything again.
const LAYOUT: u32 = 1;

/// A method that a suite runs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The method's name.
    pub method: String,
    /// What tells this run from others of the method, such as `steps 50`.
    #[serde(default)]
    pub variant: String,
    /// What is varied, for the table of ablations, such as `steps`.
    #[serde(default)]
    pub ablation: Option<String>,
    /// Names of targets; all but the demo, the shadows and those of `except` where none are
    /// given.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Targets that are left out.
    #[serde(default)]
    pub except: Vec<String>,
    /// The method's settings.
    #[serde(default)]
    pub set: toml::Table,
}

/// A cell to be measured.
pub struct Planned {
    /// The target.
    pub target: Target,
    /// What is run on it.
    pub run: Run,
    /// Digest of everything that the outcome depends on.
    pub key: String,
}

impl Planned {
    /// Such as `alpha-100 inversion (steps 50)`.
    pub fn title(&self) -> String {
        title(&self.target.name, &self.run.method, &self.run.variant)
    }

    /// Names of the targets without which it cannot be measured.
    pub fn needs(&self, suite: &Suite) -> Vec<String> {
        let shadows = match self.method() {
            Ok(method) if (method.needs)(&self.run.set) == Needs::Shadows => {
                suite.shadows(&self.target)
            }
            _ => Vec::new(),
        };
        iter::once(&self.target).chain(&shadows).map(|target| target.name.clone()).collect()
    }

    /// The method.
    pub fn method(&self) -> crate::Result<&'static Method> {
        methods::by_name(&self.run.method)
    }
}

/// Such as `alpha-100 inversion (steps 50)`.
pub fn title(target: &str, method: &str, variant: &str) -> String {
    match variant {
        "" => format!("{target} {method}"),
        variant => format!("{target} {method} ({variant})"),
    }
}

/// The cells of a suite, target by target, so that what methods share is computed once; ablations,
/// which share nothing, come after all others.
pub fn plan(suite: &Suite) -> crate::Result<Vec<Planned>> {
    for run in &suite.runs {
        let method = methods::by_name(&run.method)?;
        method.check(&run.set).map_err(|source| {
            let run = match run.variant.as_str() {
                "" => run.method.clone(),
                variant => format!("{} ({variant})", run.method),
            };
            Error::Run { run, source: Box::new(source) }
        })?;
        for name in run.targets.iter().chain(&run.except) {
            let known = suite.targets.iter().any(|target| target.name == *name);
            if !known {
                let (method, target) = (run.method.clone(), name.clone());
                return Err(Error::RunTarget { method, target });
            }
        }
    }
    let mut cells: Vec<Planned> = Vec::new();
    let ablations = [false, true];
    for (ablation, target) in
        ablations.iter().flat_map(|a| suite.targets.iter().map(move |t| (a, t)))
    {
        let runs = suite.runs.iter().filter(|run| run.ablation.is_some() == *ablation);
        for run in runs.filter(|run| asks_for(run, target)) {
            let method = methods::by_name(&run.method)?;
            if target.foreign.is_some() && (method.needs)(&run.set) != Needs::Names {
                let (method, target) = (method.name, target.name.clone());
                return Err(Error::NamesAlone { method, target });
            }
            let key = key(suite, target, run)?;
            let title = title(&target.name, &run.method, &run.variant);
            if cells.iter().any(|cell| cell.title() == title) {
                return Err(Error::RepeatedCell { title });
            }
            cells.push(Planned { target: target.clone(), run: run.clone(), key });
        }
    }
    Ok(cells)
}

fn asks_for(run: &Run, target: &Target) -> bool {
    if run.except.contains(&target.name) {
        return false;
    }
    if run.targets.is_empty() {
        return !matches!(target.role, Role::Demo | Role::Shadow);
    }
    run.targets.contains(&target.name)
}

fn key(suite: &Suite, target: &Target, run: &Run) -> crate::Result<String> {
    #[derive(Serialize)]
    struct Content<'a> {
        layout: u32,
        version: &'a str,
        recipe: String,
        method: &'a str,
        definition: String,
        shadows: Vec<String>,
        settings: &'a toml::Table,
    }
    let method = methods::by_name(&run.method)?;
    let shadows = match (method.needs)(&run.set) {
        Needs::Shadows => suite.shadows(target),
        Needs::Names | Needs::People => Vec::new(),
    };
    let content = Content {
        layout: LAYOUT,
        version: env!("CARGO_PKG_VERSION"),
        recipe: origin(target),
        method: &run.method,
        definition: (method.definition)(),
        shadows: shadows.iter().map(origin).collect(),
        settings: &run.set,
    };
    let hash = blake3::hash(&serde_json::to_vec(&content)?);
    Ok(hash.to_hex()[..24].to_owned())
}

/// What a target follows from: its recipe or, of a foreign one, its files.
fn origin(target: &Target) -> String {
    match (&target.foreign, target.recipe()) {
        (Some(foreign), _) => foreign.fingerprint(),
        (None, recipe) => recipe.map(|recipe| format!("{recipe:?}")).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::chain;

    fn suite(runs: &str) -> Suite {
        let text = format!(
            "about = \"\"\n[[target]]\nname = \"a\"\nrole = \"test\"\nseed = 1\n[[target]]\n\
             name = \"b\"\nrole = \"test\"\nseed = 2\n{runs}"
        );
        toml::from_str(&text).unwrap()
    }

    fn titles(runs: &str) -> Vec<String> {
        plan(&suite(runs)).unwrap().iter().map(Planned::title).collect()
    }

    fn refused(runs: &str, word: &str) {
        let error = chain(&plan(&suite(runs)).err().expect("an error"));
        assert!(error.contains(word), "{error}");
    }

    #[test]
    fn cells_come_target_by_target() {
        let runs = "[[run]]\nmethod = \"csa\"\n[[run]]\nmethod = \"blind\"\nexcept = [\"b\"]\n";
        assert_eq!(titles(runs), ["a csa", "a blind", "b csa"]);
    }

    #[test]
    fn a_key_follows_the_settings_and_the_target() {
        let keys = |set: &str| -> Vec<String> {
            let run = format!("[[run]]\nmethod = \"inversion\"\nset = {set}\n");
            plan(&suite(&run)).unwrap().into_iter().map(|cell| cell.key).collect()
        };
        let (plain, steps) = (keys("{}"), keys("{ steps = 7 }"));
        assert_eq!(plain, keys("{}"));
        assert_ne!(plain[0], plain[1]);
        assert_ne!(plain[0], steps[0]);
    }

    #[test]
    fn what_a_suite_gets_wrong_is_told_before_anything_runs() {
        refused("[[run]]\nmethod = \"nope\"\n", "no method \"nope\"");
        refused("[[run]]\nmethod = \"csa\"\nset = { steps = 1 }\n", "has no settings");
        refused("[[run]]\nmethod = \"inversion\"\nset = { stepz = 1 }\n", "stepz");
        refused("[[run]]\nmethod = \"inversion\"\nset = { steps = 0 }\n", "steps");
        refused("[[run]]\nmethod = \"csa\"\ntargets = [\"c\"]\n", "\"c\"");
        refused("[[run]]\nmethod = \"csa\"\n[[run]]\nmethod = \"csa\"\n", "stands twice");
    }

    #[test]
    fn a_foreign_target_is_asked_with_names_alone() {
        let foreign = "[[list]]\nname = \"people\"\nguide = \"g\"\npublished = \"p\"\nfiles = []\n\
                       [[target]]\nname = \"f\"\nrole = \"test\"\n\
                       foreign = { model = \"m\", list = \"people\" }\n";
        let plan_of = |run: &str| {
            let text = format!("about = \"\"\n{foreign}[[run]]\n{run}\n");
            plan(&Suite::parse(&text, "s.toml".into()).unwrap())
        };
        for run in [
            "method = \"csa\"",
            "method = \"lpla\"",
            "method = \"tuni\"",
            "method = \"calibrated\"\nset = { bank = 10 }",
        ] {
            let error = chain(&plan_of(run).err().expect("an error"));
            assert!(error.contains("foreign target f") && error.contains("`except`"), "{error}");
        }
        for run in ["method = \"calibrated\"", "method = \"inversion\"", "method = \"blind\""] {
            assert_eq!(plan_of(run).unwrap().len(), 1, "{run}");
        }
    }

    #[test]
    fn every_suite_can_be_planned() {
        for name in ["smoke", "clip", "clap", "crawl", "tuni", "real"] {
            assert!(!plan(&Suite::load(name).unwrap()).unwrap().is_empty(), "{name}");
        }
    }
}
