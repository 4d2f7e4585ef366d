//! Sound files: decoding, mixing to one channel, resampling.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom, Take};
use std::ops::RangeInclusive;
use std::path::Path;

use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;

use super::resample::changed;
use super::{Channels, Reading, mp3, wav};
use crate::{ModelError, Result};

/// Longest sound that is decoded, in seconds: a model hears ten of them, and an hour of stereo
/// at 48 kHz is 1.4 GB of samples.
const LONGEST: usize = 2 * 60 * 60;
/// Samples per second that a file may have. Beyond them a header is damaged, and resampling would
/// take or make gigabytes.
const RATES: RangeInclusive<u32> = 1_000..=1_000_000;

/// Reads a sound file (WAV, FLAC, MP3, Ogg Vorbis) as one channel at `rate` samples a second,
/// in -1..1. Channels are averaged, as librosa does when the references load a file. As with
/// librosa, a WAV file whose header has a wrong or unknown size is read to its end, and what stands
/// behind the frames of an MP3 file is not sound.
///
/// # Errors
///
/// [`ModelError::Io`] for a file that cannot be read, [`ModelError::Audio`] for one that is not
/// a sound, is cut off, holds no sample or one that is not a number, is longer than two hours, or
/// has fewer than 1,000 or more than 1,000,000 samples per second.
pub fn read_sound(path: &Path, rate: usize) -> Result<Vec<f32>> {
    read_sound_as(path, rate, Reading::LIBROSA)
}

/// The same, as another package reads it.
///
/// # Errors
///
/// As [`read_sound`].
pub(crate) fn read_sound_as(path: &Path, rate: usize, reading: Reading) -> Result<Vec<f32>> {
    let (channels, found_rate) = decoded(path, reading.channels)?;
    let wrong = |reason: &str| ModelError::Audio { path: path.to_owned(), reason: reason.into() };
    if channels.iter().all(Vec::is_empty) {
        return Err(wrong("it holds no sample"));
    }
    for samples in &channels {
        if let Some(at) = samples.iter().position(|s| !s.is_finite()) {
            return Err(wrong(&format!("sample {at} is {}", samples[at])));
        }
    }
    let channels = channels.into_iter().map(|samples| {
        changed(samples, found_rate, rate, reading.resampling).map_err(|reason| wrong(&reason))
    });
    // A single one is not copied.
    let mut channels = channels.collect::<Result<Vec<_>>>()?.into_iter();
    let mut all = channels.next().unwrap_or_default();
    channels.for_each(|samples| all.extend(samples));
    Ok(all)
}

/// The channels of the file's first sound track, or their mean alone, and its rate.
fn decoded(path: &Path, channels: Channels) -> Result<(Vec<Vec<f32>>, usize)> {
    let source = source(path).map_err(|source| ModelError::Io { path: path.to_owned(), source })?;
    let wrong = |reason: String| ModelError::Audio { path: path.to_owned(), reason };
    let mut hint = Hint::new();
    if let Some(extension) = path.extension().and_then(|e| e.to_str()) {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(source, MediaSourceStreamOptions::default());
    let format = symphonia::default::get_probe()
        .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|e| wrong(format!("it is in no format that is known here ({e})")))?;
    let track = format
        .default_track(TrackType::Audio)
        .ok_or_else(|| wrong("it holds no sound track".to_owned()))?;
    let id = track.id;
    let params = track.codec_params.as_ref().and_then(|params| params.audio());
    let params =
        params.ok_or_else(|| wrong("its sound track says nothing of itself".to_owned()))?;
    let decoder = symphonia::default::get_codecs()
        .make_audio_decoder(params, &AudioDecoderOptions::default())
        .map_err(|e| wrong(format!("its encoding is not known here ({e})")))?;
    let declared = track.num_frames;
    let rate = params.sample_rate;
    if let Some(rate) = rate.filter(|rate| !RATES.contains(rate)) {
        return Err(wrong(format!(
            "its header says {rate} samples per second, expected {} to {}; the header is damaged",
            RATES.start(),
            RATES.end()
        )));
    }
    let (samples, rate) = unpacked(format, decoder, id, rate, channels).map_err(wrong)?;
    let found = samples.first().map_or(0, Vec::len);
    if let Some(declared) = declared
        && (found as u64) < declared
    {
        return Err(wrong(format!(
            "it ends after {found} of the {declared} samples that it declares: it is cut off"
        )));
    }
    Ok((samples, rate))
}

/// What the decoder reads of a file.
fn source(path: &Path) -> std::io::Result<Box<dyn MediaSource>> {
    let mut file = File::open(path)?;
    if let Some(wav) = wav::described(&mut file)? {
        file.seek(SeekFrom::Start(wav.start))?;
        return Ok(Box::new(Part { header: Cursor::new(wav.header), rest: file.take(wav.len) }));
    }
    if let Some(end) = mp3::end_of_sound(&mut file)? {
        file.seek(SeekFrom::Start(0))?;
        return Ok(Box::new(Part { header: Cursor::default(), rest: file.take(end) }));
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(Box::new(file))
}

/// A header and a part of a file. The decoder does not learn its length: of an MP3 file without a
/// count of its frames it would guess one from it, and leave out what is beyond.
struct Part {
    header: Cursor<Vec<u8>>,
    rest: Take<File>,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.header.read(buffer)? {
            0 => self.rest.read(buffer),
            read => Ok(read),
        }
    }
}

impl Seek for Part {
    fn seek(&mut self, _: SeekFrom) -> std::io::Result<u64> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

impl MediaSource for Part {
    fn is_seekable(&self) -> bool {
        false
    }

    fn byte_len(&self) -> Option<u64> {
        None
    }
}

/// Every packet of a track: its channels, or their mean.
fn unpacked(
    mut format: Box<dyn FormatReader>,
    mut decoder: Box<dyn AudioDecoder>,
    track: u32,
    mut rate: Option<u32>,
    channels: Channels,
) -> std::result::Result<(Vec<Vec<f32>>, usize), String> {
    let (mut samples, mut packet_samples) = (vec![Vec::new()], Vec::<f32>::new());
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) if packet.track_id == track => packet,
            Ok(Some(_)) => continue,
            Ok(None) => break,
            Err(e) => return Err(format!("it is cut off or damaged ({e})")),
        };
        let buffer = match decoder.decode(&packet) {
            Ok(buffer) => buffer,
            Err(Error::DecodeError(reason)) => return Err(format!("it is damaged ({reason})")),
            Err(e) => return Err(e.to_string()),
        };
        let spec = buffer.spec();
        let found = spec.rate();
        if !RATES.contains(&found) {
            return Err(format!("it says {found} samples per second: it is damaged"));
        }
        if *rate.get_or_insert(found) != found {
            return Err("its sample rate changes on the way".to_owned());
        }
        let count = spec.channels().count().max(1);
        buffer.copy_to_vec_interleaved(&mut packet_samples);
        let frames = packet_samples.chunks_exact(count);
        match channels {
            Channels::Mean => {
                samples[0].extend(frames.map(|frame| frame.iter().sum::<f32>() / count as f32));
            }
            Channels::Joined => {
                if samples[0].is_empty() {
                    samples.resize(count, Vec::new());
                }
                if samples.len() != count {
                    return Err("its number of channels changes on the way".to_owned());
                }
                for frame in frames {
                    samples.iter_mut().zip(frame).for_each(|(to, sample)| to.push(*sample));
                }
            }
        }
        if samples.len() * samples[0].len() > LONGEST * found as usize {
            return Err(format!("it is longer than {} hours; cut it first", LONGEST / 3_600));
        }
    }
    Ok((samples, rate.unwrap_or_default() as usize))
}
