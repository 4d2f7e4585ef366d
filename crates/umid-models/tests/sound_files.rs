//! Sound files as programs write them, not as the formats' texts have them: read to the end, or
//! refused for what they are. miniaudio gave the values of the MP3 file
//! (`scripts/make_sound_fixtures.py`).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use umid_models::ModelError;
use umid_models::audio::read_sound;

const RATE: u32 = 16_000;
const UNKNOWN: [u32; 4] = [u32::MAX, 0x7FFF_F000, 0x7FFF_FFFF, 0];

/// A ramp, so that every sample is told from its neighbours.
fn samples() -> Vec<i16> {
    (0..1_000).map(|i| i * 30 - 15_000).collect()
}

fn chunk(name: [u8; 4], size: u32, content: &[u8]) -> Vec<u8> {
    [&name[..], &size.to_le_bytes(), content].concat()
}

fn format(rate: u32) -> Vec<u8> {
    let mut format = Vec::new();
    format.extend([1, 0, 1, 0]);
    format.extend(rate.to_le_bytes());
    format.extend(rate.wrapping_mul(2).to_le_bytes());
    format.extend([2, 0, 16, 0]);
    chunk(*b"fmt ", 16, &format)
}

fn riff(size: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    chunk(*b"RIFF", size, &[b"WAVE".to_vec(), chunks.concat()].concat())
}

fn pcm() -> Vec<u8> {
    samples().iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn written(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    path
}

#[track_caller]
fn assert_whole(what: &str, bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = written(&folder, "sound.wav", bytes);
    let found = read_sound(&path, RATE as usize).unwrap_or_else(|e| panic!("{what}: {e}"));
    let expected: Vec<f32> = samples().into_iter().map(|s| f32::from(s) / 32_768.0).collect();
    assert_eq!(found, expected, "{what}");
}

fn refused(name: &str, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    match read_sound(&written(&folder, name, bytes), RATE as usize) {
        Err(ModelError::Audio { reason, .. }) => reason,
        other => panic!("{name}: {:?}", other.map(|samples| samples.len())),
    }
}

#[test]
fn wav_files_from_pipes_are_read_to_the_end() {
    let len = pcm().len() as u32;
    for size in UNKNOWN {
        let data = chunk(*b"data", size, &pcm());
        assert_whole(&format!("{size:x}"), &riff(size, &[format(RATE), data.clone()]));
        assert_whole(&format!("{size:x}, RIFF known"), &riff(36 + len, &[format(RATE), data]));
    }
}

#[test]
fn wrong_sizes_of_a_wav_file_are_put_right() {
    let len = pcm().len() as u32;
    let right = chunk(*b"data", len, &pcm());
    for size in [0, 4, 30, 35, 37, 38, 44 + len, 36 + len - 3, 36 + len + 3, u32::MAX / 2] {
        assert_whole(&format!("RIFF {size}"), &riff(size, &[format(RATE), right.clone()]));
    }
    for more in [1, 2, 8, 36, 44] {
        let data = chunk(*b"data", len + more, &pcm());
        assert_whole(&format!("data + {more}"), &riff(36 + len, &[format(RATE), data]));
    }
    for list in [&b"INFOISFT\x05\0\0\0Lavf5"[..], b"adtl\0", b"x"] {
        let size = list.len() as u32;
        for padding in [&b""[..], b"\0"] {
            let list = chunk(*b"LIST", size, &[list, padding].concat());
            let parts = [format(RATE), list.clone(), right.clone()];
            assert_whole(&format!("LIST {size} {padding:?}"), &riff(36 + len, &parts));
            let parts = [list, format(RATE), right.clone()];
            assert_whole(&format!("LIST first {size} {padding:?}"), &riff(36 + len, &parts));
        }
    }
    let behind = [format(RATE), right, chunk(*b"LIST", 4, b"INFO")];
    assert_whole("a chunk behind the sound", &riff(48 + len, &behind));
}

#[test]
fn a_wav_file_that_is_cut_off_or_empty_is_refused() {
    let len = pcm().len() as u32;
    let data = chunk(*b"data", len, &pcm()[..len as usize / 2]);
    let reason = refused("cut.wav", &riff(36 + len, &[format(RATE), data]));
    assert!(reason.contains("cut off"), "{reason}");
    let list = chunk(*b"LIST", 4, b"INFO");
    let reason = refused("empty.wav", &riff(48, &[format(RATE), chunk(*b"data", 0, b""), list]));
    assert!(reason.contains("no sample"), "{reason}");
}

#[test]
fn an_absurd_sample_rate_is_refused_at_once() {
    const AT_ONCE: Duration = Duration::from_secs(2);
    let len = pcm().len() as u32;
    let file = |rate| riff(36 + len, &[format(rate), chunk(*b"data", len, &pcm())]);
    for rate in [0, 1, 7, 999, 1_000_001, 10_000_019, 100_000_007, 2_147_483_647, u32::MAX] {
        let start = Instant::now();
        let reason = refused("rate.wav", &file(rate));
        assert!(reason.contains("damaged") || reason.contains("no format"), "{rate}: {reason}");
        assert!(start.elapsed() < AT_ONCE, "{rate}: {:?}", start.elapsed());
    }
    // One that has no divisor in common with the model's.
    let folder = tempfile::tempdir().expect("a folder");
    let start = Instant::now();
    let odd = read_sound(&written(&folder, "odd.wav", &file(15_991)), RATE as usize);
    assert!(odd.expect("a sound").len().abs_diff(1_000) <= 1);
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
}

struct Mp3 {
    bytes: Vec<u8>,
    samples: usize,
    loudness: Vec<f64>,
}

fn mp3() -> Mp3 {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sounds");
    let json = std::fs::read(folder.join("variable.json")).expect("values");
    let json: Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(json["rate"], RATE);
    Mp3 {
        bytes: std::fs::read(folder.join("variable.mp3")).expect("a sound"),
        samples: serde_json::from_value(json["samples"].clone()).expect("a number"),
        loudness: serde_json::from_value(json["loudness"].clone()).expect("numbers"),
    }
}

#[track_caller]
fn assert_mp3(what: &str, bytes: &[u8]) {
    /// Of a root mean square; two decoders round differently.
    const TOLERANCE: f64 = 1e-4;
    let expected = mp3();
    let folder = tempfile::tempdir().expect("a folder");
    let found = read_sound(&written(&folder, "sound.mp3", bytes), RATE as usize);
    let found = found.unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(found.len(), expected.samples, "{what}");
    let block = found.len() / expected.loudness.len();
    for (i, (found, expected)) in found.chunks(block).zip(expected.loudness).enumerate() {
        let power: f64 = found.iter().map(|s| f64::from(*s).powi(2)).sum();
        let loudness = (power / block as f64).sqrt();
        assert!((loudness - expected).abs() <= TOLERANCE, "{what}: block {i}: {loudness}");
    }
}

#[test]
fn an_mp3_file_without_a_count_of_frames_is_read_whole() {
    assert_mp3("plain", &mp3().bytes);
}

/// Bytes in which the decoder finds something like a frame.
fn stray() -> Vec<u8> {
    let mut stray = b"\x12\xFF\xD8\xFF\xFB\x90\x64rubbish".to_vec();
    stray.extend((0..3_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8));
    stray
}

#[test]
fn what_stands_behind_an_mp3_file_is_not_sound() {
    let frames = mp3().bytes;
    let footer = |size: u32| {
        let mut footer = b"APETAGEX\xD0\x07\0\0".to_vec();
        footer.extend(size.to_le_bytes());
        footer.extend([1, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0]);
        footer
    };
    let ape = [stray(), footer(stray().len() as u32 + 32)].concat();
    let id3 = [b"TAG".to_vec(), vec![b' '; 125]].concat();
    let lyrics = [b"LYRICSBEGIN", &stray()[..], b"LYRICS200"].concat();
    for (what, tail) in [
        ("zeros", vec![0; 500]),
        ("ones", vec![0xFF; 500]),
        ("stray bytes", stray()),
        ("ID3v1", id3.clone()),
        ("APEv2", ape.clone()),
        ("Lyrics3 and ID3v1", [lyrics, id3.clone()].concat()),
        ("APEv2 and ID3v1", [ape, id3].concat()),
        ("the first bytes of a frame", frames[..3].to_vec()),
    ] {
        assert_mp3(what, &[frames.clone(), tail].concat());
    }
}

#[test]
fn what_stands_before_an_mp3_file_is_not_sound() {
    let frames = mp3().bytes;
    let size = stray().len();
    let tag =
        [b"ID3\x04\0\0\0\0", &[(size >> 7) as u8, (size & 0x7F) as u8][..], &stray()].concat();
    assert_mp3("ID3v2", &[tag.clone(), frames.clone()].concat());
    assert_mp3("two of them", &[tag.clone(), tag, frames.clone()].concat());
    assert_mp3("zeros", &[vec![0; 300], frames].concat());
}
