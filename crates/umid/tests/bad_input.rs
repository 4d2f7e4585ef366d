//! Bad input ends in exit code 2 with a message that says what to do, and changes nothing; a run
//! that began and failed ends in exit code 3.

mod common;
#[path = "common/snapshot.rs"]
mod snapshot;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{Bench, REFERENCE_NAMES, fixture, names, output, succeed, umid, write_names};
use snapshot::snapshot;

/// Few queries suffice: nothing is computed.
const QUERIES: usize = 5;

/// Runs `command`, which must be refused with exit code 2 and a message that has all of
/// `words`, and must leave every file below the bench as it was.
#[track_caller]
fn refused(bench: &Bench, command: &mut Command, words: &[&str]) {
    let before = snapshot(bench.dir.path());
    let Output { status, stdout, stderr } = output(command);
    let message = String::from_utf8(stderr).expect("messages are UTF-8");
    assert_eq!(status.code(), Some(2), "{message}");
    assert!(stdout.is_empty(), "{}", String::from_utf8_lossy(&stdout));
    for word in words {
        assert!(message.contains(word), "no `{word}` in: {message}");
    }
    assert!(!message.contains("panicked"), "{message}");
    assert!(before == snapshot(bench.dir.path()), "files were changed; {message}");
}

/// `umid audit` of the bench with another model or other queries.
fn audit_of(bench: &Bench, model: &Path, queries: &Path) -> Command {
    let mut command = umid();
    command.args(["audit", "--no-cache", "--template", "a {}", "--siblings", "3"]);
    command.arg("--model").arg(model).arg("--queries").arg(queries);
    command.arg("--out").arg(bench.path("out"));
    let file = format!("file:{}", bench.path("reference.txt").display());
    command.args(["--reference", &file, "--reference", "gibberish:12"]);
    command
}

fn good_model() -> PathBuf {
    fixture("hf-quickgelu-legacy-eos")
}

/// A copy of the good model that can be damaged.
fn copy_of_model(bench: &Bench) -> PathBuf {
    let copy = bench.path("model");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(good_model()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    copy
}

fn with_model(bench: &Bench, model: &Path) -> Command {
    audit_of(bench, model, &bench.path("queries.txt"))
}

fn with_queries(bench: &Bench, name: &str, content: &[u8]) -> Command {
    std::fs::write(bench.path(name), content).unwrap();
    audit_of(bench, &good_model(), &bench.path(name))
}

#[test]
fn missing_model_directory() {
    let bench = Bench::new(QUERIES);
    let mut command = with_model(&bench, &bench.path("nowhere"));
    refused(
        &bench,
        &mut command,
        &["there is nothing at", "nowhere", "give a checkpoint's directory"],
    );
}

#[test]
fn directory_without_a_model() {
    let bench = Bench::new(QUERIES);
    std::fs::create_dir(bench.path("empty")).unwrap();
    let mut command = with_model(&bench, &bench.path("empty"));
    refused(&bench, &mut command, &["config.json", "download the whole repository"]);
}

#[test]
fn truncated_safetensors() {
    let bench = Bench::new(QUERIES);
    let model = copy_of_model(&bench);
    let weights = model.join("model.safetensors");
    let whole = std::fs::read(&weights).unwrap();
    for cut in [0, 4, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&weights, &whole[..cut]).unwrap();
        let mut command = with_model(&bench, &model);
        refused(&bench, &mut command, &["model.safetensors", "download it again"]);
    }
}

#[test]
fn header_that_claims_terabytes() {
    let bench = Bench::new(QUERIES);
    let model = copy_of_model(&bench);
    let weights = model.join("model.safetensors");
    let mut whole = std::fs::read(&weights).unwrap();
    whole[..8].copy_from_slice(&(1_u64 << 42).to_le_bytes());
    std::fs::write(&weights, &whole).unwrap();
    let mut command = with_model(&bench, &model);
    refused(&bench, &mut command, &["model.safetensors", "download it again"]);
}

#[test]
fn missing_tokenizer() {
    let bench = Bench::new(QUERIES);
    let model = copy_of_model(&bench);
    for file in ["tokenizer.json", "vocab.json", "merges.txt"] {
        std::fs::remove_file(model.join(file)).unwrap();
    }
    let mut command = with_model(&bench, &model);
    refused(&bench, &mut command, &["tokenizer.json", "copy it"]);
}

#[test]
fn configuration_that_is_not_json_or_lacks_a_key() {
    let bench = Bench::new(QUERIES);
    let model = copy_of_model(&bench);
    let config = model.join("config.json");
    let whole = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, &whole[..whole.len() / 2]).unwrap();
    refused(&bench, &mut with_model(&bench, &model), &["config.json", "copy the file again"]);
    std::fs::write(&config, whole.replace("\"text_config\"", "\"other\"")).unwrap();
    refused(&bench, &mut with_model(&bench, &model), &["config.json", "text_config"]);
}

#[test]
fn missing_and_empty_queries() {
    let bench = Bench::new(QUERIES);
    let mut command = audit_of(&bench, &good_model(), &bench.path("absent.txt"));
    refused(&bench, &mut command, &["absent.txt", "check the path"]);
    let mut command = with_queries(&bench, "empty.txt", b"\n  \n");
    refused(&bench, &mut command, &["holds no names", "give at least one"]);
    let mut command = with_queries(&bench, "header.csv", b"id,text\n");
    refused(&bench, &mut command, &["holds no names", "give at least one"]);
}

#[test]
fn duplicate_ids() {
    let bench = Bench::new(QUERIES);
    let mut command = with_queries(&bench, "twice.csv", b"id,text\na,Ann Lee\nb,Bo Li\na,Cy Ma\n");
    refused(&bench, &mut command, &["`a`", "line 2", "line 4", "make ids"]);
}

#[test]
fn queries_that_are_not_utf8() {
    let bench = Bench::new(QUERIES);
    let mut command = with_queries(&bench, "latin1.txt", b"Ann Lee\nJos\xe9 Roe\n");
    refused(&bench, &mut command, &["not UTF-8", "line 2", "iconv"]);
}

#[test]
fn name_of_a_megabyte() {
    let bench = Bench::new(QUERIES);
    let mut command = with_queries(&bench, "long.txt", &vec![b'x'; 1 << 20]);
    refused(&bench, &mut command, &["1048576 bytes", "one name a line"]);
}

#[test]
fn query_longer_than_the_context() {
    let bench = Bench::new(QUERIES);
    let long = format!("Ann Lee\n{}\n", "Bartholomew ".repeat(8));
    let mut command = with_queries(&bench, "long.txt", long.as_bytes());
    refused(&bench, &mut command, &["query `2`", "the model reads 24", "shorten"]);
}

#[test]
fn reference_and_sibling_longer_than_the_context() {
    let bench = Bench::new(QUERIES);
    let mut long = common::reference();
    long[7] = "Bartholomew ".repeat(8);
    write_names(&bench.path("reference.txt"), &long);
    refused(&bench, &mut with_model(&bench, &good_model()), &["Bartholomew", "24", "shorte"]);

    write_names(&bench.path("reference.txt"), &common::reference());
    let parts = ["Aa", "Bb", "Bartholomewbartholomewbartholomew"].map(str::to_owned);
    write_names(&bench.path("siblings.txt"), &parts);
    let mut command = with_model(&bench, &good_model());
    command.arg("--sibling-first").arg(bench.path("siblings.txt"));
    command.arg("--sibling-last").arg(bench.path("siblings.txt"));
    refused(&bench, &mut command, &["sibling's part", "24", "--sibling-first"]);
}

#[test]
fn unknown_device() {
    let bench = Bench::new(QUERIES);
    refused(&bench, bench.audit("out").args(["--device", "tpu"]), &["`tpu`", "`cpu`"]);
}

#[test]
fn output_directory_of_another_run() {
    let bench = Bench::new(QUERIES);
    succeed(&mut bench.audit("out"));
    refused(&bench, bench.audit("out").args(["--seed", "7"]), &["seed", "another --out"]);
    refused(&bench, &mut bench.audit_with_steps("out", 6), &["steps", "another --out"]);
    let mut command = audit_of(&bench, &fixture("openclip-gelu"), &bench.path("queries.txt"));
    refused(&bench, &mut command, &["model.digest", "another --out"]);
    write_names(&bench.path("queries.txt"), &names(3));
    refused(&bench, &mut bench.audit("out"), &["queries_digest", "another --out"]);
}

#[test]
fn output_directory_with_something_else() {
    let bench = Bench::new(QUERIES);
    std::fs::create_dir(bench.path("out")).unwrap();
    std::fs::write(bench.path("out").join("thesis.tex"), "all of it").unwrap();
    refused(&bench, &mut bench.audit("out"), &["thesis.tex", "new or an empty one"]);
    std::fs::write(bench.path("file"), "a file").unwrap();
    refused(&bench, &mut bench.audit("file"), &["is a file", "give a directory"]);
}

#[test]
fn bad_template() {
    let bench = Bench::new(QUERIES);
    for (template, word) in
        [("a photo", "exactly one"), ("{} {}", "exactly one"), ("a {}", "twice")]
    {
        refused(
            &bench,
            bench.audit("out").args(["--template", template]),
            &["template", word, "try --template"],
        );
    }
}

#[test]
fn bad_reference() {
    let bench = Bench::new(QUERIES);
    let cases: [(&str, &[&str]); 5] = [
        ("nonsense", &["gibberish:N", "file:PATH"]),
        ("names:x", &["gibberish:N", "file:PATH"]),
        ("names:3", &["10 to"]),
        ("gibberish:40", &["two references", "once"]),
        ("names:40", &["two references", "once"]),
    ];
    for (spec, words) in cases {
        refused(&bench, bench.audit("out").args(["--reference", spec]), words);
    }
    std::fs::remove_file(bench.path("reference.txt")).unwrap();
    refused(&bench, &mut bench.audit("out"), &["reference file", "check the path"]);
}

#[test]
fn reference_too_small_to_calibrate() {
    let bench = Bench::new(QUERIES);
    write_names(&bench.path("reference.txt"), &names(20));
    refused(&bench, &mut bench.audit("out"), &["13 names", "at least 20", "names:30"]);

    // Enough names, too few of them of either form.
    let mut mixed = names(32);
    mixed[..16].iter_mut().for_each(|name| *name = name.replace(' ', ""));
    write_names(&bench.path("reference.txt"), &mixed);
    refused(
        &bench,
        &mut bench.audit("out"),
        &["names of one form", "at least 20", "--reference names:30"],
    );
}

#[test]
fn levels_and_numbers_out_of_range() {
    let bench = Bench::new(QUERIES);
    let cases: [(&[&str], &str); 9] = [
        (&["--alpha", "0"], "alpha"),
        (&["--alpha", "1"], "alpha"),
        (&["--alpha", "NaN"], "alpha"),
        (&["--fdr", "1.5"], "false discovery rate"),
        (&["--step", "NaN"], "step"),
        (&["--step", "0"], "step"),
        (&["--batch", "0"], "batch"),
        (&["--min-votes", "0"], "1 to 4"),
        (&["--min-votes", "5"], "1 to 4"),
    ];
    for (arguments, word) in cases {
        refused(&bench, bench.audit("out").args(arguments), &[word]);
    }
    refused(&bench, &mut bench.audit_with_steps("out", 0), &["steps", "at least 1"]);
}

#[test]
fn one_restart_which_has_no_variability() {
    let bench = Bench::new(QUERIES);
    refused(&bench, &mut bench.audit_with("out", 1, 5), &["variability", "at least 2"]);
}

#[test]
fn too_few_siblings() {
    let bench = Bench::new(QUERIES);
    let mut command = umid();
    command.args(["audit", "--siblings", "2", "--no-cache", "--template", "a {}"]);
    command.arg("--model").arg(good_model()).arg("--queries").arg(bench.path("queries.txt"));
    command.arg("--out").arg(bench.path("out"));
    refused(&bench, &mut command, &["2 siblings", "from 3"]);

    std::fs::write(bench.path("two.txt"), "Ann\nBo\nann\n").unwrap();
    let mut command = bench.audit("out");
    command.arg("--sibling-first").arg(bench.path("two.txt"));
    command.arg("--sibling-last").arg(bench.path("two.txt"));
    refused(&bench, &mut command, &["two.txt", "2 distinct names", "at least 3"]);
}

#[test]
fn bank_without_images() {
    let bench = Bench::new(QUERIES);
    std::fs::create_dir(bench.path("bank")).unwrap();
    let mut command = bench.audit("out");
    refused(&bench, command.arg("--bank").arg(bench.path("bank")), &["0 images", "at least 100"]);
    let mut command = bench.audit("out");
    refused(&bench, command.arg("--bank").arg(bench.path("no")), &["bank directory", "check the"]);
}

#[test]
fn one_tells_that_members_were_found_and_only_when_asked() {
    let bench = Bench::new(QUERIES);
    let code = |out: &str, arguments: &[&str]| {
        output(bench.audit(out).args(arguments)).status.code().unwrap()
    };
    // With 40 calibration names no p-value is below 1/41, and hardly all five are above 0.99.
    assert_eq!(code("strict", &["--fail-on-member", "--fdr", "0.001"]), 0);
    assert_eq!(code("lenient", &["--fail-on-member", "--fdr", "0.99"]), 1);
    assert_eq!(code("unasked", &["--fdr", "0.99"]), 0);
    assert_eq!(code("lenient", &["--fail-on-member", "--fdr", "0.99"]), 1);
}

#[test]
fn json_is_all_that_goes_to_standard_output() {
    let bench = Bench::new(QUERIES);
    let stdout = succeed(bench.audit("out").arg("--json")).stdout;
    let summary: serde_json::Value = serde_json::from_slice(&stdout).unwrap();
    assert_eq!(summary["queries"], QUERIES);
    assert!(Path::new(summary["report"].as_str().unwrap()).is_file());
    let run = std::fs::read(bench.path("out").join("run.json")).unwrap();
    let run: serde_json::Value = serde_json::from_slice(&run).unwrap();
    assert_eq!(run["counts"]["done"], QUERIES);
    assert_eq!(run["calibrated_reference"]["count"], REFERENCE_NAMES);
}

#[test]
fn quiet_is_quiet_and_usage_errors_of_the_parser_are_two() {
    let bench = Bench::new(QUERIES);
    assert!(succeed(bench.audit("out").arg("--quiet")).stderr.is_empty());
    assert_eq!(output(umid().arg("nonsense")).status.code(), Some(2));
    assert_eq!(output(umid().args(["audit", "--model", "x"])).status.code(), Some(2));
}

/// A run's directory is there before the bank is read, so this is a failed run.
#[test]
fn a_bank_image_that_does_not_decode_fails_the_run_that_began() {
    let bench = Bench::new(QUERIES);
    let bank = bench.path("bank");
    std::fs::create_dir(&bank).unwrap();
    for i in 0..105 {
        let image = image::RgbImage::from_pixel(3, 2, image::Rgb([i, 255 - i, 7]));
        image.save(bank.join(format!("{i:03}.png"))).unwrap();
    }
    std::fs::write(bank.join("071.png"), "no image").unwrap();
    let failed = output(bench.audit("out").arg("--bank").arg(&bank));
    let message = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(3), "{message}");
    for word in ["071.png", "0 finished records", "the same command resumes"] {
        assert!(message.contains(word), "no `{word}` in: {message}");
    }
    assert!(bench.path("out").join("run.json").is_file());
}

/// Every inversion overflows at its first step, which only the run itself finds out.
#[test]
fn inversions_that_fail_fail_the_run_that_began() {
    let bench = Bench::new(QUERIES);
    let mut command = bench.audit("out");
    let failed =
        output(command.args(["--optimiser", "gradient-ascent", "--step", "1e300", "--no-clamp"]));
    let message = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(3), "{message}");
    for word in ["0 of 12 gibberish texts gave finite inversions", "resumes", "--step 0.02"] {
        assert!(message.contains(word), "no `{word}` in: {message}");
    }
    assert!(bench.path("out").join("run.json").is_file());
}

#[test]
fn lists_that_spreadsheets_write() {
    let bench = Bench::new(QUERIES);
    let mut semicolons = with_queries(&bench, "semicolon.csv", b"id;text\n1;Jane Roe\n2;Ann Lee\n");
    succeed(semicolons.args(["--restarts", "0"]));
    let table = std::fs::read_to_string(bench.path("out").join("results.csv")).unwrap();
    assert!(table.contains("1,Jane Roe,") && table.contains("2,Ann Lee,"), "{table}");
    let mut rows = with_queries(&bench, "rows.txt", b"1;Jane Roe\n2;Ann Lee\n");
    refused(&bench, &mut rows, &["line 1", "`1;Jane Roe`", "header line"]);
    let utf16: Vec<u8> = "\u{feff}text\nJane\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut utf16 = with_queries(&bench, "utf16.csv", &utf16);
    refused(&bench, &mut utf16, &["UTF-16", "iconv -f UTF-16 -t UTF-8"]);
}

#[test]
fn names_with_invisible_characters() {
    let bench = Bench::new(QUERIES);
    for (name, code) in
        [("Ja\u{200b}ne Roe", "U+200B"), ("\u{202e}Jane", "U+202E"), ("\u{e0041}x", "U+E0041")]
    {
        let mut command =
            with_queries(&bench, "names.txt", format!("Ann Lee\n{name}\n").as_bytes());
        refused(&bench, &mut command, &["line 2", code, "remove it"]);
    }
    refused(&bench, bench.audit("out").args(["--template", "a\u{ad} {}"]), &["template", "U+00AD"]);
}

#[test]
fn values_that_are_taken_for_options_or_for_other_arguments() {
    let bench = Bench::new(QUERIES);
    let embed = || {
        let mut command = umid();
        command.arg("embed").arg("--model").arg(good_model());
        command
    };
    let words = ["a value that begins with a dash", "--text='-5 degrees'"];
    refused(&bench, embed().args(["--text", "-5 degrees"]), &words);
    succeed(embed().arg("--text=-5 degrees"));
    let words = ["'b.png'", "--image a.png --image b.png"];
    refused(&bench, embed().args(["--image", "a.png", "b.png"]), &words);
    let misspelt = output(embed().args(["--txt", "a"]));
    let message = String::from_utf8(misspelt.stderr).unwrap();
    assert!(message.contains("'--text'") && !message.contains("dash"), "{message}");
}

/// Standard output that is closed, or on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn output_that_nobody_takes_ends_in_a_documented_exit_code() {
    use std::fs::File;
    use std::process::Stdio;

    let bench = Bench::new(QUERIES);
    let embed = |model: &Path| {
        let mut command = umid();
        command.args(["embed", "--json", "--text", "a", "--text", "b", "--model"]).arg(model);
        command
    };
    let inspect = || {
        let mut command = umid();
        command.arg("inspect").arg(good_model());
        command
    };
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    let ended = |command: &mut Command| {
        let ended = command.output().unwrap();
        let message = String::from_utf8(ended.stderr).unwrap();
        assert!(!message.contains("panicked"), "{message}");
        (ended.status.code().unwrap(), message)
    };
    let mut detected = bench.audit("closed");
    detected.args(["--quiet", "--fail-on-member", "--fdr", "0.99"]);
    let mut help = umid();
    help.arg("--help");
    for (mut command, code) in [(embed(&good_model()), 0), (inspect(), 0), (help, 0), (detected, 1)]
    {
        assert_eq!(ended(command.stdout(closed())), (code, String::new()));
    }
    assert!(bench.path("closed").join("report.html").is_file());
    for command in [&mut embed(&good_model()), &mut inspect(), bench.audit("full").arg("--quiet")] {
        let (code, message) = ended(command.stdout(full()));
        assert_eq!(code, 3, "{message}");
        assert!(message.contains("cannot write to standard output"), "{message}");
    }
    assert!(bench.path("full").join("report.html").is_file());
    let mut nowhere = embed(Path::new("nowhere"));
    for silenced in [nowhere.stderr(full()).status(), nowhere.stderr(closed()).status()] {
        assert_eq!(silenced.unwrap().code(), Some(2));
    }
}

#[test]
fn what_a_file_manager_leaves_does_not_fill_an_output_directory() {
    let bench = Bench::new(QUERIES);
    std::fs::create_dir(bench.path("out")).unwrap();
    for left in [".DS_Store", "._report.html", "Thumbs.db", "desktop.ini"] {
        std::fs::write(bench.path("out").join(left), "left").unwrap();
    }
    succeed(&mut bench.audit("out"));
    std::fs::create_dir(bench.path("other")).unwrap();
    std::fs::write(bench.path("other").join(".profile"), "mine").unwrap();
    refused(&bench, &mut bench.audit("other"), &[".profile", "new or an empty one"]);
}
