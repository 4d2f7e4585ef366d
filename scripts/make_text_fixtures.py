"""Make tiny random CLIP checkpoints with text towers of other kinds, and the packages' values.

    .venv/bin/python scripts/make_clip_fixtures.py
    .venv/bin/python scripts/make_text_fixtures.py

The docstring of `make_clip_fixtures.py` gives the keys and shapes of the two files of
expected values, and its `images/` are read here, so it runs first. Every case has the
smallest of image towers; what differs is the text tower, the tokenizer, how texts are
cleaned and padded, and under which names the tensors are stored.

`text_states` are the states before the tower's last norm, at the pooled token or, where
the tower pools by a mean, the mean of them over the tokens that are not padding.
"""

from __future__ import annotations

import json
import shutil
import string
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import CustomTextCLIP, set_model_preprocess_cfg
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AltCLIPConfig,
    AltCLIPModel,
    AutoTokenizer,
    BertConfig,
    BertTokenizer,
    ChineseCLIPConfig,
    ChineseCLIPModel,
    CLIPVisionConfig,
    M2M100Config,
    MetaClip2Config,
    MetaClip2Model,
    MT5Config,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
    ViTConfig,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

import clip_tokenizer
from clip_reference import (
    CLIP_MEAN,
    CLIP_STD,
    TEXTS_TO_CLEAN,
    Case,
    HuggingFaceReference,
    OpenClipReference,
    Reference,
    arguments,
    inputs_of,
    learnt_merges,
    make_case,
    randomise,
    read_json,
    write_json,
)

IMAGES = ("photo.png",)
WORDS = "a photo of portrait Maria Smith Ada Lovelace dog the in room".split()
WIDTH = 8


# --- the tokenizers -----------------------------------------------------------


def pieces(special: list[str]) -> list[tuple[str, float]]:
    """A SentencePiece vocabulary: special tokens, letters, a few words."""
    letters = [*string.ascii_letters, *string.digits, *"éíñüß'.,!&ΣσΟ山田"]
    entries = [*special, "▁", *letters, *("▁" + word for word in WORDS)]
    entries += ["▁" + word.lower() for word in WORDS if word != word.lower()]
    return [(entry, 0.0 if entry in special else -2.0 - 0.01 * i) for i, entry in enumerate(entries)]


def sentence_pieces(special: list[str], template: str, **roles: str) -> PreTrainedTokenizerFast:
    entries = pieces(special)
    ids = {entry: i for i, (entry, _) in enumerate(entries)}
    tokenizer = Tokenizer(models.Unigram(entries, unk_id=ids["<unk>"]))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(t, ids[t]) for t in special if t in template]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", **roles)


def siglip_tokenizer(_: Case) -> PreTrainedTokenizerFast:
    """No start token; the end token pads, as in SigLIP."""
    special = ["<unk>", "</s>"]
    return sentence_pieces(special, "$A </s>", eos_token="</s>", pad_token="</s>")


def t5_tokenizer(_: Case) -> PreTrainedTokenizerFast:
    special = ["<pad>", "</s>", "<unk>"]
    return sentence_pieces(special, "$A </s>", eos_token="</s>", pad_token="<pad>")


def roberta_tokenizer(_: Case) -> PreTrainedTokenizerFast:
    """XLM-RoBERTa's special tokens, in its order."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    roles = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    return sentence_pieces(special, "<s> $A </s>", **roles)


def nllb_tokenizer(_: Case) -> PreTrainedTokenizerFast:
    """A language's token comes first, as in NLLB."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "eng_Latn"]
    roles = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    return sentence_pieces(special, "eng_Latn $A </s>", **roles)


def word_pieces() -> list[str]:
    letters = [*string.ascii_lowercase, *string.digits, *"éíñüß'.,!&()?-σο山田太郎"]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return [*special, *letters, *("##" + letter for letter in letters), *(w.lower() for w in WORDS)]


def bert_tokenizer(case: Case) -> BertTokenizer:
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(word_pieces()))}
    return BertTokenizer(vocab=vocabulary, model_max_length=case.context_length)


def clip_tokenizer_of(case: Case) -> Any:
    return clip_tokenizer.build_tokenizer(case.token_ids, case.merges, case.context_length)


@dataclass
class TextCase(Case):
    """A case with a tokenizer of its own."""

    random_inputs: int = 1
    gradient_texts: Sequence[int] = (0,)
    make_tokenizer: Callable[[Case], Any] = clip_tokenizer_of
    # Configuration of a text tower from transformers.
    text_config: PretrainedConfig | None = None
    # Whether that configuration is beside the checkpoint.
    text_config_is_stored: bool = False
    make_model: Callable[["TextCase", int], torch.nn.Module] | None = None
    reference: type[Reference] | None = None

    def vocabulary_size(self) -> int:
        return len(self.make_tokenizer(self))


# --- the OpenCLIP layout ------------------------------------------------------


def model_cfg(case: TextCase) -> dict[str, Any]:
    """The configuration as it is stored."""
    vision = {"image_size": 8, "layers": 1, "width": 8, "head_width": 4, "patch_size": 4}
    text = {
        "context_length": case.context_length,
        "vocab_size": case.vocabulary_size(),
        "width": WIDTH,
        "heads": 2,
        "layers": 2,
        "mlp_ratio": 3,
        **case.config["text_cfg"],
    }
    if "hf_model_name" in text:
        for key in ("vocab_size", "width", "heads", "layers"):
            del text[key]
    rest = {key: value for key, value in case.config.items() if key != "text_cfg"}
    return {"embed_dim": 12, "vision_cfg": vision, **rest, "text_cfg": text}


def open_clip_model(config: dict[str, Any], text_config: PretrainedConfig | None) -> torch.nn.Module:
    """A model of a configuration; a text tower from transformers is made without a hub."""
    config = json.loads(json.dumps(config))
    custom = config.pop("custom_text", False)
    if text_config is None:
        return (CustomTextCLIP if custom else open_clip.CLIP)(**config).eval()
    with tempfile.TemporaryDirectory() as directory:
        text_config.save_pretrained(directory)
        config["text_cfg"] |= {"hf_model_name": directory, "hf_model_pretrained": False}
        return CustomTextCLIP(**config).eval()


def write_open_clip(case: TextCase, directory: Path) -> None:
    """As open_clip saves a model for the hub."""
    config = model_cfg(case)
    model = open_clip_model(config, case.text_config)
    randomise(model, case.seed)
    set_model_preprocess_cfg(model, {"mean": CLIP_MEAN, "std": CLIP_STD})
    stored = {"model_cfg": config, "preprocess_cfg": {"mean": CLIP_MEAN, "std": CLIP_STD}}
    write_json(directory / "open_clip_config.json", stored)
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(tensors, directory / "open_clip_model.safetensors", metadata={"format": "pt"})
    case.make_tokenizer(case).save_pretrained(directory)
    if case.text_config_is_stored:
        case.text_config.save_pretrained(directory)


class OpenClipTextReference(OpenClipReference):
    """A checkpoint read by open_clip, with whatever text tower and tokenizer it has."""

    def __init__(self, case: TextCase, directory: Path) -> None:
        self.case, self.directory = case, directory
        config = read_json(directory / "open_clip_config.json")["model_cfg"]
        if config["text_cfg"].get("hf_tokenizer_name"):
            self.tokenizer = open_clip.get_tokenizer(f"local-dir:{directory}")
        else:
            super().__init__(case, directory)
            return
        self.model = open_clip_model(config, case.text_config)
        open_clip.load_checkpoint(self.model, str(directory / "open_clip_model.safetensors"))
        self.model.requires_grad_(False)
        self.preprocess_with({"size": 8, "mean": CLIP_MEAN, "std": CLIP_STD})

    def preprocess_with(self, config: dict[str, Any]) -> None:
        self.preprocessing = open_clip.transform.PreprocessCfg(**config)
        self.transform = open_clip.transform.image_transform_v2(self.preprocessing, is_train=False)
        self.image_size = 8
        self.logit_scale = self.model.logit_scale

    def token_ids(self, text: str) -> list[int]:
        if isinstance(self.tokenizer, open_clip.SimpleTokenizer):
            return super().token_ids(text)
        inner = self.tokenizer.tokenizer
        limit = self.case.context_length
        cleaned = self.tokenizer.clean_fn(text)
        ids = inner(cleaned, truncation=True, max_length=limit)["input_ids"]
        if self.tokenizer.strip_sep_token:
            ids = [0 if id == inner.sep_token_id else id for id in ids]
        return ids

    def padded(self, ids: list[list[int]]) -> torch.Tensor:
        rows = self.tokenizer(self.texts(), context_length=self.case.context_length)
        for row, values in zip(rows, ids, strict=True):
            if row[: len(values)].tolist() != values:
                raise RuntimeError(f"{self.case.name}: {values} is not the start of {row}")
        return rows

    def embed_texts(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        text = getattr(self.model, "text", self.model)
        run = lambda: self.model.encode_text(input_ids)
        if not hasattr(text, "pooler"):
            states, embeds = inputs_of(text.ln_final, run)
            pooled = states if states.ndim == 2 else self.pooled(states, input_ids)
            normed = text.ln_final(pooled)
            projection = text.text_projection
            if projection is None:
                projected = normed
            elif isinstance(projection, torch.nn.Linear):
                projected = projection(normed)
            else:
                projected = normed @ projection
            torch.testing.assert_close(projected, embeds)
            return embeds, pooled
        states, embeds = inputs_of(last_norm(text.transformer), run)
        if type(text.pooler).__name__ == "MeanPooler":
            mask = (input_ids != text.config.pad_token_id).unsqueeze(-1)
            return embeds, (states * mask).sum(1) / mask.sum(1)
        return embeds, states[:, 0]

    def pooled(self, states: torch.Tensor, input_ids: torch.Tensor) -> torch.Tensor:
        text_cfg = self.case.config["text_cfg"]
        kind = text_cfg.get("pool_type", "argmax")
        if kind == "last":
            return states[:, -1]
        if kind == "eos":
            positions = (input_ids == text_cfg["eos_id"]).int().argmax(dim=1)
        else:
            positions = input_ids.argmax(dim=1)
        return states[torch.arange(len(states)), positions]


def last_norm(encoder: torch.nn.Module) -> torch.nn.Module:
    """The norm that an encoder of transformers ends with."""
    for name in ("final_layer_norm", "layer_norm"):
        if hasattr(encoder, name):
            return getattr(encoder, name)
    layers = encoder.encoder
    layers = layers.layer if hasattr(layers, "layer") else layers.layers
    return layers[-1].output.LayerNorm


# --- the Hugging Face layout --------------------------------------------------


def vision_config(**more: Any) -> dict[str, Any]:
    return {
        "hidden_size": 8,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "intermediate_size": 16,
        "image_size": 8,
        "patch_size": 4,
        **more,
    }


def encoder_config(vocabulary: int, **more: Any) -> dict[str, Any]:
    """The keys that BERT's and RoBERTa's configurations share."""
    return {
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "intermediate_size": 24,
        "layer_norm_eps": 1e-2,
        **more,
    }


def chinese_clip(case: TextCase, vocabulary: int) -> ChineseCLIPModel:
    text = encoder_config(vocabulary, max_position_embeddings=case.context_length)
    config = {"text_config": text, "vision_config": vision_config(), "projection_dim": 12}
    return ChineseCLIPModel(ChineseCLIPConfig(**config))


def altclip(case: TextCase, vocabulary: int) -> AltCLIPModel:
    text = encoder_config(
        vocabulary, max_position_embeddings=case.context_length + 2, project_dim=20
    )
    config = {"text_config": text, "vision_config": vision_config(), "projection_dim": 12}
    return AltCLIPModel(AltCLIPConfig(**config))


def metaclip_2(case: TextCase, vocabulary: int) -> MetaClip2Model:
    text = {
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "intermediate_size": 24,
        "max_position_embeddings": case.context_length,
        "hidden_act": "gelu",
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
    }
    vision = vision_config(hidden_act="gelu")
    return MetaClip2Model(
        MetaClip2Config(text_config=text, vision_config=vision, projection_dim=12)
    )


def dual_encoder(case: TextCase, vocabulary: int) -> VisionTextDualEncoderModel:
    positions = case.context_length
    text = BertConfig(**encoder_config(vocabulary, max_position_embeddings=positions))
    vision = CLIPVisionConfig(**vision_config())
    config = VisionTextDualEncoderConfig.from_vision_text_configs(vision, text, projection_dim=12)
    return VisionTextDualEncoderModel(config)


def dual_encoder_vit(case: TextCase, vocabulary: int) -> VisionTextDualEncoderModel:
    positions = case.context_length + 2
    text = RobertaConfig(**encoder_config(vocabulary, max_position_embeddings=positions))
    vision = ViTConfig(**vision_config(layer_norm_eps=1e-2, num_hidden_layers=2))
    config = VisionTextDualEncoderConfig.from_vision_text_configs(vision, text, projection_dim=12)
    return VisionTextDualEncoderModel(config)


def image_processor(case: TextCase) -> CLIPImageProcessorPil | ViTImageProcessorPil:
    side = {"height": 8, "width": 8}
    if case.make_model is dual_encoder_vit:
        return ViTImageProcessorPil(size=side)
    return CLIPImageProcessorPil(size={"shortest_edge": 8}, crop_size=side)


def write_hugging_face(case: TextCase, directory: Path) -> None:
    model = case.make_model(case, case.vocabulary_size()).eval()
    randomise(model, case.seed)
    model.save_pretrained(directory)
    case.make_tokenizer(case).save_pretrained(directory)
    image_processor(case).save_pretrained(directory)


def write_with_word_pieces(case: TextCase, directory: Path) -> None:
    """`vocab.txt` in place of `tokenizer.json`, as repositories with a BERT tokenizer have it."""
    write_hugging_face(case, directory)
    (directory / "tokenizer.json").unlink()
    tokens = dict.fromkeys(word_pieces())
    (directory / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    write_json(directory / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer"})


class ForeignTextReference(HuggingFaceReference):
    """A checkpoint read by transformers, with whatever text tower and tokenizer it has."""

    def __init__(self, case: TextCase, directory: Path) -> None:
        Reference.__init__(self, case, directory)
        self.tokenizer = case.make_tokenizer(case)
        made = case.make_model(case, case.vocabulary_size())
        self.model = type(made).from_pretrained(
            directory, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.model.requires_grad_(False)
        self.processor = type(image_processor(case)).from_pretrained(directory)
        self.pad_id = self.tokenizer.pad_token_id
        self.image_size = 8
        self.logit_scale = self.model.logit_scale

    def token_ids(self, text: str) -> list[int]:
        limit = self.case.context_length
        return self.tokenizer(text, truncation=True, max_length=limit)["input_ids"]

    def embed_texts(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mask = (input_ids != self.pad_id).long()
        run = lambda: self.model.get_text_features(input_ids, attention_mask=mask).pooler_output
        text = self.model.text_model
        if isinstance(self.model, MetaClip2Model):
            states, embeds = inputs_of(text.final_layer_norm, run)
            positions = (input_ids == 2).int().argmax(dim=1)
            return embeds, states[torch.arange(len(states)), positions]
        encoder = getattr(text, "roberta", text)
        states, embeds = inputs_of(last_norm(encoder), run)
        return embeds, states[:, 0]


# --- the cases ----------------------------------------------------------------


def tiny_roberta(case_context: int) -> RobertaConfig:
    """Twelve heads, which are assumed of `roberta-base`; no configuration is beside the file."""
    return RobertaConfig(
        vocab_size=len(pieces(["<s>", "<pad>", "</s>", "<unk>"])),
        hidden_size=12,
        num_attention_heads=12,
        num_hidden_layers=2,
        intermediate_size=16,
        max_position_embeddings=case_context + 2,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )


def t5_sizes(**more: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(pieces(["<pad>", "</s>", "<unk>"])),
        "d_model": WIDTH,
        "d_kv": 5,
        "d_ff": 24,
        "num_layers": 2,
        "num_heads": 3,
        "relative_attention_num_buckets": 8,
        "relative_attention_max_distance": 128,
        "pad_token_id": 0,
        **more,
    }


def tiny_mt5() -> MT5Config:
    return MT5Config(**t5_sizes(feed_forward_proj="gated-gelu"))


def tiny_mt5_without_gates() -> MT5Config:
    """Perceptrons as the first T5 has them; open_clip takes it under mT5's name alone."""
    return MT5Config(**t5_sizes(feed_forward_proj="relu"))


def tiny_nllb(case_context: int) -> M2M100Config:
    return M2M100Config(
        vocab_size=len(pieces(["<s>", "<pad>", "</s>", "<unk>", "eng_Latn"])),
        d_model=WIDTH,
        encoder_layers=2,
        encoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=8,
        max_position_embeddings=case_context + 10,
        activation_function="relu",
        scale_embedding=True,
        pad_token_id=1,
    )


def cases() -> list[TextCase]:
    merges = learnt_merges()
    return [
        TextCase(
            name="openclip-siglip-text",
            context_length=24,
            write=write_open_clip,
            make_tokenizer=siglip_tokenizer,
            reference=OpenClipTextReference,
            more_texts=TEXTS_TO_CLEAN,
            config={
                "custom_text": True,
                "init_logit_bias": -10,
                "text_cfg": {
                    "hf_tokenizer_name": "timm/ViT-B-16-SigLIP2",
                    # Wide enough for the kernels.
                    "width": 16,
                    "mlp_ratio": 2,
                    "tokenizer_kwargs": {"clean": "canonicalize"},
                    "no_causal_mask": True,
                    "proj_bias": True,
                    "pool_type": "last",
                    "norm_kwargs": {"eps": 1e-3},
                    "act_kwargs": {"approximate": "tanh"},
                },
            },
        ),
        TextCase(
            name="openclip-clipa-text",
            context_length=16,
            write=write_open_clip,
            make_tokenizer=bert_tokenizer,
            reference=OpenClipTextReference,
            config={
                "text_cfg": {
                    "hf_tokenizer_name": "bert-base-uncased",
                    "tokenizer_kwargs": {"strip_sep_token": True},
                    "no_causal_mask": True,
                    "pool_type": "last",
                    "ls_init_value": 0.1,
                },
            },
        ),
        TextCase(
            name="openclip-coca-text",
            context_length=20,
            write=write_open_clip,
            reference=OpenClipTextReference,
            merges=merges,
            config={"custom_text": True, "text_cfg": {"embed_cls": True}},
        ),
        TextCase(
            name="openclip-worldwide-text",
            context_length=20,
            more_texts=TEXTS_TO_CLEAN,
            write=write_open_clip,
            make_tokenizer=roberta_tokenizer,
            reference=OpenClipTextReference,
            config={
                "embed_dim": WIDTH,
                "quick_gelu": True,
                "custom_text": True,
                "text_cfg": {
                    "hf_tokenizer_name": "facebook/xlm-v-base",
                    "pool_type": "eos",
                    "eos_id": 2,
                    "proj_type": "none",
                },
            },
        ),
        TextCase(
            name="openclip-roberta-text",
            context_length=20,
            write=write_open_clip,
            make_tokenizer=roberta_tokenizer,
            text_config=tiny_roberta(24),
            reference=OpenClipTextReference,
            config={
                "text_cfg": {
                    "hf_model_name": "roberta-base",
                    "hf_tokenizer_name": "roberta-base",
                    "hf_pooler_type": "mean_pooler",
                },
            },
        ),
        TextCase(
            name="openclip-mt5-text",
            context_length=20,
            write=write_open_clip,
            make_tokenizer=t5_tokenizer,
            text_config=tiny_mt5(),
            reference=OpenClipTextReference,
            config={
                "text_cfg": {
                    "hf_model_name": "google/mt5-base",
                    "hf_tokenizer_name": "google/mt5-base",
                    "hf_pooler_type": "mean_pooler",
                },
            },
        ),
        TextCase(
            name="openclip-nllb-text",
            context_length=20,
            write=write_open_clip,
            make_tokenizer=nllb_tokenizer,
            text_config=tiny_nllb(20),
            text_config_is_stored=True,
            reference=OpenClipTextReference,
            config={
                "custom_text": True,
                "text_cfg": {
                    "hf_model_name": "facebook/nllb-200-distilled-600M",
                    "hf_tokenizer_name": "facebook/nllb-200-distilled-600M",
                    "hf_pooler_type": "cls_pooler",
                    "hf_proj_type": "linear",
                },
            },
        ),
        TextCase(
            name="openclip-nllb-mean-text",
            context_length=20,
            write=write_open_clip,
            make_tokenizer=nllb_tokenizer,
            text_config=tiny_nllb(20),
            text_config_is_stored=True,
            reference=OpenClipTextReference,
            config={
                "custom_text": True,
                "text_cfg": {
                    "hf_model_name": "facebook/nllb-200-distilled-600M",
                    "hf_tokenizer_name": "facebook/nllb-200-distilled-600M",
                    "hf_pooler_type": "mean_pooler",
                    "hf_proj_type": "linear",
                },
            },
        ),
        TextCase(
            name="openclip-t5-relu-text",
            context_length=20,
            write=write_open_clip,
            make_tokenizer=t5_tokenizer,
            text_config=tiny_mt5_without_gates(),
            reference=OpenClipTextReference,
            config={
                "custom_text": True,
                "text_cfg": {
                    "hf_model_name": "google/mt5-base",
                    "hf_tokenizer_name": "google/mt5-base",
                    "hf_pooler_type": "cls_pooler",
                    "hf_proj_type": "linear",
                },
            },
        ),
        TextCase(
            name="hf-chinese-clip",
            context_length=20,
            write=write_with_word_pieces,
            make_tokenizer=bert_tokenizer,
            make_model=chinese_clip,
            reference=ForeignTextReference,
            config={},
        ),
        TextCase(
            name="hf-altclip",
            context_length=20,
            write=write_hugging_face,
            make_tokenizer=roberta_tokenizer,
            make_model=altclip,
            reference=ForeignTextReference,
            config={},
        ),
        TextCase(
            name="hf-metaclip-2",
            context_length=20,
            write=write_hugging_face,
            make_tokenizer=roberta_tokenizer,
            make_model=metaclip_2,
            reference=ForeignTextReference,
            config={},
        ),
        TextCase(
            name="hf-dual-encoder",
            context_length=20,
            write=write_with_word_pieces,
            make_tokenizer=bert_tokenizer,
            make_model=dual_encoder,
            reference=ForeignTextReference,
            config={},
        ),
        TextCase(
            name="hf-dual-encoder-vit",
            context_length=20,
            write=write_hugging_face,
            make_tokenizer=roberta_tokenizer,
            make_model=dual_encoder_vit,
            reference=ForeignTextReference,
            config={},
        ),
    ]


def main() -> None:
    out = arguments("make the parity fixtures of other text towers")
    images = [out / "images" / name for name in IMAGES]
    for case in cases():
        make_case(case, case.reference, out, images)
        shutil.rmtree(out / case.name / ".cache", ignore_errors=True)


if __name__ == "__main__":
    main()
