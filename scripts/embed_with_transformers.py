"""Write what transformers makes of a CLIP or CLAP checkpoint in the Hugging Face layout.

    python scripts/embed_with_transformers.py --model DIR --texts texts.json --out expected.json

`texts.json` is a list of strings, or an earlier result, whose texts are taken. The result is one
self-contained JSON object:

    texts         (T)              the texts
    ids           (T, varies)      their token ids, truncated to the context, not padded
    text_embeds   (T, D)           text embeddings; CLIP: not normalised, CLAP: at length 1
    inputs        (B, C, H, W)     random inputs from --seed; CLIP: normalised pixels, rounded to
                                   1/1000; CLAP: decibels (B, 1, frames, mel bins), rounded to 1/10
    input_embeds  (B, D)           their embeddings, likewise
    logit_scale                    as stored, that is the logarithm; for CLAP, the one of audio
    transformers, torch            the versions used

Everything is computed in f32 on the CPU, with eager attention.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoConfig, ClapFeatureExtractor, ClapModel, CLIPModel
from transformers import CLIPTokenizer, RobertaTokenizer

LOUDNESS = (-40.0, 15.0)  # mean and deviation of random decibels


def random_pixels(batch: int, side: int, seed: int) -> np.ndarray:
    """Standard normal pixels (B, 3, S, S), rounded to 1/1000."""
    return np.random.default_rng(seed).standard_normal((batch, 3, side, side)).round(3)


def random_log_mels(batch: int, extractor: ClapFeatureExtractor, seed: int) -> np.ndarray:
    """Normal decibels (B, 1, F, M), rounded to 1/10."""
    frames = 1 + extractor.nb_max_samples // extractor.hop_length
    shape = (batch, 1, frames, extractor.feature_size)
    mean, deviation = LOUDNESS
    return (mean + deviation * np.random.default_rng(seed).standard_normal(shape)).round(1)


class Clip:
    def __init__(self, directory: Path) -> None:
        self.model = CLIPModel.from_pretrained(
            directory, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.tokenizer = CLIPTokenizer.from_pretrained(directory)
        self.context_length = self.model.config.text_config.max_position_embeddings
        self.logit_scale = self.model.logit_scale

    def inputs(self, batch: int, seed: int) -> np.ndarray:
        return random_pixels(batch, self.model.config.vision_config.image_size, seed)

    def embed_texts(self, tokens: Any) -> torch.Tensor:
        return self.model.get_text_features(**tokens).pooler_output

    def embed_inputs(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.model.get_image_features(inputs).pooler_output


class Clap:
    def __init__(self, directory: Path) -> None:
        self.model = ClapModel.from_pretrained(
            directory, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.tokenizer = RobertaTokenizer.from_pretrained(directory)
        self.extractor = ClapFeatureExtractor.from_pretrained(directory)
        text = self.model.config.text_config
        self.context_length = text.max_position_embeddings - text.pad_token_id - 1
        self.logit_scale = self.model.logit_scale_a

    def inputs(self, batch: int, seed: int) -> np.ndarray:
        return random_log_mels(batch, self.extractor, seed)

    def embed_texts(self, tokens: Any) -> torch.Tensor:
        return self.model.get_text_features(**tokens).pooler_output

    def embed_inputs(self, inputs: torch.Tensor) -> torch.Tensor:
        short = torch.zeros(len(inputs), 1, dtype=torch.bool)
        return self.model.get_audio_features(inputs, is_longer=short).pooler_output


def main() -> None:
    parser = argparse.ArgumentParser(description="embed texts and inputs with transformers")
    parser.add_argument("--model", type=Path, required=True, help="a checkpoint directory")
    parser.add_argument("--texts", type=Path, required=True, help="a JSON list of strings")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--inputs", type=int, default=2, help="how many random inputs")
    parser.add_argument("--seed", type=int, default=0, help="seed of the inputs")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    kind = AutoConfig.from_pretrained(arguments.model).model_type
    reference = {"clip": Clip, "clap": Clap}[kind](arguments.model)
    texts = json.loads(arguments.texts.read_text(encoding="utf-8"))
    texts = texts["texts"] if isinstance(texts, dict) else texts
    tokens = reference.tokenizer(
        texts,
        padding="max_length",
        truncation=True,
        max_length=reference.context_length,
        return_tensors="pt",
    )
    inputs = reference.inputs(arguments.inputs, arguments.seed)
    with torch.no_grad():
        text_embeds = reference.embed_texts(tokens)
        input_embeds = reference.embed_inputs(torch.from_numpy(inputs).float())

    ids = [
        row[mask.bool()].tolist()
        for row, mask in zip(tokens.input_ids, tokens.attention_mask, strict=True)
    ]
    expected = {
        "texts": texts,
        "ids": ids,
        "text_embeds": text_embeds.tolist(),
        "inputs": inputs.tolist(),
        "input_embeds": input_embeds.tolist(),
        "logit_scale": reference.logit_scale.item(),
        "transformers": transformers.__version__,
        "torch": torch.__version__,
    }
    arguments.out.write_text(json.dumps(expected, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{arguments.out}: {len(texts)} texts, {len(inputs)} inputs")


if __name__ == "__main__":
    main()
