//! WAV files whose header does not fit what follows it.
//!
//! Programs that write to a pipe cannot go back to fill in sizes; others miscount by a few bytes or
//! leave out the byte that pads an odd chunk. libsndfile, which librosa reads with, looks for the
//! chunks and reads to the end of the file. So does this: it finds the `fmt ` and the `data`
//! chunk and writes a header that fits them. A file that ends long before its declared end stays as
//! it is, and the decoder refuses it.

use std::fs::File;
use std::io::{Read, Result, Seek, SeekFrom};

/// `RIFF`, a size, `WAVE`.
const RIFF_HEADER: u64 = 12;
/// A chunk's name and its size.
const CHUNK_HEADER: u64 = 8;
/// Longest format chunk that is read. The longest known one has 40 bytes, or a few hundred
/// coefficients.
const LONGEST_FORMAT: u32 = 4_096;
/// Sizes from here on stand for an unknown size: SoX writes this one, others all ones or the largest
/// positive number, each less a header.
const UNKNOWN_SIZE: u32 = 0x7FFF_F000;
/// By how many bytes a size may be too long: those of a plain header, which some writers count in.
const MISCOUNT: u64 = 44;
/// Bytes that most files' chunks before the data have at most; the search ends there.
const MOST_CHUNKS: usize = 1 << 12;

/// Where the sound is, and a header for it.
pub(super) struct Wav {
    pub(super) header: Vec<u8>,
    pub(super) start: u64,
    pub(super) len: u64,
}

/// A header that fits the file; `None` if the file is not a WAV file with a format and data.
pub(super) fn described(file: &mut File) -> Result<Option<Wav>> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut riff = [0; RIFF_HEADER as usize];
    if end < RIFF_HEADER {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut riff)?;
    if &riff[..4] != b"RIFF" || &riff[8..] != b"WAVE" {
        return Ok(None);
    }
    let (mut at, mut format) = (RIFF_HEADER, None);
    for _ in 0..MOST_CHUNKS {
        let Some((name, size)) = chunk_at(file, at, end)? else { return Ok(None) };
        let start = at + CHUNK_HEADER;
        match &name {
            b"fmt " if size <= LONGEST_FORMAT && u64::from(size) <= end - start => {
                let mut bytes = vec![0; size as usize];
                file.read_exact(&mut bytes)?;
                format = Some(bytes);
            }
            b"data" => {
                let Some(format) = format else { return Ok(None) };
                let Some(len) = data_len(file, start, size, end, &format)? else { return Ok(None) };
                return Ok(Some(Wav { header: header(&format, len), start, len }));
            }
            _ => {}
        }
        at = start + u64::from(size);
        if size % 2 == 1 && !unpadded(file, at, end)? {
            at += 1;
        }
    }
    Ok(None)
}

fn chunk_at(file: &mut File, at: u64, end: u64) -> Result<Option<([u8; 4], u32)>> {
    if at + CHUNK_HEADER > end {
        return Ok(None);
    }
    let (mut name, mut size) = ([0; 4], [0; 4]);
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut name)?;
    file.read_exact(&mut size)?;
    Ok(Some((name, u32::from_le_bytes(size))))
}

/// Whether the next chunk begins right behind one of an odd size, where a byte should pad it.
fn unpadded(file: &mut File, at: u64, end: u64) -> Result<bool> {
    let is_name = |name: [u8; 4]| name.iter().all(|byte| (b' '..=b'~').contains(byte));
    let name = chunk_at(file, at, end)?.map(|(name, _)| name);
    Ok(name.is_some_and(is_name))
}

/// Bytes of sound; `None` if the file ends long before its declared end.
fn data_len(
    file: &mut File,
    start: u64,
    size: u32,
    end: u64,
    format: &[u8],
) -> Result<Option<u64>> {
    let (left, declared) = (end - start, u64::from(size));
    let mut empty_and_followed = || {
        let next = chunk_at(file, start, end)?;
        Ok::<_, std::io::Error>(next.is_some_and(|(_, len)| {
            let ends = start + CHUNK_HEADER + u64::from(len);
            ends == end || ends + 1 == end
        }))
    };
    let len = match declared {
        0 if left > 0 && !empty_and_followed()? => left,
        _ if declared <= left => declared,
        _ if size >= UNKNOWN_SIZE || declared - left <= MISCOUNT => left,
        _ => return Ok(None),
    };
    // Samples of all channels, or a block of compressed ones.
    let block = format.get(12..14).map_or(1, |b| u64::from(u16::from_le_bytes([b[0], b[1]])));
    Ok(Some(len - len % block.max(1)))
}

fn header(format: &[u8], len: u64) -> Vec<u8> {
    // The largest size stands for an unknown one.
    let size = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
    let padding = format.len() % 2;
    let before = (4 + 2 * CHUNK_HEADER) + (format.len() + padding) as u64;
    let mut header = Vec::new();
    header.extend(b"RIFF");
    header.extend(size(before + len));
    header.extend(b"WAVEfmt ");
    header.extend(size(format.len() as u64));
    header.extend(format);
    header.resize(header.len() + padding, 0);
    header.extend(b"data");
    header.extend(size(len));
    header
}
