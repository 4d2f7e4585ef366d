"""The files and folders in which small checkpoints are published.

Shared by `make_registry.py`; not a program itself. The same models as elsewhere, in every form that
published checkpoints have: pickles of several ages, shards, training checkpoints, OpenAI's archives,
timm's mirrors, a hub's cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import timm
import torch
from open_clip.model import convert_weights_to_lp
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.models._hub import save_config_for_hf

import clip_tokenizer
from clip_reference import learnt_merges
from registry_models import HEADS, LAYERS, randomise
from registry_reference import OpenClipReference, Reference

# What follows from shapes alone in files without a configuration: heads are of 64 numbers.
HEAD_WIDTH = 64
REVISION = "0123456789abcdef0123456789abcdef01234567"
HUB_NAME = "some-org/some-clip"


# --- a directory, written again in another form --------------------------------


def repickled(name: str, drop: bool = True, **options: Any) -> Callable[[Path], None]:
    """The weights of a directory as a pickle of this name, in place of the safetensors file."""

    def change(directory: Path) -> None:
        (safe,) = directory.glob("*.safetensors")
        torch.save(load_file(safe), directory / name, **options)
        if drop:
            safe.unlink()

    return change


def renamed(name: str) -> Callable[[Path], None]:
    """The safetensors file under another name."""

    def change(directory: Path) -> None:
        (safe,) = directory.glob("*.safetensors")
        safe.rename(directory / name)

    return change


def first_pickle(directory: Path) -> None:
    """As `openai/clip-vit-base-patch32`: a pickle alone, with the position ids."""
    tensors = load_file(directory / "model.safetensors")
    for tower in ("text", "vision"):
        positions = tensors[f"{tower}_model.embeddings.position_embedding.weight"].shape[0]
        tensors[f"{tower}_model.embeddings.position_ids"] = torch.arange(positions)[None]
    torch.save(tensors, directory / "pytorch_model.bin")
    (directory / "model.safetensors").unlink()


def sharded(pickled: bool) -> Callable[[Path], None]:
    """Three weight files and their index."""

    def change(directory: Path) -> None:
        tensors = load_file(directory / "model.safetensors")
        (directory / "model.safetensors").unlink()
        names = sorted(tensors)
        stem, ending = ("pytorch_model", "bin") if pickled else ("model", "safetensors")
        places: dict[str, str] = {}
        for number in range(3):
            file = f"{stem}-{number + 1:05}-of-00003.{ending}"
            part = {name: tensors[name] for name in names[number::3]}
            places |= dict.fromkeys(part, file)
            if pickled:
                torch.save(part, directory / file)
            else:
                save_file(part, directory / file, metadata={"format": "pt"})
        size = sum(tensor.nbytes for tensor in tensors.values())
        index = {"metadata": {"total_size": size}, "weight_map": places}
        path = directory / f"{stem}.{ending}.index.json"
        path.write_text(json.dumps(index, indent=2), encoding="utf-8")

    return change


def mirrored(directory: Path) -> None:
    """timm's own `config.json`, that of a vision tower, beside open_clip's."""
    model = timm.create_model("vit_base_patch32_clip_224", pretrained=False)
    save_config_for_hf(model, str(directory / "config.json"))


def cached(directory: Path) -> None:
    """The directory as a hub's cache holds it: blobs, and a snapshot of symbolic links."""
    root = directory / f"models--{HUB_NAME.replace('/', '--')}"
    (root / "blobs").mkdir(parents=True)
    (root / "refs").mkdir()
    snapshot = root / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (root / "refs" / "main").write_text(REVISION, encoding="utf-8")
    for file in sorted(directory.iterdir()):
        if file.is_file():
            blob = root / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
            shutil.move(file, blob)
            (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))


def pipeline(directory: Path) -> None:
    """As Stable Diffusion's repositories: the text tower and its tokenizer in two folders."""
    tower, tokenizer = directory / "text_encoder", directory / "tokenizer"
    tower.mkdir()
    tokenizer.mkdir()
    for file in sorted(directory.glob("*.*")):
        of_tower = file.name in ("config.json", "model.safetensors")
        shutil.move(file, (tower if of_tower else tokenizer) / file.name)
    (tokenizer / "tokenizer.json").unlink()
    merges = learnt_merges()
    clip_tokenizer.write_vocabulary_files(tokenizer, clip_tokenizer.clip_vocabulary(merges), merges)
    clip_tokenizer.write_special_tokens_map(tokenizer)


def in_snapshot() -> Path:
    """Where `cached` leaves the model, relative to the case."""
    return Path(f"models--{HUB_NAME.replace('/', '--')}") / "snapshots" / REVISION


# --- files without a configuration ---------------------------------------------


def bare_config(residual: bool, quick_gelu: bool = False, heads: int = HEADS) -> dict[str, Any]:
    """A model with CLIP's own vocabulary, whose sizes follow from its shapes."""
    width = HEAD_WIDTH * heads
    vision: dict[str, Any] = {"image_size": 64, "layers": LAYERS, "width": width, "patch_size": 16}
    if residual:
        vision = {"image_size": 64, "layers": [1, 2, 2, 1], "width": 4, "patch_size": None}
    return {
        "embed_dim": 24,
        "quick_gelu": quick_gelu,
        "vision_cfg": vision,
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 49408,
            "width": width,
            "heads": heads,
            "layers": LAYERS,
        },
    }


def bare_model(config: dict[str, Any], seed: int) -> torch.nn.Module:
    model = open_clip.CLIP(**config).eval()
    randomise(model, seed)
    return model


def state_dict_file(config: dict[str, Any], seed: int, file: Path) -> None:
    """The state dict and nothing else."""
    torch.save(bare_model(config, seed).state_dict(), file)


def legacy_state_dict_file(config: dict[str, Any], seed: int, file: Path) -> None:
    """The same in the pickle of PyTorch before 1.6, which is no archive."""
    state = bare_model(config, seed).state_dict()
    torch.save(state, file, _use_new_zipfile_serialization=False)


def training_file(config: dict[str, Any], seed: int, file: Path) -> None:
    """As open_clip's training saves an epoch on several devices."""
    model = bare_model(config, seed)
    optimizer = torch.optim.AdamW(model.visual.parameters(), lr=1e-4)
    for parameter in model.visual.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer.step()
    checkpoint = {
        "epoch": 3,
        "name": "some-run",
        "state_dict": {f"module.{name}": tensor for name, tensor in before.items()},
        "optimizer": optimizer.state_dict(),
        "scaler": {
            "scale": 65536.0,
            "growth_factor": 2.0,
            "backoff_factor": 0.5,
            "growth_interval": 2000,
            "_growth_tracker": 7,
        },
    }
    torch.save(checkpoint, file)


def scripted_file(config: dict[str, Any], seed: int, file: Path) -> None:
    """As OpenAI's archives: TorchScript, weights in f16, three numbers as buffers."""
    model = bare_model(config, seed)
    for name, value in (
        ("input_resolution", config["vision_cfg"]["image_size"]),
        ("context_length", config["text_cfg"]["context_length"]),
        ("vocab_size", config["text_cfg"]["vocab_size"]),
    ):
        # They are plain numbers of the class.
        if hasattr(model, name):
            delattr(model, name)
        model.register_buffer(name, torch.tensor(value))
    # A constant of the code, not a tensor of the model.
    mask = model.attn_mask
    del model.attn_mask
    model.attn_mask = mask
    side = config["vision_cfg"]["image_size"]
    example = (torch.zeros(1, 3, side, side), torch.zeros(1, 77, dtype=torch.long))
    traced = torch.jit.trace(model, example, check_trace=False)
    convert_weights_to_lp(traced, torch.float16)
    for parameter in traced.parameters():
        parameter.data = parameter.data.half() if parameter.ndim > 1 else parameter.data
    torch.jit.save(traced, file)


class BareReference(Reference):
    """A file without a configuration, loaded by open_clip into a model of the right sizes."""

    layout = "openclip"
    pad_id = 0

    def __init__(self, config: dict[str, Any], file: Path) -> None:
        self.model = open_clip.CLIP(**config).eval()
        try:
            state = open_clip.factory.load_state_dict(str(file))
        except RuntimeError:
            state = torch.jit.load(file).state_dict()
            numbers = ("input_resolution", "context_length", "vocab_size")
            state = {name: tensor.float() for name, tensor in state.items() if name not in numbers}
        self.model.load_state_dict(state)
        self.model.requires_grad_(False)
        self.tokenizer = open_clip.SimpleTokenizer()
        side = config["vision_cfg"]["image_size"]
        self.transform = image_transform_v2(PreprocessCfg(size=side), is_train=False)
        self.logit_scale = self.model.logit_scale

    token_ids = OpenClipReference.token_ids

    def encode_text(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.model.encode_text(input_ids)

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model.encode_image(pixels)

    def preprocess(self, file: Path) -> torch.Tensor:
        return self.transform(Image.open(file))


# --- every container -------------------------------------------------------------


def containers() -> dict[str, tuple[str, Callable[[Path], None]]]:
    """Case by case: of which other case the directory is, and what is done with it."""
    plain, clip, clap = "ViT-B-32", "hf-clip", "hf-clap-unfused"
    return {
        "open_clip_pytorch_model.bin": (plain, repickled("open_clip_pytorch_model.bin")),
        "open_clip_pytorch_model.pth": (plain, repickled("open_clip_pytorch_model.pth")),
        "open_clip_pytorch_model.safetensors": (
            plain,
            renamed("open_clip_pytorch_model.safetensors"),
        ),
        "open_clip both": (plain, repickled("open_clip_pytorch_model.bin", drop=False)),
        "open_clip legacy pickle": (
            plain,
            repickled("open_clip_pytorch_model.bin", _use_new_zipfile_serialization=False),
        ),
        "open_clip timm mirror": ("ViT-B-32-quickgelu", mirrored),
        "open_clip hub cache": ("ViT-B-16", cached),
        "pytorch_model.bin": (clip, first_pickle),
        "pytorch_model.bin legacy pickle": (
            clip,
            repickled("pytorch_model.bin", _use_new_zipfile_serialization=False),
        ),
        "pytorch_model.bin sharded": (clip, sharded(True)),
        "model.safetensors sharded": (clip, sharded(False)),
        "model.safetensors beside pytorch_model.bin": (
            clip,
            repickled("pytorch_model.bin", drop=False),
        ),
        "hub cache": (clip, cached),
        "hub cache pytorch_model.bin": (clip, lambda d: (first_pickle(d), cached(d))[1]),
        "stable diffusion": ("hf-clip-text-model", pipeline),
        "clap pytorch_model.bin": (clap, repickled("pytorch_model.bin")),
    }


def bare_files() -> dict[str, tuple[dict[str, Any], str, Callable[..., None]]]:
    """Files alone: the model's configuration, the file's name, and what writes it."""
    transformer, residual = bare_config(False, heads=1), bare_config(True, heads=1)
    return {
        "state dict": (transformer, "ViT-B-32.pt", state_dict_file),
        "state dict residual": (residual, "RN50.pt", state_dict_file),
        "state dict legacy pickle": (transformer, "weights.pth", legacy_state_dict_file),
        "training checkpoint": (bare_config(False), "epoch_3.pt", training_file),
        "training checkpoint residual": (residual, "rn50_top75_epoch_50.pt", training_file),
        "torchscript": (bare_config(False, quick_gelu=True), "ViT-B-32.pt", scripted_file),
        "torchscript residual": (bare_config(True, True, heads=1), "RN50.pt", scripted_file),
    }
