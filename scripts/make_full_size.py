"""Make a random ViT-B/32 checkpoint of the real size, in either layout.

    python scripts/make_full_size.py --layout hf --out target/full-size/hf
    python scripts/make_full_size.py --layout openclip --out target/full-size/openclip

The architecture, the vocabulary of 49,408 entries (open_clip ships its merges)
and the preprocessing are those of the published models; the weights are the
packages' own initialisation, so embeddings are finite and differ from input to
input, but mean nothing. For measuring size and speed only; not committed.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

import open_clip
import torch
from open_clip.push_to_hf_hub import save_for_hf
from open_clip.tokenizer import default_bpe
from transformers import CLIPConfig, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import clip_tokenizer
from clip_tokenizer import Merge

ARCHITECTURE = "ViT-B-32"
CONTEXT_LENGTH = 77
# 49,408 entries: 256 bytes, 256 bytes that end a word, the merges, start and end.
MERGE_COUNT = 49_408 - 2 * 256 - 2


def published_merges() -> list[Merge]:
    """CLIP's merges, from the file inside the open_clip package."""
    with gzip.open(default_bpe(), "rt", encoding="utf-8") as file:
        lines = file.read().splitlines()[1 : 1 + MERGE_COUNT]
    pairs = [line.split() for line in lines]
    return [(left, right) for left, right in pairs]


def write_hugging_face(directory: Path) -> None:
    """Weights, configuration and preprocessing; transformers' defaults are ViT-B/32."""
    CLIPModel(CLIPConfig()).save_pretrained(directory)
    CLIPImageProcessorPil().save_pretrained(directory)


def write_open_clip(directory: Path, tokenizer: clip_tokenizer.CLIPTokenizer) -> None:
    """Weights and configuration of the OpenCLIP layout."""
    model = open_clip.create_model(ARCHITECTURE)
    config = open_clip.get_model_config(ARCHITECTURE)
    save_for_hf(model, tokenizer, config, str(directory), safe_serialization=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="make a random ViT-B/32 checkpoint of full size")
    parser.add_argument("--layout", choices=("hf", "openclip"), required=True)
    parser.add_argument("--out", type=Path, required=True, help="a directory to create")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    out: Path = arguments.out
    if out.exists():
        parser.error(f"{out} exists; remove it or name another directory")

    torch.manual_seed(arguments.seed)
    out.mkdir(parents=True)
    merges = published_merges()
    vocabulary = clip_tokenizer.clip_vocabulary(merges)
    tokenizer = clip_tokenizer.build_tokenizer(vocabulary, merges, CONTEXT_LENGTH)
    if arguments.layout == "hf":
        write_hugging_face(out)
        tokenizer.save_pretrained(out)
    else:
        write_open_clip(out, tokenizer)
    clip_tokenizer.write_vocabulary_files(out, vocabulary, merges)
    clip_tokenizer.write_special_tokens_map(out)
    print(f"{out}: {sum(file.stat().st_size for file in out.iterdir()) / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
