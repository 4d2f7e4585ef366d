"""Shallow, narrow models of open_clip's configurations, with every switch kept.

Shared by `make_registry.py` and its modules; not a program itself. What a configuration does not
say, because the package takes it from a name (`timm_model_name`, `hf_model_name`), is kept where
it cannot be read off the weights: the number of heads, patch sizes, epsilons, activations. Widths
and depths are smaller, so that a reader has to take them from the weights.
"""

from __future__ import annotations

import copy
import re
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import open_clip
import timm
import torch
import transformers
from open_clip import timm_model
from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model
from timm.models.vision_transformer_hybrid import ConvStem, HybridEmbed
from timm.models.vitamin import VitCfg, VitConvCfg

import registry_tokenizers
from clip_reference import noise_of, statistics_of_inputs, structured

EMBEDDING = 24
WIDTH = 32
HEADS = 2
LAYERS = 2
# What a side in pixels is divided by, where that changes nothing but the number of patches.
SHRINK = 4
CLIP_CONTEXT = 77

timm_create_model = timm.create_model


# --- sizes --------------------------------------------------------------------


def reduced(side: int, patch: int | None) -> int:
    """A smaller image of whole patches; 378 stays, since it is resized from a larger photo."""
    if patch is None or side % patch or side == 378:
        return side
    return patch * max(2, round(side / patch / SHRINK))


def timm_heads(name: str) -> int:
    """The number of heads of a transformer of timm's, which its name stands for."""
    sizes = {"tiny": 3, "small": 6, "medium": 8, "base": 12}
    return next((heads for size, heads in sizes.items() if f"_{size}" in name), 16)


def timm_side(name: str) -> int | None:
    """The side of the images of one of timm's models if it is made smaller here."""
    found = re.fullmatch(r"vit_(?:.*_siglip|large_patch14_clip|medium_patch16_gap)_(\d+)", name)
    if not found:
        return None
    patch = int(re.search(r"patch(\d+)", name).group(1))
    return reduced(int(found.group(1)), patch)


def timm_width(name: str) -> int:
    """The width of a transformer; rotary positions need heads that can be halved twice."""
    rotary = name.startswith(("eva02_base", "eva02_large", "vit_pe"))
    return timm_heads(name) * (8 if rotary else 4)


def timm_sizes(name: str) -> dict[str, Any]:
    """Arguments that make one of timm's models small."""
    if name.startswith("convnext"):
        return {"depths": (1, 1, 2, 1), "dims": (8, 16, 24, 32)}
    if name.startswith("swin"):
        return {"embed_dim": 16, "depths": (2, 1, 2, 1)}
    if name in ("fastvit_mci3", "fastvit_mci4"):
        return {"layers": (1, 1, 2, 1, 1), "embed_dims": (4, 8, 16, 32, 64)}
    if name.startswith("fastvit"):
        return {"layers": (1, 1, 2, 1), "embed_dims": (8, 16, 32, 64)}
    width = timm_width(name)
    sizes: dict[str, Any] = {"embed_dim": width, "depth": LAYERS}
    side = timm_side(name)
    if side:
        sizes["img_size"] = side
    if name.startswith("vit_base_mci"):
        channels = (width // 4, width // 4, width)
        stem = ConvStem(
            channels=channels,
            stride=(4, 2, 2),
            kernel_size=(4, 2, 2),
            padding=0,
            act_layer=torch.nn.GELU,
        )
        sizes["embed_layer"] = partial(HybridEmbed, backbone=stem, proj=False)
    if name.startswith("vit_relpos"):
        sizes["rel_pos_dim"] = 16
    if name.startswith("vitamin"):
        sizes["embed_cfg"] = VitCfg(
            embed_dim=(8, 16, width),
            depths=(1, 2, 1),
            stem_width=8,
            conv_cfg=VitConvCfg(norm_layer="layernorm2d", norm_eps=1e-6),
            head_type="1d",
        )
    return sizes


def hub_config(name: str, *_: Any, **__: Any) -> transformers.PretrainedConfig:
    """The small configuration in place of the one of a hub repository."""
    vocabulary = len(registry_tokenizers.named(name))
    if "nllb" in name:
        return transformers.M2M100Config(
            vocab_size=vocabulary,
            d_model=64,
            encoder_layers=LAYERS,
            decoder_layers=1,
            encoder_attention_heads=16,
            decoder_attention_heads=16,
            encoder_ffn_dim=96,
            decoder_ffn_dim=8,
        )
    if "mt5" in name:
        heads = 32 if "xl" in name else 12
        return transformers.MT5Config(
            vocab_size=vocabulary,
            d_model=48,
            d_kv=4,
            d_ff=80,
            num_layers=LAYERS,
            num_decoder_layers=1,
            num_heads=heads,
        )
    heads = 16 if "large" in name else 12
    kind = transformers.XLMRobertaConfig if "xlm" in name else transformers.RobertaConfig
    return kind(
        vocab_size=vocabulary,
        hidden_size=4 * heads,
        num_hidden_layers=LAYERS,
        num_attention_heads=heads,
        intermediate_size=96,
        max_position_embeddings=CLIP_CONTEXT + 3,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
    )


def small_config(name: str) -> dict[str, Any]:
    """A configuration of the registry with smaller towers, as a hub repository would hold it."""
    config = copy.deepcopy(open_clip.get_model_config(name))
    vision, text = config["vision_cfg"], config["text_cfg"]
    config["embed_dim"] = EMBEDDING
    if "timm_model_name" in vision:
        trunk = vision["timm_model_name"]
        side = timm_side(trunk)
        if side:
            vision["image_size"] = side
        if vision.get("timm_proj") == "none":
            config["embed_dim"] = timm_width(trunk)
    elif isinstance(vision["layers"], list):
        vision |= {"layers": [1, 2, 2, 1], "width": 4, "image_size": 64}
    else:
        side = reduced(vision["image_size"], vision["patch_size"])
        vision |= {"layers": LAYERS, "width": WIDTH, "head_width": WIDTH // HEADS}
        vision["image_size"] = side
    width = WIDTH
    if "hf_model_name" in text:
        if "width" in text:
            text["width"] = hub_config(text["hf_model_name"]).hidden_size
        width = text.get("width", width)
    else:
        if text.get("proj_type") == "none":
            width = config["embed_dim"]
        text |= {"width": width, "heads": HEADS, "layers": LAYERS}
        text["vocab_size"] = len(tokenizer_of(text))
    if "multimodal_cfg" in config:
        multimodal = config["multimodal_cfg"]
        multimodal |= {"width": width, "heads": HEADS, "layers": 1}
        if "vocab_size" in multimodal:
            multimodal["vocab_size"] = len(tokenizer_of(text))
    return config


def tokenizer_of(text: dict[str, Any]) -> transformers.PreTrainedTokenizerBase:
    """The tokenizer that a text tower's configuration asks for."""
    name = text.get("hf_tokenizer_name")
    if name:
        return registry_tokenizers.named(name)
    return registry_tokenizers.clip(text.get("context_length", CLIP_CONTEXT))


def preprocessing(name: str) -> dict[str, Any]:
    """How images are prepared for the first published weights of a configuration."""
    for tag in list_pretrained_tags_by_model(name):
        found = get_pretrained_cfg(name, tag)
        keys = ("mean", "std", "interpolation", "resize_mode")
        return {key: found[key] for key in keys if key in found}
    return {}


# --- what would come from a hub, or be large ----------------------------------


@contextmanager
def small_towers() -> Iterator[None]:
    """Towers that a package makes from a name alone are small while this holds."""

    def create_model(name: str, **arguments: Any) -> torch.nn.Module:
        return timm_create_model(name, **{**arguments, **timm_sizes(name)})

    with ExitStack() as stack:
        patch = mock.patch.object
        stack.enter_context(patch(timm_model.timm, "create_model", create_model))
        stack.enter_context(patch(transformers.AutoConfig, "from_pretrained", hub_config))
        stack.enter_context(patch(open_clip.hf_model.AutoConfig, "from_pretrained", hub_config))
        yield


# --- the weights --------------------------------------------------------------


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Replace every weight by one that matters and saturates nothing.

    A weight's values depend on the seed and its name alone.
    """
    norms = tuple(
        kind
        for kind in vars(torch.nn).values()
        if isinstance(kind, type) and kind.__name__.endswith(("Norm", "Norm1d", "Norm2d"))
    )
    gains = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, norms) or "norm" in type(module).__name__.lower()
    }
    embeddings = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Embedding)
    }
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            noise = torch.from_numpy(rng.standard_normal(tuple(parameter.shape), np.float32))
            last = name.rpartition(".")[2]
            if "logit_scale" in name:
                parameter.copy_(2.5 + 0.1 * noise)
            elif "logit_bias" in name:
                parameter.copy_(-10 + noise)
            elif name in gains or last in ("gamma", "weight_g"):
                parameter.copy_(1 + 0.2 * noise)
            elif name in embeddings or parameter.ndim < 2 or "bias" in last:
                parameter.copy_((0.5 if parameter.ndim > 1 else 0.2) * noise)
            elif any(
                part in name for part in ("position", "pos_embed", "class_emb", "cls", "query")
            ):
                parameter.copy_(0.4 * noise)
            elif last in ("proj", "text_projection"):
                parameter.copy_(noise / parameter.shape[0] ** 0.5)  # (in, out)
            else:
                parameter.copy_(1.2 * noise / parameter[0].numel() ** 0.5)
    calibrate(model, seed)


def calibrate(model: torch.nn.Module, seed: int) -> None:
    """Give every batch norm of an image tower statistics near those of its inputs."""
    norms = torch.nn.modules.batchnorm._BatchNorm
    if not hasattr(model, "visual") or not any(isinstance(m, norms) for m in model.modules()):
        return
    noise = noise_of(seed)
    pixels = structured(noise, 2, int(np.max(model.visual.image_size)))
    with statistics_of_inputs(model, noise):
        model.eval().visual(pixels)
