"""Time one inversion step of an image or audio tower in PyTorch.

    python scripts/bench_pytorch.py --model DIR --batch 8 --steps 5 --threads 2

A step is the forward pass of the tower, the cosine with a fixed direction, and
the gradient with respect to the pixels or the log-mels; weights are not tracked. The first
step is not counted. Prints one JSON object; `peak_rss_mib` is of the whole
process, the loaded text tower included.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import open_clip
import torch
from transformers import AutoConfig, ClapFeatureExtractor, ClapModel, CLIPModel

Tower = Callable[[torch.Tensor], torch.Tensor]


def load(directory: Path) -> tuple[str, Tower, tuple[int, int, int]]:
    """A checkpoint's layout, its input tower on frozen f32 weights, and an input's shape."""
    if (directory / "open_clip_config.json").is_file():
        model = open_clip.create_model(f"local-dir:{directory}", precision="fp32")
        model.eval().requires_grad_(False)
        side = model.visual.image_size[0]
        return "openclip", model.encode_image, (3, side, side)
    if AutoConfig.from_pretrained(directory).model_type == "clap":
        return load_clap(directory)
    model = CLIPModel.from_pretrained(directory, dtype=torch.float32)
    model.eval().requires_grad_(False)
    side = model.config.vision_config.image_size
    shape = (3, side, side)
    return "hf", lambda pixels: model.get_image_features(pixels).pooler_output, shape


def load_clap(directory: Path) -> tuple[str, Tower, tuple[int, int, int]]:
    model = ClapModel.from_pretrained(directory, dtype=torch.float32)
    model.eval().requires_grad_(False)
    extractor = ClapFeatureExtractor.from_pretrained(directory)
    frames = 1 + extractor.nb_max_samples // extractor.hop_length

    def tower(log_mels: torch.Tensor) -> torch.Tensor:
        short = torch.zeros(len(log_mels), 1, dtype=torch.bool)
        return model.get_audio_features(log_mels, is_longer=short).pooler_output

    return "clap", tower, (1, frames, extractor.feature_size)


def time_step(tower: Tower, inputs: torch.Tensor, direction: torch.Tensor) -> float:
    """Seconds for one forward pass and one gradient."""
    variable = inputs.clone().requires_grad_(True)
    started = time.perf_counter()
    cosine = torch.cosine_similarity(tower(variable), direction, dim=1)
    torch.autograd.grad(cosine.sum(), variable)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description="time an inversion step in PyTorch")
    parser.add_argument("--model", type=Path, required=True, help="a checkpoint directory")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    layout, tower, shape = load(arguments.model)
    inputs = torch.randn(arguments.batch, *shape)
    with torch.no_grad():
        direction = torch.randn_like(tower(inputs[:1]))

    seconds = [time_step(tower, inputs, direction) for _ in range(arguments.steps + 1)][1:]
    measured = {
        "layout": layout,
        "batch": arguments.batch,
        "input_shape": shape,
        "steps": arguments.steps,
        "threads": arguments.threads,
        "median_seconds": statistics.median(seconds),
        "min_seconds": min(seconds),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "torch": torch.__version__,
    }
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
