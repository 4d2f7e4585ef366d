"""Small checkpoints of transformers' CLAP.

Shared by `make_registry.py`; not a program itself.
"""

from __future__ import annotations

import wave
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, PreTrainedTokenizerFast

import registry_tokenizers
from clap_audio import SAMPLING_RATE
from clap_tokenizer import PAD_ID
from registry_models import randomise
from registry_reference import Reference

CONTEXT = 77


@dataclass
class Clap:
    """A CLAP checkpoint in the form of the first repositories."""

    name: str
    audio: dict[str, Any]
    extractor: dict[str, Any]

    def write(self, directory: Path) -> None:
        tokenizer = registry_tokenizers.roberta()
        text = {
            "hidden_size": 24,
            "num_attention_heads": 3,
            "num_hidden_layers": 2,
            "intermediate_size": 56,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": CONTEXT + PAD_ID + 1,
        }
        config = ClapConfig(text_config=text, audio_config=self.audio, projection_dim=24)
        model = ClapModel(config).eval()
        randomise(model, zlib.crc32(self.name.encode()))
        entrance = model.audio_model.audio_encoder.batch_norm
        entrance.running_mean.fill_(-40)
        entrance.running_var.fill_(225)
        model.save_pretrained(directory)
        tokenizer.model_max_length = CONTEXT
        tokenizer.save_pretrained(directory)
        ClapFeatureExtractor(**self.extractor).save_pretrained(directory)

    def reference(self, directory: Path) -> ClapReference:
        return ClapReference(directory)


class ClapReference(Reference):
    layout = "hf"
    pad_id = PAD_ID

    def __init__(self, directory: Path) -> None:
        options = {"dtype": torch.float32, "attn_implementation": "eager"}
        self.model = ClapModel.from_pretrained(directory, **options).eval()
        self.model.requires_grad_(False)
        self.extractor = ClapFeatureExtractor.from_pretrained(directory)
        self.tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(directory / "tokenizer.json"),
            pad_token="<pad>",
            padding_side="right",
        )
        # The one for ranking texts by a sound.
        self.logit_scale = self.model.logit_scale_a

    def token_ids(self, texts: Sequence[str]) -> tuple[list[list[int]], torch.Tensor]:
        limit = {"truncation": True, "max_length": CONTEXT}
        ids = self.tokenizer(list(texts), **limit)["input_ids"]
        rows = self.tokenizer(list(texts), padding="longest", return_tensors="pt", **limit)
        return ids, rows["input_ids"]

    def encode_text(self, input_ids: torch.Tensor) -> torch.Tensor:
        output = self.model.text_model(input_ids, attention_mask=(input_ids != PAD_ID).long())
        return self.model.text_projection(output.pooler_output)

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        longer = torch.full((len(pixels), 1), self.extractor.truncation == "fusion")
        output = self.model.audio_model(pixels, is_longer=longer)
        return self.model.audio_projection(output.pooler_output)

    def preprocess(self, file: Path) -> torch.Tensor:
        """A log-mel. Where the model fuses, one clip alone counts as longer than it is."""
        with wave.open(str(file)) as clip:
            samples = np.frombuffer(clip.readframes(clip.getnframes()), np.int16)
        waveform = samples.astype(np.float32) / np.float32(32_768)
        options = {"sampling_rate": SAMPLING_RATE, "return_tensors": "pt"}
        return self.extractor(waveform, **options)["input_features"][0].float()

    def noise(self, shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
        """Decibels."""
        return -40 + 20 * rng.standard_normal(tuple(shape), np.float32)


def extractor(mels: int, hop: int, truncation: str = "rand_trunc") -> dict[str, Any]:
    return {
        "feature_size": mels,
        "hop_length": hop,
        "max_length_s": 1,
        "frequency_min": 50,
        "frequency_max": 14_000,
        "truncation": truncation,
    }


def htsat(
    spec_size: int, mels: int, width: int, heads: list[int], depths: list[int], **more: Any
) -> dict[str, Any]:
    return {
        "spec_size": spec_size,
        "num_mel_bins": mels,
        "patch_embeds_hidden_size": width,
        "depths": depths,
        "num_hidden_layers": len(depths),
        "num_attention_heads": heads,
        "hidden_size": width * 2 ** (len(depths) - 1),
        "patch_stride": [4, 4],
        "window_size": 4,
        **more,
    }


def classes() -> list[Clap]:
    fusing = {"enable_fusion": True, "fusion_type": "aff_2d"}
    return [
        Clap("hf-clap-unfused", htsat(64, 16, 8, [2, 4], [2, 2]), extractor(16, 480)),
        Clap(
            "hf-clap-fused",
            htsat(128, 64, 12, [2, 4], [2, 2], **fusing),
            extractor(64, 960, "fusion"),
        ),
        # Four stages, of which the third is deeper.
        Clap("hf-clap-larger", htsat(128, 64, 8, [2, 2, 4, 8], [2, 2, 4, 2]), extractor(64, 480)),
    ]
