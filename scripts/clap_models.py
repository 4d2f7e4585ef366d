"""Tiny CLAP models of every layout, and what their packages compute.

Shared by the scripts that make CLAP checkpoints; not a program itself. The LAION layout
needs the package `laion_clap`, which pins an old numpy and is installed without its
dependencies (`scripts/requirements-no-deps.txt`); so is `msclap`, which pins an old torch.
"""

from __future__ import annotations

import copy
import importlib.util
import sys
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import BertConfig, BertModel, ClapModel, GPT2Config, GPT2Model
from transformers import RobertaConfig, RobertaModel

# `import laion_clap` would download three tokenizers. Its models need none of them, and the
# package itself puts this directory on the path and imports `clap_module` as a package.
sys.path.append(importlib.util.find_spec("laion_clap").submodule_search_locations[0])
from clap_module import factory, htsat, pann_model
from clap_module import model as clap_model
from msclap.models import audio as msclap_audio
from msclap.models import clap as msclap_clap
from msclap.models import htsat as msclap_htsat

CONTEXT_LENGTH = 77  # what the package pads and cuts texts to
# Entries of an audio tower that follow from the configuration alone.
FROZEN = ("spectrogram_extractor", "logmel_extractor")
TABLES = ("attn_mask", "relative_position_index")
POSITION_IDS = "text_branch.embeddings.position_ids"
# In place of 64 to 2048, which are written into the package's class.
CNN14_WIDTHS = (4, 6, 8, 10, 12, 16)


def randomise(model: nn.Module, seed: int) -> None:
    """Replace every weight, and every statistic of a batch norm, by one large enough to matter.

    A weight's values depend on the seed and its name alone.
    """
    norms = (nn.LayerNorm, nn.BatchNorm2d)
    gains = {f"{name}.weight" for name, m in model.named_modules() if isinstance(m, norms)}
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    with torch.no_grad():
        for name, tensor in tensors.items():
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            noise = torch.from_numpy(rng.standard_normal(tuple(tensor.shape), np.float32))
            # The batch norm at the entrance sees decibels.
            entrance = "batch_norm" in name or "bn0" in name
            if not tensor.is_floating_point() or name.endswith("attn_mask"):
                continue
            if any(part in name for part in FROZEN):
                continue
            if name.startswith("logit_scale"):
                tensor.copy_(2.5 + 0.2 * noise)
            elif name.endswith("running_mean"):
                tensor.copy_(-40 + 10 * noise if entrance else 0.2 * noise)
            elif name.endswith("running_var"):
                tensor.copy_((225 if entrance else 1) * torch.exp(0.3 * noise))
            elif name in gains:
                tensor.copy_(1 + 0.2 * noise)
            elif name.endswith("bias"):
                tensor.copy_(0.15 * noise)
            elif "relative_position" in name or "embeddings" in name:
                tensor.copy_(0.5 * noise)
            else:
                # Dense and convolution weights: (out, in, ...).
                # The average pooling of a convolution block takes most of its variation.
                gain = 3 if "conv_block" in name else 1.2
                tensor.copy_(gain * noise / tensor[0].numel() ** 0.5)


class Reference(ABC):
    """A checkpoint loaded from disk by its own package, in f32."""

    layout: str
    model: nn.Module

    def __init__(self, model: nn.Module) -> None:
        self.model = model.eval()
        self.model.requires_grad_(False)

    @abstractmethod
    def encode_text(
        self, input_ids: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Embeddings (T, D); the state of the first token before (T, W) and after the pooler."""

    @abstractmethod
    def encode_audio(
        self, features: torch.Tensor, is_longer: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings (N, D) and pooled states (N, A) of features (N, K, F, M), flags (N)."""

    @abstractmethod
    def unit_audio_embeds(
        self, waveforms: torch.Tensor, features: torch.Tensor, is_longer: torch.Tensor
    ) -> torch.Tensor:
        """Normalised embeddings through the package's public entry."""

    @property
    def logit_scales(self) -> torch.Tensor:
        return torch.stack([self.model.logit_scale_a, self.model.logit_scale_t])

    def in_double(self) -> Reference:
        doubled = copy.copy(self)
        doubled.model = copy.deepcopy(self.model).double()
        return doubled


class HuggingFaceReference(Reference):
    layout = "hf"

    def __init__(self, directory: Path) -> None:
        super().__init__(
            ClapModel.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager")
        )

    def encode_text(
        self, input_ids: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        output = self.model.text_model(input_ids, attention_mask=mask)
        embeds = self.model.text_projection(output.pooler_output)
        return embeds, output.last_hidden_state[:, 0], output.pooler_output

    def encode_audio(
        self, features: torch.Tensor, is_longer: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        pooled = self.model.audio_model(features, is_longer=is_longer[:, None]).pooler_output
        return self.model.audio_projection(pooled), pooled

    def unit_audio_embeds(
        self, waveforms: torch.Tensor, features: torch.Tensor, is_longer: torch.Tensor
    ) -> torch.Tensor:
        output = self.model.get_audio_features(features, is_longer=is_longer[:, None])
        return output.pooler_output


class LaionReference(Reference):
    layout = "laion"

    def __init__(self, config: Mapping[str, Any], directory: Path) -> None:
        model = laion_model(config)
        state = load_file(directory / "model.safetensors")
        del state[POSITION_IDS]
        checkpoint = directory / "checkpoint.pt"
        if checkpoint.is_file():
            model.load_state_dict(state)
            state = factory.load_state_dict(str(checkpoint))
            for name, tensor in model.state_dict().items():
                torch.testing.assert_close(tensor, state[name], rtol=0, atol=0)
        missing, unexpected = model.load_state_dict(state, strict=False)
        if unexpected or not all(any(part in name for part in FROZEN) for name in missing):
            raise RuntimeError(f"{directory.name}: {missing} {unexpected}")
        super().__init__(model)
        self.fused = config["enable_fusion"]

    def encode_text(
        self, input_ids: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        output = self.model.text_branch(input_ids=input_ids, attention_mask=mask)
        text = {"input_ids": input_ids, "attention_mask": mask}
        embeds = self.model.encode_text(text, device="cpu")
        return embeds, output.last_hidden_state[:, 0], output.pooler_output

    def encode_audio(
        self, features: torch.Tensor, is_longer: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if self.fused:
            audio = {"mel_fusion": features, "longer": is_longer[:, None]}
            branch = self.model.audio_branch
        else:
            # The tower begins at the waveform; its first two steps are left out.
            audio = {"waveform": features}
            branch = copy.copy(self.model.audio_branch)
            branch._modules = {**branch._modules, **{name: nn.Identity() for name in FROZEN}}
        pooled = branch(audio, device="cpu")["embedding"]
        return self.model.audio_projection(pooled), pooled

    def unit_audio_embeds(
        self, waveforms: torch.Tensor, features: torch.Tensor, is_longer: torch.Tensor
    ) -> torch.Tensor:
        clips = zip(waveforms, features, is_longer[:, None], strict=True)
        return self.model.get_audio_embedding(
            [{"waveform": w, "mel_fusion": f, "longer": longer} for w, f, longer in clips]
        )

    def log_mel(self, waveforms: torch.Tensor) -> torch.Tensor:
        """(N, 1, F, M), with the Fourier transform the tower does itself, in f32."""
        branch = self.model.audio_branch
        return branch.logmel_extractor(branch.spectrogram_extractor(waveforms))


class MsclapReference(Reference):
    layout = "msclap"
    fused = False

    def __init__(self, config: Mapping[str, Any], directory: Path) -> None:
        model = msclap_model(config)
        state = torch.load(directory / "CLAP_weights.pth", weights_only=True)["model"]
        missing, unexpected = model.load_state_dict(state, strict=False)
        tables = (*FROZEN, *TABLES)
        if unexpected or not all(any(part in name for part in tables) for name in missing):
            raise RuntimeError(f"{directory.name}: {missing} {unexpected}")
        super().__init__(model.float())

    @property
    def branch(self) -> nn.Module:
        """The audio tower, which begins at the waveform."""
        base = self.model.audio_encoder.base
        return getattr(base, "htsat", base)

    def encode_text(
        self, input_ids: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        text = {"input_ids": input_ids, "attention_mask": mask}
        embeds = self.model.caption_encoder(text)
        hidden = self.model.caption_encoder.base(**text).last_hidden_state
        at = torch.zeros(len(hidden), dtype=torch.long)
        if self.model.caption_encoder.text_model == "gpt2":
            at = (input_ids != 0).sum(-1) - 1
        pooled = hidden[torch.arange(len(hidden)), at]
        return embeds, pooled, pooled.clone()

    def encode_audio(
        self, features: torch.Tensor, is_longer: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        branch = self.branch
        modules = dict(branch._modules)
        branch._modules.update({name: nn.Identity() for name in FROZEN})
        try:
            pooled = self.model.audio_encoder.base(features)["embedding"]
        finally:
            branch._modules.update({name: modules[name] for name in FROZEN})
        return self.model.audio_encoder.projection(pooled), pooled

    def unit_audio_embeds(
        self, waveforms: torch.Tensor, features: torch.Tensor, is_longer: torch.Tensor
    ) -> torch.Tensor:
        return nn.functional.normalize(self.model.audio_encoder(waveforms)[0], dim=-1)

    def log_mel(self, waveforms: torch.Tensor) -> torch.Tensor:
        """(N, 1, F, M), with the Fourier transform the tower does itself, in f32."""
        return self.branch.logmel_extractor(self.branch.spectrogram_extractor(waveforms))

    @property
    def logit_scales(self) -> torch.Tensor:
        return self.model.logit_scale[None]


def msclap_model(config: Mapping[str, Any]) -> nn.Module:
    """The package's model with narrower towers than its versions have.

    What is not a width is the version's own; the HTSAT has settings of its own beside them.
    """
    settings = config["msclap"]
    text = (BertModel if settings["text_model"].startswith("bert") else GPT2Model)(
        config["text_config"]
    )
    with mock.patch.object(msclap_clap.AutoModel, "from_pretrained", lambda *_: text):
        model = msclap_clap.CLAP(
            audioenc_name=settings["audioenc_name"],
            sample_rate=settings["sampling_rate"],
            window_size=settings["window_size"],
            hop_size=settings["hop_size"],
            mel_bins=settings["mel_bins"],
            fmin=settings["fmin"],
            fmax=settings["fmax"],
            classes_num=config["classes"],
            out_emb=config["audio_width"],
            text_model=settings["text_model"],
            transformer_embed_dim=text.config.hidden_size,
            d_proj=config["embedding_width"],
        )
    base = model.audio_encoder.base
    if settings["audioenc_name"] == "HTSAT":
        # Its settings are a module, which cannot be copied.
        own = SimpleNamespace(**{k: v for k, v in vars(msclap_htsat.config).items() if k[0] != "_"})
        base.htsat = msclap_htsat.HTSAT_Swin_Transformer(
            config=own, num_classes=config["classes"], **config["htsat"]
        )
    else:
        for number, (before, after) in enumerate(pairwise([1, *CNN14_WIDTHS]), start=1):
            setattr(base, f"conv_block{number}", msclap_audio.ConvBlock(before, after))
        base.fc1 = nn.Linear(CNN14_WIDTHS[-1], config["audio_width"])
    return model


# --- building a LAION model of other sizes ------------------------------------


def laion_model(config: Mapping[str, Any]) -> nn.Module:
    """The package's model with narrower towers than its configurations allow.

    The package downloads `roberta-base` and has its width, and those of the audio towers,
    written into it; its classes are used, with other sizes.
    """
    settings = SimpleNamespace(**config["audio_cfg"])
    fusion = {"enable_fusion": config["enable_fusion"], "fusion_type": config["fusion_type"]}
    if settings.model_type == "HTSAT":
        tower = htsat.HTSAT_Swin_Transformer(
            **config["htsat"], num_classes=settings.class_num, config=settings, **fusion
        )
    else:
        tower = narrow_cnn14(settings, fusion)
    with (
        mock.patch.object(clap_model, "create_htsat_model", lambda *_: tower),
        mock.patch.object(clap_model, "create_pann_model", lambda *_: tower),
    ):
        # A text tower that needs no download, replaced below.
        placeholder = {"context_length": 1, "vocab_size": 1, "width": 1, "heads": 1, "layers": 1}
        model = clap_model.CLAP(
            embed_dim=config["embed_dim"],
            audio_cfg=config["audio_cfg"],
            text_cfg={**placeholder, "model_type": "transformer"},
            joint_embed_shape=config["joint_embed_shape"],
            **fusion,
        )
    del model.token_embedding, model.positional_embedding, model.ln_final
    roberta = RobertaConfig(**config["roberta"], attn_implementation="eager")
    model.text_branch = RobertaModel(roberta)
    model.text_branch_type = "roberta"
    model.text_projection = nn.Sequential(
        nn.Linear(roberta.hidden_size, config["joint_embed_shape"]),
        nn.ReLU(),
        nn.Linear(config["joint_embed_shape"], config["joint_embed_shape"]),
    )
    return model


def narrow_cnn14(settings: SimpleNamespace, fusion: Mapping[str, Any]) -> nn.Module:
    tower = pann_model.Cnn14(
        sample_rate=settings.sample_rate,
        window_size=settings.window_size,
        hop_size=settings.hop_size,
        mel_bins=settings.mel_bins,
        fmin=settings.fmin,
        fmax=settings.fmax,
        classes_num=settings.class_num,
        **fusion,
    )
    for number, (before, after) in enumerate(pairwise([1, *CNN14_WIDTHS]), start=1):
        setattr(tower, f"conv_block{number}", pann_model.ConvBlock(before, after))
    tower.fc1 = nn.Linear(CNN14_WIDTHS[-1], CNN14_WIDTHS[-1])
    tower.fc_audioset = nn.Linear(CNN14_WIDTHS[-1], settings.class_num)
    return tower


def published_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict with an entry that the published checkpoints have and today's RoBERTa lacks.

    The package removes it when it loads a checkpoint, and fails where it is absent.
    """
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    positions = model.text_branch.config.max_position_embeddings
    state[POSITION_IDS] = torch.arange(positions)[None]
    return state
