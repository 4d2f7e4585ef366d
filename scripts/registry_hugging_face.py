"""Small checkpoints of the model classes of transformers that pair texts with images or sound.

Shared by `make_registry.py`; not a program itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Regex, normalizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.models.chinese_clip.image_processing_pil_chinese_clip import (
    ChineseCLIPImageProcessorPil,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

import registry_tokenizers
from registry_models import EMBEDDING, HEADS, LAYERS, WIDTH, randomise
from registry_reference import Reference

SIDE = 48
PATCH = 16
CONTEXT = 40
# The punctuation that SigLIP's tokenizers drop.
PUNCTUATION = "[" + "".join(f"\\{c}" for c in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + "]"


@dataclass
class Class:
    """A class of models: its small configuration, tokenizer and image preparation."""

    name: str
    model: type[transformers.PreTrainedModel]
    config: Callable[[PreTrainedTokenizerBase], transformers.PreTrainedConfig]
    tokenizer: Callable[[], PreTrainedTokenizerBase]
    processor: Any = None
    # To how many tokens texts are padded; `None` is to the longest of a batch, under a mask.
    padded_to: int | None = None
    context: int = CONTEXT
    masked: bool = True
    # What a tensor is called in published files, in place of today's name.
    published: Callable[[str], str] | None = None

    @property
    def kind(self) -> str:
        return f"hf {self.config(self.tokenizer()).model_type.replace('_', '-')}"

    def write(self, directory: Path) -> None:
        """As `save_pretrained` does."""
        tokenizer = self.tokenizer()
        model = self.model(self.config(tokenizer)).eval()
        randomise(model, zlib.crc32(self.name.encode()))
        model.save_pretrained(directory)
        if self.published:
            file = directory / "model.safetensors"
            tensors = {self.published(name): tensor for name, tensor in load_file(file).items()}
            save_file(tensors, file, metadata={"format": "pt"})
        tokenizer.model_max_length = self.context
        tokenizer.save_pretrained(directory)
        if self.processor is not None:
            self.processor.save_pretrained(directory)

    def reference(self, directory: Path) -> HuggingFaceReference:
        return HuggingFaceReference(self, directory)


class HuggingFaceReference(Reference):
    layout = "hf"

    def __init__(self, of: Class, directory: Path) -> None:
        self.of = of
        options = {"dtype": torch.float32, "attn_implementation": "eager"}
        self.model = of.model.from_pretrained(directory, **options).eval()
        self.model.requires_grad_(False)
        whole = str(directory / "tokenizer.json")
        made = of.tokenizer()
        self.tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=whole, pad_token=made.pad_token, padding_side="right"
        )
        self.pad_id = self.tokenizer.pad_token_id
        self.logit_scale = getattr(self.model, "logit_scale", None)

    def token_ids(self, texts: Sequence[str]) -> tuple[list[list[int]], torch.Tensor]:
        limit = {"truncation": True, "max_length": self.of.context}
        ids = self.tokenizer(list(texts), **limit)["input_ids"]
        padding = "max_length" if self.of.padded_to else "longest"
        rows = self.tokenizer(list(texts), padding=padding, return_tensors="pt", **limit)
        # What pads may be an end token too, so that ids alone do not tell.
        self.mask = rows["attention_mask"]
        return ids, rows["input_ids"]

    def encode_text(self, input_ids: torch.Tensor) -> torch.Tensor:
        arguments = {"input_ids": input_ids}
        if self.of.masked:
            arguments["attention_mask"] = self.mask
        if hasattr(self.model, "get_text_features"):
            return self.model.get_text_features(**arguments).pooler_output
        output = self.model(**arguments)
        return output.text_embeds if "text_embeds" in output else output.pooler_output

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model.get_image_features(pixels).pooler_output

    def preprocess(self, file: Path) -> torch.Tensor | None:
        if self.of.processor is None:
            return None
        return self.of.processor(Image.open(file), return_tensors="pt").pixel_values[0].float()


def tower(heads: int = HEADS, width: int = WIDTH, **more: Any) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "num_attention_heads": heads,
        "num_hidden_layers": LAYERS,
        "intermediate_size": 48,
        **more,
    }


def vision(**more: Any) -> dict[str, Any]:
    return tower(width=24, image_size=SIDE, patch_size=PATCH, **more)


# --- the tokenizers -----------------------------------------------------------


def clip_tokenizer() -> PreTrainedTokenizerBase:
    return registry_tokenizers.clip(CONTEXT)


def siglip_tokenizer() -> PreTrainedTokenizerBase:
    """SigLIP's, which lower-cases, drops punctuation and joins white space."""
    tokenizer = registry_tokenizers.siglip()
    tokenizer.backend_tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Lowercase(),
            normalizers.Replace(Regex(PUNCTUATION), ""),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Strip(),
        ]
    )
    return tokenizer


def siglip2_tokenizer() -> PreTrainedTokenizerBase:
    tokenizer = registry_tokenizers.siglip2()
    backend = tokenizer.backend_tokenizer
    backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), backend.normalizer])
    return tokenizer


# --- the configurations -------------------------------------------------------


def clip_text(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    return tower(
        vocab_size=len(tokenizer),
        max_position_embeddings=CONTEXT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        projection_dim=EMBEDDING,
    )


def clip_config(tokenizer: PreTrainedTokenizerBase) -> transformers.CLIPConfig:
    text = clip_text(tokenizer)
    return transformers.CLIPConfig(
        text_config=text, vision_config=vision(projection_dim=EMBEDDING), projection_dim=EMBEDDING
    )


def clip_text_config(tokenizer: PreTrainedTokenizerBase) -> transformers.CLIPTextConfig:
    return transformers.CLIPTextConfig(**clip_text(tokenizer))


def clip_text_config_legacy(tokenizer: PreTrainedTokenizerBase) -> transformers.CLIPTextConfig:
    return transformers.CLIPTextConfig(**{**clip_text(tokenizer), "eos_token_id": 2})


def metaclip_2_config(tokenizer: PreTrainedTokenizerBase) -> transformers.MetaClip2Config:
    """The end token has id 2, and is pooled."""
    text = {**clip_text(tokenizer), "hidden_act": "gelu"}
    return transformers.MetaClip2Config(
        text_config=text,
        vision_config=vision(projection_dim=EMBEDDING, hidden_act="gelu"),
        projection_dim=EMBEDDING,
    )


def siglip_config(tokenizer: PreTrainedTokenizerBase) -> transformers.SiglipConfig:
    text = tower(vocab_size=len(tokenizer), max_position_embeddings=64, projection_size=WIDTH)
    return transformers.SiglipConfig(
        text_config=text, vision_config=vision() | {"hidden_size": WIDTH}
    )


def siglip2_config(tokenizer: PreTrainedTokenizerBase) -> transformers.Siglip2Config:
    text = tower(vocab_size=len(tokenizer), max_position_embeddings=64, projection_size=WIDTH)
    return transformers.Siglip2Config(
        text_config=text, vision_config=tower(patch_size=PATCH, num_patches=16)
    )


def bert_text(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    return tower(vocab_size=len(tokenizer), max_position_embeddings=CONTEXT + 2)


def chinese_clip_config(tokenizer: PreTrainedTokenizerBase) -> transformers.ChineseCLIPConfig:
    return transformers.ChineseCLIPConfig(
        text_config=bert_text(tokenizer),
        vision_config=vision(projection_dim=EMBEDDING),
        projection_dim=EMBEDDING,
    )


def altclip_config(tokenizer: PreTrainedTokenizerBase) -> transformers.AltCLIPConfig:
    text = bert_text(tokenizer) | {"project_dim": 20}
    return transformers.AltCLIPConfig(
        text_config=text, vision_config=vision(projection_dim=EMBEDDING), projection_dim=EMBEDDING
    )


def dual(
    text: type[transformers.PreTrainedConfig], image: type[transformers.PreTrainedConfig]
) -> Callable[[PreTrainedTokenizerBase], transformers.PreTrainedConfig]:
    """A `VisionTextDualEncoderConfig` of two kinds of towers."""

    def config(tokenizer: PreTrainedTokenizerBase) -> transformers.VisionTextDualEncoderConfig:
        return transformers.VisionTextDualEncoderConfig.from_vision_text_configs(
            image(**vision()), text(**bert_text(tokenizer)), projection_dim=EMBEDDING
        )

    return config


def under_text_model(name: str) -> str:
    """The prefix that every text tower published alone has."""
    return name if name.startswith("text_") else f"text_model.{name}"


def with_layers(name: str) -> str:
    """AltCLIP's image tower has `layers`, which transformers 5 saves as `layer`."""
    return name.replace("vision_model.encoder.layer.", "vision_model.encoder.layers.")


# --- the classes --------------------------------------------------------------


def classes() -> list[Class]:
    square = {"height": SIDE, "width": SIDE}
    sizes = {"size": {"shortest_edge": SIDE}, "crop_size": square}
    clip_images = CLIPImageProcessorPil(**sizes)
    siglip_images = SiglipImageProcessorPil(size=square)
    bert, roberta = registry_tokenizers.bert, registry_tokenizers.roberta
    xlm_roberta = registry_tokenizers.xlm_roberta
    dual_model = transformers.VisionTextDualEncoderModel
    text_model = transformers.CLIPTextModel
    siglip = {"padded_to": 64, "context": 64, "masked": False}
    return [
        Class("hf-clip", transformers.CLIPModel, clip_config, clip_tokenizer, clip_images),
        Class(
            "hf-clip-text-model",
            text_model,
            clip_text_config_legacy,
            clip_tokenizer,
            published=under_text_model,
        ),
        Class("hf-clip-text-model-current", text_model, clip_text_config, clip_tokenizer),
        Class(
            "hf-clip-text-model-with-projection",
            transformers.CLIPTextModelWithProjection,
            clip_text_config,
            clip_tokenizer,
            published=under_text_model,
        ),
        Class(
            "hf-siglip",
            transformers.SiglipModel,
            siglip_config,
            siglip_tokenizer,
            siglip_images,
            **siglip,
        ),
        Class(
            "hf-siglip2-fixed-size",
            transformers.SiglipModel,
            siglip_config,
            siglip2_tokenizer,
            siglip_images,
            **siglip,
        ),
        Class(
            "hf-siglip2-naflex",
            transformers.Siglip2Model,
            siglip2_config,
            siglip2_tokenizer,
            **siglip,
        ),
        Class(
            "hf-metaclip-2",
            transformers.MetaClip2Model,
            metaclip_2_config,
            xlm_roberta,
            clip_images,
        ),
        Class(
            "hf-chinese-clip",
            transformers.ChineseCLIPModel,
            chinese_clip_config,
            bert,
            ChineseCLIPImageProcessorPil(**sizes | {"size": square}),
        ),
        Class(
            "hf-altclip",
            transformers.AltCLIPModel,
            altclip_config,
            xlm_roberta,
            clip_images,
            published=with_layers,
        ),
        Class(
            "hf-dual-encoder-clip-bert",
            dual_model,
            dual(transformers.BertConfig, transformers.CLIPVisionConfig),
            bert,
            clip_images,
        ),
        Class(
            "hf-dual-encoder-vit-roberta",
            dual_model,
            dual(transformers.RobertaConfig, transformers.ViTConfig),
            roberta,
            ViTImageProcessorPil(size=square),
        ),
        Class(
            "hf-dual-encoder-deit-bert",
            dual_model,
            dual(transformers.BertConfig, transformers.DeiTConfig),
            bert,
            ViTImageProcessorPil(size=square),
        ),
        Class(
            "hf-dual-encoder-clip-xlm-roberta",
            dual_model,
            dual(transformers.XLMRobertaConfig, transformers.CLIPVisionConfig),
            xlm_roberta,
            clip_images,
        ),
    ]
