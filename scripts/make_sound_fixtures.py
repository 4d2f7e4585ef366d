"""Make a small MP3 file without a count of its frames, and what miniaudio reads of it.

    python -m venv .venv && .venv/bin/pip install -r scripts/requirements.txt
    .venv/bin/pip install miniaudio==1.71
    .venv/bin/python scripts/make_sound_fixtures.py

`crates/umid-models/tests/fixtures/sounds/variable.mp3` has a variable bit rate, a quiet first
half and a loud second one: a length that is estimated from the first frames is too long.
`variable.json` holds the sample rate, the number of samples, and the root mean square of every
block of 576 samples, which is one frame. libsndfile, and with it librosa, estimates the length
too and loses the end of such a file.
"""

from __future__ import annotations

import json
from pathlib import Path

import miniaudio
import numpy as np
import soundfile

OUT = Path(__file__).parent.parent / "crates/umid-models/tests/fixtures/sounds"
RATE = 16_000
FRAME = 576


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    time = np.arange(RATE) / RATE
    noise = np.random.default_rng(8).standard_normal(RATE)
    sound = np.where(time < 0.5, 1e-2 * np.sin(2 * np.pi * 300 * time), 0.15 * noise)
    path = OUT / "variable.mp3"
    soundfile.write(
        path, sound.clip(-1, 1), RATE, format="MP3", bitrate_mode="VARIABLE", compression_level=0.9
    )
    # The encoder puts a frame with the count before the sound; without it the file begins with
    # the next sync word.
    content = path.read_bytes()
    assert b"Xing" in content[:64]
    content = content[content.index(content[:2], 4) :]
    path.write_bytes(content)

    read = miniaudio.mp3_read_file_f32(str(path))
    samples = np.asarray(read.samples, dtype=np.float32)
    assert (read.sample_rate, read.nchannels) == (RATE, 1) and len(samples) % FRAME == 0
    loudness = np.sqrt((samples.reshape(-1, FRAME).astype(np.float64) ** 2).mean(1))
    expected = {"rate": RATE, "samples": len(samples), "loudness": loudness.tolist()}
    (OUT / "variable.json").write_text(json.dumps(expected) + "\n", encoding="utf-8")
    print(f"{len(content)} bytes, {len(samples)} samples")


if __name__ == "__main__":
    main()
