//! Repositories of a model hub in the user's local cache. Nothing is downloaded.
//!
//! Reference: huggingface_hub, `constants.py` (where the cache is) and `file_download.py` (how it
//! is laid out): `models--ORG--NAME/refs/REVISION` holds a commit, and `snapshots/COMMIT/` the
//! repository's files, as symbolic links.

use std::path::{Path, PathBuf};

use crate::{ModelError, Result};

/// The revision that a name without one means.
const MAIN: &str = "main";

/// `ORG/NAME` or `ORG/NAME@REVISION`.
struct Repository<'a> {
    organisation: &'a str,
    name: &'a str,
    revision: Option<&'a str>,
}

impl<'a> Repository<'a> {
    /// `None` if it does not have the form of a repository's name.
    fn parse(text: &'a str) -> Option<Self> {
        let (repository, revision) = match text.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision)),
            None => (text, None),
        };
        let (organisation, name) = repository.split_once('/')?;
        let revisions = revision.into_iter().flat_map(|revision| revision.split('/'));
        let mut parts = [organisation, name].into_iter().chain(revisions);
        let plain = |part: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
        };
        parts.all(plain).then_some(Self { organisation, name, revision })
    }

    /// The command that downloads it.
    fn download(&self) -> String {
        let Self { organisation, name, revision } = self;
        let revision = revision.map(|r| format!(" --revision {r}")).unwrap_or_default();
        format!("hf download {organisation}/{name}{revision}")
    }
}

/// The directory of a repository's files, if the text has the form of a repository's name.
///
/// # Errors
///
/// [`ModelError::NotInCache`] and [`ModelError::Io`].
pub(super) fn snapshot(text: &str) -> Result<Option<PathBuf>> {
    let Some(repository) = Repository::parse(text) else { return Ok(None) };
    let cache = cache(|name| std::env::var_os(name).map(PathBuf::from));
    snapshot_in(&cache, text, &repository).map(Some)
}

/// The directory of a hub repository `ORG/NAME` or `ORG/NAME@REVISION` in the local cache, if it is
/// there.
pub fn cached_repository(name: &str) -> Option<PathBuf> {
    snapshot(name).ok().flatten()
}

fn snapshot_in(cache: &Path, text: &str, repository: &Repository) -> Result<PathBuf> {
    let missing = || ModelError::NotInCache {
        name: text.to_owned(),
        cache: cache.to_owned(),
        command: repository.download(),
    };
    let Repository { organisation, name, revision } = repository;
    let folder = cache.join(format!("models--{organisation}--{name}"));
    let revision = revision.unwrap_or(MAIN);
    let reference = folder.join("refs").join(revision);
    let commit = match std::fs::read_to_string(&reference) {
        Ok(commit) => commit.trim().to_owned(),
        // A revision may be the commit itself.
        Err(_) => revision.to_owned(),
    };
    // What a file of the cache says is not followed out of it.
    let is_hash = !commit.is_empty() && commit.chars().all(|c| c.is_ascii_hexdigit());
    let directory = folder.join("snapshots").join(&commit);
    if is_hash && directory.is_dir() { Ok(directory) } else { Err(missing()) }
}

/// A file of the first of these repositories that the cache has it of, on their main branches. A
/// name without an organisation is one of the hub's oldest repositories.
pub(crate) fn cached_file(repositories: &[&str], file: &str) -> Option<PathBuf> {
    let cache = cache(|name| std::env::var_os(name).map(PathBuf::from));
    cached_file_in(&cache, repositories, file)
}

fn cached_file_in(cache: &Path, repositories: &[&str], file: &str) -> Option<PathBuf> {
    repositories.iter().find_map(|name| {
        let folder = cache.join(format!("models--{}", name.replace('/', "--")));
        let commit = std::fs::read_to_string(folder.join("refs").join(MAIN)).ok()?;
        let commit = commit.trim();
        let is_hash = !commit.is_empty() && commit.chars().all(|c| c.is_ascii_hexdigit());
        let path = folder.join("snapshots").join(commit).join(file);
        (is_hash && path.is_file()).then_some(path)
    })
}

/// Where the cache is, by the environment.
fn cache(variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    let given = |name: &str| variable(name).filter(|path| !path.as_os_str().is_empty());
    given("HF_HUB_CACHE")
        .or_else(|| given("HUGGINGFACE_HUB_CACHE"))
        .or_else(|| Some(given("HF_HOME")?.join("hub")))
        .or_else(|| Some(given("XDG_CACHE_HOME")?.join("huggingface/hub")))
        .or_else(|| Some(given("HOME")?.join(".cache/huggingface/hub")))
        .unwrap_or_else(|| PathBuf::from(".cache/huggingface/hub"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn only_names_of_repositories_are_looked_up() {
        for name in ["org/name", "org/name@main", "org/name@refs/pr/1", "a-b/c_d.e@v1.0"] {
            assert!(Repository::parse(name).is_some(), "{name}");
        }
        for path in [
            "name",
            "/org/name",
            "./org",
            "../name",
            "a/b/c",
            "org/",
            "/",
            "",
            "org/..",
            "org/name@",
            "org/name@../x",
            "org/name@a//b",
            "o rg/name",
        ] {
            assert!(Repository::parse(path).is_none(), "{path}");
        }
    }

    #[test]
    fn a_file_is_found_by_either_name_of_its_repository() {
        let cache = tempfile::tempdir().expect("a folder");
        let names = ["roberta-base", "FacebookAI/roberta-base"];
        assert_eq!(cached_file_in(cache.path(), &names, "tokenizer.json"), None);
        for folder in ["models--FacebookAI--roberta-base", "models--roberta-base"] {
            let folder = cache.path().join(folder);
            let snapshot = folder.join("snapshots").join(COMMIT);
            std::fs::create_dir_all(&snapshot).expect("a folder");
            std::fs::create_dir_all(folder.join("refs")).expect("a folder");
            std::fs::write(folder.join("refs/main"), COMMIT).expect("a reference");
            assert_ne!(
                cached_file_in(cache.path(), &names, "tokenizer.json"),
                Some(snapshot.join("tokenizer.json"))
            );
            std::fs::write(snapshot.join("tokenizer.json"), "{}").expect("a tokenizer");
            let found = cached_file_in(cache.path(), &names, "tokenizer.json");
            assert_eq!(found, Some(snapshot.join("tokenizer.json")));
        }
    }

    #[test]
    fn the_environment_says_where_the_cache_is() {
        let found = |set: &[(&str, &str)]| {
            cache(|name| set.iter().find(|(n, _)| *n == name).map(|(_, v)| PathBuf::from(v)))
        };
        let home = ("HOME", "/home/ada");
        assert_eq!(found(&[home]), Path::new("/home/ada/.cache/huggingface/hub"));
        assert_eq!(found(&[home, ("HF_HOME", "/hf")]), Path::new("/hf/hub"));
        assert_eq!(found(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/hf")]), Path::new("/c"));
        assert_eq!(found(&[home, ("HF_HOME", "")]), Path::new("/home/ada/.cache/huggingface/hub"));
    }

    #[test]
    fn a_snapshot_is_found_by_branch_and_by_commit() {
        let cache = tempfile::tempdir().expect("a folder");
        let folder = cache.path().join("models--org--name");
        let snapshot = folder.join("snapshots").join(COMMIT);
        std::fs::create_dir_all(&snapshot).expect("a folder");
        std::fs::create_dir_all(folder.join("refs/refs/pr")).expect("a folder");
        std::fs::write(folder.join("refs/main"), COMMIT).expect("a reference");
        std::fs::write(folder.join("refs/refs/pr/1"), format!("{COMMIT}\n")).expect("a reference");
        std::fs::write(folder.join("refs/evil"), "../../../..").expect("a reference");
        let found =
            |text: &str| snapshot_in(cache.path(), text, &Repository::parse(text).expect("a name"));
        for name in
            ["org/name".to_owned(), format!("org/name@{COMMIT}"), "org/name@refs/pr/1".to_owned()]
        {
            assert_eq!(found(&name).expect("a snapshot"), snapshot, "{name}");
        }
        for (name, command) in [
            ("org/name@evil", "hf download org/name --revision evil"),
            ("org/name@other", "hf download org/name --revision other"),
            ("org/another", "`hf download org/another`"),
        ] {
            let error = found(name).expect_err(name);
            assert!(matches!(error, ModelError::NotInCache { .. }), "{error:?}");
            assert!(error.to_string().contains(command), "{error}");
        }
    }
}
