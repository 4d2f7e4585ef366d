"""PyTorch's side of `cargo xtask bench`: the same inversion loop, one request per line.

    echo '{"invert": {"batch": 8, "steps": 3}}' | \
        python scripts/bench_pytorch.py --model DIR --precision f32

Each line of standard input is a request, each line of standard output its answer,
`{"value": ...}`: seconds of an inversion (`invert`), seconds of a product of two
square matrices (`multiply`), or the process's peak memory in MiB (`"memory"`). With
`--texts` the text tower is read in place of the input tower, and `texts` gives the
seconds in which it embeds a list: sorted by length, in batches padded to their
longest text; compiled, in batches of one shape, since each shape is compiled anew.
An inversion is as umid's default: from `batch` random starts, `steps` normalised
gradient steps of the cosine with a fixed direction, clamped, and the last embedding.
Weights are not tracked.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoConfig, AutoTokenizer, ClapFeatureExtractor, ClapModel, CLIPModel
from transformers.utils import logging

Tower = Callable[[torch.Tensor], torch.Tensor]
PRECISIONS = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
STEP = 0.07
VALID_RANGE = (-2.0, 2.0)
TEXT_BATCH = 256
# Seconds over which products are repeated.
WHILE = 0.5


def load(directory: Path, dtype: torch.dtype, device: str) -> tuple[Tower, tuple[int, int, int]]:
    """A checkpoint's input tower on frozen weights, and an input's shape."""
    if (directory / "open_clip_config.json").is_file():
        return load_open_clip(directory, dtype, device)
    if AutoConfig.from_pretrained(directory).model_type == "clap":
        return load_clap(directory, dtype, device)
    model = CLIPModel.from_pretrained(directory, dtype=dtype)
    model.to(device).eval().requires_grad_(False)
    side = model.config.vision_config.image_size
    return lambda pixels: model.get_image_features(pixels).pooler_output, (3, side, side)


def load_open_clip(
    directory: Path, dtype: torch.dtype, device: str
) -> tuple[Tower, tuple[int, int, int]]:
    # Imported here, so that the other models do not need the package.
    import open_clip

    model = open_clip.create_model(f"local-dir:{directory}")
    model.to(device, dtype).eval().requires_grad_(False)
    # A ResNet has one number, a ViT a pair.
    side = model.visual.image_size
    height, width = side if isinstance(side, tuple) else (side, side)
    return model.encode_image, (3, height, width)


def load_clap(
    directory: Path, dtype: torch.dtype, device: str
) -> tuple[Tower, tuple[int, int, int]]:
    model = ClapModel.from_pretrained(directory, dtype=dtype)
    model.to(device).eval().requires_grad_(False)
    extractor = ClapFeatureExtractor.from_pretrained(directory)
    frames = 1 + extractor.nb_max_samples // extractor.hop_length

    def tower(log_mels: torch.Tensor) -> torch.Tensor:
        short = torch.zeros(len(log_mels), 1, dtype=torch.bool, device=device)
        return model.get_audio_features(log_mels, is_longer=short).pooler_output

    return tower, (1, frames, extractor.feature_size)


class Worker:
    """Answers requests."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.device = arguments.device
        self.dtype = PRECISIONS[arguments.precision]
        self.compiles = arguments.compile
        if arguments.texts:
            self.load_texts(arguments.model)
            return
        self.tower, self.shape = load(arguments.model, self.dtype, self.device)
        with torch.no_grad():
            one = torch.zeros(1, *self.shape, device=self.device, dtype=self.dtype)
            self.dimension = self.tower(one).shape[1]
        if arguments.compile:
            self.tower = torch.compile(self.tower, dynamic=False)

    def load_texts(self, directory: Path) -> None:
        is_clap = AutoConfig.from_pretrained(directory).model_type == "clap"
        model = (ClapModel if is_clap else CLIPModel).from_pretrained(directory, dtype=self.dtype)
        model.to(self.device).eval().requires_grad_(False)
        self.tokenizer = AutoTokenizer.from_pretrained(directory)
        self.embed = model.get_text_features
        if self.compiles:
            self.embed = torch.compile(self.embed, dynamic=False)

    def answer(self, request: dict | str) -> float | None:
        if request == "memory":
            return peak_mebibytes()
        if "texts" in request:
            return self.texts(**request["texts"])
        if "invert" in request:
            return self.invert(**request["invert"])
        return self.multiply(**request["multiply"])

    def invert(self, batch: int, steps: int) -> float:
        variable = torch.randn(batch, *self.shape, device=self.device)
        length = STEP * variable.flatten(1).norm(dim=1)
        direction = torch.sin(torch.arange(self.dimension) * 0.7).to(self.device)
        self.wait()
        started = time.perf_counter()
        for _ in range(steps):
            variable.requires_grad_(True)
            cosine = self.cosine(variable, direction)
            (gradient,) = torch.autograd.grad(cosine.sum(), variable)
            norm = gradient.flatten(1).norm(dim=1)
            scale = (length / norm).view(-1, 1, 1, 1)
            variable = (variable.detach() + scale * gradient).clamp(*VALID_RANGE)
        with torch.no_grad():
            self.cosine(variable, direction).tolist()
        self.wait()
        return time.perf_counter() - started

    @torch.no_grad()
    def texts(self, texts: list[str], alone: bool) -> float:
        self.wait()
        started = time.perf_counter()
        ids = self.tokenizer(texts)["input_ids"]
        order = sorted(range(len(texts)), key=lambda row: len(ids[row]))
        longest = len(ids[order[-1]])
        size = 1 if alone else TEXT_BATCH
        for first in range(0, len(order), size):
            rows = order[first : first + size]
            options = {"padding": True}
            if self.compiles:
                rows += rows[:1] * (size - len(rows))
                options = {"padding": "max_length", "max_length": longest}
            batch = self.tokenizer.pad(
                {"input_ids": [ids[row] for row in rows]}, return_tensors="pt", **options
            )
            output = self.embed(**batch.to(self.device))
            (output if isinstance(output, torch.Tensor) else output.pooler_output).float().tolist()
        self.wait()
        return time.perf_counter() - started

    def cosine(self, inputs: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        embeddings = self.tower(inputs.to(self.dtype)).float()
        return torch.cosine_similarity(embeddings, direction[None], dim=1)

    def multiply(self, side: int) -> float:
        left, right = (
            torch.rand(side, side, device=self.device).to(self.dtype) for _ in range(2)
        )
        out = left @ right
        self.wait()
        started, times = time.perf_counter(), 0
        while time.perf_counter() - started < WHILE:
            torch.matmul(left, right, out=out)
            self.wait()
            times += 1
        return (time.perf_counter() - started) / times

    def wait(self) -> None:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()


def peak_mebibytes() -> float | None:
    """Of this process; `getrusage` would count the memory of the process that started it."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="time inversions in PyTorch")
    parser.add_argument("--model", type=Path, required=True, help="a checkpoint directory")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=PRECISIONS, default="f32")
    parser.add_argument("--compile", action="store_true", help="through torch.compile")
    parser.add_argument("--texts", action="store_true", help="read the text tower")
    arguments = parser.parse_args()

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(0)
    worker = Worker(arguments)
    for line in sys.stdin:
        print(json.dumps({"value": worker.answer(json.loads(line))}), flush=True)


if __name__ == "__main__":
    main()
