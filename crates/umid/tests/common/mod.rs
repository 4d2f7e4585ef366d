//! What the integration tests share: a tiny checkpoint, names that fit its context, and the
//! binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// First parts that are in no list of siblings.
const FIRST: [&str; 10] = ["Ana", "Bea", "Cid", "Dan", "Eva", "Fay", "Gil", "Hal", "Ida", "Jon"];
/// Last parts that are in no list of siblings.
const LAST: [&str; 10] = ["Ash", "Bly", "Cox", "Day", "Eck", "Fox", "Gay", "Hax", "Ivy", "Jax"];

/// Names of the reference: 40 of them calibrate.
pub const REFERENCE_NAMES: usize = 60;

/// A tiny random checkpoint.
pub fn fixture(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../umid-models/tests/fixtures").join(case)
}

/// The first `count` of a hundred distinct names of two short parts.
pub fn names(count: usize) -> Vec<String> {
    // Not row by row, so that parts vary along the list.
    let name = |i: usize| format!("{} {}", FIRST[i % 10], LAST[(i + i / 10) % 10]);
    (0..count).map(name).collect()
}

/// Names that are asked about; none is in [`reference`].
pub fn queries(count: usize) -> Vec<String> {
    names(REFERENCE_NAMES).iter().cycle().take(count).enumerate().map(other).collect()
}

fn other((i, name): (usize, &String)) -> String {
    let (first, last) = name.split_once(' ').expect("names have two parts");
    let letter = char::from(b'a' + (i / REFERENCE_NAMES) as u8);
    format!("{first}{letter} {last}o")
}

/// Names of the reference.
pub fn reference() -> Vec<String> {
    names(REFERENCE_NAMES)
}

/// Writes one name a line.
pub fn write_names(path: &Path, names: &[String]) {
    std::fs::write(path, names.join("\n") + "\n").expect("the directory is writable");
}

/// A directory with `queries.txt` and `reference.txt`.
pub struct Bench {
    pub dir: tempfile::TempDir,
    /// The checkpoint that is audited.
    pub model: PathBuf,
}

impl Bench {
    /// With `count` queries.
    pub fn new(count: usize) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        write_names(&dir.path().join("queries.txt"), &queries(count));
        write_names(&dir.path().join("reference.txt"), &reference());
        Self { dir, model: fixture("hf-quickgelu-legacy-eos") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `umid audit` into `out`: two templates, a small fixed reference, short inversions, no
    /// cache.
    pub fn audit(&self, out: &str) -> Command {
        self.audit_with_steps(out, 5)
    }

    /// [`Self::audit`] with longer inversions.
    pub fn audit_with_steps(&self, out: &str, steps: usize) -> Command {
        self.audit_with(out, 2, steps)
    }

    /// [`Self::audit`] with these restarts and steps.
    pub fn audit_with(&self, out: &str, restarts: usize, steps: usize) -> Command {
        let mut command = umid();
        command.arg("audit").arg("--model").arg(&self.model);
        command.arg("--queries").arg(self.path("queries.txt")).arg("--out").arg(self.path(out));
        command.args(["--template", "a {}", "--template", "{} in a photo"]);
        let file = format!("file:{}", self.path("reference.txt").display());
        command.args(["--reference", "gibberish:12", "--reference", &file]);
        command.args(["--siblings", "3", "--no-cache"]);
        command.arg("--restarts").arg(restarts.to_string());
        command.arg("--steps").arg(steps.to_string());
        command
    }
}

/// The binary under test.
pub fn umid() -> Command {
    Command::new(env!("CARGO_BIN_EXE_umid"))
}

/// Runs to the end.
pub fn output(command: &mut Command) -> Output {
    command.output().expect("the binary starts")
}

/// Runs to the end; the run must succeed.
#[track_caller]
pub fn succeed(command: &mut Command) -> Output {
    let output = output(command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}
