//! Suites of public targets, which are not part of this repository: what they are, where they
//! are published, and what of them is at hand.

#![expect(
    clippy::format_push_string,
    reason = "a listing is short; `+=` reads better than `write!` with a discarded result"
)]

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::suites::{Suite, workspace_root};

/// A target that somebody else published.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name of the target.
    pub name: String,
    /// Where it is published, and who says so.
    pub published: String,
    /// What its members are.
    pub members: String,
    /// Files that an audit needs: what they are, and where the user puts them, relative to
    /// `datasets/public`.
    pub files: Vec<ManifestFile>,
    /// The commands that then audit it.
    pub commands: Vec<String>,
    /// What of it this project cannot use, and why.
    #[serde(default)]
    pub limits: String,
}

/// A file of a public target.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Place under `datasets/public`.
    pub path: String,
    /// What it is.
    pub what: String,
}

/// What is there and what is missing, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The words.
    pub text: String,
    /// How many targets have all their files.
    pub complete: usize,
}

/// Where the files of public targets are expected.
pub fn folder() -> PathBuf {
    workspace_root().join("datasets/public")
}

/// Lists what is there and what is missing.
pub fn list(suite: &Suite) -> Listing {
    let root = folder();
    let mut listing = Listing { text: format!("{}\n\n", suite.about.trim()), complete: 0 };
    for manifest in &suite.manifests {
        let complete = manifest.files.iter().all(|file| root.join(&file.path).exists());
        listing.complete += usize::from(complete);
        listing.text += &manifest.text(&root, complete);
    }
    listing
}

impl Manifest {
    fn text(&self, root: &Path, complete: bool) -> String {
        let Self { name, published, members, limits, .. } = self;
        let mut text = format!("{name}\n  published: {published}\n  members:   {members}\n");
        if !limits.is_empty() {
            text += &format!("  limits:    {limits}\n");
        }
        for file in &self.files {
            let path = root.join(&file.path);
            let state = if path.exists() { "found  " } else { "MISSING" };
            text += &format!("  {state} {} ({})\n", path.display(), file.what);
        }
        let heading = if complete { "audit it with" } else { "once complete, audit it with" };
        text += &format!("  {heading}:\n");
        for command in &self.commands {
            text += &format!("    {command}\n");
        }
        text + "\n"
    }
}
