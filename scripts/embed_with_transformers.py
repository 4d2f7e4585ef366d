"""Write what transformers makes of a checkpoint in the Hugging Face layout.

    python scripts/embed_with_transformers.py --model DIR --texts texts.json --out expected.json

`texts.json` is a list of strings. The result is one self-contained JSON object:

    texts         (T)              the texts
    ids           (T, varies)      their token ids, truncated to the context, not padded
    text_embeds   (T, D)           text embeddings, not normalised
    pixels        (B, 3, S, S)     random inputs in the normalised pixel space, from --seed,
                                   rounded to 1/1000 so that they are read back exactly
    image_embeds  (B, D)           their embeddings, not normalised
    logit_scale                    as stored, that is the logarithm
    transformers, torch            the versions used

Everything is computed in f32 on the CPU, with eager attention.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import CLIPModel, CLIPTokenizer


def random_pixels(batch: int, side: int, seed: int) -> np.ndarray:
    """Standard normal pixels (B, 3, S, S), rounded to 1/1000."""
    return np.random.default_rng(seed).standard_normal((batch, 3, side, side)).round(3)


def main() -> None:
    parser = argparse.ArgumentParser(description="embed texts and pixels with transformers")
    parser.add_argument("--model", type=Path, required=True, help="a checkpoint directory")
    parser.add_argument("--texts", type=Path, required=True, help="a JSON list of strings")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--inputs", type=int, default=2, help="how many random pixel inputs")
    parser.add_argument("--seed", type=int, default=0, help="seed of the pixel inputs")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    model = CLIPModel.from_pretrained(
        arguments.model, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    tokenizer = CLIPTokenizer.from_pretrained(arguments.model)
    context_length = model.config.text_config.max_position_embeddings
    texts: list[str] = json.loads(arguments.texts.read_text(encoding="utf-8"))
    tokens = tokenizer(
        texts,
        padding="max_length",
        truncation=True,
        max_length=context_length,
        return_tensors="pt",
    )
    pixels = random_pixels(arguments.inputs, model.config.vision_config.image_size, arguments.seed)
    with torch.no_grad():
        text_embeds = model.get_text_features(**tokens).pooler_output
        image_embeds = model.get_image_features(torch.from_numpy(pixels).float()).pooler_output

    ids = [
        row[mask.bool()].tolist()
        for row, mask in zip(tokens.input_ids, tokens.attention_mask, strict=True)
    ]
    expected = {
        "texts": texts,
        "ids": ids,
        "text_embeds": text_embeds.tolist(),
        "pixels": pixels.tolist(),
        "image_embeds": image_embeds.tolist(),
        "logit_scale": model.logit_scale.item(),
        "transformers": transformers.__version__,
        "torch": torch.__version__,
    }
    arguments.out.write_text(json.dumps(expected, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{arguments.out}: {len(texts)} texts, {len(pixels)} inputs")


if __name__ == "__main__":
    main()
