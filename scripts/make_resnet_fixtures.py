"""Make tiny random CLIP checkpoints with residual image towers, and open_clip's values for them.

    .venv/bin/python scripts/make_clip_fixtures.py
    .venv/bin/python scripts/make_resnet_fixtures.py

The docstring of `make_clip_fixtures.py` gives the keys and shapes of the two
files of expected values, and its `images/` are read here, so it runs first. The
towers have the depths of the published ones (RN50, RN101, RN50x4, RN50x16,
RN50x64) at widths of 2 to 4 in place of 64 to 128, with several heads in the
attention pool.

Batch norms are made as training leaves them: the statistics are those of random
inputs, layer by layer, moved away by a random amount, so that each norm does
something and the activations of the deepest tower stay near 1. The
attention pool's queries and keys are scaled so that no softmax is saturated.

Embeddings and gradients are computed again in f64. A ReLU whose input is within
round-off of zero would make the gradient a matter of luck, so a case is an error if
its f32 values differ from those in f64 by more than `STABILITY`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import open_clip
import timm
import torch
from open_clip.model import convert_weights_to_lp
from open_clip.modified_resnet import Bottleneck
from safetensors.torch import load_file, save_file
from timm.models._hub import save_config_for_hf
from timm.models.byobnet import checkpoint_filter_fn

import clip_tokenizer
from clip_reference import (
    CLIP_MEAN,
    CLIP_STD,
    Case,
    OpenClipReference,
    arguments,
    learnt_merges,
    make_case,
    noise_of,
    open_clip_model,
    save_open_clip,
    statistics_of_inputs,
    structured,
)
from clip_tokenizer import Merge

# Largest difference between f32 and f64, relative to the norm of a row.
STABILITY = 1e-5
IMAGES = ("photo.png",)
# What a block adds, as a share of what it would add with its last norm's gain near 1. Training
# starts at 0; with 1, round-off grows a hundredfold through the 64 blocks of RN50x64.
BRANCH_GAIN = 0.1


# --- the weights --------------------------------------------------------------


def calibrate(model: open_clip.CLIP, seed: int) -> None:
    """Give every batch norm statistics near those of its inputs, and the pool usable scores."""
    tower = model.visual
    noise = noise_of(seed)
    pixels = structured(noise, 48, tower.image_size)
    features = []
    hook = tower.layer4.register_forward_hook(lambda _m, _i, out: features.append(out))
    with statistics_of_inputs(tower, noise):
        for module in tower.modules():
            if isinstance(module, Bottleneck):
                module.bn3.weight *= BRANCH_GAIN
        tower(pixels)
        hook.remove()
        # Queries and keys of norm near one per column leave scores of the order of 1.
        pool = tower.attnpool
        size = features[0].square().mean().sqrt() * pool.q_proj.in_features**0.5
        for projection in (pool.q_proj, pool.k_proj):
            projection.weight /= projection.weight.std() * size


def resnet(case: Case) -> open_clip.CLIP:
    """A random model of the case's configuration, in its dtype."""
    model = open_clip_model(case)
    calibrate(model, case.seed)
    if case.config["all_lp"]:
        return model.to(case.dtype)
    if case.dtype is not torch.float32:
        # Norms, embeddings and positions stay in f32.
        convert_weights_to_lp(model, case.dtype)
    return model


# --- the layouts --------------------------------------------------------------


def write_open_clip(case: Case, directory: Path) -> None:
    """As open_clip saves a model for the hub; the tokenizer is in `tokenizer.json` alone."""
    save_open_clip(case, resnet(case), directory)


def write_timm(case: Case, directory: Path) -> None:
    """A repository that serves timm too.

    Beside open_clip's files lie the image tower under timm's names
    (`model.safetensors`) and timm's own `config.json`, that of the published width.
    """
    model = resnet(case)
    save_open_clip(case, model, directory)
    clip_tokenizer.write_vocabulary_files(directory, case.token_ids, case.merges)
    clip_tokenizer.write_special_tokens_map(directory)

    # timm rounds its widths up to multiples of 8, so only its names can be had.
    published = timm.create_model("resnet50_clip")
    tensors = checkpoint_filter_fn(model.state_dict(), published)
    if tensors.keys() != published.state_dict().keys():
        raise RuntimeError(f"{case.name}: timm's tower has other tensors than open_clip's")
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    save_config_for_hf(published, str(directory / "config.json"))


# --- the cases ----------------------------------------------------------------


def resnet_case(
    name: str,
    merges: list[Merge],
    *,
    layers: list[int],
    width: int,
    head_width: int,
    image_size: int,
    embed_dim: int,
    all_lp: bool = False,
    quick_gelu: bool = False,
    preprocess_cfg: dict[str, Any] | None = None,
    **more: Any,
) -> Case:
    """A case whose text tower is small and whose configuration has the published form."""
    model_cfg = {
        "embed_dim": embed_dim,
        "vision_cfg": {
            "image_size": image_size,
            "layers": layers,
            "width": width,
            "head_width": head_width,
            "patch_size": None,
        },
        "text_cfg": {"width": 8, "heads": 2, "layers": 2},
    }
    if quick_gelu:
        model_cfg["quick_gelu"] = True
    return Case(
        name=name,
        context_length=24,
        merges=merges,
        config={
            "model_cfg": model_cfg,
            "preprocess_cfg": preprocess_cfg or {"mean": CLIP_MEAN, "std": CLIP_STD},
            "all_lp": all_lp,
        },
        **{"write": write_open_clip, "dtype": torch.float16, "gradient_texts": (4,), **more},
    )


def cases(merges: list[Merge]) -> list[Case]:
    return [
        resnet_case(
            "openclip-rn50",
            merges,
            layers=[3, 4, 6, 3],
            width=4,
            head_width=32,
            image_size=64,
            embed_dim=24,
            random_inputs=1,
        ),
        resnet_case(
            "openclip-rn101",
            merges,
            layers=[3, 4, 23, 3],
            width=2,
            head_width=16,
            image_size=32,
            embed_dim=12,
            all_lp=True,
            random_inputs=2,
        ),
        resnet_case(
            "openclip-rn50x4",
            merges,
            layers=[4, 6, 10, 6],
            width=2,
            head_width=32,
            image_size=96,
            embed_dim=16,
            all_lp=True,
            quick_gelu=True,
            random_inputs=1,
        ),
        resnet_case(
            "openclip-rn50x16",
            merges,
            layers=[6, 8, 18, 8],
            width=2,
            head_width=8,
            image_size=32,
            embed_dim=20,
            all_lp=True,
            dtype=torch.bfloat16,
            random_inputs=2,
        ),
        resnet_case(
            "openclip-rn50x64",
            merges,
            layers=[3, 15, 36, 10],
            width=2,
            head_width=16,
            image_size=32,
            embed_dim=16,
            all_lp=True,
            random_inputs=2,
        ),
        resnet_case(
            "timm-rn50",
            merges,
            layers=[3, 4, 6, 3],
            width=2,
            head_width=16,
            image_size=32,
            embed_dim=16,
            quick_gelu=True,
            random_inputs=2,
            write=write_timm,
            preprocess_cfg={
                "mean": CLIP_MEAN,
                "std": CLIP_STD,
                "interpolation": "bicubic",
                "resize_mode": "shortest",
            },
        ),
    ]


def check_stability(case: Case, directory: Path) -> None:
    """An error if round-off decides what is expected of the image tower."""
    expected = load_file(directory / "expected.safetensors")
    reference = OpenClipReference(case, directory)
    tower = reference.model.visual.double()
    pixels = expected["pixels"].double().requires_grad_(True)
    embeds = tower(pixels)
    text = expected["text_embeds"][case.gradient_texts[0]].double()
    cosine = torch.cosine_similarity(embeds, text[None], dim=1)
    (gradient,) = torch.autograd.grad(cosine.sum(), pixels)
    for name, found, exact in (
        ("pixel_embeds", expected["pixel_embeds"], embeds),
        ("pixel_gradients", expected["pixel_gradients"][0], gradient),
    ):
        exact = exact.detach().flatten(1)
        difference = (found.double().flatten(1) - exact).norm(dim=1) / exact.norm(dim=1)
        worst = float(difference.max())
        print(f"  {name}: f32 differs from f64 by {worst:.1e}")
        if not worst <= STABILITY:
            raise RuntimeError(f"{case.name}: {name} is decided by round-off")


def main() -> None:
    out = arguments("make the parity fixtures of residual towers")
    merges = learnt_merges()
    images = [out / "images" / name for name in IMAGES]
    for case in cases(merges):
        make_case(case, OpenClipReference, out, images)
        check_stability(case, out / case.name)


if __name__ == "__main__":
    main()
