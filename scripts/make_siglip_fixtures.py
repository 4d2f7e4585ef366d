"""Make a tiny random SigLIP and CoCa checkpoint, and what transformers and open_clip make of them.

    .venv/bin/python scripts/make_clip_fixtures.py
    .venv/bin/python scripts/make_siglip_fixtures.py

The docstring of `make_clip_fixtures.py` gives the keys and shapes of the two files of
expected values, and its `images/` are read here, so it runs first. SigLIP pads texts to
the context and reads the last position; CoCa has a decoder, whose weights are stored
and belong to neither tower.
"""

from __future__ import annotations

from pathlib import Path

import open_clip
import torch
from open_clip.model import set_model_preprocess_cfg
from safetensors.torch import save_file
from transformers import SiglipConfig, SiglipModel
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from clip_reference import (
    CLIP_MEAN,
    CLIP_STD,
    OpenClipReference,
    Reference,
    arguments,
    inputs_of,
    learnt_merges,
    make_case,
    randomise,
    write_json,
)
from make_text_fixtures import ForeignTextReference, TextCase, siglip_tokenizer

IMAGES = ("photo.png", "tall.png")
SIDE = 14
CONTEXT = 20


def tower(**more: int) -> dict[str, int]:
    return {
        "hidden_size": 16,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "intermediate_size": 32,
        **more,
    }


def siglip(case: TextCase, vocabulary: int) -> SiglipModel:
    text = tower(vocab_size=vocabulary, max_position_embeddings=case.context_length)
    vision = tower(image_size=SIDE, patch_size=4)
    return SiglipModel(SiglipConfig(text_config=text, vision_config=vision))


def write_siglip(case: TextCase, directory: Path) -> None:
    model = siglip(case, case.vocabulary_size()).eval()
    randomise(model, case.seed)
    model.half().save_pretrained(directory)
    case.make_tokenizer(case).save_pretrained(directory)
    processor = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    processor.save_pretrained(directory)


class SiglipReference(ForeignTextReference):
    def __init__(self, case: TextCase, directory: Path) -> None:
        Reference.__init__(self, case, directory)
        self.tokenizer = case.make_tokenizer(case)
        self.model = SiglipModel.from_pretrained(
            directory, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.model.requires_grad_(False)
        self.processor = SiglipImageProcessorPil.from_pretrained(directory)
        self.pad_id = self.tokenizer.pad_token_id
        self.image_size = SIDE
        self.logit_scale = self.model.logit_scale

    def embed_texts(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        text = self.model.text_model
        run = lambda: self.model.get_text_features(input_ids).pooler_output
        states, embeds = inputs_of(text.final_layer_norm, run)
        torch.testing.assert_close(text.head(text.final_layer_norm(states[:, -1])), embeds)
        return embeds, states[:, -1]


def coca_config(case: TextCase) -> dict:
    text = {
        "context_length": CONTEXT,
        "vocab_size": case.vocabulary_size(),
        "width": 16,
        "heads": 2,
        "layers": 1,
        "embed_cls": True,
        "output_tokens": True,
    }
    vision = {
        "image_size": SIDE,
        "layers": 2,
        "width": 16,
        "head_width": 4,
        "patch_size": 4,
        "mlp_ratio": 2.0,
        "attentional_pool": True,
        "attn_pooler_queries": 5,
        "attn_pooler_heads": 3,
        "output_tokens": True,
    }
    decoder = {
        "context_length": CONTEXT,
        "vocab_size": case.vocabulary_size(),
        "width": 12,
        "heads": 2,
        "layers": 1,
    }
    return {
        "embed_dim": 12,
        "vision_cfg": vision,
        "text_cfg": text,
        "multimodal_cfg": decoder,
        "custom_text": True,
    }


def coca_model(config: dict) -> open_clip.CoCa:
    return open_clip.CoCa(**{k: v for k, v in config.items() if k != "custom_text"}).eval()


def write_coca(case: TextCase, directory: Path) -> None:
    config = coca_config(case)
    model = coca_model(config)
    randomise(model, case.seed)
    preprocess_cfg = {"mean": CLIP_MEAN, "std": CLIP_STD}
    set_model_preprocess_cfg(model, preprocess_cfg)
    stored = {"model_cfg": config, "preprocess_cfg": preprocess_cfg}
    write_json(directory / "open_clip_config.json", stored)
    tensors = {name: tensor.clone().half() for name, tensor in model.state_dict().items()}
    save_file(tensors, directory / "open_clip_model.safetensors", metadata={"format": "pt"})
    case.make_tokenizer(case).save_pretrained(directory)


class CocaReference(OpenClipReference):
    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model.encode_image(pixels, normalize=False)

    def embed_texts(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        text = self.model.text
        run = lambda: self.model.encode_text(input_ids, normalize=False)
        states, embeds = inputs_of(text.ln_final, run)
        torch.testing.assert_close(text.ln_final(states) @ text.text_projection, embeds)
        return embeds, states


def main() -> None:
    out = arguments("make the parity fixtures of SigLIP and CoCa")
    images = [out / "images" / name for name in IMAGES]
    siglip_case = TextCase(
        name="hf-siglip",
        context_length=CONTEXT,
        write=write_siglip,
        make_tokenizer=siglip_tokenizer,
        config={},
    )
    make_case(siglip_case, SiglipReference, out, images)
    coca_case = TextCase(
        name="openclip-coca",
        context_length=CONTEXT,
        write=write_coca,
        merges=learnt_merges(),
        config={},
    )
    make_case(coca_case, CocaReference, out, images)


if __name__ == "__main__":
    main()
