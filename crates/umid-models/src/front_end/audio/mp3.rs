//! Where the sound of an MP3 file ends.
//!
//! MP3 is a chain of frames without a size before it. Behind the chain there may be tags (ID3v1,
//! APEv2, Lyrics3) or stray bytes, in which something can look like a frame. A frame counts if
//! another one like it, or the end of the file, follows it.
//!
//! Reference: ISO/IEC 11172-3 and 13818-3, the frame header of layer III.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Result, Seek, SeekFrom};

const HEADER: usize = 4;
/// Bits of a header that all frames of a sound share: sync word, version, layer, sample rate.
const SHARED: u32 = 0xFFFE_0C00;
/// Kilobits per second by the header's four bits; 0 for a rate that is not in the table.
const MPEG1: [u64; 16] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0];
const MPEG2: [u64; 16] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0];
/// Samples per second of MPEG 1; version 2 has half of them and version 2.5 a quarter.
const RATES: [u64; 3] = [44_100, 48_000, 32_000];
/// Bytes before the first frame that are searched for it.
const SEARCHED: u64 = 1 << 16;

/// Where the last frame of the sound ends; `None` if the file has no chain of frames.
pub(super) fn end_of_sound(file: &mut File) -> Result<Option<u64>> {
    let len = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::new(file);
    let tags = behind_tags(&mut reader, 0, len)?;
    let Some((mut at, first)) = first_frame(&mut reader, tags, len)? else { return Ok(None) };
    loop {
        go_to(&mut reader, at)?;
        let is_alike = |header: &u32| header & SHARED == first & SHARED;
        let Some(header) = header_here(&mut reader)?.filter(is_alike) else {
            // Something else follows. If there are frames behind it, another file was joined to
            // this one, or the sound is damaged there: the decoder sees.
            let behind = behind_tags(&mut reader, at, len)?;
            let more = first_frame(&mut reader, behind, len)?;
            let goes_on = more.is_some_and(|(_, header)| is_alike(&header));
            return Ok(Some(if goes_on { len } else { at }));
        };
        match frame_len(header) {
            Some(frame) if at + frame <= len => at += frame,
            // The last frame is cut off; the decoder passes over it.
            _ => return Ok(Some(len)),
        }
    }
}

/// Moves to a position, within the buffer if it holds it.
fn go_to(reader: &mut BufReader<&mut File>, at: u64) -> Result<()> {
    let here = reader.stream_position()?;
    reader.seek_relative(at.cast_signed() - here.cast_signed())
}

/// Where ID3v2 tags end that begin at a position.
fn behind_tags(reader: &mut BufReader<&mut File>, mut at: u64, len: u64) -> Result<u64> {
    const TAG: u64 = 10;
    while at + TAG <= len {
        let mut tag = [0; TAG as usize];
        reader.seek(SeekFrom::Start(at))?;
        reader.read_exact(&mut tag)?;
        if &tag[..3] != b"ID3" {
            break;
        }
        let size = tag[6..].iter().fold(0, |size, byte| size << 7 | u64::from(byte & 0x7F));
        let footer = if tag[5] & 0x10 != 0 { TAG } else { 0 };
        at += TAG + size + footer;
    }
    Ok(at)
}

/// The first of two frames that follow each other, or the only one that the file ends with.
fn first_frame(
    reader: &mut BufReader<&mut File>,
    from: u64,
    len: u64,
) -> Result<Option<(u64, u32)>> {
    for at in from..len.min(from + SEARCHED) {
        go_to(reader, at)?;
        // Most bytes are ruled out without a copy.
        if reader.fill_buf()?.first() != Some(&0xFF) {
            continue;
        }
        let Some(header) = header_here(reader)? else { continue };
        let Some(frame) = frame_len(header) else { continue };
        if at + frame == len {
            return Ok(Some((at, header)));
        }
        reader.seek_relative(frame.cast_signed() - HEADER as i64)?;
        let next = header_here(reader)?.filter(|next| next & SHARED == header & SHARED);
        if next.and_then(frame_len).is_some() {
            return Ok(Some((at, header)));
        }
    }
    Ok(None)
}

/// Four bytes that may be a header; `None` at the end of the file.
fn header_here(reader: &mut BufReader<&mut File>) -> Result<Option<u32>> {
    let mut header = [0; HEADER];
    match reader.read_exact(&mut header) {
        Ok(()) => Ok(Some(u32::from_be_bytes(header))),
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}

/// Bytes of a frame of layer III, header included; `None` if this is no header.
fn frame_len(header: u32) -> Option<u64> {
    let bits = |at: u32, mask: u32| (header >> at & mask) as usize;
    let (sync, version, layer) = (bits(21, 0x7FF), bits(19, 0b11), bits(17, 0b11));
    if sync != 0x7FF || version == 0b01 || layer != 0b01 {
        return None;
    }
    let rate = RATES.get(bits(10, 0b11))?;
    let (bit_rates, rate, slots) = match version {
        0b11 => (MPEG1, *rate, 144),
        0b10 => (MPEG2, rate / 2, 72),
        _ => (MPEG2, rate / 4, 72),
    };
    let bit_rate = Some(bit_rates[bits(12, 0xF)]).filter(|rate| *rate > 0)?;
    Some(slots * 1_000 * bit_rate / rate + bits(9, 1) as u64)
}
