"""The CLAP checkpoints that `make_clap_fixtures.py` makes, and how they are written.

Not a program itself.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import yaml
from msclap.models import config as msclap_config
from safetensors.torch import save_file
from transformers import (
    BertConfig,
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    ClapProcessor,
    GPT2Config,
    PreTrainedTokenizerBase,
)

import clap_tokenizer
import clip_tokenizer
from clap_audio import SAMPLING_RATE, FrontEnd
from clap_models import (
    CNN14_WIDTHS,
    CONTEXT_LENGTH,
    FROZEN,
    TABLES,
    laion_model,
    msclap_model,
    published_state,
    randomise,
)
from clip_tokenizer import Merge

MERGE_COUNT = 90


@dataclass
class Case:
    """One checkpoint: how to make it, and what its clips pass through."""

    name: str
    context_length: int
    write: Callable[[Case, Path], None]
    config: dict[str, Any]
    extractor: dict[str, Any]
    max_samples: int = SAMPLING_RATE
    dtype: torch.dtype = torch.float32
    positions: int = CONTEXT_LENGTH  # those that the package's text tower has
    clips: Sequence[str] = ()  # all when empty
    merges: list[Merge] = field(default_factory=list)
    every: int = 1  # of the numbers of an input, which of them are stored

    @property
    def seed(self) -> int:
        return zlib.crc32(self.name.encode())

    @property
    def pad_id(self) -> int:
        return 0 if "msclap" in self.config else clap_tokenizer.PAD_ID

    @property
    def is_gpt2(self) -> bool:
        return self.config.get("msclap", {}).get("text_model") == "gpt2"

    def tokenizer(self) -> PreTrainedTokenizerBase:
        if self.is_gpt2:
            return clap_tokenizer.build_gpt2_tokenizer(self.merges)
        if "msclap" in self.config:
            return clap_tokenizer.build_bert_tokenizer()
        return clap_tokenizer.build_tokenizer(self.merges, self.context_length)

    def ids(self, text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
        """A text's ids as the package makes them, without padding."""
        if self.is_gpt2:
            # `CLAPWrapper.load_clap` and `preprocess_text`; `max_length` only pads there.
            tokenizer.add_special_tokens({"pad_token": "!"})
            return tokenizer(text + " <|endoftext|>")["input_ids"]
        if "msclap" in self.config:
            return tokenizer(text)["input_ids"]
        return tokenizer(text, truncation=True)["input_ids"]

    def pooled_position(self, ids: list[int]) -> int:
        return sum(i != 0 for i in ids) - 1 if self.is_gpt2 else 0

    def front_end(self) -> FrontEnd:
        extractor = ClapFeatureExtractor(**self.extractor)
        return FrontEnd(extractor, self.max_samples, laion="roberta" in self.config)


def write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


# --- the checkpoints ----------------------------------------------------------


def hf_model(case: Case) -> ClapModel:
    """A random model of the case's configuration, in its dtype."""
    text = {
        "vocab_size": len(clap_tokenizer.vocabulary(case.merges)),
        # Positions are counted from the padding id on, which itself is taken.
        "max_position_embeddings": case.context_length + clap_tokenizer.PAD_ID + 1,
        **case.config["text_config"],
    }
    model = ClapModel(ClapConfig(**{**case.config, "text_config": text})).eval()
    randomise(model, case.seed)
    return model.to(case.dtype)


def write_hf_legacy(case: Case, directory: Path) -> None:
    """As the first repositories: `preprocessor_config.json`, `"a b"` merges."""
    hf_model(case).save_pretrained(directory)
    case.tokenizer().save_pretrained(directory)
    clip_tokenizer.merges_as_strings(directory / "tokenizer.json")
    case.front_end().extractor.save_pretrained(directory)


def write_hf_defaults_omitted(case: Case, directory: Path) -> None:
    """A `config.json` that leaves out every nested key whose value is the default."""
    write_hf_legacy(case, directory)
    path = directory / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    default_config = ClapConfig().to_dict()
    for key in ("text_config", "audio_config"):
        # A tuple of the defaults is a list in the file.
        defaults = json.loads(json.dumps(default_config[key]))
        config[key] = {k: v for k, v in config[key].items() if v != defaults.get(k)}
    write_json(path, config)


def write_hf_current(case: Case, directory: Path) -> None:
    """As transformers 5 saves it: preprocessing inside `processor_config.json`."""
    hf_model(case).save_pretrained(directory)
    ClapProcessor(case.front_end().extractor, case.tokenizer()).save_pretrained(directory)


def laion_state(case: Case, directory: Path) -> dict[str, torch.Tensor]:
    """Write the configuration and the tokenizer; the weights."""
    case.config["roberta"] |= {
        "vocab_size": len(clap_tokenizer.vocabulary(case.merges)),
        "max_position_embeddings": case.positions + clap_tokenizer.PAD_ID + 1,
    }
    write_json(directory / "model_config.json", case.config)
    case.tokenizer().save_pretrained(directory)
    model = laion_model(case.config)
    randomise(model, case.seed)
    return published_state(model)


def write_laion(case: Case, directory: Path) -> None:
    """The whole state dict, as safetensors and in the form of the published checkpoints."""
    state = laion_state(case, directory)
    save_file(state, directory / "model.safetensors")
    checkpoint = {
        "epoch": 1,
        "name": case.name,
        "state_dict": {f"module.{name}": tensor for name, tensor in state.items()},
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-4, "params": [0]}]},
    }
    torch.save(checkpoint, directory / "checkpoint.pt")


def write_laion_trained_only(case: Case, directory: Path) -> None:
    """Without the tables of the Fourier transform and of the mel filters."""
    state = laion_state(case, directory)
    kept = {n: t for n, t in state.items() if not any(part in n for part in FROZEN)}
    save_file(kept, directory / "model.safetensors")


def write_msclap(case: Case, directory: Path) -> None:
    """One file as the package loads it, in half precision; without tables that follow from the configuration."""
    case.tokenizer().save_pretrained(directory)
    model = msclap_model(case.config)
    randomise(model, case.seed)
    state = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
        if not any(part in name for part in (*FROZEN, *TABLES))
    }
    torch.save({"model": state}, directory / "CLAP_weights.pth")


# --- the cases ----------------------------------------------------------------


def text_tower(width: int, heads: int, layers: int, mlp: int, **more: Any) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "intermediate_size": mlp,
        **more,
    }


def htsat(
    spec_size: int, mels: int, width: int, depths: list[int], heads: list[int], **more: Any
) -> dict[str, Any]:
    """A Hugging Face configuration of the audio tower; windows of 4 patches a side."""
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


def extractor(mels: int, hop: int, **more: Any) -> dict[str, Any]:
    return {
        "feature_size": mels,
        "hop_length": hop,
        "max_length_s": 1,
        "frequency_min": 50,
        "frequency_max": 14_000,
        "truncation": "rand_trunc",
        **more,
    }


def laion(
    embed_dim: int, audio: dict[str, Any], fusion_type: str | None = None, **more: Any
) -> dict[str, Any]:
    """The keys of the package's model configurations, then those that it fixes by name."""
    return {
        "embed_dim": embed_dim,
        "audio_cfg": {
            "audio_length": 1024,
            "sample_rate": SAMPLING_RATE,
            "fmin": 50,
            "fmax": 14_000,
            "class_num": 5,
            **audio,
        },
        "text_cfg": {"model_type": "roberta", "context_length": CONTEXT_LENGTH},
        "enable_fusion": fusion_type is not None,
        # How the package says that there is no fusion.
        "fusion_type": fusion_type or "None",
        "joint_embed_shape": 20,
        "roberta": text_tower(
            16, 2, 2, 40, type_vocab_size=1, layer_norm_eps=1e-5, hidden_act="gelu"
        ),
        **more,
    }


def hf_cases(merges: list[Merge]) -> list[Case]:
    return [
        # Three stages, the last of which is one window; mels reshaped four to one, as in the
        # published checkpoints.
        Case(
            name="clap-hf-unfused",
            context_length=32,
            write=write_hf_legacy,
            merges=merges,
            extractor=extractor(16, 480),
            config={
                "projection_dim": 24,
                "text_config": text_tower(24, 3, 2, 56),
                "audio_config": htsat(64, 16, 8, [2, 2, 2], [2, 2, 4]),
            },
        ),
        # The package shrinks long clips to 64 mels whatever the configuration says.
        Case(
            name="clap-hf-fused",
            context_length=24,
            write=write_hf_defaults_omitted,
            merges=merges,
            extractor=extractor(64, 960, truncation="fusion"),
            clips=["barely_longer", "chord", "faint", "longer", "silence"],
            config={
                "projection_dim": 20,
                "text_config": text_tower(16, 2, 2, 40),
                "audio_config": htsat(
                    128, 64, 12, [2, 2], [2, 4], enable_fusion=True, fusion_type="aff_2d"
                ),
            },
        ),
        Case(
            name="clap-hf-other",
            context_length=48,
            write=write_hf_current,
            dtype=torch.float16,
            merges=merges,
            clips=["chord", "faint", "longer", "noise", "silence"],
            extractor=extractor(
                32, 400, fft_window_size=512, frequency_min=120, frequency_max=8_000, padding="pad"
            ),
            config={
                "projection_dim": 28,
                "projection_hidden_act": "gelu",
                "text_config": text_tower(32, 2, 3, 48, hidden_act="relu", layer_norm_eps=1e-2),
                "audio_config": htsat(
                    64,
                    32,
                    12,
                    [3, 1, 2],
                    [3, 2, 4],
                    window_size=2,
                    mlp_ratio=2.0,
                    hidden_act="quick_gelu",
                    layer_norm_eps=3e-2,
                ),
            },
        ),
    ]


def laion_cases(merges: list[Merge]) -> list[Case]:
    quarter = SAMPLING_RATE // 4
    tiny = {"model_type": "HTSAT", "model_name": "tiny", "clip_samples": quarter, "mel_bins": 16}
    cnn14 = {"model_type": "PANN", "model_name": "Cnn14", "clip_samples": SAMPLING_RATE}
    swin = {
        "spec_size": 64,
        "patch_size": 4,
        "patch_stride": [4, 4],
        "embed_dim": 8,
        "depths": [2, 2],
        "num_heads": [2, 4],
        "window_size": 4,
    }
    shared = {"context_length": CONTEXT_LENGTH, "merges": merges}
    return [
        # A short Fourier transform, since its tables are among the weights.
        Case(
            name="clap-laion-htsat",
            write=write_laion,
            # As in the published checkpoints, there are positions for more than the package reads.
            positions=96,
            extractor=extractor(16, 60, fft_window_size=128),
            max_samples=quarter,
            clips=["chirp", "chord", "faint", "longer", "noise", "silence"],
            config=laion(16, {**tiny, "window_size": 128, "hop_size": 60}, htsat=swin),
            **shared,
        ),
        Case(
            name="clap-laion-fused",
            write=write_laion_trained_only,
            extractor=extractor(16, 120, fft_window_size=256, truncation="fusion"),
            max_samples=quarter,
            clips=["chord", "faint", "longer", "silence"],
            config=laion(16, {**tiny, "window_size": 256, "hop_size": 120}, "aff_2d", htsat=swin),
            **shared,
        ),
        # The package's Cnn14 takes 64 mels only.
        Case(
            name="clap-laion-pann",
            write=write_laion_trained_only,
            extractor=extractor(64, 480),
            clips=["chord", "faint", "longer", "noise", "silence"],
            config=laion(
                CNN14_WIDTHS[-1],
                {**cnn14, "window_size": 1024, "hop_size": 480, "mel_bins": 64},
            ),
            **shared,
        ),
    ]


def msclap_cases(merges: list[Merge]) -> list[Case]:
    versions = files("msclap") / "configs"
    settings = {
        version: yaml.safe_load((versions / f"config_{version}.yml").read_text())
        for version in ("2022", "2023")
    }
    # The HTSAT has settings of its own (`models/config.py`), whatever the version's are.
    own = {"sampling_rate": msclap_config.sample_rate, "frequency_max": msclap_config.fmax}
    sizes = {"embedding_width": 20, "audio_width": 16, "classes": 5}
    shared = {"write": write_msclap, "merges": merges, "every": 97}
    clips = ["chord", "faint", "noise", "silence"]
    bert = BertConfig(
        vocab_size=len(clap_tokenizer.build_bert_tokenizer()),
        hidden_size=32,
        num_attention_heads=1,
        num_hidden_layers=2,
        intermediate_size=40,
        max_position_embeddings=400,
        attn_implementation="eager",
    )
    gpt2 = GPT2Config(
        vocab_size=len(clap_tokenizer.build_gpt2_tokenizer(merges)),
        n_embd=32,
        n_head=1,
        n_layer=2,
        n_inner=40,
        n_positions=400,
        attn_implementation="eager",
    )
    return [
        Case(
            name="clap-msclap-2022",
            context_length=400,
            clips=clips,
            max_samples=settings["2022"]["duration"] * settings["2022"]["sampling_rate"],
            extractor=extractor(64, 320, sampling_rate=44_100, padding="repeat"),
            config={"msclap": settings["2022"], "text_config": bert, **sizes},
            **shared,
        ),
        Case(
            name="clap-msclap-2023",
            context_length=400,
            clips=clips,
            max_samples=settings["2023"]["duration"] * settings["2023"]["sampling_rate"],
            extractor=extractor(64, 320, padding="repeat", **own),
            config={
                "msclap": settings["2023"],
                "text_config": gpt2,
                "htsat": {"embed_dim": 6, "depths": [1, 2, 1, 1], "num_heads": [1, 2, 3, 4]},
                **sizes,
                "audio_width": 48,
            },
            **shared,
        ),
    ]


def training_corpus() -> list[str]:
    """Captions, to learn the merges of the tiny vocabulary from."""
    first = "Maria John Ada Zoe Sean Anna Peter Laura Michael Sarah David Emma Thomas Julia".split()
    last = "Kowalski Smith Lovelace Muller Brien Jones Garcia Novak Rossi Larsen Dubois".split()
    templates = (
        "the voice of {}",
        "the sound of {} laughing in the rain",
        "{} sings, and a dog barks",
        "a bell, a violin and {}'s song aren't heard here",
    )
    people = [f"{f} {l}" for f in first for l in last]
    return [template.format(person) for template in templates for person in people]


def cases() -> list[Case]:
    merges = clap_tokenizer.learn_merges(training_corpus(), MERGE_COUNT)
    return [*hf_cases(merges), *laion_cases(merges), *msclap_cases(merges)]
