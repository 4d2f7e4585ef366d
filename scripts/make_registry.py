"""Make a small random checkpoint of every configuration of open_clip's registry, of every class of
transformers that pairs texts with images or sound, and of every container they are published in.

    OMP_NUM_THREADS=1 .venv/bin/python scripts/make_registry.py DIR [--only PATTERN]
    cargo xtask parity DIR [--only TEXT] [--json FILE]

About 180 cases and 500 MB, in a few minutes on one core. A case that is complete is not made
again, so that a run that was stopped goes on. The second command loads each case and prints a
table of differences from the reference package. It ends with code 1 if a checkpoint loads and
disagrees; one that is refused, or of which the text tower opens alone, is listed.

The towers are shallow and narrow, with every switch of the configuration kept, and the
configuration that is written is the small model's. What the packages take from a name and not
from a configuration (`registry_models.py`) follows the name where weights do not tell it: heads,
patch sizes, epsilons, activations. Widths and depths are the weights'. Images are smaller where
positions are learnt. Tokenizers that a hub would serve are small ones of the same form
(`registry_tokenizers.py`). Images are prepared as for the first published weights of the
configuration.

Cases are directories `DIR/<case>/`:

- `<configuration>`: as open_clip's `push_to_hf_hub` writes it (safetensors);
- `hf-<class>`: as `save_pretrained` writes it;
- `container-<kind>`: one of the above in another container (`registry_containers.py`);
- `file-<kind>`: a weight file without a configuration, whose vocabulary is CLIP's own.

Each holds `expected.json` and `expected.safetensors` with the keys that `make_clip_fixtures.py`
describes, without `text_states`. Beyond those, `expected.json` has `kind` and `container`, for the
table, and `model`: what is to be loaded, relative to the case, if it is not the directory. `ids`
are those of the package's own tokenizer, cleaning included. `images` are files of `DIR/inputs`,
given to the package as they are; for CLAP they are clips, and `image_pixels` and `pixels` are
log-mels. A checkpoint with a text tower alone has no values of images, one without a
`logit_scale` none of that.
"""

from __future__ import annotations

import argparse
import fnmatch
import logging
import shutil
import sys
import tempfile
import traceback
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
import transformers
from open_clip.model import set_model_preprocess_cfg
from open_clip.push_to_hf_hub import save_for_hf
from open_clip.transform import PreprocessCfg, merge_preprocess_dict

import registry_clap
import registry_containers
import registry_hugging_face
from registry_models import preprocessing, randomise, small_config, small_towers, tokenizer_of
from registry_reference import OpenClipReference, Reference, write_expected

FIXTURES = Path(__file__).resolve().parent.parent / "crates/umid-models/tests/fixtures"
IMAGES = ("images/photo.png", "images/wide.png")
CLIPS = ("clap-clips/chord.wav", "clap-clips/noise.wav")


@dataclass
class Case:
    """One checkpoint: how it is written, and which package reads it."""

    name: str
    kind: str
    container: str
    write: Callable[[Path], None]
    reference: Callable[[Path], Reference]
    # What is to be loaded, relative to the case.
    model: Path | None = None
    inputs: Sequence[str] = IMAGES


def kind_of(config: dict[str, Any]) -> str:
    """What the towers of a configuration are, in a word each."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    trunk = vision.get("timm_model_name")
    if trunk:
        image = "siglip" if "siglip" in trunk else trunk.split("_")[0]
        image = "mci" if trunk.startswith("vit_base_mci") else image
        image = "pe" if trunk.startswith("vit_pe") else image
        image = f"timm {image}"
    elif isinstance(vision["layers"], list):
        image = "resnet"
    else:
        image = "vit"
    if "multimodal_cfg" in config:
        image = f"coca {image}"
    if vision.get("no_ln_pre"):
        image = "clipa"
    words = text.get("hf_model_name", "")
    if words:
        return f"{image} + {words.split('/')[-1].split('-')[0]}"
    if text.get("pool_type") == "eos":
        return f"{image} + worldwide"
    return image


def open_clip_case(name: str) -> Case:
    """A configuration of the registry, as `push_to_hf_hub` would publish it."""
    config = small_config(name)

    def write(directory: Path) -> None:
        model = make_open_clip(name, config)
        save_for_hf(model, tokenizer_of(config["text_cfg"]), config, str(directory), True)

    return Case(name, kind_of(config), "hub", write, OpenClipReference)


def make_open_clip(name: str, config: dict[str, Any]) -> torch.nn.Module:
    """A random model of a configuration, prepared for images as its published weights are."""
    classes = {"custom": open_clip.CustomTextCLIP, "coca": open_clip.CoCa, "plain": open_clip.CLIP}
    custom = config.get("custom_text") or "hf_model_name" in config["text_cfg"]
    form = "plain" if not custom else "coca" if "multimodal_cfg" in config else "custom"
    arguments = {key: value for key, value in config.items() if key != "custom_text"}
    arguments["text_cfg"] = {**config["text_cfg"]}
    if "hf_model_name" in config["text_cfg"]:
        arguments["text_cfg"]["hf_model_pretrained"] = False
    with small_towers():
        model = classes[form](**arguments).eval()
    randomise(model, zlib.crc32(name.encode()))
    set_model_preprocess_cfg(model, merge_preprocess_dict(PreprocessCfg(), preprocessing(name)))
    return model


def all_cases() -> list[Case]:
    cases = [open_clip_case(name) for name in open_clip.list_models()]
    for one in registry_hugging_face.classes():
        cases.append(Case(one.name, one.kind, "model.safetensors", one.write, one.reference))
    for clap in registry_clap.classes():
        kind = f"hf {clap.name.removeprefix('hf-')}"
        container = "model.safetensors"
        cases.append(Case(clap.name, kind, container, clap.write, clap.reference, inputs=CLIPS))
    by_name = {case.name: case for case in cases}
    for container, (name, change) in registry_containers.containers().items():
        cases.append(in_container(by_name[name], container, change))
    for container, (config, file, write) in registry_containers.bare_files().items():
        cases.append(bare_case(container, config, file, write))
    return cases


def in_container(of: Case, container: str, change: Callable[[Path], None]) -> Case:
    """The same model in other files; its values are computed before they are changed."""
    name = f"container {container}".replace(" ", "-")
    model = registry_containers.in_snapshot() if "cache" in container else None
    if container == "stable diffusion":
        model = Path("text_encoder")

    def write(directory: Path) -> None:
        of.write(directory)
        change(directory)

    def reference(directory: Path) -> Reference:
        with tempfile.TemporaryDirectory() as plain:
            of.write(Path(plain))
            return of.reference(Path(plain))

    return Case(name, of.kind, container, write, reference, model, of.inputs)


def bare_case(
    container: str, config: dict[str, Any], file: str, write_file: Callable[..., None]
) -> Case:
    """A file without a configuration."""
    name = f"file {container}".replace(" ", "-")

    def write(directory: Path) -> None:
        write_file(config, zlib.crc32(name.encode()), directory / file)

    def reference(directory: Path) -> Reference:
        return registry_containers.BareReference(config, directory / file)

    kind = "resnet" if "residual" in container else "vit"
    return Case(name, kind, container, write, reference, Path(file))


def make(case: Case, out: Path) -> None:
    """Write a case anew."""
    directory = out / case.name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    case.write(directory)
    about = {"case": case.name, "kind": case.kind, "container": case.container}
    if case.model:
        about["model"] = str(case.model)
    inputs = [out / "inputs" / Path(name).name for name in case.inputs]
    write_expected(about, case.reference(directory), directory, inputs)


def main() -> int:
    parser = argparse.ArgumentParser(description="make checkpoints of open_clip's registry")
    parser.add_argument("out", type=Path, help="where the cases go")
    parser.add_argument("--only", default="*", help="names of cases, as a shell pattern")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    logging.disable(logging.WARNING)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore")

    out: Path = arguments.out
    (out / "inputs").mkdir(parents=True, exist_ok=True)
    for name in (*IMAGES, *CLIPS):
        shutil.copy(FIXTURES / name, out / "inputs")
    cases = [case for case in all_cases() if fnmatch.fnmatch(case.name, arguments.only)]
    failures = 0
    for case in cases:
        if (out / case.name / "expected.json").is_file():
            continue
        try:
            make(case, out)
        except Exception as error:
            failures += 1
            print(f"{case.name}: {type(error).__name__}: {error}")
            traceback.print_exc(limit=-3, file=sys.stderr)
            continue
        print(f"{case.name}: made")
    print(f"{len(cases)} cases, {failures} not made")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
