"""Make tiny random CLIP checkpoints and what the reference packages say about them.

    python -m venv .venv && .venv/bin/pip install -r scripts/requirements.txt
    .venv/bin/python scripts/make_clip_fixtures.py

Each case is a directory `crates/umid-models/tests/fixtures/<case>/` holding a
checkpoint as transformers or open_clip saves it, reloaded from disk by that
package before anything is computed, and two files of expected values. Weights
are random but large, so that a wrong activation, pooling, epsilon or a missing
bias moves an embedding far beyond the tolerance of the parity tests. The same
package versions on the same machine give the same bytes.

`expected.safetensors` (T texts, C context length, D embedding width, W text
width, N images, B random inputs, G gradient texts, S image side; all F32 unless said):

    input_ids        (T, C) I64      ids padded to the context: with the end token in the
                                     Hugging Face layout, with 0 in the OpenCLIP layout
    text_embeds      (T, D)          text embeddings, not normalised
    text_states      (T, W)          text tower's state at the pooled position, before
                                     the final layer norm
    image_pixels     (N, 3, S, S)    the images of `images/`, preprocessed
    image_embeds     (N, D)          their embeddings, not normalised
    pixels           (B, 3, S, S)    random inputs in the normalised pixel space
    pixel_embeds     (B, D)          their embeddings, not normalised
    cosines          (G, B)          cosine of each input with each of G texts
    pixel_gradients  (G, B, 3, S, S) gradient of the sum over B of the cosines with one
                                     text, with respect to `pixels`
    logit_scale      (1)             as stored, that is the logarithm

`expected.json`: the case's layout and sizes, `texts` (text, unpadded `ids`, in the
OpenCLIP layout those of open_clip's own tokenizer), `images` (file names in the order of `image_pixels`, and
`package_difference`: by how many of 255 grey levels the package's own pipeline
differs when it is handed the file as it is), `gradient_texts` (the indices of the
G texts) and the package versions.

16-bit grey is scaled by 255/65535 and rounded. This departs from the packages, as
`package_difference` shows: both clip it at 255 (Pillow's conversion).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip.model import convert_weights_to_lp
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, CLIPProcessor
from transformers.models.clip.configuration_clip import CLIPTextConfig, CLIPVisionConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import clip_tokenizer
from clip_reference import (
    CLIP_MEAN,
    CLIP_STD,
    TEXTS_TO_CLEAN,
    Case,
    HuggingFaceReference,
    OpenClipReference,
    arguments,
    learnt_merges,
    make_case,
    open_clip_model,
    randomise,
    read_json,
    save_open_clip,
    write_json,
)
from clip_tokenizer import Merge


# --- the images ---------------------------------------------------------------


def smooth_noise(rng: np.random.Generator, height: int, width: int, channels: int) -> np.ndarray:
    """A colour gradient, a disc, sharp bars and a little noise, in 0..1."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    y, x = y / max(height - 1, 1), x / max(width - 1, 1)
    phases = rng.uniform(0, 2 * np.pi, channels)
    turns = rng.uniform(1.0, 3.0, channels)
    waves = 0.5 + 0.35 * np.sin(turns * 2 * np.pi * (x + 0.6 * y)[..., None] + phases)
    disc = ((x - 0.6) ** 2 + (y - 0.4) ** 2 < 0.05)[..., None]
    waves = np.where(disc, rng.uniform(0, 1, channels), waves)
    bars = ((np.floor(x * 12) % 4 == 0) & (y > 0.7))[..., None]
    waves = np.where(bars, np.arange(channels) % 2 == 0, waves)
    return np.clip(waves + rng.normal(0, 0.02, waves.shape), 0, 1)


def make_images(directory: Path) -> list[Path]:
    """Write the fixture images; their sorted paths."""
    directory.mkdir(parents=True)
    rng = np.random.default_rng(20)

    def eight_bit(height: int, width: int, channels: int) -> np.ndarray:
        return np.round(255 * smooth_noise(rng, height, width, channels)).astype(np.uint8)

    grey16 = np.round(65535 * smooth_noise(rng, 28, 36, 1)[..., 0]).astype(np.uint16)
    palette = Image.fromarray(eight_bit(40, 40, 3)).quantize(16, dither=Image.Dither.NONE)
    images = {
        "grey.png": Image.fromarray(eight_bit(30, 40, 1)[..., 0]),
        "grey16.png": Image.fromarray(grey16),
        "one_pixel_high.png": Image.fromarray(eight_bit(1, 40, 3)),
        "palette.png": palette,
        "photo.png": Image.fromarray(eight_bit(150, 200, 3)),
        "rgba.png": Image.fromarray(eight_bit(37, 45, 4)),
        "tall.png": Image.fromarray(eight_bit(64, 21, 3)),
        "wide.png": Image.fromarray(eight_bit(33, 57, 3)),
    }
    for name, image in images.items():
        image.save(directory / name, optimize=True)
    return [directory / name for name in sorted(images)]


# --- the Hugging Face layout --------------------------------------------------


def hf_model(case: Case) -> CLIPModel:
    """A random model of the case's configuration, in its dtype."""
    text = {
        "vocab_size": len(case.token_ids),
        "max_position_embeddings": case.context_length,
        "bos_token_id": case.token_ids[clip_tokenizer.START_TOKEN],
        "eos_token_id": case.end_id,
        **case.config["text_config"],
    }
    model = CLIPModel(CLIPConfig(**{**case.config, "text_config": text})).eval()
    randomise(model, case.seed)
    return model.to(case.dtype)


def hf_image_processor(case: Case, **options: Any) -> CLIPImageProcessorPil:
    side = case.config["vision_config"]["image_size"]
    defaults = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    return CLIPImageProcessorPil(**{**defaults, **options})


def write_hf_legacy(case: Case, directory: Path) -> None:
    """As the first repositories: every tokenizer file, plain-int preprocessing, `position_ids`."""
    model = hf_model(case)
    model.save_pretrained(directory)
    weights = load_file(directory / "model.safetensors")
    for tower, module in (("text", model.text_model), ("vision", model.vision_model)):
        position_ids = module.embeddings.position_ids.clone()
        weights[f"{tower}_model.embeddings.position_ids"] = position_ids
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})

    config = read_json(directory / "config.json")
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.16.0.dev0"
    config |= {"text_config_dict": None, "vision_config_dict": None}
    write_json(directory / "config.json", config)

    case.tokenizer().save_pretrained(directory)
    clip_tokenizer.merges_as_strings(directory / "tokenizer.json")
    clip_tokenizer.write_vocabulary_files(directory, case.token_ids, case.merges)
    clip_tokenizer.write_special_tokens_map(directory)
    side = case.config["vision_config"]["image_size"]
    preprocessing = {
        "crop_size": side,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
        "resample": 3,
        "size": side,
    }
    write_json(directory / "preprocessor_config.json", preprocessing)


def write_hf_without_tokenizer_json(case: Case, directory: Path) -> None:
    """`vocab.json` and `merges.txt` only; resized to more than is cropped."""
    hf_model(case).save_pretrained(directory)
    case.tokenizer().save_pretrained(directory)
    (directory / "tokenizer.json").unlink()
    clip_tokenizer.write_vocabulary_files(directory, case.token_ids, case.merges)
    clip_tokenizer.write_special_tokens_map(directory)
    processor = hf_image_processor(
        case,
        size={"shortest_edge": 24},
        image_mean=[0.5, 0.45, 0.4],
        image_std=[0.25, 0.3, 0.35],
    )
    processor.save_pretrained(directory)


def write_hf_defaults_omitted(case: Case, directory: Path) -> None:
    """A `config.json` that leaves out every nested key whose value is the default."""
    hf_model(case).save_pretrained(directory)
    case.tokenizer().save_pretrained(directory)
    hf_image_processor(case).save_pretrained(directory)
    config = read_json(directory / "config.json")
    for key, defaults in (("text_config", CLIPTextConfig()), ("vision_config", CLIPVisionConfig())):
        default_values = defaults.to_dict()
        config[key] = {k: v for k, v in config[key].items() if v != default_values.get(k)}
    write_json(directory / "config.json", config)


def write_hf_current(case: Case, directory: Path) -> None:
    """As transformers 5 saves it: preprocessing inside `processor_config.json`."""
    hf_model(case).save_pretrained(directory)
    CLIPProcessor(hf_image_processor(case), case.tokenizer()).save_pretrained(directory)


def write_hf_sharded(case: Case, directory: Path) -> None:
    """Several weight files, and the duplicate `*_config_dict` of some older repositories."""
    hf_model(case).save_pretrained(directory, max_shard_size="60KB")
    if len(list(directory.glob("model-*.safetensors"))) < 3:
        raise RuntimeError("the sharded case has fewer than three shards")
    case.tokenizer().save_pretrained(directory)
    hf_image_processor(case).save_pretrained(directory)
    config = read_json(directory / "config.json")
    for key in ("text_config", "vision_config"):
        config[f"{key}_dict"] = config[key]
    write_json(directory / "config.json", config)


# --- the OpenCLIP layout ------------------------------------------------------


def write_open_clip(case: Case, directory: Path) -> None:
    """As open_clip saves a model for the hub, with the CLIP tokenizer's files beside it."""
    model = open_clip_model(case)
    if case.dtype is not torch.float32:
        # Norms, embeddings and positions stay in f32: the file mixes dtypes, as real ones do.
        convert_weights_to_lp(model, case.dtype)
    save_open_clip(case, model, directory)
    clip_tokenizer.write_vocabulary_files(directory, case.token_ids, case.merges)
    clip_tokenizer.write_special_tokens_map(directory)


# --- the cases ----------------------------------------------------------------


def tower(width: int, heads: int, layers: int, mlp: int, **more: Any) -> dict[str, Any]:
    """The keys that both towers of a Hugging Face configuration share."""
    return {
        "hidden_size": width,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "intermediate_size": mlp,
        **more,
    }


def cases(merges: list[Merge]) -> list[Case]:
    return [
        Case(
            name="hf-quickgelu-legacy-eos",
            context_length=24,
            write=write_hf_legacy,
            merges=merges,
            config={
                "projection_dim": 20,
                "text_config": tower(
                    24, 3, 3, 72, projection_dim=20, bos_token_id=0, eos_token_id=2
                ),
                "vision_config": tower(
                    32, 4, 2, 56, projection_dim=20, image_size=24, patch_size=8
                ),
            },
        ),
        Case(
            name="hf-gelu",
            context_length=20,
            write=write_hf_without_tokenizer_json,
            vocabulary=clip_tokenizer.ascii_vocabulary,
            merges=merges,
            config={
                "projection_dim": 16,
                "text_config": tower(
                    32, 2, 2, 80, projection_dim=16, hidden_act="gelu", layer_norm_eps=1e-2
                ),
                "vision_config": tower(
                    24,
                    4,
                    3,
                    72,
                    projection_dim=16,
                    hidden_act="gelu",
                    layer_norm_eps=2e-2,
                    image_size=20,
                    patch_size=4,
                ),
            },
        ),
        Case(
            name="hf-f16",
            context_length=77,
            write=write_hf_defaults_omitted,
            dtype=torch.float16,
            merges=merges,
            config={
                "projection_dim": 24,
                "text_config": tower(32, 8, 2, 64, projection_dim=24),
                "vision_config": tower(
                    36, 12, 2, 72, projection_dim=24, image_size=24, patch_size=6
                ),
            },
        ),
        Case(
            name="hf-bf16",
            context_length=24,
            write=write_hf_current,
            dtype=torch.bfloat16,
            merges=merges,
            config={
                "projection_dim": 24,
                "text_config": tower(24, 4, 2, 96, projection_dim=24, hidden_act="gelu"),
                "vision_config": tower(
                    40,
                    5,
                    2,
                    80,
                    projection_dim=24,
                    hidden_act="gelu",
                    image_size=16,
                    patch_size=8,
                ),
            },
        ),
        Case(
            name="hf-sharded",
            context_length=24,
            write=write_hf_sharded,
            merges=merges,
            config={
                "projection_dim": 12,
                "text_config": tower(24, 2, 2, 48),
                "vision_config": tower(32, 4, 2, 64, image_size=16, patch_size=4),
            },
        ),
        Case(
            name="openclip-gelu",
            context_length=24,
            more_texts=TEXTS_TO_CLEAN,
            write=write_open_clip,
            merges=merges,
            config={
                "model_cfg": {
                    "embed_dim": 20,
                    "vision_cfg": {
                        "image_size": 24,
                        "layers": 2,
                        "width": 32,
                        "head_width": 8,
                        "patch_size": 6,
                        "mlp_ratio": 1.5,
                    },
                    "text_cfg": {"width": 24, "heads": 3, "layers": 3, "mlp_ratio": 3.0},
                },
                "preprocess_cfg": {"mean": CLIP_MEAN, "std": CLIP_STD},
            },
        ),
        Case(
            name="openclip-quickgelu",
            context_length=32,
            write=write_open_clip,
            dtype=torch.float16,
            merges=merges,
            config={
                "model_cfg": {
                    "embed_dim": 24,
                    "quick_gelu": True,
                    "vision_cfg": {
                        "image_size": 21,
                        "layers": 2,
                        "width": 36,
                        "head_width": 12,
                        "patch_size": 7,
                    },
                    "text_cfg": {"width": 32, "heads": 4, "layers": 2},
                },
                "preprocess_cfg": {
                    "mean": [0.5, 0.45, 0.4],
                    "std": [0.25, 0.3, 0.35],
                    "interpolation": "bicubic",
                    "resize_mode": "squash",
                },
            },
        ),
    ]


def main() -> None:
    out = arguments("make the CLIP parity fixtures")
    merges = learnt_merges()
    shutil.rmtree(out / "images", ignore_errors=True)
    images = make_images(out / "images")
    for case in cases(merges):
        layout = OpenClipReference if case.write is write_open_clip else HuggingFaceReference
        make_case(case, layout, out, images)


if __name__ == "__main__":
    main()
