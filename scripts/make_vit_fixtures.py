"""Make tiny random CLIP checkpoints for the switches of open_clip's vision transformer.

    .venv/bin/python scripts/make_clip_fixtures.py
    .venv/bin/python scripts/make_vit_fixtures.py

The docstring of `make_clip_fixtures.py` gives the keys and shapes of the two
files of expected values, and its `images/` are read here, so it runs first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from clip_reference import (
    CLIP_MEAN,
    CLIP_STD,
    Case,
    OpenClipReference,
    arguments,
    learnt_merges,
    make_case,
    open_clip_model,
    save_open_clip,
)
from clip_tokenizer import Merge

IMAGES = ("photo.png", "tall.png")
CONTEXT = 16


class VitReference(OpenClipReference):
    """open_clip's; where its pooling leaves one token of each image, that token."""

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        return super().encode_image(pixels).reshape(len(pixels), -1)


def write_open_clip(case: Case, directory: Path) -> None:
    """As open_clip saves a model for the hub; the tokenizer is in `tokenizer.json` alone."""
    save_open_clip(case, open_clip_model(case).to(case.dtype), directory)


def vit_case(
    name: str,
    merges: list[Merge],
    *,
    vision: dict[str, Any],
    embed_dim: int = 12,
    preprocess_cfg: dict[str, Any] | None = None,
) -> Case:
    """A case whose text tower is small, and whose image tower has some switches."""
    vision_cfg = {
        "image_size": 14,
        "layers": 2,
        "width": 16,
        "head_width": 4,
        "patch_size": 4,
        "mlp_ratio": 2.0,
        **vision,
    }
    text_cfg = {"width": 8, "heads": 2, "layers": 1}
    model_cfg = {"embed_dim": embed_dim, "vision_cfg": vision_cfg, "text_cfg": text_cfg}
    return Case(
        name=name,
        context_length=CONTEXT,
        merges=merges,
        write=write_open_clip,
        dtype=torch.float16,
        random_inputs=2,
        gradient_texts=(4,),
        config={
            "model_cfg": model_cfg,
            "preprocess_cfg": preprocess_cfg or {"mean": CLIP_MEAN, "std": CLIP_STD},
        },
    )


def cases(merges: list[Merge]) -> list[Case]:
    return [
        vit_case(
            "openclip-clipa",
            merges,
            vision={
                "no_ln_pre": True,
                "pool_type": "avg",
                "final_ln_after_pool": True,
                "norm_kwargs": {"eps": 1e-2},
                "act_kwargs": {"approximate": "tanh"},
            },
            preprocess_cfg={
                "mean": [0.485, 0.456, 0.406],
                "std": [0.229, 0.224, 0.225],
                "interpolation": "bilinear",
                "resize_mode": "squash",
            },
        ),
        vit_case(
            "openclip-vit-scaled",
            merges,
            vision={
                "pool_type": "avg",
                "ls_init_value": 1e-4,
                "pos_embed_type": "sin_cos_2d",
                "patch_dropout": 0.5,
            },
            preprocess_cfg={
                "mean": CLIP_MEAN,
                "std": CLIP_STD,
                "interpolation": "random",
                "resize_mode": "longest",
                "fill_color": 127,
            },
        ),
        vit_case(
            "openclip-vit-queries",
            merges,
            vision={
                "attentional_pool": True,
                "attn_pooler_queries": 5,
                "attn_pooler_heads": 2,
                "pool_type": "avg",
            },
        ),
        vit_case(
            "openclip-vit-cascade",
            merges,
            embed_dim=16,
            vision={
                "attentional_pool": "cascade",
                "attn_pooler_queries": 5,
                "attn_pooler_heads": 4,
            },
        ),
    ]


def main() -> None:
    out = arguments("make the parity fixtures of vision transformers' switches")
    merges = learnt_merges()
    images = [out / "images" / name for name in IMAGES]
    for case in cases(merges):
        make_case(case, VitReference, out, images)


if __name__ == "__main__":
    main()
