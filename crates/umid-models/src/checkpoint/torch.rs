//! The files that PyTorch writes: a table of the tensors of the model in them.
//!
//! Reference: PyTorch, `torch/serialization.py` (state dicts, today's zip archives and the older
//! format), `torch/_utils.py` (how a tensor is described) and
//! `torch/csrc/jit/serialization/pickler.cpp` (TorchScript archives, whose modules are objects).
//! A training's checkpoint keeps the model under a key; what else it holds, such as an optimiser's
//! state, is described in the pickle and its numbers are not read.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use safetensors::Dtype;

use super::archive::Archive;
use super::pickle::{Global, Object, Pickle, Refused, Value};
use super::stored::{OpenFile, Place};
use super::table::{Entry, Table};
use crate::{ModelError, Result};

/// Keys that training scripts keep the model under: open_clip's and LAION-CLAP's, and msclap's.
const MODEL_KEYS: [&str; 2] = ["state_dict", "model"];
/// What PyTorch's wrapper for several devices puts before every name.
const WRAPPER: &str = "module.";
/// Largest pickle, in bytes; the tensors' numbers are not in it.
const LARGEST_PICKLE: usize = 1 << 26;
/// What the older format begins with, pickled: a number that is only a mark.
const OLD_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// Deepest nesting of a TorchScript archive's modules, and most attributes that are looked at.
const DEEPEST_MODULE: usize = 64;
const MOST_ATTRIBUTES: usize = 1 << 20;
/// What the names of classes in TorchScript archives begin with.
const SCRIPTED: &str = "__torch__";

/// What a checkpoint may name beside the classes of its storages. Nothing of it is called.
const GLOBALS: [(&str, &[&str]); 12] = [
    ("collections", &["OrderedDict", "defaultdict"]),
    ("torch._utils", &["_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter"]),
    ("torch", &["Size", "device"]),
    ("torch.nn.parameter", &["Parameter"]),
    // What trainings note beside the weights: metrics and options.
    ("numpy", &["dtype", "ndarray", "float64"]),
    ("numpy.core.multiarray", &["scalar", "_reconstruct"]),
    ("numpy._core.multiarray", &["scalar", "_reconstruct"]),
    ("numpy.dtypes", &["Float64DType", "Float32DType", "Int64DType"]),
    ("_codecs", &["encode"]),
    ("argparse", &["Namespace"]),
    ("builtins", &["set", "dict", "list", "int", "float", "bool", "str"]),
    ("__builtin__", &["set", "dict", "list", "int", "float", "bool", "str"]),
];
/// What TorchScript archives mark the types of lists with.
const SCRIPT_GLOBALS: (&str, &[&str]) = (
    "torch.jit._pickle",
    &[
        "restore_type_tag",
        "build_intlist",
        "build_doublelist",
        "build_boollist",
        "build_tensorlist",
    ],
);

/// Reads the table of a file. Tensors stay where they are.
pub(super) fn table(path: &Path) -> Result<Table> {
    let file = Arc::new(OpenFile::open(path)?);
    let map = file.map(0..file.len()?)?;
    read(&file, &map).map_err(|refused| match refused {
        Refused::Malformed(reason) => ModelError::Pickle { path: path.to_owned(), reason },
        Refused::Unsafe(what) => ModelError::UnsafePickle { path: path.to_owned(), what },
    })
}

fn read(file: &Arc<OpenFile>, bytes: &[u8]) -> Result<Table, Refused> {
    if bytes.starts_with(b"PK") {
        read_archive(file, bytes)
    } else if bytes.starts_with(b"\x80\x02\x8a\x0a") && bytes[4..].starts_with(&OLD_MAGIC) {
        read_old(file, bytes)
    } else if bytes.starts_with(b"version https://git-lfs") {
        Err(malformed("it is a pointer of Git LFS, the weights themselves were not fetched"))
    } else {
        Err(malformed("it is neither a zip archive nor the older format of torch.save"))
    }
}

fn read_archive(file: &Arc<OpenFile>, bytes: &[u8]) -> Result<Table, Refused> {
    let archive = Archive::read(bytes).map_err(Refused::Malformed)?;
    let scripted = archive.has_folder("code/");
    if scripted && !archive.has("constants.pkl") {
        return Err(malformed("its TorchScript archive has no constants.pkl"));
    }
    if let Ok(order) = archive.entry("byteorder")
        && bytes[order] != *b"little"
    {
        return Err(malformed("its numbers are not stored with the lowest byte first"));
    }
    let pickled = &bytes[archive.pickle().map_err(Refused::Malformed)?];
    let pickle = parse(pickled, scripted)?.0;
    let storage = |key: &str| archive.entry(&format!("data/{key}")).map_err(Refused::Malformed);
    Tensors { file, pickle: &pickle, storage: &storage }.table()
}

/// The older format: four pickles, of which the fourth is the value and the last the storages'
/// keys, and then the storages in that order, each after its length.
fn read_old(file: &Arc<OpenFile>, bytes: &[u8]) -> Result<Table, Refused> {
    const BEFORE: usize = 3;
    let mut at = 0;
    for _ in 0..BEFORE {
        at += parse(&bytes[at..], false)?.1;
    }
    let (pickle, length) = parse(&bytes[at..], false)?;
    at += length;
    let (keys, length) = parse(&bytes[at..], false)?;
    at += length;
    let mut sizes = std::collections::HashMap::new();
    for (key, dtype, count) in pickle.storages() {
        sizes.insert(key, count.checked_mul(width(dtype)).ok_or_else(too_large)?);
    }
    let mut places = std::collections::HashMap::new();
    for key in keys.sequence(keys.root()).unwrap_or_default() {
        let Value::Text(key) = *key else { return Err(malformed("a storage's key is no text")) };
        let size = *sizes.get(key).ok_or_else(|| malformed("a storage has no description"))?;
        let start = at.checked_add(size_of::<u64>()).ok_or_else(too_large)?;
        let end = start.checked_add(size).filter(|end| *end <= bytes.len());
        at = end.ok_or_else(|| malformed("it ends before its storages do"))?;
        places.insert(key, start..at);
    }
    let storage = |key: &str| {
        places.get(key).cloned().ok_or_else(|| malformed("a tensor's storage is not there"))
    };
    Tensors { file, pickle: &pickle, storage: &storage }.table()
}

fn parse(bytes: &[u8], scripted: bool) -> Result<(Pickle<'_>, usize), Refused> {
    let bytes = &bytes[..bytes.len().min(LARGEST_PICKLE)];
    Pickle::parse(bytes, |Global { module, name }| {
        let (script_module, script_names) = SCRIPT_GLOBALS;
        let listed = |(known, names): &(&str, &[&str])| *known == module && names.contains(&name);
        let of_scripts = scripted
            && (module == SCRIPTED
                || module.starts_with("__torch__.")
                || listed(&(script_module, script_names)));
        of_scripts
            || GLOBALS.iter().any(listed)
            || module == "torch" && (storage_type(name).is_some() || DTYPES.contains(&name))
    })
}

/// PyTorch's types of numbers, which a checkpoint may note.
const DTYPES: [&str; 8] =
    ["float32", "float16", "bfloat16", "float64", "int64", "int32", "uint8", "bool"];

/// The type of a storage's numbers.
fn storage_type(class: &str) -> Option<Dtype> {
    Some(match class {
        "FloatStorage" => Dtype::F32,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "DoubleStorage" => Dtype::F64,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        "ByteStorage" => Dtype::U8,
        "BoolStorage" => Dtype::BOOL,
        _ => return None,
    })
}

/// Bytes of a number.
fn width(dtype: Dtype) -> usize {
    dtype.bitsize() / 8
}

impl<'a> Pickle<'a> {
    /// All storages.
    fn storages(&self) -> impl Iterator<Item = (&'a str, Dtype, usize)> {
        self.all_persistent().filter_map(|value| self.storage(value))
    }

    /// A storage's key, type and count of numbers.
    fn storage(&self, value: Value) -> Option<(&'a str, Dtype, usize)> {
        match self.sequence(self.persistent(value)?)? {
            [Value::Text("storage"), class, Value::Text(key), _, Value::Int(count), ..] => {
                let class = self.global(*class).filter(|class| class.module == "torch")?;
                Some((key, storage_type(class.name)?, usize::try_from(*count).ok()?))
            }
            _ => None,
        }
    }
}

/// A pickle whose tensors lie in a file.
struct Tensors<'p, 'a> {
    file: &'p Arc<OpenFile>,
    pickle: &'p Pickle<'a>,
    /// Bytes of a storage in the file.
    storage: &'p dyn Fn(&str) -> Result<Range<usize>, Refused>,
}

impl<'a> Tensors<'_, 'a> {
    fn table(&self) -> Result<Table, Refused> {
        let root = self.pickle.root();
        let mut found = Vec::new();
        let class = self.pickle.object(root).and_then(|object| object.made_by);
        let scripted = class.is_some_and(|(class, _)| class.module.starts_with(SCRIPTED));
        if scripted {
            let mut left = MOST_ATTRIBUTES;
            self.module(root, "", 0, &mut left, &mut found)?;
        } else {
            let values = self.state_dict(root)?;
            found.extend(self.tensors_of(values).map(|(name, value)| (name.to_owned(), value)));
        }
        let wrapped = found.iter().all(|(name, _)| name.starts_with(WRAPPER));
        let mut entries = std::collections::BTreeMap::new();
        for (name, description) in found {
            let name = if wrapped { name[WRAPPER.len()..].to_owned() } else { name };
            let at_fault = |e: Refused| match e {
                Refused::Malformed(reason) => {
                    Refused::Malformed(format!("tensor `{name}`: {reason}"))
                }
                other @ Refused::Unsafe(_) => other,
            };
            let entry = self.entry(description).map_err(at_fault)?;
            if entries.insert(name.clone(), entry).is_some() {
                return Err(Refused::Malformed(format!("tensor `{name}` stands twice")));
            }
        }
        Ok(Table { entries, scripted })
    }

    /// The dictionary with the model's tensors: the root, or what the root keeps under a key.
    fn state_dict(&self, root: Value) -> Result<&Object<'a>, Refused> {
        let top = self.pickle.object(root).ok_or_else(|| malformed("it holds no dictionary"))?;
        let under = MODEL_KEYS.iter().filter_map(|key| {
            let item = top.items.iter().find(|(found, _)| *found == Value::Text(key));
            self.pickle.object(item?.1)
        });
        let mut candidates = std::iter::once(top).chain(under);
        candidates.find(|object| self.tensors_of(object).next().is_some()).ok_or_else(|| {
            const KEYS_SHOWN: usize = 8;
            let keys = top.items.iter().filter_map(|(key, _)| match key {
                Value::Text(text) => Some(*text),
                _ => None,
            });
            let keys = keys.take(KEYS_SHOWN).collect::<Vec<_>>().join(", ");
            let known = MODEL_KEYS.join(" or ");
            Refused::Malformed(format!(
                "it holds no tensors, neither by themselves nor under {known} (its keys: {keys})"
            ))
        })
    }

    /// The tensors of a dictionary, by name.
    fn tensors_of<'b>(
        &'b self,
        object: &'b Object<'a>,
    ) -> impl Iterator<Item = (&'a str, &'b Object<'a>)> {
        object.items.iter().filter_map(|(key, value)| match key {
            Value::Text(name) => Some((*name, self.tensor(*value)?)),
            _ => None,
        })
    }

    /// The tensors of a TorchScript module and the modules in it, by their attributes' names.
    fn module<'b>(
        &'b self,
        module: Value,
        prefix: &str,
        depth: usize,
        left: &mut usize,
        found: &mut Vec<(String, &'b Object<'a>)>,
    ) -> Result<(), Refused> {
        if depth > DEEPEST_MODULE {
            return Err(malformed("its modules nest too deep"));
        }
        let state = self.pickle.object(module).and_then(|object| object.state);
        let attributes = state.and_then(|state| self.pickle.object(state));
        for (key, value) in attributes.map_or(&[][..], |attributes| &attributes.items) {
            *left = left.checked_sub(1).ok_or_else(|| malformed("it has too many attributes"))?;
            let Value::Text(key) = key else { continue };
            let name = format!("{prefix}{key}");
            if let Some(tensor) = self.tensor(*value) {
                found.push((name, tensor));
            } else {
                self.module(*value, &(name + "."), depth + 1, left, found)?;
            }
        }
        Ok(())
    }

    /// A tensor's description, if the value is one: what it would be rebuilt from.
    fn tensor(&self, value: Value) -> Option<&Object<'a>> {
        let object = self.pickle.object(value)?;
        let (global, arguments) = object.made_by?;
        match (global.module, global.name) {
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Some(object),
            // Made of a tensor, which is no parameter itself.
            ("torch._utils", "_rebuild_parameter") => {
                let inner = self.pickle.object(*self.pickle.sequence(arguments)?.first()?)?;
                let (of, _) = inner.made_by?;
                of.name.starts_with("_rebuild_tensor").then_some(inner)
            }
            _ => None,
        }
    }

    fn entry(&self, description: &Object) -> Result<Entry, Refused> {
        let (_, arguments) = description.made_by.ok_or_else(undescribed)?;
        let Some([storage, Value::Int(offset), shape, strides, ..]) =
            self.pickle.sequence(arguments)
        else {
            return Err(undescribed());
        };
        let (key, dtype, count) = self.pickle.storage(*storage).ok_or_else(undescribed)?;
        let sizes = |value: &Value| -> Result<Vec<usize>, Refused> {
            let sizes = self.pickle.sequence(*value).ok_or_else(undescribed)?;
            let size = |value: &Value| match value {
                Value::Int(size) => usize::try_from(*size)
                    .map_err(|_| malformed("a size or stride of it is negative")),
                _ => Err(undescribed()),
            };
            sizes.iter().map(size).collect()
        };
        let (shape, strides) = (sizes(shape)?, sizes(strides)?);
        if shape.len() != strides.len() {
            return Err(undescribed());
        }
        let offset = usize::try_from(*offset).map_err(|_| malformed("its offset is negative"))?;
        let bytes = (self.storage)(key)?;
        let width = width(dtype);
        let stored = count.min(bytes.len() / width);
        let layout = Layout::of(&shape, &strides).ok_or_else(|| {
            malformed("its strides overlap or overflow, so that it is no whole tensor")
        })?;
        let last = offset.checked_add(layout.span()).filter(|end| *end <= stored);
        last.ok_or_else(|| {
            let needed = offset.saturating_add(layout.span());
            Refused::Malformed(format!("it ends at number {needed} of a storage of {stored}"))
        })?;
        let start = bytes.start + offset * width;
        let bytes = start..start + layout.span() * width;
        let file = Arc::clone(self.file);
        let place = match layout {
            Layout::InOrder(_) => Place::Mapped(file, bytes),
            Layout::Strided(_) => Place::Strided { file, bytes, shape: shape.clone(), strides },
        };
        Ok(Entry { place, dtype, shape, taken: 0 })
    }
}

/// How a tensor's numbers lie in its storage, with how many numbers it reaches over.
enum Layout {
    InOrder(usize),
    Strided(usize),
}

impl Layout {
    /// `None` if two elements are in the same place, or sizes overflow.
    fn of(shape: &[usize], strides: &[usize]) -> Option<Self> {
        let count = shape.iter().try_fold(1_usize, |count, size| count.checked_mul(*size))?;
        if count == 0 {
            return Some(Self::InOrder(0));
        }
        // An axis of one element has no use for its stride.
        let axes: Vec<(usize, usize)> = strides
            .iter()
            .zip(shape)
            .filter(|(_, size)| **size > 1)
            .map(|(stride, size)| (*stride, *size))
            .collect();
        let mut sorted = axes.clone();
        sorted.sort_unstable();
        let mut span = 1_usize;
        for (stride, size) in &sorted {
            if *stride < span {
                return None;
            }
            span = span.checked_add(stride.checked_mul(size - 1)?)?;
        }
        let mut in_order = true;
        let mut expected = 1;
        for (stride, size) in axes.iter().rev() {
            in_order &= *stride == expected;
            expected *= size;
        }
        Some(if in_order { Self::InOrder(count) } else { Self::Strided(span) })
    }

    fn span(&self) -> usize {
        match self {
            Self::InOrder(span) | Self::Strided(span) => *span,
        }
    }
}

fn malformed(reason: &str) -> Refused {
    Refused::Malformed(reason.to_owned())
}

fn undescribed() -> Refused {
    malformed("it is not described as PyTorch describes a tensor")
}

fn too_large() -> Refused {
    malformed("its sizes are too large")
}
