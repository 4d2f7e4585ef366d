"""Make tiny random CLIP checkpoints in the files that PyTorch writes, and the packages' values.

    .venv/bin/python scripts/make_clip_fixtures.py
    .venv/bin/python scripts/make_container_fixtures.py

The docstring of `make_clip_fixtures.py` gives the keys and shapes of the two files of expected
values, and its `images/` are read here, so it runs first. Pickles are written so that a reader has
to take every turn: tensors that are views of a larger storage, transposed views, two tensors in one
storage, buffers of integers, the format from before PyTorch 1.6, names that a wrapper for several
devices has changed, an optimiser's state beside the model, a TorchScript archive's tree of modules.

The cases without a configuration have towers of 16 numbers, so of one attention head: a file
without a configuration has as many heads as 64 goes into its width, and at least one.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from open_clip.factory import load_state_dict

import clip_tokenizer
from clip_reference import (
    Case,
    HuggingFaceReference,
    OpenClipReference,
    arguments,
    learnt_merges,
    make_case,
    open_clip_model,
    read_json,
    write_json,
)
from clip_tokenizer import Merge
from make_clip_fixtures import hf_image_processor, hf_model, tower

IMAGES = ("photo.png",)
# Beside the weights in OpenAI's archives.
NUMBERS = ("input_resolution", "context_length", "vocab_size")


# --- the Hugging Face layout ----------------------------------------------------


def hf_tensors(case: Case, directory: Path) -> dict[str, torch.Tensor]:
    """Everything but the weights is written; the weights, with the position ids, are returned."""
    model = hf_model(case)
    model.config.save_pretrained(directory)
    case.tokenizer().save_pretrained(directory)
    hf_image_processor(case).save_pretrained(directory)
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name, module in (("text", model.text_model), ("vision", model.vision_model)):
        tensors[f"{name}_model.embeddings.position_ids"] = module.embeddings.position_ids.clone()
    return tensors


def write_hf_bin(case: Case, directory: Path) -> None:
    """One pickle. Some tensors are views: transposed, in the middle of a storage, or sharing one."""
    tensors = hf_tensors(case, directory)
    projection = tensors["text_projection.weight"]
    tensors["text_projection.weight"] = projection.t().contiguous().t()
    convolution = tensors["vision_model.embeddings.patch_embedding.weight"]
    tensors["vision_model.embeddings.patch_embedding.weight"] = convolution.contiguous(
        memory_format=torch.channels_last
    )
    gain, shift = (f"vision_model.post_layernorm.{part}" for part in ("weight", "bias"))
    both = torch.stack([torch.zeros_like(tensors[gain]), tensors[gain], tensors[shift]])
    tensors[gain], tensors[shift] = both[1], both[2]
    torch.save(tensors, directory / "pytorch_model.bin")


def write_hf_bin_sharded(case: Case, directory: Path) -> None:
    """Three pickles and their index; one is in the format from before PyTorch 1.6."""
    tensors = hf_tensors(case, directory)
    names = sorted(tensors)
    places: dict[str, str] = {}
    for number in range(3):
        file = f"pytorch_model-{number + 1:05}-of-00003.bin"
        part = {name: tensors[name] for name in names[number::3]}
        places |= dict.fromkeys(part, file)
        torch.save(part, directory / file, _use_new_zipfile_serialization=number != 1)
    size = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": places}
    write_json(directory / "pytorch_model.bin.index.json", index)


# --- files without a configuration ----------------------------------------------


def write_training(case: Case, directory: Path) -> None:
    """As open_clip's training saves an epoch on several devices, in half precision."""
    model = open_clip_model(case).half()
    case.tokenizer().save_pretrained(directory)
    state = {f"module.{name}": tensor.clone() for name, tensor in model.state_dict().items()}
    trained = [model.ln_final.weight, model.visual.proj]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    for parameter in trained:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    scaler = {"scale": 65536.0, "growth_factor": 2.0, "growth_interval": 2000, "_growth_tracker": 7}
    checkpoint = {
        "epoch": 1,
        "name": "some-run",
        "state_dict": state,
        "optimizer": optimizer.state_dict(),
        "scaler": scaler,
    }
    torch.save(checkpoint, directory / "epoch_1.pt")


def write_script(case: Case, directory: Path) -> None:
    """As OpenAI's archives: traced, in f16, with three numbers beside the weights."""
    model = open_clip_model(case)
    case.tokenizer().save_pretrained(directory)
    numbers = (model.visual.image_size[0], case.context_length, len(case.token_ids))
    for name, number in zip(NUMBERS, numbers, strict=True):
        if hasattr(model, name):
            delattr(model, name)
        model.register_buffer(name, torch.tensor(number))
    side = numbers[0]
    example = (torch.zeros(1, 3, side, side), torch.zeros(1, case.context_length, dtype=torch.long))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(model, example, check_trace=False)
        for parameter in traced.parameters():
            parameter.data = parameter.data.half()
        torch.jit.save(traced, directory / "ViT-tiny.pt")


class BareReference(OpenClipReference):
    """open_clip is given the configuration that the file lacks, in a directory of its own."""

    def __init__(self, case: Case, directory: Path) -> None:
        (file,) = directory.glob("*.pt")
        if case.write is write_script:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                state = torch.jit.load(file).state_dict()
            # The mask of causal attention is a constant that tracing makes a tensor.
            others = (*NUMBERS, "attn_mask")
            state = {name: tensor for name, tensor in state.items() if name not in others}
        else:
            state = load_state_dict(str(file))
        with tempfile.TemporaryDirectory() as complete:
            completed = Path(complete)
            for tokenizer in directory.glob("*.json"):
                (completed / tokenizer.name).write_bytes(tokenizer.read_bytes())
            config = {"model_cfg": model_config(case), "preprocess_cfg": {}}
            (completed / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
            torch.save(state, completed / "open_clip_pytorch_model.bin")
            super().__init__(case, completed)


def model_config(case: Case) -> dict[str, Any]:
    """open_clip's configuration of a case, with the sizes of its tokenizer."""
    config = case.config["model_cfg"]
    text = {"context_length": case.context_length, "vocab_size": len(case.token_ids)}
    return {**config, "text_cfg": {**text, **config["text_cfg"]}}


# --- the cases --------------------------------------------------------------------


def cases(merges: list[Merge]) -> list[Case]:
    def case(name: str, write: Any, config: dict[str, Any], vocabulary: Any) -> Case:
        return Case(
            name=name,
            context_length=16,
            write=write,
            vocabulary=vocabulary,
            merges=merges,
            dtype=torch.float16,
            random_inputs=2,
            config=config,
        )

    hugging_face = {
        "projection_dim": 12,
        "text_config": tower(16, 2, 2, 32, projection_dim=12),
        "vision_config": tower(24, 3, 2, 32, projection_dim=12, image_size=12, patch_size=4),
    }

    def bare(layers: int, **more: Any) -> dict[str, Any]:
        vision = {"image_size": 12, "layers": layers, "width": 16, "head_width": 16, "patch_size": 4}
        text = {"width": 16, "heads": 1, "layers": 1}
        model = {"embed_dim": 12, "vision_cfg": vision, "text_cfg": text, **more}
        return {"model_cfg": model, "preprocess_cfg": {}}

    ascii_only, whole = clip_tokenizer.ascii_vocabulary, clip_tokenizer.clip_vocabulary
    return [
        case("hf-bin", write_hf_bin, hugging_face, ascii_only),
        case("hf-bin-sharded", write_hf_bin_sharded, hugging_face, ascii_only),
        case("openclip-training", write_training, bare(2), whole),
        case("openclip-script", write_script, bare(1, quick_gelu=True), whole),
    ]


def main() -> None:
    out = arguments("make the parity fixtures of PyTorch's files")
    images = [out / "images" / name for name in IMAGES]
    for case in cases(learnt_merges()):
        bare = case.write in (write_training, write_script)
        make_case(case, BareReference if bare else HuggingFaceReference, out, images)
        if bare:
            # Not the only file of weights in the directory, with the expected values beside it.
            summary = out / case.name / "expected.json"
            (file,) = (out / case.name).glob("*.pt")
            write_json(summary, {**read_json(summary), "model": file.name})


if __name__ == "__main__":
    main()
