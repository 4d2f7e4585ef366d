//! Files as PyTorch writes them, and such as it never would: pickles, zip archives and the older
//! format, written byte by byte.

use rawzip::{CompressionMethod, DataDescriptorOutput, ZipArchiveWriter};

/// A pickle of protocol 2.
pub struct Pickle(Vec<u8>);

/// How a tensor of f32 is described. Its storage has the key `0` and six numbers.
#[derive(Clone)]
pub struct Tensor {
    pub offset: i32,
    pub shape: Vec<i32>,
    pub strides: Vec<i32>,
}

impl Tensor {
    /// In row-major order.
    pub fn of(shape: &[i32]) -> Self {
        let strides = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product());
        Self { offset: 0, shape: shape.to_vec(), strides: strides.collect() }
    }
}

impl Pickle {
    pub fn new() -> Self {
        Self(vec![0x80, 2])
    }

    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn global(&mut self, module: &str, name: &str) -> &mut Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    pub fn text(&mut self, text: &str) -> &mut Self {
        let length = text.len() as u32;
        self.raw(b"X").raw(&length.to_le_bytes()).raw(text.as_bytes())
    }

    pub fn short_text(&mut self, text: &str) -> &mut Self {
        self.raw(&[0x8c, text.len() as u8]).raw(text.as_bytes())
    }

    fn int(&mut self, number: i32) -> &mut Self {
        self.raw(b"J").raw(&number.to_le_bytes())
    }

    fn ints(&mut self, numbers: &[i32]) -> &mut Self {
        self.raw(b"(");
        for number in numbers {
            self.int(*number);
        }
        self.raw(b"t")
    }

    pub fn tensor(&mut self, tensor: &Tensor) -> &mut Self {
        self.global("torch._utils", "_rebuild_tensor_v2").raw(b"((").text("storage");
        self.global("torch", "FloatStorage").text("0").text("cpu").int(6).raw(b"tQ");
        self.int(tensor.offset).ints(&tensor.shape).ints(&tensor.strides).raw(b"\x89");
        self.global("collections", "OrderedDict").raw(b")RtR")
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.raw(b".");
        self.0
    }
}

/// A pickled state dict.
pub fn state_dict(tensors: &[(&str, Tensor)]) -> Vec<u8> {
    let mut pickle = Pickle::new();
    pickle.raw(b"}(");
    for (name, tensor) in tensors {
        pickle.text(name).tensor(tensor);
    }
    pickle.raw(b"u");
    pickle.finish()
}

/// A zip archive as `torch.save` writes it, with storages of the keys `0`, `1`, ...
pub fn archive(pickle: &[u8], storages: &[&[u8]]) -> Vec<u8> {
    let mut zip = Zip::new().stored("model/data.pkl", pickle);
    for (key, bytes) in storages.iter().enumerate() {
        zip = zip.stored(&format!("model/data/{key}"), bytes);
    }
    zip.stored("model/version", b"3\n").finish()
}

/// A file as `torch.save` wrote it before it wrote archives.
pub fn legacy(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    bytes.extend_from_slice(b"\x80\x02M\xe9\x03.\x80\x02}.");
    bytes.extend_from_slice(pickle);
    let mut keys = Pickle::new();
    keys.raw(b"](");
    for (key, _) in storages {
        keys.text(key);
    }
    keys.raw(b"e");
    bytes.extend(keys.finish());
    for (_, storage) in storages {
        bytes.extend_from_slice(&(storage.len() as u64 / 4).to_le_bytes());
        bytes.extend_from_slice(storage);
    }
    bytes
}

/// A zip archive.
pub struct Zip(ZipArchiveWriter<Vec<u8>>);

impl Zip {
    pub fn new() -> Self {
        Self(ZipArchiveWriter::new(Vec::new()))
    }

    pub fn stored(mut self, name: &str, bytes: &[u8]) -> Self {
        let size = bytes.len() as u64;
        self.add(name, CompressionMethod::STORE, bytes, size);
        self
    }

    /// An entry that says that it is compressed, and how large it is in truth.
    pub fn compressed(mut self, name: &str, bytes: &[u8], size: u64) -> Self {
        self.add(name, CompressionMethod::DEFLATE, bytes, size);
        self
    }

    fn add(&mut self, name: &str, method: CompressionMethod, bytes: &[u8], size: u64) {
        use std::io::Write;
        let file = self.0.new_file(name).compression_method(method);
        let (mut entry, _) = file.start().expect("an entry");
        entry.write_all(bytes).expect("bytes");
        entry.finish(DataDescriptorOutput::new(0, size)).expect("an entry");
    }

    pub fn finish(self) -> Vec<u8> {
        self.0.finish().expect("an archive")
    }
}
