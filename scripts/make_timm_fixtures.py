"""Make tiny random CLIP checkpoints whose image towers are timm's, and open_clip's values for them.

    .venv/bin/python scripts/make_clip_fixtures.py
    .venv/bin/python scripts/make_timm_fixtures.py

The docstring of `make_clip_fixtures.py` gives the keys and shapes of the two
files of expected values, and its `images/` are read here, so it runs first. Each
tower has the published architecture's heads, norms, pooling and positions, and
smaller widths, depths, patches and images, which a reader takes from the weights.

Batch norms have statistics near those of random inputs, as training leaves them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import open_clip
import timm
import torch
from open_clip import timm_model
from timm.models.vision_transformer_hybrid import ConvStem, HybridEmbed
from timm.models.vitamin import VitCfg, VitConvCfg

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
)
from clip_tokenizer import Merge

IMAGES = ("photo.png",)
CONTEXT = 16

create_model = timm.create_model


@contextmanager
def made_with(sizes: dict[str, Any]) -> Iterator[None]:
    """While this holds, open_clip's timm towers have other sizes than their name says."""

    def create(name: str, **options: Any) -> torch.nn.Module:
        return create_model(name, **options, **sizes)

    with mock.patch.object(timm_model.timm, "create_model", create):
        yield


def mobile_stem(**options: Any) -> HybridEmbed:
    """MobileCLIP's convolutions, with few channels."""
    stem = ConvStem(
        channels=(8, 12, options["embed_dim"]),
        stride=(4, 2, 2),
        kernel_size=(4, 2, 2),
        padding=0,
        act_layer=torch.nn.GELU,
    )
    return HybridEmbed(backbone=stem, proj=False, **options)


class TimmReference(OpenClipReference):
    """open_clip's, with towers of the case's sizes."""

    def __init__(self, case: Case, directory: Path) -> None:
        with made_with(case.config["sizes"]):
            super().__init__(case, directory)


def write_open_clip(case: Case, directory: Path) -> None:
    """As open_clip saves a model for the hub; the tokenizer is in `tokenizer.json` alone."""
    with made_with(case.config["sizes"]):
        model: open_clip.CLIP = open_clip_model(case)
    noise = noise_of(case.seed)
    with statistics_of_inputs(model.visual, noise):
        model.visual(noise(32, 3, *model.visual.image_size))
    save_open_clip(case, model.to(case.dtype), directory)


def timm_case(
    name: str,
    merges: list[Merge],
    *,
    image_size: int,
    sizes: dict[str, Any],
    embed_dim: int = 16,
    preprocess_cfg: dict[str, Any] | None = None,
    **vision: Any,
) -> Case:
    """A case whose text tower is small and whose image tower's configuration is the published one."""
    model_cfg = {
        "embed_dim": embed_dim,
        "vision_cfg": {"image_size": image_size, "timm_model_pretrained": False, **vision},
        "text_cfg": {"width": 8, "heads": 2, "layers": 1},
    }
    return Case(
        name=name,
        context_length=CONTEXT,
        merges=merges,
        write=write_open_clip,
        dtype=torch.float16,
        random_inputs=1 if image_size > 20 else 2,
        gradient_texts=(4,),
        config={
            "model_cfg": model_cfg,
            "preprocess_cfg": preprocess_cfg or {"mean": CLIP_MEAN, "std": CLIP_STD},
            "sizes": sizes,
        },
    )


def cases(merges: list[Merge]) -> list[Case]:
    classifier = {"timm_pool": "token", "timm_proj": None}
    averaged = {"timm_pool": "avg", "timm_proj": None}
    projected = {"timm_pool": "", "timm_proj": "linear"}
    patches = {"patch_size": 4, "depth": 2}
    single = {"patch_size": 4, "depth": 1}
    return [
        timm_case(
            "openclip-eva01",
            merges,
            timm_model_name="eva_giant_patch14_224",
            image_size=16,
            sizes={"img_size": 16, "embed_dim": 32, "mlp_ratio": 1.5, **patches},
            **classifier,
        ),
        # A grid of 5 by 5 patches, on which the coordinates are not whole numbers.
        timm_case(
            "openclip-eva02",
            merges,
            timm_model_name="eva02_base_patch16_clip_224",
            image_size=20,
            sizes={"img_size": 20, "embed_dim": 48, "mlp_ratio": 1.0, **patches},
            **classifier,
        ),
        timm_case(
            "openclip-eva02-post-norm",
            merges,
            timm_model_name="eva02_enormous_patch14_clip_224",
            image_size=16,
            sizes={"img_size": 16, "embed_dim": 32, "mlp_ratio": 1.0, **single},
            **classifier,
        ),
        timm_case(
            "openclip-pe",
            merges,
            timm_model_name="vit_pe_core_tiny_patch16_384",
            image_size=20,
            sizes={"img_size": 20, "embed_dim": 24, "mlp_ratio": 2.0, **patches},
            timm_pool="map",
            timm_proj=None,
            preprocess_cfg={
                "mean": [0.5, 0.5, 0.5],
                "std": [0.5, 0.5, 0.5],
                "interpolation": "bilinear",
                "resize_mode": "squash",
            },
        ),
        timm_case(
            "openclip-vit-siglip",
            merges,
            timm_model_name="vit_base_patch32_siglip_256",
            image_size=14,
            embed_dim=48,
            sizes={"img_size": 14, "embed_dim": 48, "mlp_ratio": 1.0, **patches},
            timm_pool="map",
            timm_proj="none",
            preprocess_cfg={
                "mean": [0.5, 0.5, 0.5],
                "std": [0.5, 0.5, 0.5],
                "interpolation": "bicubic",
                "resize_mode": "squash",
            },
        ),
        # Images are not normalised.
        timm_case(
            "openclip-vit-mci",
            merges,
            timm_model_name="vit_base_mci_224",
            image_size=32,
            sizes={
                "img_size": 32,
                "embed_dim": 48,
                "depth": 1,
                "mlp_ratio": 1.0,
                "embed_layer": mobile_stem,
            },
            preprocess_cfg={"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]},
            **classifier,
        ),
        timm_case(
            "openclip-vit-gap",
            merges,
            timm_model_name="vit_medium_patch16_gap_256",
            image_size=16,
            sizes={"img_size": 16, "embed_dim": 32, "mlp_ratio": 1.5, **single},
            **projected,
        ),
        timm_case(
            "openclip-vit-relpos",
            merges,
            timm_model_name="vit_relpos_medium_patch16_cls_224",
            image_size=16,
            sizes={"img_size": 16, "embed_dim": 32, "mlp_ratio": 1.5, "rel_pos_dim": 6, **single},
            timm_proj_bias=True,
            **projected,
        ),
        timm_case(
            "openclip-vitamin",
            merges,
            timm_model_name="vitamin_small_224",
            image_size=32,
            sizes={
                "img_size": 32,
                "embed_dim": 24,
                "depth": 1,
                "mlp_ratio": 1.0,
                "embed_cfg": VitCfg(
                    embed_dim=(4, 6, 24),
                    depths=(1, 2, 1),
                    stem_width=4,
                    conv_cfg=VitConvCfg(norm_layer="layernorm2d", norm_eps=1e-6),
                    head_type="1d",
                ),
            },
            **projected,
        ),
        timm_case(
            "openclip-convnext",
            merges,
            timm_model_name="convnext_large",
            image_size=32,
            sizes={"depths": (1, 1, 2, 1), "dims": (4, 8, 12, 16)},
            timm_pool="",
            timm_proj="mlp",
        ),
        timm_case(
            "openclip-fastvit-small",
            merges,
            timm_model_name="fastvit_mci0",
            image_size=32,
            sizes={"layers": (1, 1, 1, 1), "embed_dims": (4, 8, 8, 32), "mlp_ratios": (1,) * 4},
            **averaged,
        ),
        timm_case(
            "openclip-fastvit-large",
            merges,
            timm_model_name="fastvit_mci3",
            image_size=36,
            sizes={"layers": (1,) * 5, "embed_dims": (2, 4, 8, 32, 32), "mlp_ratios": (1,) * 5},
            **averaged,
        ),
    ]


def main() -> None:
    out = arguments("make the parity fixtures of timm's image towers")
    merges = learnt_merges()
    images = [out / "images" / name for name in IMAGES]
    for case in cases(merges):
        make_case(case, TimmReference, out, images)


if __name__ == "__main__":
    main()
