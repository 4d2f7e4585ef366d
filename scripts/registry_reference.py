"""What a reference package says of a checkpoint of the registry, in the files of the fixtures.

Shared by `make_registry.py` and its modules; not a program itself. The keys are those of
`make_clip_fixtures.py`'s docstring. `input_ids` holds the ids as the package pads them, `ids` in
`expected.json` the same without what only pads. `text_states` is left out, and everything of
images where the checkpoint has no image tower.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import save_file

from clip_reference import TEXTS, TEXTS_OPEN_CLIP_CLEANS, learnt_merges, write_json
from registry_models import small_towers

PACKAGES = ("torch", "transformers", "open_clip_torch", "timm", "tokenizers", "pillow", "numpy")
GRADIENT_TEXTS = (0,)


class Reference(ABC):
    """A checkpoint loaded from disk by its own package, in f32."""

    layout: str
    pad_id: int
    # `None` where the checkpoint has none.
    logit_scale: torch.Tensor | None

    @abstractmethod
    def token_ids(self, texts: Sequence[str]) -> tuple[list[list[int]], torch.Tensor]:
        """The ids of each text, and (T, C) as the package pads them."""

    @abstractmethod
    def encode_text(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Embeddings (T, D), not normalised."""

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        """Embeddings (N, D) of pixels (N, 3, S, S), not normalised."""
        raise NotImplementedError

    def preprocess(self, file: Path) -> torch.Tensor | None:
        """A file as the package prepares it; `None` if it has no input tower."""
        return None

    def noise(self, shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
        """A random input."""
        return rng.standard_normal(tuple(shape), np.float32)


class OpenClipReference(Reference):
    """A directory in the layout of open_clip's hub repositories."""

    layout = "openclip"

    def __init__(self, directory: Path) -> None:
        name = f"local-dir:{directory}"
        with small_towers():
            self.model = open_clip.create_model(name, precision="fp32").eval()
        self.model.requires_grad_(False)
        preprocessing = PreprocessCfg(**self.model.visual.preprocess_cfg)
        self.transform = image_transform_v2(preprocessing, is_train=False)
        self.tokenizer = open_clip.get_tokenizer(name)
        self.pad_id = 0
        if isinstance(self.tokenizer, open_clip.SimpleTokenizer):
            self.tokenizer = small_simple_tokenizer(self.tokenizer.context_length)
        else:
            self.pad_id = self.tokenizer.tokenizer.pad_token_id
        self.logit_scale = self.model.logit_scale

    def token_ids(self, texts: Sequence[str]) -> tuple[list[list[int]], torch.Tensor]:
        rows = self.tokenizer(list(texts))
        if isinstance(self.tokenizer, open_clip.SimpleTokenizer):
            return [row[: max(np.flatnonzero(row)) + 1] for row in rows.tolist()], rows
        lengths = [
            len(self.tokenizer.tokenizer(self.tokenizer.clean_fn(text))["input_ids"])
            for text in texts
        ]
        return [row[:length] for row, length in zip(rows.tolist(), lengths, strict=True)], rows

    def encode_text(self, input_ids: torch.Tensor) -> torch.Tensor:
        # CoCa normalises unless it is told not to.
        return self.model.encode_text(input_ids, normalize=False)

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model.encode_image(pixels, normalize=False)

    def preprocess(self, file: Path) -> torch.Tensor:
        return self.transform(Image.open(file))


def small_simple_tokenizer(context: int) -> open_clip.SimpleTokenizer:
    """open_clip's own tokenizer over the small vocabulary."""
    lines = ["#version: 0.2", *(" ".join(merge) for merge in learnt_merges())]
    with tempfile.NamedTemporaryFile(suffix=".gz") as file:
        file.write(gzip.compress("\n".join(lines).encode()))
        file.flush()
        return open_clip.SimpleTokenizer(file.name, context_length=context)


def write_expected(
    case: dict[str, Any], reference: Reference, directory: Path, inputs: Sequence[Path]
) -> None:
    """Write `expected.safetensors` and, last, `expected.json`, which begins with `case`."""
    texts = [*TEXTS, *TEXTS_OPEN_CLIP_CLEANS]
    ids, input_ids = reference.token_ids(texts)
    with torch.no_grad():
        text_embeds = reference.encode_text(input_ids)
    tensors = {
        "input_ids": input_ids,
        "text_embeds": text_embeds,
    }
    if reference.logit_scale is not None:
        tensors["logit_scale"] = reference.logit_scale.reshape(1)
    prepared = [reference.preprocess(path) for path in inputs]
    prepared = [pixels for pixels in prepared if pixels is not None]
    summary: dict[str, Any] = {}
    if prepared:
        image_pixels = torch.stack(prepared)
        tensors |= image_values(reference, image_pixels, text_embeds[list(GRADIENT_TEXTS)])
        summary = {
            "image_size": image_pixels.shape[-1],
            "images": [{"file": path.name} for path in inputs],
            "gradient_texts": list(GRADIENT_TEXTS),
        }
    for key, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise RuntimeError(f"{case['case']}: {key} is not finite")
    contiguous = {key: tensor.detach().contiguous() for key, tensor in tensors.items()}
    save_file(contiguous, directory / "expected.safetensors")
    summary = {
        **case,
        "layout": reference.layout,
        "context_length": input_ids.shape[1],
        "embedding_width": text_embeds.shape[1],
        "pad_id": reference.pad_id,
        "texts": [{"text": text, "ids": row} for text, row in zip(texts, ids, strict=True)],
        **summary,
        "packages": {package: importlib.metadata.version(package) for package in PACKAGES},
    }
    write_json(directory / "expected.json", summary)


def image_values(
    reference: Reference, image_pixels: torch.Tensor, targets: torch.Tensor
) -> dict[str, torch.Tensor]:
    """The arrays about images, and about random pixels and their gradients."""
    rng = np.random.default_rng(image_pixels.shape[-1])
    pixels = torch.from_numpy(reference.noise((1, *image_pixels.shape[1:]), rng))
    variable = pixels.clone().requires_grad_(True)
    embeds = reference.encode_image(variable)
    cosines = torch.cosine_similarity(embeds, targets, dim=1)
    (gradient,) = torch.autograd.grad(cosines.sum(), variable)
    with torch.no_grad():
        image_embeds = reference.encode_image(image_pixels)
    return {
        "image_pixels": image_pixels,
        "image_embeds": image_embeds,
        "pixels": pixels,
        "pixel_embeds": embeds,
        "cosines": cosines[:, None],
        "pixel_gradients": gradient[None],
    }
