"""Make tiny random CLIP checkpoints and what the reference packages say about them.

    python -m venv .venv && .venv/bin/pip install -r scripts/requirements.txt
    .venv/bin/python scripts/make_clip_fixtures.py

Each case is a directory `crates/umid-models/tests/fixtures/<case>/` holding a
checkpoint as transformers or open_clip saves it, reloaded from disk by that
package before anything is computed, and two files of expected values. Weights
are random but large, so that a wrong activation, pooling, epsilon or a missing
bias moves an embedding far beyond the tolerance of the parity tests. The same
package versions on the same machine give the same bytes.

`expected.safetensors` (T texts, C context length, D embedding width, W text
width, N images, B random inputs, S image side; all F32 unless said):

    input_ids        (T, C) I64      ids padded to the context: with the end token in the
                                     Hugging Face layout, with 0 in the OpenCLIP layout
    text_embeds      (T, D)          text embeddings, not normalised
    text_states      (T, W)          text tower's state at the pooled position, before
                                     the final layer norm
    image_pixels     (N, 3, S, S)    the images of `images/`, preprocessed
    image_embeds     (N, D)          their embeddings, not normalised
    pixels           (B, 3, S, S)    random inputs in the normalised pixel space
    pixel_embeds     (B, D)          their embeddings, not normalised
    cosines          (2, B)          cosine of each input with each of two texts
    pixel_gradients  (2, B, 3, S, S) gradient of the sum over B of the cosines with one
                                     text, with respect to `pixels`
    logit_scale      (1)             as stored, that is the logarithm

`expected.json`: the case's layout and sizes, `texts` (text, unpadded `ids`,
`pooled_position`; where open_clip's own text cleaning gives other ids, those are
`open_clip_ids`), `images` (file names in the order of `image_pixels`, and
`package_difference`: by how many of 255 grey levels the package's own pipeline
differs when it is handed the file as it is), `gradient_texts` (the indices of the
two texts) and the package versions.

Images become 8-bit RGB before they are resized. 16-bit grey is scaled by 255/65535
and rounded; transparency is laid over white in the Hugging Face layout and dropped
in the OpenCLIP layout, as the two packages do. This departs from the packages, as
`package_difference` shows, in two places: both clip 16-bit grey at 255 instead of
scaling it (Pillow's conversion), and open_clip resizes first and converts last, so
that it resizes a palette image by nearest neighbour and weighs RGBA by its alpha.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.metadata
import json
import shutil
import tempfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.model import convert_weights_to_lp, set_model_preprocess_cfg
from open_clip.push_to_hf_hub import save_for_hf
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, CLIPProcessor, CLIPTokenizer
from transformers.models.clip.configuration_clip import CLIPTextConfig, CLIPVisionConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import clip_tokenizer
from clip_tokenizer import Merge

FIXTURES = Path(__file__).resolve().parent.parent / "crates/umid-models/tests/fixtures"
PACKAGES = ("torch", "transformers", "open_clip_torch", "tokenizers", "pillow", "numpy")

MERGE_COUNT = 90
RANDOM_INPUTS = 3
GRADIENT_TEXTS = (0, 4)

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


# --- the images ---------------------------------------------------------------


def smooth_noise(rng: np.random.Generator, height: int, width: int, channels: int) -> np.ndarray:
    """A colour gradient, a disc, sharp bars and a little noise, in 0..1."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    y, x = y / max(height - 1, 1), x / max(width - 1, 1)
    phases = rng.uniform(0, 2 * np.pi, channels)
    turns = rng.uniform(1.0, 3.0, channels)
    waves = 0.5 + 0.35 * np.sin(turns * 2 * np.pi * (x + 0.6 * y)[..., None] + phases)
    disc = ((x - 0.6) ** 2 + (y - 0.4) ** 2 < 0.05)[..., None]
    waves = np.where(disc, rng.uniform(0, 1, channels), waves)
    bars = ((np.floor(x * 12) % 4 == 0) & (y > 0.7))[..., None]
    waves = np.where(bars, np.arange(channels) % 2 == 0, waves)
    return np.clip(waves + rng.normal(0, 0.02, waves.shape), 0, 1)


def make_images(directory: Path) -> list[Path]:
    """Write the fixture images; their sorted paths."""
    directory.mkdir(parents=True)
    rng = np.random.default_rng(20)

    def eight_bit(height: int, width: int, channels: int) -> np.ndarray:
        return np.round(255 * smooth_noise(rng, height, width, channels)).astype(np.uint8)

    grey16 = np.round(65535 * smooth_noise(rng, 28, 36, 1)[..., 0]).astype(np.uint16)
    palette = Image.fromarray(eight_bit(40, 40, 3)).quantize(16, dither=Image.Dither.NONE)
    images = {
        "grey.png": Image.fromarray(eight_bit(30, 40, 1)[..., 0]),
        "grey16.png": Image.fromarray(grey16),
        "one_pixel_high.png": Image.fromarray(eight_bit(1, 40, 3)),
        "palette.png": palette,
        "photo.png": Image.fromarray(eight_bit(150, 200, 3)),
        "rgba.png": Image.fromarray(eight_bit(37, 45, 4)),
        "tall.png": Image.fromarray(eight_bit(64, 21, 3)),
        "wide.png": Image.fromarray(eight_bit(33, 57, 3)),
    }
    for name, image in images.items():
        image.save(directory / name, optimize=True)
    return [directory / name for name in sorted(images)]


def scale_sixteen_bit(image: Image.Image) -> Image.Image:
    """The image, with 16-bit grey scaled to 8 bits by 255/65535 and rounded."""
    if not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image).astype(np.uint32)
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


# --- the weights --------------------------------------------------------------


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Replace every weight by one large enough to matter.

    A weight's values depend on the seed and its name alone.
    """
    gains = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.LayerNorm)
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


# --- the Hugging Face layout --------------------------------------------------


def hf_model(case: Case) -> CLIPModel:
    """A random model of the case's configuration, in its dtype."""
    text = {
        "vocab_size": len(case.token_ids),
        "max_position_embeddings": case.context_length,
        "bos_token_id": case.token_ids[clip_tokenizer.START_TOKEN],
        "eos_token_id": case.end_id,
        **case.config["text_config"],
    }
    model = CLIPModel(CLIPConfig(**{**case.config, "text_config": text})).eval()
    randomise(model, case.seed)
    return model.to(case.dtype)


def hf_image_processor(case: Case, **options: Any) -> CLIPImageProcessorPil:
    side = case.config["vision_config"]["image_size"]
    defaults = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    return CLIPImageProcessorPil(**{**defaults, **options})


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def write_hf_legacy(case: Case, directory: Path) -> None:
    """As the first repositories: every tokenizer file, plain-int preprocessing, `position_ids`."""
    model = hf_model(case)
    model.save_pretrained(directory)
    weights = load_file(directory / "model.safetensors")
    for tower, module in (("text", model.text_model), ("vision", model.vision_model)):
        position_ids = module.embeddings.position_ids.clone()
        weights[f"{tower}_model.embeddings.position_ids"] = position_ids
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})

    config = read_json(directory / "config.json")
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.16.0.dev0"
    config |= {"text_config_dict": None, "vision_config_dict": None}
    write_json(directory / "config.json", config)

    case.tokenizer().save_pretrained(directory)
    clip_tokenizer.merges_as_strings(directory / "tokenizer.json")
    clip_tokenizer.write_vocabulary_files(directory, case.token_ids, case.merges)
    clip_tokenizer.write_special_tokens_map(directory)
    side = case.config["vision_config"]["image_size"]
    preprocessing = {
        "crop_size": side,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
        "resample": 3,
        "size": side,
    }
    write_json(directory / "preprocessor_config.json", preprocessing)


def write_hf_without_tokenizer_json(case: Case, directory: Path) -> None:
    """`vocab.json` and `merges.txt` only; resized to more than is cropped."""
    hf_model(case).save_pretrained(directory)
    case.tokenizer().save_pretrained(directory)
    (directory / "tokenizer.json").unlink()
    clip_tokenizer.write_vocabulary_files(directory, case.token_ids, case.merges)
    clip_tokenizer.write_special_tokens_map(directory)
    processor = hf_image_processor(
        case,
        size={"shortest_edge": 24},
        image_mean=[0.5, 0.45, 0.4],
        image_std=[0.25, 0.3, 0.35],
    )
    processor.save_pretrained(directory)


def write_hf_defaults_omitted(case: Case, directory: Path) -> None:
    """A `config.json` that leaves out every nested key whose value is the default."""
    hf_model(case).save_pretrained(directory)
    case.tokenizer().save_pretrained(directory)
    hf_image_processor(case).save_pretrained(directory)
    config = read_json(directory / "config.json")
    for key, defaults in (("text_config", CLIPTextConfig()), ("vision_config", CLIPVisionConfig())):
        default_values = defaults.to_dict()
        config[key] = {k: v for k, v in config[key].items() if v != default_values.get(k)}
    write_json(directory / "config.json", config)


def write_hf_current(case: Case, directory: Path) -> None:
    """As transformers 5 saves it: preprocessing inside `processor_config.json`."""
    hf_model(case).save_pretrained(directory)
    CLIPProcessor(hf_image_processor(case), case.tokenizer()).save_pretrained(directory)


def write_hf_sharded(case: Case, directory: Path) -> None:
    """Several weight files, and the duplicate `*_config_dict` of some older repositories."""
    hf_model(case).save_pretrained(directory, max_shard_size="60KB")
    if len(list(directory.glob("model-*.safetensors"))) < 3:
        raise RuntimeError("the sharded case has fewer than three shards")
    case.tokenizer().save_pretrained(directory)
    hf_image_processor(case).save_pretrained(directory)
    config = read_json(directory / "config.json")
    for key in ("text_config", "vision_config"):
        config[f"{key}_dict"] = config[key]
    write_json(directory / "config.json", config)


# --- the OpenCLIP layout ------------------------------------------------------


def write_open_clip(case: Case, directory: Path) -> None:
    """As open_clip saves a model for the hub, with the CLIP tokenizer's files beside it."""
    model_cfg = {**case.config["model_cfg"]}
    model_cfg["text_cfg"] = {
        "context_length": case.context_length,
        "vocab_size": len(case.token_ids),
        **model_cfg["text_cfg"],
    }
    model = open_clip.CLIP(**model_cfg).eval()
    randomise(model, case.seed)
    if case.dtype is not torch.float32:
        # Norms, embeddings and positions stay in f32: the file mixes dtypes, as real ones do.
        convert_weights_to_lp(model, case.dtype)
    set_model_preprocess_cfg(model, case.config["preprocess_cfg"])
    save_for_hf(model, case.tokenizer(), model_cfg, str(directory), safe_serialization=True)
    clip_tokenizer.write_vocabulary_files(directory, case.token_ids, case.merges)
    clip_tokenizer.write_special_tokens_map(directory)


# --- what the packages say ----------------------------------------------------


class Reference(ABC):
    """A checkpoint loaded from disk by its own package, in f32."""

    layout: str
    pad_id: int
    image_size: int
    logit_scale: torch.Tensor

    def __init__(self, case: Case, directory: Path) -> None:
        self.case = case
        self.tokenizer = CLIPTokenizer.from_pretrained(directory)

    def token_ids(self, text: str) -> list[int]:
        limit = self.case.context_length
        return self.tokenizer(text, truncation=True, max_length=limit)["input_ids"]

    def padded(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        rows = torch.full((len(ids), self.case.context_length), self.pad_id)
        for row, values in zip(rows, ids, strict=True):
            row[: len(values)] = torch.tensor(values)
        return rows

    @abstractmethod
    def pooled_positions(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Which position of each row (T, C) the text tower pools: (T)."""

    @abstractmethod
    def encode_text(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings (T, D) and the states (T, C, W) before the final layer norm."""

    @abstractmethod
    def project_text(self, states: torch.Tensor) -> torch.Tensor:
        """Final layer norm and projection of pooled states: (T, W) to (T, D)."""

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
        self.model = CLIPModel.from_pretrained(
            directory, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.model.requires_grad_(False)
        self.processor = CLIPImageProcessorPil.from_pretrained(directory)
        self.pad_id = self.tokenizer.pad_token_id
        self.image_size = self.model.config.vision_config.image_size
        self.logit_scale = self.model.logit_scale

    def pooled_positions(self, input_ids: torch.Tensor) -> torch.Tensor:
        end_id = self.model.config.text_config.eos_token_id
        if end_id == 2:
            return input_ids.argmax(dim=1)
        return (input_ids == end_id).int().argmax(dim=1)

    def encode_text(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        states = []
        hook = self.model.text_model.final_layer_norm.register_forward_pre_hook(
            lambda _module, inputs: states.append(inputs[0])
        )
        embeds = self.model.get_text_features(input_ids).pooler_output
        hook.remove()
        return embeds, states[0]

    def project_text(self, states: torch.Tensor) -> torch.Tensor:
        return self.model.text_projection(self.model.text_model.final_layer_norm(states))

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
        self.model = open_clip.create_model(f"local-dir:{directory}", precision="fp32").eval()
        self.model.requires_grad_(False)
        self.preprocessing = PreprocessCfg(**self.model.visual.preprocess_cfg)
        self.transform = image_transform_v2(self.preprocessing, is_train=False)
        self.image_size = self.model.visual.image_size[0]
        self.logit_scale = self.model.logit_scale

    def pooled_positions(self, input_ids: torch.Tensor) -> torch.Tensor:
        return input_ids.argmax(dim=1)

    def encode_text(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        states = []
        hook = self.model.ln_final.register_forward_pre_hook(
            lambda _module, inputs: states.append(inputs[0])
        )
        embeds = self.model.encode_text(input_ids)
        hook.remove()
        return embeds, states[0]

    def project_text(self, states: torch.Tensor) -> torch.Tensor:
        return self.model.ln_final(states) @ self.model.text_projection

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model.encode_image(pixels)

    def prepare(self, image: Image.Image) -> Image.Image:
        return scale_sixteen_bit(image).convert("RGB")

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        return self.transform(image)

    def pixel_std(self) -> torch.Tensor:
        return torch.tensor(self.preprocessing.std)

    def own_token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of open_clip's built-in tokenizer over the same vocabulary, unpadded."""
        lines = ["#version: 0.2", *(" ".join(merge) for merge in self.case.merges)]
        with tempfile.NamedTemporaryFile(suffix=".gz") as file:
            file.write(gzip.compress("\n".join(lines).encode()))
            file.flush()
            tokenizer = open_clip.SimpleTokenizer(file.name)
        rows = tokenizer(list(texts), context_length=self.case.context_length).tolist()
        return [row[: row.index(tokenizer.eot_token_id) + 1] for row in rows]


def gradients(
    reference: Reference, pixels: torch.Tensor, text_embeds: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines (2, B) with the two gradient texts, and their gradients (2, B, 3, S, S)."""
    cosines, pixel_gradients = [], []
    for index in GRADIENT_TEXTS:
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
    texts = [*TEXTS, *TEXTS_OPEN_CLIP_CLEANS]
    ids = [reference.token_ids(text) for text in texts]
    if ids != [case.tokenizer()(t, truncation=True)["input_ids"] for t in texts]:
        raise RuntimeError(f"{case.name}: the saved tokenizer differs from the one that was made")
    input_ids = reference.padded(ids)
    with torch.no_grad():
        text_embeds, states = reference.encode_text(input_ids)
        positions = reference.pooled_positions(input_ids)
        text_states = states[torch.arange(len(texts)), positions]
        torch.testing.assert_close(reference.project_text(text_states), text_embeds)

        opened = [Image.open(path) for path in images]
        image_pixels = torch.stack(
            [reference.preprocess(reference.prepare(image)) for image in opened]
        )
        raw_pixels = torch.stack([reference.preprocess(image) for image in opened])
        image_embeds = reference.encode_image(image_pixels)

        side = reference.image_size
        rng = np.random.default_rng(case.seed)
        noise = rng.standard_normal((RANDOM_INPUTS, 3, side, side), np.float32)
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
        {"text": text, "ids": text_ids, "pooled_position": position}
        for text, text_ids, position in zip(texts, ids, positions.tolist(), strict=True)
    ]
    if isinstance(reference, OpenClipReference):
        own_ids = reference.own_token_ids(texts)
        for record, own in zip(text_records, own_ids, strict=True):
            if own != record["ids"]:
                record["open_clip_ids"] = own
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
        "gradient_texts": list(GRADIENT_TEXTS),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }
    write_json(directory / "expected.json", summary)


# --- the cases ----------------------------------------------------------------


def tower(width: int, heads: int, layers: int, mlp: int, **more: Any) -> dict[str, Any]:
    """The keys that both towers of a Hugging Face configuration share."""
    return {
        "hidden_size": width,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "intermediate_size": mlp,
        **more,
    }


def cases(merges: list[Merge]) -> list[Case]:
    return [
        Case(
            name="hf-quickgelu-legacy-eos",
            context_length=24,
            write=write_hf_legacy,
            merges=merges,
            config={
                "projection_dim": 20,
                "text_config": tower(
                    24, 3, 3, 72, projection_dim=20, bos_token_id=0, eos_token_id=2
                ),
                "vision_config": tower(
                    32, 4, 2, 56, projection_dim=20, image_size=24, patch_size=8
                ),
            },
        ),
        Case(
            name="hf-gelu",
            context_length=20,
            write=write_hf_without_tokenizer_json,
            vocabulary=clip_tokenizer.ascii_vocabulary,
            merges=merges,
            config={
                "projection_dim": 16,
                "text_config": tower(
                    32, 2, 2, 80, projection_dim=16, hidden_act="gelu", layer_norm_eps=1e-2
                ),
                "vision_config": tower(
                    24,
                    4,
                    3,
                    72,
                    projection_dim=16,
                    hidden_act="gelu",
                    layer_norm_eps=2e-2,
                    image_size=20,
                    patch_size=4,
                ),
            },
        ),
        Case(
            name="hf-f16",
            context_length=77,
            write=write_hf_defaults_omitted,
            dtype=torch.float16,
            merges=merges,
            config={
                "projection_dim": 24,
                "text_config": tower(32, 8, 2, 64, projection_dim=24),
                "vision_config": tower(
                    36, 12, 2, 72, projection_dim=24, image_size=24, patch_size=6
                ),
            },
        ),
        Case(
            name="hf-bf16",
            context_length=24,
            write=write_hf_current,
            dtype=torch.bfloat16,
            merges=merges,
            config={
                "projection_dim": 24,
                "text_config": tower(24, 4, 2, 96, projection_dim=24, hidden_act="gelu"),
                "vision_config": tower(
                    40,
                    5,
                    2,
                    80,
                    projection_dim=24,
                    hidden_act="gelu",
                    image_size=16,
                    patch_size=8,
                ),
            },
        ),
        Case(
            name="hf-sharded",
            context_length=24,
            write=write_hf_sharded,
            merges=merges,
            config={
                "projection_dim": 12,
                "text_config": tower(24, 2, 2, 48),
                "vision_config": tower(32, 4, 2, 64, image_size=16, patch_size=4),
            },
        ),
        Case(
            name="openclip-gelu",
            context_length=24,
            write=write_open_clip,
            merges=merges,
            config={
                "model_cfg": {
                    "embed_dim": 20,
                    "vision_cfg": {
                        "image_size": 24,
                        "layers": 2,
                        "width": 32,
                        "head_width": 8,
                        "patch_size": 6,
                        "mlp_ratio": 1.5,
                    },
                    "text_cfg": {"width": 24, "heads": 3, "layers": 3, "mlp_ratio": 3.0},
                },
                "preprocess_cfg": {"mean": CLIP_MEAN, "std": CLIP_STD},
            },
        ),
        Case(
            name="openclip-quickgelu",
            context_length=32,
            write=write_open_clip,
            dtype=torch.float16,
            merges=merges,
            config={
                "model_cfg": {
                    "embed_dim": 24,
                    "quick_gelu": True,
                    "vision_cfg": {
                        "image_size": 21,
                        "layers": 2,
                        "width": 36,
                        "head_width": 12,
                        "patch_size": 7,
                    },
                    "text_cfg": {"width": 32, "heads": 4, "layers": 2},
                },
                "preprocess_cfg": {
                    "mean": [0.5, 0.45, 0.4],
                    "std": [0.25, 0.3, 0.35],
                    "interpolation": "bicubic",
                    "resize_mode": "squash",
                },
            },
        ),
    ]


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


def main() -> None:
    parser = argparse.ArgumentParser(description="make the CLIP parity fixtures")
    parser.add_argument("--out", type=Path, default=FIXTURES, help="where the cases go")
    out: Path = parser.parse_args().out

    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    merges = clip_tokenizer.learn_merges(training_corpus(), MERGE_COUNT)
    shutil.rmtree(out / "images", ignore_errors=True)
    images = make_images(out / "images")
    for case in cases(merges):
        directory = out / case.name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        case.write(case, directory)
        layout = OpenClipReference if case.write is write_open_clip else HuggingFaceReference
        write_expected(layout(case, directory), directory, images)
        files = list(directory.iterdir())
        for file in files:
            file.chmod(0o644)
        total = sum(file.stat().st_size for file in files)
        print(f"{case.name}: {total / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
