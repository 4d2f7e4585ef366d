"""Make a checkpoint of full size with random weights: ViT-B/32, RN50 or the HTSAT CLAP.

    python scripts/make_full_size.py --layout hf --out target/full-size/hf
    python scripts/make_full_size.py --layout openclip --out target/full-size/openclip
    python scripts/make_full_size.py --layout open-clip-rn50 --out target/full-size/rn50
    python scripts/make_full_size.py --layout clap --out target/full-size/clap

`hf` and `openclip` are ViT-B/32 in the two layouts, `open-clip-rn50` is RN50 in
OpenCLIP's. The architectures, CLIP's vocabulary of 49,408 entries (open_clip
ships its merges) and the front ends are those of the published models. `clap`
has the sizes of clap-htsat-unfused, which are transformers' defaults, and a
table of 50,265 tokens; no package ships its tokenizer, so the one written here
uses the entries for single bytes alone.

The weights are the packages' own initialisation, except for RN50's batch norms:
open_clip starts the last one of every residual branch at zero, which would leave
the branch without effect, and statistics that were never measured would let the
signal die out. They get random gains and the statistics of random inputs.
Embeddings are finite and differ between inputs, but mean nothing. For measuring
size and speed only; not committed.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

import open_clip
import torch
from open_clip.push_to_hf_hub import save_for_hf
from open_clip.tokenizer import default_bpe
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, CLIPConfig, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import clap_tokenizer
import clip_tokenizer
from clip_tokenizer import Merge

# open_clip's name of the architecture of each layout that it writes.
OPEN_CLIP = {"openclip": "ViT-B-32", "open-clip-rn50": "RN50"}
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


def write_open_clip(
    directory: Path, tokenizer: clip_tokenizer.CLIPTokenizer, architecture: str
) -> None:
    """Weights and configuration of the OpenCLIP layout."""
    model = open_clip.create_model(architecture)
    measure_batch_norms(model)
    config = open_clip.get_model_config(architecture)
    save_for_hf(model, tokenizer, config, str(directory), safe_serialization=True)


def measure_batch_norms(model: open_clip.CLIP) -> None:
    """Give batch norms random gains and the statistics of random inputs, as training would."""
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        torch.nn.init.uniform_(norm.weight, 0.5, 1.0)
        # Without a momentum, the statistics are those of the next batch alone.
        norm.momentum = None
    side = model.visual.image_size
    with torch.no_grad():
        model.visual.train()(torch.randn(8, 3, side, side))
    model.eval()


def write_clap(directory: Path) -> None:
    """Everything of a CLAP; the published models cut a piece out of a long clip."""
    config = ClapConfig()
    ClapModel(config).save_pretrained(directory)
    ClapFeatureExtractor(truncation="rand_trunc", frequency_min=50).save_pretrained(directory)
    context_length = config.text_config.max_position_embeddings - clap_tokenizer.PAD_ID - 1
    clap_tokenizer.build_tokenizer([], context_length).save_pretrained(directory)


def main() -> None:
    parser = argparse.ArgumentParser(description="make a random checkpoint of full size")
    parser.add_argument("--layout", choices=("hf", *OPEN_CLIP, "clap"), required=True)
    parser.add_argument("--out", type=Path, required=True, help="a directory to create")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    out: Path = arguments.out
    if out.exists():
        parser.error(f"{out} exists; remove it or name another directory")

    torch.manual_seed(arguments.seed)
    out.mkdir(parents=True)
    if arguments.layout == "clap":
        write_clap(out)
    else:
        merges = published_merges()
        vocabulary = clip_tokenizer.clip_vocabulary(merges)
        tokenizer = clip_tokenizer.build_tokenizer(vocabulary, merges, CONTEXT_LENGTH)
        if arguments.layout == "hf":
            write_hugging_face(out)
            tokenizer.save_pretrained(out)
        else:
            write_open_clip(out, tokenizer, OPEN_CLIP[arguments.layout])
        clip_tokenizer.write_vocabulary_files(out, vocabulary, merges)
        clip_tokenizer.write_special_tokens_map(out)
    print(f"{out}: {sum(file.stat().st_size for file in out.iterdir()) / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
