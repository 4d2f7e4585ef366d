//! What can go wrong between a directory on disk and a model that is ready to be asked.

use std::path::PathBuf;

use crate::precision::Precision;

/// Errors of this crate. Each names the file or value at fault and what to try.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The log-mel front end cannot be made.
    #[error(
        "the log-mel front end: {reason}; check preprocessor_config.json against the checkpoint's repository"
    )]
    FrontEnd {
        /// What is wrong.
        reason: String,
    },
    /// A sound that no log-mel can be made of.
    #[error("cannot read the sound: {reason}")]
    Sound {
        /// What is wrong.
        reason: String,
    },
    /// A sound file that cannot be decoded.
    #[error(
        "cannot read the sound {path}: {reason}; give a whole WAV, FLAC, MP3 or Ogg Vorbis file"
    )]
    Audio {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A PyTorch checkpoint that cannot be read.
    #[error("{path} is not the PyTorch checkpoint that was expected: {reason}; download it again")]
    Pickle {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A PyTorch checkpoint that asks for more than tensors.
    #[error(
        "{path} asks for {what}, which no state dict needs; nothing of it was run, and it should not be opened with torch.load; use weights in safetensors, or the checkpoint of its authors"
    )]
    UnsafePickle {
        /// The file.
        path: PathBuf,
        /// What it asks for.
        what: String,
    },
    /// A hub repository that is not in the local cache.
    #[error(
        "there is no path {name}, and no such repository in the cache {cache}; nothing is downloaded here: `{command}` does it"
    )]
    NotInCache {
        /// The name as given.
        name: String,
        /// The cache that was looked in.
        cache: PathBuf,
        /// The command that downloads it.
        command: String,
    },
    /// There is nothing at the model's path.
    #[error(
        "there is nothing at {path}; give a checkpoint's directory, a file of weights, or the name ORG/NAME of a downloaded hub repository"
    )]
    NothingThere {
        /// The path as given.
        path: PathBuf,
    },
    /// A directory without a configuration of a known layout.
    #[error(
        "{path} holds neither config.json (Hugging Face layout) nor open_clip_config.json (OpenCLIP layout) nor one .pt file (LAION-CLAP layout); download the whole repository of the checkpoint, not only its weights"
    )]
    UnknownLayout {
        /// The directory.
        path: PathBuf,
    },
    /// A directory with several files that may be the weights.
    #[error(
        "{path} holds several files of weights ({names}), and no configuration says which is meant; give the path of the one that is meant"
    )]
    SeveralWeights {
        /// The directory.
        path: PathBuf,
        /// The files' names.
        names: String,
    },
    /// Weights without a configuration, of a kind that no family knows.
    #[error(
        "{path} has no configuration beside it and holds tensors that belong to no known kind of model ({names}); give the whole repository of a CLIP or CLAP checkpoint, or the state dict of an OpenCLIP or LAION-CLAP model"
    )]
    UnknownWeights {
        /// The file.
        path: PathBuf,
        /// The first few tensors' names.
        names: String,
    },
    /// The activation was given for a model whose files or kind already say it.
    #[error(
        "the activation of {path} is known from its configuration or kind, it is not to be given; leave it out"
    )]
    ActivationIsKnown {
        /// The path as given.
        path: PathBuf,
    },
    /// No family writes a model of this architecture.
    #[error("{architecture} can be read but not written; train a tower of another kind")]
    NotWritten {
        /// The architecture in words.
        architecture: String,
    },
    /// A file of the checkpoint is missing.
    #[error("{path} is missing: {purpose}; copy it from the checkpoint's repository")]
    MissingFile {
        /// The file that was looked for.
        path: PathBuf,
        /// What it is needed for.
        purpose: &'static str,
    },
    /// A directory without weights of the names that its layout has.
    #[error(
        "{path} holds no weights: none of {names} is there; copy one from the checkpoint's repository"
    )]
    MissingWeights {
        /// The directory.
        path: PathBuf,
        /// The names that were looked for.
        names: String,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {source}; check that the file is there and that you may read it")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A JSON file does not parse or has a value of the wrong type.
    #[error(
        "{path} is not the JSON that was expected: {source}; copy the file again from the checkpoint's repository"
    )]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's answer.
        source: serde_json::Error,
    },
    /// A key that the configuration must have is absent.
    #[error(
        "{path} has no `{key}`; the file is not a complete CLIP configuration, copy it again from the checkpoint's repository"
    )]
    MissingConfigKey {
        /// The configuration file.
        path: PathBuf,
        /// The absent key, dotted.
        key: String,
    },
    /// A key of the configuration has a value that cannot be.
    #[error(
        "{path}: `{key}` is {found}, expected {expected}; check the file against the checkpoint's repository"
    )]
    InvalidConfigValue {
        /// The configuration file.
        path: PathBuf,
        /// The key, dotted.
        key: String,
        /// The value found.
        found: String,
        /// What would have been accepted.
        expected: String,
    },
    /// The configuration describes an architecture that this crate does not know.
    #[error(
        "{path} describes {found}, which is not supported; docs/models.md lists the CLIP and CLAP models that are, use one of them"
    )]
    UnsupportedArchitecture {
        /// The configuration file.
        path: PathBuf,
        /// The architecture found.
        found: String,
    },
    /// A safetensors file is truncated, oversized or otherwise malformed.
    #[error("{path} is not a valid safetensors file: {reason}; download it again")]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor stands in two files of a checkpoint.
    #[error("tensor `{name}` in {path} stands in an earlier file too; download the files again")]
    RepeatedTensor {
        /// The second file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
    },
    /// The weights lack a tensor that the configuration calls for.
    #[error(
        "the weights in {path} have no tensor `{name}`{hint}; the checkpoint is incomplete or its configuration belongs to another model"
    )]
    MissingTensor {
        /// Directory of the checkpoint.
        path: PathBuf,
        /// Name of the tensor in the checkpoint.
        name: String,
        /// Which configuration keys were absent and took the format's default.
        hint: String,
    },
    /// The weights hold tensors that the configuration has no place for.
    #[error(
        "the weights in {path} hold {count} tensor(s) that the configuration has no place for: {names}{hint}; the configuration belongs to another model, or the model has parts that are not supported"
    )]
    ExtraTensors {
        /// Directory of the checkpoint.
        path: PathBuf,
        /// How many there are.
        count: usize,
        /// The first few names.
        names: String,
        /// Which configuration keys were absent and took the format's default.
        hint: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error(
        "tensor `{name}` in {path} has shape {found:?}, the configuration calls for {expected:?}{hint}; use the configuration that came with these weights"
    )]
    WrongShape {
        /// Directory of the checkpoint.
        path: PathBuf,
        /// Name of the tensor in the checkpoint.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape that the configuration implies.
        expected: Vec<usize>,
        /// Which configuration keys were absent and took the format's default.
        hint: String,
    },
    /// A tensor is stored in a type that is not f32, f16 or bf16.
    #[error(
        "tensor `{name}` in {path} is stored as {dtype}; only F32, F16 and BF16 weights are supported, convert the checkpoint first"
    )]
    UnsupportedDtype {
        /// Directory of the checkpoint.
        path: PathBuf,
        /// Name of the tensor in the checkpoint.
        name: String,
        /// The type found.
        dtype: String,
    },
    /// A tensor holds NaN or infinity.
    #[error(
        "tensor `{name}` in {path} holds {value} at element {index}; the checkpoint is corrupt, or was saved from a diverged training"
    )]
    NonFiniteWeight {
        /// Directory of the checkpoint.
        path: PathBuf,
        /// Name of the tensor in the checkpoint.
        name: String,
        /// The value found.
        value: f32,
        /// Its index in row-major order.
        index: usize,
    },
    /// The tokenizer's files do not load.
    #[error(
        "the tokenizer in {path} does not load: {reason}; copy tokenizer.json (or vocab.json and merges.txt) again from the checkpoint's repository"
    )]
    Tokenizer {
        /// The file or directory.
        path: PathBuf,
        /// What the tokenizer library says.
        reason: String,
    },
    /// The tokenizer gives an id that the text tower has no embedding for.
    #[error(
        "the tokenizer gives id {id} for {text:?}, but the text tower's vocabulary has {vocabulary} entries; the tokenizer belongs to another model"
    )]
    TokenOutOfVocabulary {
        /// The id.
        id: u32,
        /// The text.
        text: String,
        /// The vocabulary's size.
        vocabulary: usize,
    },
    /// An image does not decode.
    #[error(
        "cannot decode the image {path}: {reason}; supported are PNG, JPEG, WebP, BMP, TIFF and GIF"
    )]
    Image {
        /// The image file.
        path: PathBuf,
        /// The decoder's answer.
        reason: String,
    },
    /// Something was asked of the input tower of a model that was opened with its text tower alone.
    #[error("the model is open with its text tower alone: {reason}; embed or audit texts only")]
    TextAlone {
        /// Why there is no input tower.
        reason: String,
    },
    /// An input tensor of the wrong shape was given.
    #[error(
        "the input has shape {found:?}, the model takes {expected}; resize it or use another model"
    )]
    InputShape {
        /// Shape given.
        found: Vec<usize>,
        /// Shape that the model takes, in words.
        expected: String,
    },
    /// The device or the processor does not compute an input tower in some precision.
    #[error("cannot compute in {precision}: {reason}; f32 always works")]
    Precision {
        /// What was asked for.
        precision: Precision,
        /// Why it cannot be had.
        reason: &'static str,
    },
    /// A precision that is not known.
    #[error("unknown precision `{found}`; use f32, f16 or bf16")]
    UnknownPrecision {
        /// The name as given.
        found: String,
    },
    /// A device name that is not known or not compiled in.
    #[error("unknown device `{found}`; use {available}")]
    UnknownDevice {
        /// The name as given.
        found: String,
        /// The names that would work in this build.
        available: &'static str,
    },
}

/// Shorthand for results of this crate.
pub type Result<T, E = ModelError> = std::result::Result<T, E>;
