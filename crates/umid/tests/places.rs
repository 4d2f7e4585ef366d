//! Where a model may lie: the hub's cache, a file; and files that would do harm, which end with exit
//! code 2 and in little memory.

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{Bench, fixture, succeed, umid};
use serde_json::Value;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// Memory of a process that opens a hostile file, in KiB: the program itself reserves most of it.
const MEMORY_KIB: usize = 2 << 20;

/// A fixture as the hub's cache holds it: blobs, and a snapshot of symbolic links.
fn cached(cache: &Path, repository: &str, case: &str) {
    let folder = cache.join(format!("models--{}", repository.replace('/', "--")));
    let snapshot = folder.join("snapshots").join(COMMIT);
    for path in [&folder.join("blobs"), &folder.join("refs"), &snapshot] {
        std::fs::create_dir_all(path).unwrap();
    }
    std::fs::write(folder.join("refs/main"), COMMIT).unwrap();
    for (number, entry) in std::fs::read_dir(fixture(case)).unwrap().enumerate() {
        let path = entry.unwrap().path();
        let blob = format!("{number:064x}");
        std::fs::copy(&path, folder.join("blobs").join(&blob)).unwrap();
        let link = snapshot.join(path.file_name().unwrap());
        std::os::unix::fs::symlink(Path::new("../../blobs").join(blob), link).unwrap();
    }
}

fn inspect(cache: &Path, model: &str) -> Command {
    let mut command = umid();
    command.env("HF_HUB_CACHE", cache).current_dir(cache).args(["inspect", "--json", model]);
    command
}

fn refused(output: &Output, parts: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    for part in parts {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}

#[test]
fn a_repository_in_the_cache_is_opened_by_its_name() {
    let cache = tempfile::tempdir().unwrap();
    for case in ["hf-bin-sharded", "openclip-gelu"] {
        let name = format!("some-org/{case}");
        cached(cache.path(), &name, case);
        let inspected = |model: &str| -> Value {
            let output = succeed(&mut inspect(cache.path(), model));
            serde_json::from_slice(&output.stdout).unwrap()
        };
        let directory = inspected(fixture(case).to_str().unwrap());
        for model in [name.clone(), format!("{name}@main"), format!("{name}@{COMMIT}")] {
            let found = inspected(&model);
            assert_eq!(found["name"], model);
            assert_eq!(found["digest"], directory["digest"], "{model}");
            assert_eq!(found["provenance"], directory["provenance"], "{model}");
        }
    }
}

#[test]
fn a_model_is_audited_by_its_name() {
    let cache = tempfile::tempdir().unwrap();
    cached(cache.path(), "some-org/some-clip", "openclip-gelu");
    let bench = Bench { model: "some-org/some-clip".into(), ..Bench::new(3) };
    succeed(bench.audit("out").env("HF_HUB_CACHE", cache.path()));
    let run: Value =
        serde_json::from_slice(&std::fs::read(bench.path("out/run.json")).unwrap()).unwrap();
    assert_eq!(run["counts"]["done"], 3, "{run}");
    assert!(bench.path("out/report.html").is_file());
}

#[test]
fn a_repository_that_is_not_in_the_cache_is_not_downloaded() {
    let cache = tempfile::tempdir().unwrap();
    let output = inspect(cache.path(), "some-org/some-clip").output().unwrap();
    refused(&output, &["`hf download some-org/some-clip`", "nothing is downloaded"]);
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0);
    let output = inspect(cache.path(), "./some-org/some-clip").output().unwrap();
    refused(&output, &["there is nothing at ./some-org/some-clip"]);
}

/// A path wins over a name of the hub.
#[test]
fn a_path_of_the_form_of_a_name_is_a_path() {
    let cache = tempfile::tempdir().unwrap();
    cached(cache.path(), "some-org/some-clip", "openclip-gelu");
    std::fs::create_dir_all(cache.path().join("some-org/some-clip")).unwrap();
    let output = inspect(cache.path(), "some-org/some-clip").output().unwrap();
    refused(&output, &["some-org/some-clip holds neither"]);
}

#[test]
fn the_activation_is_given_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = fixture("openclip-training").join("epoch_1.pt");
    let mut command = inspect(folder.path(), file.to_str().unwrap());
    let output = succeed(command.args(["--activation", "quick-gelu"]));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let assumed = told["provenance"]["assumed"].to_string();
    assert!(assumed.contains("quick_gelu (as given)"), "{assumed}");
    let directory = fixture("openclip-gelu");
    let mut command = inspect(folder.path(), directory.to_str().unwrap());
    refused(&command.args(["--activation", "gelu"]).output().unwrap(), &["the activation of"]);
}

/// The program under a limit of memory.
fn limited(file: &Path) -> Output {
    let script = format!("ulimit -v {MEMORY_KIB}; exec \"$0\" inspect \"$1\"");
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_umid")).arg(file).output().unwrap()
}

#[test]
fn hostile_files_end_with_an_error_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let magic =
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    let mark = folder.path().join("executed");
    let shell = format!("\x02cposix\nsystem\nX\u{40}\0\0\0{:<64}\u{0}", mark.display());
    let mut memos = b"\x80\x02N".to_vec();
    memos.extend((0..1_000_000_u32).flat_map(|i| [vec![b'r'], i.to_le_bytes().to_vec()].concat()));
    let mut tuples = b"\x80\x02N".to_vec();
    tuples.extend([b'\x85'; 1_000]);
    let mut lists = b"\x80\x02".to_vec();
    lists.extend(vec![b']'; 20_000_000]);
    let cases: [(&str, Vec<u8>, &str); 4] = [
        ("shell", [b"\x80", shell.as_bytes()].concat(), "posix.system"),
        ("memos", memos, "memo entries"),
        ("tuples", tuples, "tuples"),
        ("lists", lists, "operations"),
    ];
    for (name, pickle, expected) in cases {
        let file = folder.path().join(format!("{name}.pt"));
        std::fs::write(&file, [magic.as_slice(), &pickle].concat()).unwrap();
        refused(&limited(&file), &[expected]);
    }
    assert!(!mark.exists());
    // The limit is one that a whole model stays under.
    let whole = limited(&fixture("openclip-training").join("epoch_1.pt"));
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
}
