//! Suites of public targets, which are not part of this repository: what they are, where they
//! are published, and what of them is at hand.

use std::path::Path;

use anyhow::ensure;
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

/// Lists what is there and what is missing. Fails where nothing is complete.
pub fn list(suite: &Suite) -> anyhow::Result<()> {
    let root = workspace_root().join("datasets/public");
    println!("{}\n", suite.about.trim());
    let mut complete = 0;
    for manifest in &suite.manifests {
        complete += usize::from(show(manifest, &root));
    }
    ensure!(
        complete > 0,
        "no public target is complete; put the missing files in their places under {}",
        root.display()
    );
    Ok(())
}

fn show(manifest: &Manifest, root: &Path) -> bool {
    println!("{}", manifest.name);
    println!("  published: {}", manifest.published);
    println!("  members:   {}", manifest.members);
    if !manifest.limits.is_empty() {
        println!("  limits:    {}", manifest.limits);
    }
    let mut complete = true;
    for file in &manifest.files {
        let there = root.join(&file.path).exists();
        complete &= there;
        let state = if there { "found  " } else { "MISSING" };
        println!("  {state} {} ({})", root.join(&file.path).display(), file.what);
    }
    let heading = if complete { "audit it with" } else { "once complete, audit it with" };
    println!("  {heading}:");
    for command in &manifest.commands {
        println!("    {command}");
    }
    println!();
    complete
}
