"""Tiny CLAPs of open_clip, as cases of `make_clap_fixtures.py --open-clip`.

Not a program itself. They need open_clip 4.2, torchaudio and torchlibrosa. No release of
open_clip on the package index has CLAP yet: install it from its repository.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import open_clip
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import ClapFeatureExtractor, PreTrainedTokenizerBase, RobertaConfig

if not hasattr(open_clip, "CLAP"):
    raise SystemExit(
        f"open_clip {open_clip.__version__} has no CLAP: the cases clap-openclip-* need open_clip "
        "4.2 or later; install it from https://github.com/mlfoundations/open_clip"
    )

import torchaudio
from open_clip.audio import tower
from open_clip.audio.transform import audio_transform_v2

import clap_tokenizer
import clip_tokenizer
from clap_audio import SAMPLING_RATE, Extracted, FrontEnd
from clap_cases import MERGE_COUNT, Case, extractor, training_corpus, write_json
from clap_models import FROZEN, TABLES, Reference, randomise
from clip_reference import own_tokenizer

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
CONTEXT = 77
# In place of the sizes that `model_name` stands for; what is not among them is fixed.
SIZES = {"tiny": {"embed_dim": 8, "depths": [2, 2], "num_heads": [2, 4]}}
# Of torchaudio's log-mel in f32 from one in f64, in dB, above the floor.
LOG_MEL_TOLERANCE = 2e-2
# Samples per second that the clips are read with once more.
OTHER_RATE = 44_100


@dataclass
class OpenClipCase(Case):
    """A CLAP with one of open_clip's text towers."""

    # Configuration of a text tower from transformers.
    text_config: RobertaConfig | None = None
    clip_merges: list[clip_tokenizer.Merge] = field(default_factory=list)

    @property
    def pad_id(self) -> int:
        return clap_tokenizer.PAD_ID if self.text_config else 0

    def tokenizer(self) -> PreTrainedTokenizerBase:
        if self.text_config:
            return super().tokenizer()
        ids = clip_tokenizer.clip_vocabulary(self.clip_merges)
        return clip_tokenizer.build_tokenizer(ids, self.clip_merges, self.context_length)

    def ids(self, text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
        if self.text_config:
            cleaned = open_clip.tokenizer.get_clean_fn("whitespace")(text)
            return super().ids(cleaned, tokenizer)
        simple = own_tokenizer(self.clip_merges)
        (row,) = simple([text], context_length=self.context_length).tolist()
        return row[: row.index(simple.eot_token_id) + 1]

    def pooled_position(self, ids: list[int]) -> int:
        return 0 if self.text_config else len(ids) - 1

    def reference(self, directory: Path) -> OpenClipReference:
        return OpenClipReference(self, directory)

    def front_end(self) -> OpenClipFrontEnd:
        extractor = ClapFeatureExtractor(**self.extractor)
        return OpenClipFrontEnd(extractor, self.max_samples, audio_cfg=self.config["audio_cfg"])


@dataclass
class OpenClipFrontEnd(FrontEnd):
    """The package's preprocessing outside training, its random choice made known."""

    audio_cfg: dict[str, Any] = field(default_factory=dict)

    def extract(self, waveform: np.ndarray, seed: int) -> Extracted:
        """The features of one clip, after `random.seed(seed)`."""
        prepare = audio_transform_v2(self.audio_cfg)
        sound = torch.from_numpy(waveform)
        random.seed(seed)
        prepared = prepare((sound[None], SAMPLING_RATE))
        cut = Extracted(torch.empty(0), is_longer=bool(prepared["longer"]))
        if self.fused and cut.is_longer:
            spare = 1 + len(waveform) // self.extractor.hop_length - self.frames
            random.seed(seed)
            cut.chunk_starts = [random.randint(0, spare)]
        ours = self.features(sound.double(), cut)
        if self.fused:
            off = float(((ours - prepared["mel_fusion"]).abs() * (ours > -99)).max())
            if not off <= LOG_MEL_TOLERANCE:
                raise RuntimeError(f"the differentiable log-mel is off by {off} dB")
        else:
            torch.testing.assert_close(self.fit(sound, 0), prepared["waveform"])
        cut.features = ours.float()
        return cut

    def features(self, waveform: torch.Tensor, cut: Extracted) -> torch.Tensor:
        if cut.chunk_starts is None:
            return super().features(waveform, cut)
        mel = self.log_mel(waveform, htk=True)
        spare = len(mel) - self.frames
        starts = [*cut.chunk_starts, 0, spare // 2, spare]
        return torch.stack([mel[start : start + self.frames] for start in starts])


class OpenClipReference(Reference):
    layout = "openclip"

    def __init__(self, case: OpenClipCase, directory: Path) -> None:
        stored = json.loads((directory / CONFIG).read_text(encoding="utf-8"))["model_cfg"]
        model = open_clip_model(stored, case.text_config)
        missing, unexpected = model.load_state_dict(load_file(directory / WEIGHTS), strict=False)
        tables = (*FROZEN, *TABLES)
        if unexpected or not all(any(part in name for part in tables) for name in missing):
            raise RuntimeError(f"{directory.name}: {missing} {unexpected}")
        super().__init__(model)
        self.fused = stored["audio_cfg"].get("enable_fusion", False)
        self.versions = {
            "open_clip_torch": open_clip.__version__,
            "torchaudio": torchaudio.__version__,
        }
        self.prepare = audio_transform_v2(stored["audio_cfg"])
        if case.text_config:
            self.check_tokenizer(case, directory)

    def check_tokenizer(self, case: OpenClipCase, directory: Path) -> None:
        """The ids of the case are those that open_clip's own wrapper makes."""
        tokenizer = open_clip.tokenizer.HFTokenizer(str(directory), context_length=case.context_length)
        for text in ("the voice of Maria Kowalski", "  two  spaces\tand a tab\n", ""):
            ids = case.ids(text, case.tokenizer())
            padded = ids + [case.pad_id] * (case.context_length - len(ids))
            if tokenizer([text])[0].tolist() != padded:
                raise RuntimeError(f"{case.name}: {text!r} has other ids")

    def encode_text(
        self, input_ids: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        embeds, text = self.model.encode_text(input_ids), self.model.text
        if hasattr(text, "pooler"):
            output = text.transformer(input_ids, attention_mask=mask)
            return embeds, output.last_hidden_state[:, 0], output.pooler_output
        kept: list[torch.Tensor] = []
        hook = text.ln_final.register_forward_hook(lambda _module, _given, out: kept.append(out))
        self.model.encode_text(input_ids)
        hook.remove()
        states = kept[0][torch.arange(len(input_ids)), input_ids.argmax(dim=1)]
        torch.testing.assert_close(states @ text.text_projection, embeds)
        return embeds, states, states.clone()

    def encode_audio(
        self, features: torch.Tensor, is_longer: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        encoder = self.model.audio.encoder
        if self.fused:
            pooled = encoder({"mel_fusion": features, "longer": is_longer})["embedding"]
        else:
            # The tower begins at the waveform, in f32; its first two steps are left out.
            normed = encoder.bn0(features.transpose(1, 3)).transpose(1, 3)
            pooled = encoder.forward_features(encoder.reshape_wav2img(normed))["embedding"]
        return self.model.audio.proj(pooled), pooled

    def unit_audio_embeds(
        self, waveforms: torch.Tensor, features: torch.Tensor, is_longer: torch.Tensor
    ) -> torch.Tensor:
        sound = {"waveform": waveforms, "mel_fusion": features, "longer": is_longer}
        return self.model.encode_audio(sound, normalize=True)

    def log_mel(self, waveforms: torch.Tensor) -> torch.Tensor:
        """(N, 1, F, M), with the Fourier transform the tower does itself, in f32."""
        encoder = self.model.audio.encoder
        return encoder.logmel_extractor(encoder.spectrogram_extractor(waveforms))

    def embed_at_other_rate(self, clip: np.ndarray) -> torch.Tensor:
        """The embedding (D) of a clip as if it had 44,100 samples per second."""
        prepared = self.prepare((torch.from_numpy(clip)[None], OTHER_RATE))
        sound = {
            "waveform": prepared["waveform"][None],
            "longer": torch.tensor([prepared["longer"]]),
        }
        if self.fused:
            sound["mel_fusion"] = prepared["mel_fusion"][None]
        return self.model.encode_audio(sound)[0]

    @property
    def logit_scales(self) -> torch.Tensor:
        return self.model.logit_scale[None]


def open_clip_model(config: dict[str, Any], text_config: RobertaConfig | None) -> nn.Module:
    """A model of other sizes than the package's, made without a hub."""
    config = json.loads(json.dumps(config))
    with mock.patch.dict(tower._HTSAT_CONFIGS, SIZES), tempfile.TemporaryDirectory() as directory:
        if text_config:
            text_config.save_pretrained(directory)
            config["text_cfg"] |= {"hf_model_name": directory, "hf_model_pretrained": False}
        return open_clip.CLAP(**config).eval()


def write_open_clip(case: OpenClipCase, directory: Path) -> None:
    """As open_clip names files, in half precision, without tables that follow from the configuration."""
    write_json(directory / CONFIG, {"model_cfg": case.config})
    model = open_clip_model(case.config, case.text_config)
    randomise(model, case.seed)
    tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor.clone()
        for name, tensor in model.state_dict().items()
        if not any(part in name for part in (*FROZEN, *TABLES))
    }
    save_file(tensors, directory / WEIGHTS, metadata={"format": "pt"})
    case.tokenizer().save_pretrained(directory)


def audio_cfg(**more: Any) -> dict[str, Any]:
    return {
        "audio_length": 1024,
        "clip_samples": SAMPLING_RATE // 8,
        "mel_bins": 16,
        "sample_rate": SAMPLING_RATE,
        "window_size": 256,
        "hop_size": 240,
        "fmin": 50,
        "fmax": 14_000,
        "class_num": 5,
        "model_type": "HTSAT",
        "model_name": "tiny",
        **more,
    }


def open_clip_cases() -> list[OpenClipCase]:
    merges = clap_tokenizer.learn_merges(training_corpus(), MERGE_COUNT)
    clip_merges = clip_tokenizer.learn_merges(training_corpus(), MERGE_COUNT)
    clips: Sequence[str] = ["chord", "faint", "longer", "silence"]
    shared = {
        "context_length": CONTEXT,
        "write": write_open_clip,
        "max_samples": SAMPLING_RATE // 8,
        "merges": merges,
        "clips": clips,
    }
    return [
        OpenClipCase(
            name="clap-openclip-htsat",
            extractor=extractor(16, 240, fft_window_size=256),
            config={
                "embed_dim": 20,
                "audio_cfg": audio_cfg(),
                "text_cfg": {
                    "context_length": CONTEXT,
                    "vocab_size": len(clip_tokenizer.clip_vocabulary(clip_merges)),
                    "width": 16,
                    "heads": 2,
                    "layers": 2,
                },
            },
            clip_merges=clip_merges,
            **shared,
        ),
        # Twelve heads, which are assumed of `roberta-base`; no configuration is beside the file.
        OpenClipCase(
            name="clap-openclip-fused",
            extractor=extractor(16, 240, fft_window_size=256, truncation="fusion"),
            config={
                "embed_dim": 20,
                "audio_cfg": audio_cfg(enable_fusion=True, proj_act="relu"),
                "text_cfg": {
                    "context_length": CONTEXT,
                    "hf_model_name": "roberta-base",
                    "hf_tokenizer_name": "roberta-base",
                    "hf_pooler_type": "cls_pooler",
                    "hf_proj_type": "clap_mlp",
                },
            },
            text_config=RobertaConfig(
                vocab_size=len(clap_tokenizer.vocabulary(merges)),
                hidden_size=24,
                num_attention_heads=12,
                num_hidden_layers=2,
                intermediate_size=40,
                max_position_embeddings=CONTEXT + clap_tokenizer.PAD_ID + 1,
                type_vocab_size=1,
                layer_norm_eps=1e-5,
                bos_token_id=0,
                pad_token_id=1,
                eos_token_id=2,
            ),
            **shared,
        ),
    ]
