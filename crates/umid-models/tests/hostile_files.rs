//! PyTorch's files made to do harm, or damaged: each is an error that names what is wrong. Nothing
//! in them is executed, and none takes much memory.

mod torch_file;

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use torch_file::{Pickle, Tensor, Zip, archive, legacy, state_dict};
use umid_models::{LoadOptions, Model, ModelError};

/// A file of weights alone.
struct File {
    _folder: TempDir,
    path: PathBuf,
}

impl File {
    fn new(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("weights.pt");
        std::fs::write(&path, bytes).expect("a file");
        Self { _folder: folder, path }
    }
}

#[track_caller]
fn refused(bytes: &[u8], parts: &[&str]) -> ModelError {
    let file = File::new(bytes);
    refused_path(&file.path, parts)
}

#[track_caller]
fn refused_path(path: &Path, parts: &[&str]) -> ModelError {
    let error = Model::load(path, LoadOptions::default()).expect_err("a bad file");
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
    error
}

/// An archive whose pickle is this.
fn pickled(pickle: Pickle) -> Vec<u8> {
    archive(&pickle.finish(), &[])
}

#[track_caller]
fn assert_unsafe(error: &ModelError) {
    assert!(matches!(error, ModelError::UnsafePickle { .. }), "{error:?}");
}

#[track_caller]
fn assert_pickle(error: &ModelError) {
    assert!(matches!(error, ModelError::Pickle { .. }), "{error:?}");
}

#[test]
fn a_call_of_the_shell_is_named_and_not_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let mark = folder.path().join("executed");
    let command = format!("touch {}", mark.display());
    for (module, name) in [("posix", "system"), ("os", "system"), ("builtins", "eval")] {
        let mut pickle = Pickle::new();
        pickle.global(module, name).text(&command).raw(b"\x85R");
        let called = format!("the global `{module}.{name}`");
        assert_unsafe(&refused(&pickled(pickle), &[&called, "nothing of it was run"]));
    }
    // By the names' own opcodes, and in the older format.
    let mut pickle = Pickle::new();
    pickle.short_text("os").short_text("system").raw(b"\x93").text(&command).raw(b"\x85R");
    let pickle = pickle.finish();
    assert_unsafe(&refused(&archive(&pickle, &[]), &["`os.system`"]));
    assert_unsafe(&refused(&legacy(&pickle, &[]), &["`os.system`"]));
    assert!(!mark.exists());
}

#[test]
fn operations_that_no_checkpoint_has_are_named() {
    for operation in [b'i', b'o', b'P', b'p', b'g', b'I', b'\x82', b'\x92', b'\x97', b'2', b'\xff']
    {
        let mut pickle = Pickle::new();
        pickle.raw(&[operation]);
        let named = format!("operation {operation:#04x} at byte 2");
        assert_unsafe(&refused(&pickled(pickle), &[&named]));
    }
}

#[test]
fn a_million_memo_entries_are_too_many() {
    let mut pickle = Pickle::new();
    pickle.raw(b"N");
    for entry in 0..1_000_000_u32 {
        pickle.raw(b"r").raw(&entry.to_le_bytes());
    }
    assert_pickle(&refused(&pickled(pickle), &["more than 524288 memo entries"]));
}

#[test]
fn a_thousand_nested_tuples_are_too_deep() {
    let mut pickle = Pickle::new();
    pickle.raw(b"N").raw(&[b'\x85'; 1000]);
    assert_pickle(&refused(&pickled(pickle), &["nests more than 64 tuples"]));
}

#[test]
fn endless_operations_are_too_many() {
    let mut pickle = Pickle::new();
    pickle.raw(&vec![b'N'; 5_000_000]);
    assert_pickle(&refused(&pickled(pickle), &["more than 4194304 operations"]));
}

#[test]
fn lengths_that_are_not_there_reserve_nothing() {
    for length in [b"X\xff\xff\xff\x7f".as_slice(), b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f"] {
        let mut pickle = Pickle::new();
        pickle.raw(length);
        assert_pickle(&refused(&pickled(pickle), &["too early"]));
    }
}

#[test]
fn stacks_that_run_dry() {
    for operations in [b"R".as_slice(), b"t", b"s", b"u", b"a", b"b", b"q\0", b"Q", b"\x87", b"("] {
        let mut pickle = Pickle::new();
        pickle.raw(operations);
        assert_pickle(&refused(&pickled(pickle), &["weights.pt", "is not the PyTorch checkpoint"]));
    }
    let mut pickle = Pickle::new();
    pickle.raw(b"h\x07");
    assert_pickle(&refused(&pickled(pickle), &["recalls memo entry 7"]));
}

#[test]
fn compressed_entries_are_not_unpacked() {
    // A gigabyte of zeros, if it were.
    let bytes = Zip::new().compressed("model/data.pkl", &[0; 1 << 10], 1 << 30).finish();
    assert_pickle(&refused(&bytes, &["data.pkl", "compressed"]));
}

#[test]
fn archives_that_are_not_pytorchs() {
    let entry = |name: &str| Zip::new().stored(name, b"\x80\x02}.");
    assert_pickle(&refused(&entry("readme.txt").finish(), &["no data.pkl"]));
    assert_pickle(&refused(&entry("a/b/data.pkl").finish(), &["no data.pkl"]));
    let two = entry("a/data.pkl").stored("b/data.pkl", b"").finish();
    assert_pickle(&refused(&two, &["several data.pkl"]));
    let twice = entry("a/data.pkl").stored("a/version", b"3").stored("a/version", b"4").finish();
    assert_pickle(&refused(&twice, &["two entries of the name a/version"]));
    let big = entry("a/data.pkl").stored("a/byteorder", b"big").finish();
    assert_pickle(&refused(&big, &["lowest byte first"]));
    let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    assert_pickle(&refused(lfs, &["pointer of Git LFS"]));
}

#[test]
fn a_script_without_its_constants() {
    let bytes = Zip::new().stored("m/data.pkl", b"\x80\x02}.").stored("m/code/a.py", b"").finish();
    assert_pickle(&refused(&bytes, &["constants.pkl"]));
}

#[test]
fn a_class_of_scripts_in_a_plain_archive() {
    let mut pickle = Pickle::new();
    pickle.global("__torch__.clip", "CLIP").raw(b")\x81");
    assert_unsafe(&refused(&pickled(pickle), &["__torch__.clip.CLIP"]));
}

#[test]
fn a_tensor_whose_storage_is_not_there() {
    let tensor = Tensor::of(&[2, 3]);
    let pickle = state_dict(&[("a.weight", tensor)]);
    assert_pickle(&refused(&archive(&pickle, &[]), &["tensor `a.weight`", "no entry data/0"]));
}

#[test]
fn tensors_that_do_not_fit_their_storage() {
    let whole = Tensor::of(&[2, 3]);
    let cases: [(Tensor, &str); 8] = [
        (Tensor { offset: 1, ..whole.clone() }, "ends at number 7 of a storage of 6"),
        (Tensor { offset: -1, ..whole.clone() }, "offset is negative"),
        (Tensor { shape: vec![3, 3], ..whole.clone() }, "ends at number 9"),
        (Tensor { shape: vec![-2, 3], ..whole.clone() }, "size or stride of it is negative"),
        (Tensor { strides: vec![3, -1], ..whole.clone() }, "size or stride of it is negative"),
        (Tensor { strides: vec![0, 1], ..whole.clone() }, "strides overlap"),
        (Tensor { strides: vec![2, 1], ..whole.clone() }, "strides overlap"),
        (
            Tensor { shape: vec![i32::MAX, i32::MAX], strides: vec![i32::MAX, 1], ..whole },
            "ends at",
        ),
    ];
    for (tensor, expected) in cases {
        let pickle = state_dict(&[("a.weight", tensor)]);
        for bytes in [archive(&pickle, &[&[0; 24]]), legacy(&pickle, &[("0", &[0; 24])])] {
            assert_pickle(&refused(&bytes, &["tensor `a.weight`", expected]));
        }
    }
}

#[test]
fn an_older_file_that_ends_in_its_storages() {
    let bytes = legacy(&state_dict(&[("a.weight", Tensor::of(&[2, 3]))]), &[("0", &[0; 24])]);
    for cut in [1, 24, 25, 40] {
        assert_pickle(&refused(&bytes[..bytes.len() - cut], &["is not the PyTorch checkpoint"]));
    }
}

#[test]
fn an_archive_cut_off_anywhere() {
    let bytes = archive(&state_dict(&[("a.weight", Tensor::of(&[2, 3]))]), &[&[0; 24]]);
    for length in 0..bytes.len() {
        let error = refused(&bytes[..length], &["weights.pt"]);
        assert!(matches!(error, ModelError::Pickle { .. }), "{length}: {error:?}");
    }
}

/// What is not asked for may be anything: an optimiser's state is not read.
#[test]
fn only_the_models_tensors_are_looked_at() {
    let overlapping = Tensor { strides: vec![0, 1], ..Tensor::of(&[2, 3]) };
    let mut pickle = Pickle::new();
    pickle.raw(b"}(").text("optimizer").raw(b"}(").text("exp_avg").tensor(&overlapping).raw(b"u");
    pickle.text("state_dict").raw(b"}(").text("module.a.weight").tensor(&Tensor::of(&[2, 3]));
    pickle.raw(b"uu");
    // It is read whole, and its tensors are of no known model.
    let error = refused(&archive(&pickle.finish(), &[&[0; 24]]), &["(a.weight)"]);
    assert!(matches!(error, ModelError::UnknownWeights { .. }), "{error:?}");
}

#[test]
fn a_training_checkpoint_without_a_model() {
    let mut pickle = Pickle::new();
    pickle.raw(b"}(").text("epoch").raw(b"K\x03").text("optimizer").raw(b"}u");
    assert_pickle(&refused(&pickled(pickle), &["holds no tensors", "epoch, optimizer"]));
}
