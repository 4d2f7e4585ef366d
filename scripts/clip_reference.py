"""CLIP checkpoints as cases: random weights, and what the reference packages say about them.

Shared by `make_clip_fixtures.py`, whose docstring gives the keys and shapes of what is written
here, and `make_resnet_fixtures.py`; not a program itself.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.metadata
import json
import re
import shutil
import tempfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.model import set_model_preprocess_cfg
from open_clip.push_to_hf_hub import save_for_hf
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPModel, CLIPTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import clip_tokenizer
from clip_tokenizer import Merge

FIXTURES = Path(__file__).resolve().parent.parent / "crates/umid-models/tests/fixtures"
PACKAGES = ("torch", "transformers", "open_clip_torch", "tokenizers", "pillow", "numpy")

MERGE_COUNT = 90

CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]

TEXTS = [
    "a photo of Maria Kowalski",
    "A PHOTO OF JOHN SMITH",
    "a portrait of Ada Lovelace.",
    "Zoë Müller",
    "a photo of Seán O'Brien's dog, isn't it?",
    "agent 007 in room 42b",
    "hello!!! (really?) -- yes; no...",
    "  two  spaces\tand a tab\n",
    "x",
    "",
    "José",
    "Jose\u0301 with a combining accent",
    "山田太郎",
    "김민준 и Анна",
    "a smile 🙂 and a family 👩‍👧",
    "they're we've I'll I'm he'd THEY'RE",
    "an <|endoftext|> inside",
    "naïve café, 3½ ﬁne ½",
    "a photo of " + "Bartholomew Featherstonehaugh " * 12,
]
# open_clip repairs these with ftfy and HTML unescaping before it tokenizes.
TEXTS_OPEN_CLIP_CLEANS = ["Seán O\u2019Brien", "Smith &amp; Sons"]
# More of the same, for the cases that ask for them.
TEXTS_TO_CLEAN = [
    "fiancée\u2019s ring",
    "\u201cAda\u201d \u2018Lovelace\u2019",
    "Smith &amp;amp; Sons",
    "&lt;b&gt;Ada&lt;/b&gt;",
    "Jos&eacute; Garc&iacute;a",
    "Jos&eacute Garcia &copy 2020",
    "&EACUTE;lodie",
    "O&#39;Brien &#x27;quoted&#x27;",
    "A < B &gt; C &eacute;",
    "&amp;notit; &bogus; & alone",
    "Ｆｕｌｌ　Ｗｉｄｔｈ",
    "ｶﾀｶﾅ",
    "ﬁne ﬂow ﬀ oﬃce",
    "JosÃ© GarcÃ­a",
    "Ã©clair",
    "FranÃ§ois LefÃ¨vre",
    "Itâ€™s Adaâ€™s",
    "İstanbul IĞDIR",
    "ΟΔΥΣΣΕΥΣ ΣΊΣΥΦΟΣ",
    "STRASSE Straße",
    "a\u00a0photo\u00a0of Ada",
    "Ada\u200bLovelace",
    "\ufeffAda",
    "Ada\u00adLovelace",
    "Ada\u2028Lovelace\u2003Jr",
    "Ada\r\nLovelace\x1fx",
    "e\u0301e&#x301;",
    "it's Ada'S 'RE",
    "<start_of> |> <|startoftext|>",
    "under_score -- (c) #tag @user 50%",
    "Ελένη Дмитрий Đặng Łukasz",
    "CAFÉ\u2019S ½ ™ №5",
    "日本語 한국어 中文。",
]


@dataclass
class Case:
    """One checkpoint: how to make it, and with which tokenizer."""

    name: str
    context_length: int
    write: Callable[["Case", Path], None]
    config: dict[str, Any]
    dtype: torch.dtype = torch.float32
    vocabulary: Callable[[Sequence[Merge]], dict[str, int]] = clip_tokenizer.clip_vocabulary
    merges: list[Merge] = field(default_factory=list)
    random_inputs: int = 3
    more_texts: Sequence[str] = ()
    gradient_texts: Sequence[int] = (0, 4)

    @property
    def seed(self) -> int:
        return zlib.crc32(self.name.encode())

    @property
    def token_ids(self) -> dict[str, int]:
        return self.vocabulary(self.merges)

    @property
    def end_id(self) -> int:
        return self.token_ids[clip_tokenizer.END_TOKEN]

    def tokenizer(self) -> CLIPTokenizer:
        return clip_tokenizer.build_tokenizer(self.token_ids, self.merges, self.context_length)


def training_corpus() -> list[str]:
    """Names in captions, to learn the merges of the tiny vocabulary from."""
    first = "Maria John Ada Zoe Sean Anna Peter Laura Michael Sarah David Emma Thomas Julia".split()
    last = "Kowalski Smith Lovelace Muller Brien Jones Garcia Novak Rossi Larsen Dubois".split()
    templates = (
        "a photo of {}",
        "a portrait of {}, smiling",
        "{}",
        "a photo of {} in the garden",
        "{}'s friends aren't in the room",
    )
    people = [f"{f} {l}" for f in first for l in last]
    return [template.format(person) for template in templates for person in people]


def learnt_merges() -> list[Merge]:
    """The merges of every case's tokenizer."""
    return clip_tokenizer.learn_merges(training_corpus(), MERGE_COUNT)


# --- the weights --------------------------------------------------------------


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Replace every weight by one large enough to matter.

    A weight's values depend on the seed and its name alone.
    """
    gains = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, (torch.nn.LayerNorm, torch.nn.BatchNorm2d))
    }
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            noise = torch.from_numpy(rng.standard_normal(tuple(parameter.shape), np.float32))
            if name == "logit_scale":
                parameter.copy_(2.5 + 0.1 * noise)
            elif name in gains:
                parameter.copy_(1.0 + 0.2 * noise)
            elif name.endswith("bias"):
                parameter.copy_(0.15 * noise)
            elif "class_embedding" in name or "position" in name:
                parameter.copy_(0.3 * noise)
            elif "fc2" in name or "c_proj" in name:
                # What the activation lets through must weigh against the residual stream.
                parameter.copy_(0.5 * noise)
            else:
                parameter.copy_(0.2 * noise)


def noise_of(seed: int) -> Callable[..., torch.Tensor]:
    """Standard normal numbers of a shape, one draw after the other."""
    rng = np.random.default_rng([seed, 1])
    return lambda *shape: torch.from_numpy(rng.standard_normal(shape, np.float32))


def structured(noise: Callable[..., torch.Tensor], count: int, side: int) -> torch.Tensor:
    """Square images with structure of every scale.

    With fine noise alone, a channel's mean over an image hardly varies, and the norms would make
    much of round-off.
    """
    return sum(
        torch.nn.functional.interpolate(noise(count, 3, scale, scale), size=side)
        for scale in (1, 4, 16, side)
    )


@contextmanager
def statistics_of_inputs(
    model: torch.nn.Module, noise: Callable[..., torch.Tensor]
) -> Iterator[None]:
    """While this holds, a batch norm takes the statistics of its inputs, moved a random amount."""

    def set_statistics(norm: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3))
        # A channel that hardly varies must not be blown up.
        variance = variance.clamp(min=0.05)
        norm.running_mean.copy_(mean + 0.3 * variance.sqrt() * noise(norm.num_features))
        norm.running_var.copy_(variance * torch.exp(0.3 * noise(norm.num_features)))
        norm.num_batches_tracked.fill_(1000)

    norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    hooks = [norm.register_forward_pre_hook(set_statistics) for norm in norms]
    with torch.no_grad():
        yield
    for hook in hooks:
        hook.remove()


# --- OpenCLIP models ----------------------------------------------------------


def open_clip_config(case: Case) -> dict[str, Any]:
    """The `model_cfg` of `open_clip_config.json`, with the tokenizer's sizes."""
    text_cfg = {
        "context_length": case.context_length,
        "vocab_size": len(case.token_ids),
        **case.config["model_cfg"]["text_cfg"],
    }
    return {**case.config["model_cfg"], "text_cfg": text_cfg}


def open_clip_model(case: Case) -> open_clip.CLIP:
    """A random model of the case's configuration, in f32."""
    model = open_clip.CLIP(**open_clip_config(case)).eval()
    randomise(model, case.seed)
    return model


def save_open_clip(case: Case, model: open_clip.CLIP, directory: Path) -> None:
    """As open_clip saves a model for the hub."""
    set_model_preprocess_cfg(model, case.config["preprocess_cfg"])
    config = open_clip_config(case)
    save_for_hf(model, case.tokenizer(), config, str(directory), safe_serialization=True)


# --- what the packages say ----------------------------------------------------


def scale_sixteen_bit(image: Image.Image) -> Image.Image:
    """The image, with 16-bit grey scaled to 8 bits by 255/65535 and rounded."""
    if not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image).astype(np.uint32)
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


class Reference(ABC):
    """A checkpoint loaded from disk by its own package, in f32."""

    layout: str
    pad_id: int
    image_size: int
    logit_scale: torch.Tensor

    def __init__(self, case: Case, directory: Path) -> None:
        self.case = case
        self.directory = directory

    def texts(self) -> list[str]:
        return [*TEXTS, *TEXTS_OPEN_CLIP_CLEANS, *self.case.more_texts]

    @abstractmethod
    def token_ids(self, text: str) -> list[int]:
        """Ids of a text, without padding."""

    def padded(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        rows = torch.full((len(ids), self.case.context_length), self.pad_id)
        for row, values in zip(rows, ids, strict=True):
            row[: len(values)] = torch.tensor(values)
        return rows

    @abstractmethod
    def embed_texts(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings (T, D) and pooled states (T, W) before the tower's last norm."""

    @abstractmethod
    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        """Embeddings (B, D) of pixels (B, 3, S, S)."""

    @abstractmethod
    def prepare(self, image: Image.Image) -> Image.Image:
        """What the package is given in place of an image as it was opened."""

    @abstractmethod
    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """An image as the package preprocesses it: (3, S, S)."""

    @abstractmethod
    def pixel_std(self) -> torch.Tensor:
        """The deviations that pixels are divided by: (3)."""


class HuggingFaceReference(Reference):
    layout = "hf"

    def __init__(self, case: Case, directory: Path) -> None:
        super().__init__(case, directory)
        self.tokenizer = CLIPTokenizer.from_pretrained(directory)
        self.model = CLIPModel.from_pretrained(
            directory, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.model.requires_grad_(False)
        self.processor = CLIPImageProcessorPil.from_pretrained(directory)
        self.pad_id = self.tokenizer.pad_token_id
        self.image_size = self.model.config.vision_config.image_size
        self.logit_scale = self.model.logit_scale

    def token_ids(self, text: str) -> list[int]:
        limit = self.case.context_length
        ids = self.tokenizer(text, truncation=True, max_length=limit)["input_ids"]
        if ids != self.case.tokenizer()(text, truncation=True)["input_ids"]:
            raise RuntimeError(f"{self.case.name}: the saved tokenizer differs from the one made")
        return ids

    def pooled_positions(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Which position of each row (T, C) the text tower pools: (T)."""
        end_id = self.model.config.text_config.eos_token_id
        if end_id == 2:
            return input_ids.argmax(dim=1)
        return (input_ids == end_id).int().argmax(dim=1)

    def embed_texts(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        norm = self.model.text_model.final_layer_norm
        embeds = lambda: self.model.get_text_features(input_ids).pooler_output
        states, embeds = inputs_of(norm, embeds)
        states = states[torch.arange(len(states)), self.pooled_positions(input_ids)]
        torch.testing.assert_close(self.model.text_projection(norm(states)), embeds)
        return embeds, states

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model.get_image_features(pixels).pooler_output

    def prepare(self, image: Image.Image) -> Image.Image:
        return scale_sixteen_bit(image)

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        return self.processor(image, return_tensors="pt").pixel_values[0].float()

    def pixel_std(self) -> torch.Tensor:
        return torch.tensor(self.processor.image_std)


class OpenClipReference(Reference):
    layout = "openclip"
    pad_id = 0

    def __init__(self, case: Case, directory: Path) -> None:
        super().__init__(case, directory)
        self.tokenizer = own_tokenizer(case.merges)
        self.model = open_clip.create_model(f"local-dir:{directory}", precision="fp32").eval()
        self.model.requires_grad_(False)
        self.preprocessing = PreprocessCfg(**self.model.visual.preprocess_cfg)
        self.transform = image_transform_v2(self.preprocessing, is_train=False)
        # A pair for vision transformers, one number for residual networks.
        self.image_size = int(np.max(self.model.visual.image_size))
        self.logit_scale = self.model.logit_scale

    def embed_texts(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        states, embeds = inputs_of(
            self.model.ln_final, lambda: self.model.encode_text(input_ids)
        )
        states = states[torch.arange(len(states)), input_ids.argmax(dim=1)]
        projected = self.model.ln_final(states) @ self.model.text_projection
        torch.testing.assert_close(projected, embeds)
        return embeds, states

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model.encode_image(pixels)

    def prepare(self, image: Image.Image) -> Image.Image:
        return scale_sixteen_bit(image)

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        return self.transform(image)

    def pixel_std(self) -> torch.Tensor:
        return torch.tensor(self.preprocessing.std)

    def token_ids(self, text: str) -> list[int]:
        (row,) = self.tokenizer([text], context_length=self.case.context_length).tolist()
        return row[: row.index(self.tokenizer.eot_token_id) + 1]


def inputs_of(
    module: torch.nn.Module, run: Callable[[], torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """What a module is given while `run` runs, and what `run` gives."""
    inputs: list[torch.Tensor] = []
    hook = module.register_forward_pre_hook(lambda _module, given: inputs.append(given[0]))
    result = run()
    hook.remove()
    (given,) = inputs
    return given, result


def own_tokenizer(merges: Sequence[Merge]) -> open_clip.SimpleTokenizer:
    """open_clip's built-in tokenizer, over other merges than its own."""
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    with tempfile.NamedTemporaryFile(suffix=".gz") as file:
        file.write(gzip.compress("\n".join(lines).encode()))
        file.flush()
        return open_clip.SimpleTokenizer(file.name)


def gradients(
    reference: Reference, pixels: torch.Tensor, text_embeds: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines (G, B) with the gradient texts, and their gradients (G, B, 3, S, S)."""
    cosines, pixel_gradients = [], []
    for index in reference.case.gradient_texts:
        variable = pixels.clone().requires_grad_(True)
        embeds = reference.encode_image(variable)
        cosine = torch.cosine_similarity(embeds, text_embeds[index : index + 1], dim=1)
        (gradient,) = torch.autograd.grad(cosine.sum(), variable)
        cosines.append(cosine.detach())
        pixel_gradients.append(gradient)
    return torch.stack(cosines), torch.stack(pixel_gradients)


def write_expected(reference: Reference, directory: Path, images: Sequence[Path]) -> None:
    """Write `expected.safetensors` and `expected.json`."""
    case = reference.case
    texts = reference.texts()
    ids = [reference.token_ids(text) for text in texts]
    input_ids = reference.padded(ids)
    with torch.no_grad():
        text_embeds, text_states = reference.embed_texts(input_ids)

        opened = [Image.open(path) for path in images]
        image_pixels = torch.stack(
            [reference.preprocess(reference.prepare(image)) for image in opened]
        )
        raw_pixels = torch.stack([reference.preprocess(image) for image in opened])
        image_embeds = reference.encode_image(image_pixels)

        side = reference.image_size
        rng = np.random.default_rng(case.seed)
        noise = rng.standard_normal((case.random_inputs, 3, side, side), np.float32)
        pixels = torch.from_numpy(noise)
        pixel_embeds = reference.encode_image(pixels)
    cosines, pixel_gradients = gradients(reference, pixels, text_embeds)

    tensors = {
        "input_ids": input_ids,
        "text_embeds": text_embeds,
        "text_states": text_states,
        "image_pixels": image_pixels,
        "image_embeds": image_embeds,
        "pixels": pixels,
        "pixel_embeds": pixel_embeds,
        "cosines": cosines,
        "pixel_gradients": pixel_gradients,
        "logit_scale": reference.logit_scale.reshape(1),
    }
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise RuntimeError(f"{case.name}: {name} is not finite")
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, directory / "expected.safetensors")

    text_records = [
        {"text": text, "ids": text_ids} for text, text_ids in zip(texts, ids, strict=True)
    ]
    levels = (raw_pixels - image_pixels).abs() * reference.pixel_std()[:, None, None] * 255
    image_records = [
        {"file": path.name, "package_difference": round(float(difference), 2)}
        for path, difference in zip(images, levels.flatten(1).amax(dim=1), strict=True)
    ]
    summary = {
        "case": case.name,
        "layout": reference.layout,
        "context_length": case.context_length,
        "embedding_width": text_embeds.shape[1],
        "image_size": side,
        "pad_id": reference.pad_id,
        "texts": text_records,
        "images": image_records,
        "gradient_texts": list(case.gradient_texts),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }
    write_json(directory / "expected.json", summary)


# --- a case from beginning to end ---------------------------------------------


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    # Lists of numbers take one line.
    text = re.sub(r"\[[\d\s,]+\]", lambda found: "".join(found.group().split()).replace(",", ", "), text)
    path.write_text(text, encoding="utf-8")


def make_case(case: Case, reference: type[Reference], out: Path, images: Sequence[Path]) -> None:
    """Write one case's checkpoint and what its package makes of it."""
    directory = out / case.name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    case.write(case, directory)
    write_expected(reference(case, directory), directory, images)
    files = list(directory.iterdir())
    for file in files:
        file.chmod(0o644)
    print(f"{case.name}: {sum(file.stat().st_size for file in files) / 1024:.0f} KiB")


def arguments(description: str) -> Path:
    """Where the cases go. Sets up torch so that the same bytes come out each time."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=FIXTURES, help="where the cases go")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    return parser.parse_args().out
