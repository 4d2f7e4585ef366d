"""Clips, and CLAP's log-mel spectrogram of them written so that it can be differentiated.

Shared by the scripts that make CLAP checkpoints; not a program itself.
"""

from __future__ import annotations

import dataclasses
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torchvision
from transformers import ClapFeatureExtractor

SAMPLING_RATE = 48_000
# How far the differentiable log-mel may be from the package's, in dB.
LOG_MEL_TOLERANCE = 1e-4


# --- the clips ----------------------------------------------------------------


def synthesise() -> dict[str, np.ndarray]:
    """The clips by name, in -1..1.

    Only `silence` and `faint` reach the floor of the log-mel. The others carry noise: a clean
    tone leaves most mel bands to the round-off of the Fourier transform, and two f32
    implementations then differ by decibels and not in the last digit.
    """
    rng = np.random.default_rng(48)

    def seconds(samples: int) -> np.ndarray:
        return np.arange(samples) / SAMPLING_RATE

    def sweep(samples: int, low: float, high: float) -> np.ndarray:
        frequency = low * (high / low) ** np.linspace(0, 1, samples)
        return np.sin(2 * np.pi * np.cumsum(frequency) / SAMPLING_RATE)

    def noise(samples: int) -> np.ndarray:
        return rng.standard_normal(samples)

    def tones(samples: int, *frequencies: float) -> np.ndarray:
        return sum(np.sin(2 * np.pi * f * seconds(samples)) for f in frequencies)

    steps = np.floor(np.linspace(0, 6, 56_000, endpoint=False))
    faint = np.where(np.arange(1_300) < 900, 4e-5, 0.0)
    return {
        # By less than a hop, so that no frame is added.
        "barely_longer": 0.2 * tones(48_240, 330, 2_500) * (seconds(48_240) % 0.3 < 0.2)
        + 0.01 * noise(48_240),
        # Four repetitions fill a second exactly.
        "chirp": 0.4 * sweep(12_000, 120, 9_000) + 0.003 * noise(12_000),
        "chord": 0.2 * tones(3_600, 440, 1_320, 5_100) + 0.02 * noise(3_600),
        "faint": faint * noise(1_300),
        "longer": 0.3 * sweep(56_000, 9_000, 200) * (0.2 + steps / 6) + 0.01 * noise(56_000),
        # More than half of a second, so that it is not repeated.
        "noise": np.clip(0.2 * noise(26_000), -1, 1),
        "silence": np.zeros(700),
    }


def write_clips(directory: Path) -> dict[str, np.ndarray]:
    """Write the clips as 16-bit WAV; what reads back, sample / 32768, in name order."""
    directory.mkdir(parents=True)
    waveforms = {}
    for name, values in synthesise().items():
        samples = np.round(32_767 * values).astype("<i2")
        with wave.open(str(directory / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, SAMPLING_RATE, len(samples), "NONE", None))
            file.writeframes(samples.tobytes())
        waveforms[name] = samples.astype(np.float32) / np.float32(32_768)
    return waveforms


# --- from a clip to what the audio tower reads --------------------------------


@dataclass
class Extracted:
    """A clip as the package prepares it, and where it cut."""

    features: torch.Tensor  # (K, F, M)
    is_longer: bool
    crop_start: int | None = None  # first sample of the crop
    chunk_starts: list[int] | None = None  # first frames of the three chunks of fusion


@dataclass
class FrontEnd:
    """A feature extractor, its random choices made known, and the same thing in torch."""

    extractor: ClapFeatureExtractor
    max_samples: int
    laion: bool = False  # as laion_clap reads clips

    @property
    def fused(self) -> bool:
        return self.extractor.truncation == "fusion"

    @property
    def frames(self) -> int:
        return 1 + self.max_samples // self.extractor.hop_length

    def extract(self, waveform: np.ndarray, seed: int) -> Extracted:
        """The features of one clip, after `numpy.random.seed(seed)`."""
        waveform = self.heard(waveform)
        total_frames = 1 + len(waveform) // self.extractor.hop_length
        spare = len(waveform) - self.max_samples
        np.random.seed(seed)
        cut = Extracted(torch.empty(0), is_longer=False)
        if spare <= 0 or (self.fused and total_frames == self.frames):
            pass
        elif self.fused:
            parts = np.array_split(range(total_frames - self.frames + 1), 3)
            starts = [int(np.random.choice(part)) if len(part) else 0 for part in parts]
            cut = Extracted(torch.empty(0), is_longer=True, chunk_starts=starts)
        else:
            start = int(np.random.randint(0, spare + 1))
            cut = Extracted(torch.empty(0), is_longer=True, crop_start=start)
        ours = self.features(torch.from_numpy(waveform).double(), cut)
        if self.laion and cut.chunk_starts is not None:
            # laion_clap shrinks such a clip in another way, and transformers to 64 bands only.
            return dataclasses.replace(cut, features=ours.float())
        # The package draws the same.
        np.random.seed(seed)
        features = self.extractor(
            waveform,
            sampling_rate=self.extractor.sampling_rate,
            max_length=self.max_samples,
            return_tensors="pt",
        )["input_features"][0]
        difference = float((ours - features).abs().max())
        if difference > LOG_MEL_TOLERANCE:
            raise RuntimeError(f"the differentiable log-mel is off by {difference} dB")
        return dataclasses.replace(cut, features=features)

    def heard(self, waveform: np.ndarray) -> np.ndarray:
        """laion_clap limits samples and rounds them to 16 bits unless gradients are wanted.

        Its own functions, `int16_to_float32(float32_to_int16(x))` of `training/data.py`.
        """
        if not self.laion:
            return waveform
        rounded = (np.clip(waveform, -1, 1) * 32_767.0).astype(np.int16)
        return (rounded / 32_767.0).astype(np.float32)

    def shrink(self, mel: torch.Tensor) -> torch.Tensor:
        size = [self.frames, mel.shape[1]]
        if self.laion:
            return torchvision.transforms.Resize(size)(mel[None])[0]
        return torch.nn.functional.interpolate(mel[None, None], size, mode="bilinear")[0, 0]

    def features(self, waveform: torch.Tensor, cut: Extracted) -> torch.Tensor:
        """The same features, differentiable: (K, F, M) of a waveform in f64."""
        if not self.fused:
            return self.log_mel(self.fit(waveform, cut.crop_start or 0), htk=False)[None]
        if cut.chunk_starts is None:
            # A clip that is longer by less than a hop is used whole.
            whole = self.fit(waveform, 0) if len(waveform) <= self.max_samples else waveform
            return self.log_mel(whole, htk=True).expand(4, -1, -1)
        mel = self.log_mel(waveform, htk=True)
        shrunk = self.shrink(mel)
        chunks = [mel[start : start + self.frames] for start in cut.chunk_starts]
        return torch.stack([shrunk, *chunks])

    def fit(self, waveform: torch.Tensor, start: int) -> torch.Tensor:
        """The waveform cropped or padded to the length the model takes."""
        waveform = waveform[start : start + self.max_samples]
        if self.extractor.padding == "repeatpad":
            waveform = waveform.repeat(self.max_samples // len(waveform))
        if self.extractor.padding == "repeat":
            waveform = waveform.repeat(self.max_samples // len(waveform) + 1)[: self.max_samples]
        return torch.nn.functional.pad(waveform, (0, self.max_samples - len(waveform)))

    def log_mel(self, waveform: torch.Tensor, htk: bool) -> torch.Tensor:
        """Log-mel in dB, (F, M), with the filters of the HTK or of the Slaney scale."""
        size = self.extractor.fft_window_size
        window = torch.hann_window(size, periodic=True, dtype=waveform.dtype)
        spectrum = torch.stft(
            waveform,
            size,
            hop_length=self.extractor.hop_length,
            window=window,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        # Not abs() ** 2, whose gradient at a silent bin is the gradient of a norm at zero.
        power = spectrum.real**2 + spectrum.imag**2
        filters = self.extractor.mel_filters if htk else self.extractor.mel_filters_slaney
        mel = power.T @ torch.from_numpy(filters).to(waveform.dtype)
        return 10 * torch.log10(mel.clamp(min=1e-10))
