"""Make a random checkpoint of a published size: CLIP's in either layout, or CLAP's HTSAT.

    python scripts/make_full_size.py --layout hf --out target/full-size/hf
    python scripts/make_full_size.py --layout hf --model ViT-L-14 --out target/full-size/large
    python scripts/make_full_size.py --layout openclip --out target/full-size/openclip
    python scripts/make_full_size.py --layout openclip --model RN50 --out target/full-size/rn50
    python scripts/make_full_size.py --layout clap --out target/full-size/clap

The architectures, CLIP's vocabulary of 49,408 entries (open_clip ships its
merges) and the front ends are those of the published models; `clap` has the
sizes of clap-htsat-unfused, which are transformers' defaults, and a table of
50,265 tokens of which its tokenizer, which no package ships, uses the bytes
alone. The weights are the packages' own initialisation, so embeddings are
finite and differ from input to input, but mean nothing. So that this holds for a
residual tower too, its batch norms get the statistics of noise, and the last norm
of each block is not left at 0, where the block would do nothing. For measuring size
and speed only; not committed.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

import open_clip
import torch
from open_clip.modified_resnet import Bottleneck
from open_clip.push_to_hf_hub import save_for_hf
from open_clip.tokenizer import default_bpe
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, CLIPConfig, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import clap_tokenizer
import clip_tokenizer
from clip_tokenizer import Merge

# Those of open_clip that use CLIP's tokenizer at its context length.
OPEN_CLIP_MODELS = ("ViT-B-32", "RN50")
# transformers' defaults are ViT-B/32.
HUGGING_FACE_MODELS = {
    "ViT-B-32": CLIPConfig(),
    "ViT-L-14": CLIPConfig(
        text_config={
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_attention_heads": 12,
            "projection_dim": 768,
        },
        vision_config={
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_attention_heads": 16,
            "num_hidden_layers": 24,
            "patch_size": 14,
            "projection_dim": 768,
        },
        projection_dim=768,
    ),
}
BRANCH_GAIN = 0.2
CONTEXT_LENGTH = 77
# 49,408 entries: 256 bytes, 256 bytes that end a word, the merges, start and end.
MERGE_COUNT = 49_408 - 2 * 256 - 2


def published_merges() -> list[Merge]:
    """CLIP's merges, from the file inside the open_clip package."""
    with gzip.open(default_bpe(), "rt", encoding="utf-8") as file:
        lines = file.read().splitlines()[1 : 1 + MERGE_COUNT]
    pairs = [line.split() for line in lines]
    return [(left, right) for left, right in pairs]


def write_hugging_face(name: str, directory: Path) -> None:
    """Weights, configuration and preprocessing."""
    CLIPModel(HUGGING_FACE_MODELS[name]).save_pretrained(directory)
    CLIPImageProcessorPil().save_pretrained(directory)


def settle_batch_norms(tower: torch.nn.Module) -> None:
    """The statistics of a batch of noise, without which a residual tower's signal dies away."""
    norms = [m for m in tower.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    if not norms:
        return
    for module in tower.modules():
        if isinstance(module, Bottleneck):
            torch.nn.init.constant_(module.bn3.weight, BRANCH_GAIN)
    for norm in norms:
        # The statistics become those of the one batch that follows.
        norm.train().momentum = 1.0
    with torch.no_grad():
        tower(torch.randn(8, 3, tower.image_size, tower.image_size))


def write_open_clip(name: str, directory: Path, tokenizer: clip_tokenizer.CLIPTokenizer) -> None:
    """Weights and configuration of the OpenCLIP layout."""
    model = open_clip.create_model(name)
    settle_batch_norms(model.visual)
    config = open_clip.get_model_config(name)
    save_for_hf(model, tokenizer, config, str(directory), safe_serialization=True)


def write_clap(directory: Path) -> None:
    """Everything of a CLAP; the published models cut a piece out of a long clip."""
    config = ClapConfig()
    ClapModel(config).save_pretrained(directory)
    ClapFeatureExtractor(truncation="rand_trunc", frequency_min=50).save_pretrained(directory)
    context_length = config.text_config.max_position_embeddings - clap_tokenizer.PAD_ID - 1
    clap_tokenizer.build_tokenizer([], context_length).save_pretrained(directory)


def main() -> None:
    parser = argparse.ArgumentParser(description="make a random checkpoint of full size")
    parser.add_argument("--layout", choices=("hf", "openclip", "clap"), required=True)
    parser.add_argument(
        "--model",
        choices=sorted({*OPEN_CLIP_MODELS, *HUGGING_FACE_MODELS}),
        help="of the hf and openclip layouts; ViT-B-32 if not given",
    )
    parser.add_argument("--out", type=Path, required=True, help="a directory to create")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    out: Path = arguments.out
    models = {"hf": HUGGING_FACE_MODELS, "openclip": OPEN_CLIP_MODELS}.get(arguments.layout, ())
    if arguments.model and arguments.model not in models:
        parser.error(f"--layout {arguments.layout} has the models {list(models)}")
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
            write_hugging_face(arguments.model or "ViT-B-32", out)
            tokenizer.save_pretrained(out)
        else:
            write_open_clip(arguments.model or OPEN_CLIP_MODELS[0], out, tokenizer)
        clip_tokenizer.write_vocabulary_files(out, vocabulary, merges)
        clip_tokenizer.write_special_tokens_map(out)
    print(f"{out}: {sum(file.stat().st_size for file in out.iterdir()) / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
