"""Make tiny random CLAP checkpoints and what the reference packages say about them.

    python -m venv .venv && .venv/bin/pip install -r scripts/requirements.txt
    .venv/bin/pip install --no-deps -r scripts/requirements-no-deps.txt
    .venv/bin/python scripts/make_clap_fixtures.py

`--open-clip` makes open_clip's cases in place of the others, and needs open_clip 4.2 with its
packages for audio, which is to be installed from its repository (`clap_open_clip.py`).

Each case is a directory `crates/umid-models/tests/fixtures/<case>/` holding a checkpoint
as transformers, laion_clap, msclap or open_clip reads it, reloaded from disk by that package before anything
is computed, and two files of expected values. Weights are random but large, so that a
wrong mask, order of elements, interpolation or activation moves an embedding beyond the
tolerance of the parity tests; a wrong epsilon does so in `clap-hf-other`. The same package
versions on the same machine give the same bytes. `clap-clips/` holds the clips: 16-bit mono
WAV at 48 kHz, read as sample / 32768.

`expected.safetensors` (T texts, C context length, W text width, D embedding width, N clips,
K mels an input holds: 4 where the checkpoint fuses and 1 elsewhere, F frames, M mel bands,
A audio width, B random inputs; all F32 unless said):

    input_ids          (T, C) I64        ids padded to the context with `pad_id`
    text_embeds        (T, D)            text embeddings, not normalised
    text_states        (T, W)            last hidden state of the token that is read
    text_pooled        (T, W)            the same after the pooler (dense, tanh) where there is
                                         one, which is what the projection reads
    input_features     (N, K, F, M)      log-mel of the clips in dB, as the audio tower
                                         reads it, cut as `expected.json` says
    other_log_mels     (G, F, M)         `hf` layout: log-mel of the clips in `gradient_clips`
                                         with the filter bank that the case does not use: HTK
                                         without norm in place of Slaney with Slaney's norm,
                                         or the other way round
    audio_embeds       (N, D)            embeddings of the clips, not normalised
    audio_pooled       (N, A)            what the audio projection reads
    fused_audio_embeds (N, D)            where K is 4: embeddings with every clip flagged
                                         as longer, which turns fusion on
    features           (B, K, F, M)      random inputs in dB
    feature_embeds     (B, D)            their embeddings, not normalised
    cosines            (2, B)            cosine of each input with each of two texts
    feature_gradients  (2, B, K, F, M)   gradient of the sum over B of the cosines with one
                                         text, with respect to `features`
    waveform_cosines   (2, G)            cosine of each clip in `gradient_clips` with each of
                                         the two texts
    waveform_gradients.<clip> (2, samples)  gradient of that cosine with respect to the
                                         waveform of the clip as it is before padding
    logit_scales       (2)               audio, text; as stored, that is the logarithms
    other_rate_embeds  (O, D)            `openclip` layout: embeddings of the clips in
                                         `other_rate_clips`, read as if they had 44,100 samples
                                         per second, from the file on

Where `every` of `expected.json` is above 1, an input is too large to be stored. Of each row of
`input_features`, `features` and `feature_gradients`, and of each waveform's gradient, every so
many-th number is stored then; `features` are the values of `formula`.

`expected.json`: the case's layout and sizes, `texts` (text, unpadded `ids`,
`pooled_position`), `clips` in the order of `input_features` (file, number of `samples`,
`is_longer`; `crop_start`: first sample of the crop, where one was made; `chunk_starts`: first
frames of the three chunks of fusion), `truncation_seed` (given to `numpy.random.seed` before
each clip), `features_longer` (flags of `features`), `gradient_texts` (indices of the two
texts), `gradient_clips` (indices of clips) and the package versions. `audio_embeds` and
`waveform_gradients` take a clip as longer only where `is_longer` says so; transformers flags
a random clip of a batch in which none is longer. laion_clap shrinks a long clip's log-mel with
torchvision's `Resize`, which averages, where transformers interpolates.

In the `laion` layout `model.safetensors` is the state dict as it is; `checkpoint.pt`, where
there is one, is the same in the form of the published files. `model_config.json` has the
keys of the package's model configurations, and beside them those which its published
configurations fix by the name of the model: `htsat`, `roberta`, `joint_embed_shape`.

In the `msclap` layout `CLAP_weights.pth` is as the published files are, in half precision. Clips
are taken as if they had the rate of the model, and texts are as `CLAPWrapper` prepares them.

In the `openclip` layout `chunk_starts` is the first frame of the piece that is drawn (after
`random.seed`); the other three are the first, the middle and the last one. Without fusion a long
clip's first part is heard.

`input_features` are those of the clips as the package hears them: in the `laion` layout limited to
-1..1 and rounded to 16 bits, but not for `waveform_gradients`. They are transformers' own, except where a `laion` tower computes them itself
(K is 1). Log-mels are differentiated through an f64 implementation that agrees with
transformers' to 1e-4 dB; models compute in f32. That the gradients are no accident of f32
is checked against the models in f64.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from transformers.utils import logging

from clap_audio import Extracted, write_clips
from clap_cases import Case, write_json
from clap_models import HuggingFaceReference, LaionReference, MsclapReference, Reference

FIXTURES = Path(__file__).resolve().parent.parent / "crates/umid-models/tests/fixtures"
CLIPS = "clap-clips"
PACKAGES = (
    "torch", "transformers", "laion_clap", "msclap", "torchlibrosa", "librosa", "tokenizers", "numpy"
)

TRUNCATION_SEED = 7
GRADIENT_TEXTS = (0, 6)
GRADIENT_CLIPS = ("chord", "faint", "silence")
# Relative to the norm of a row; a tenth of what the parity tests allow a gradient.
ROUND_OFF = 1e-4

TEXTS = [
    "the voice of Maria Kowalski",
    "THE SOUND OF RAIN",
    "a dog barks, and Ada Lovelace laughs.",
    "  two  spaces\tand a tab\n",
    "",
    " ",
    "Zoë Müller's violin",
    "x",
    "Jose\u0301 sings",
    "山田太郎 и Анна",
    "a bell 🔔 and a family 👩‍👧",
    "they're here, isn't he? -- 3½ hours in room 42b!!!",
    "the </s> inside and the <mask> sound",
    "the voice of " + "Bartholomew Featherstonehaugh " * 12,
]


def formula(count: int, *shape: int) -> torch.Tensor:
    """Inputs in dB that need not be stored."""
    index = np.arange(np.prod(shape), dtype=np.float64)
    rows = [-40 + 20 * np.sin((0.37 + 0.11 * row) * index) for row in range(count)]
    return torch.from_numpy(np.stack(rows).astype(np.float32)).reshape(count, *shape)


def load_reference(case: Case, directory: Path) -> Reference:
    if hasattr(case, "reference"):
        return case.reference(directory)
    if "msclap" in case.config:
        return MsclapReference(case.config, directory)
    if "roberta" not in case.config:
        return HuggingFaceReference(directory)
    return LaionReference(case.config, directory)


# --- what the packages say ----------------------------------------------------


def text_values(case: Case, reference: Reference) -> tuple[dict[str, torch.Tensor], list[Any]]:
    """The arrays about texts, and the records of `expected.json`."""
    tokenizer = case.tokenizer()
    ids = [case.ids(text, tokenizer) for text in TEXTS]
    rows = [torch.tensor(row) for row in ids]
    rows.append(torch.full((case.context_length,), case.pad_id))
    padded = torch.nn.utils.rnn.pad_sequence(
        rows, batch_first=True, padding_value=case.pad_id
    )[:-1]
    lengths = torch.tensor([len(row) for row in ids])
    mask = (torch.arange(case.context_length)[None] < lengths[:, None]).long()
    with torch.no_grad():
        embeds, states, pooled = reference.encode_text(padded, mask)
        alone, _, _ = reference.encode_text(rows[0][None], mask[:1, : len(rows[0])])
    # Padding is masked and takes no position, so that it may be left out.
    torch.testing.assert_close(embeds[:1], alone)
    tensors = {
        "input_ids": padded,
        "text_embeds": embeds,
        "text_states": states,
        "text_pooled": pooled,
    }
    records = [
        {"text": text, "ids": row, "pooled_position": case.pooled_position(row)}
        for text, row in zip(TEXTS, ids, strict=True)
    ]
    return tensors, records


def clip_values(
    case: Case, reference: Reference, clips: dict[str, np.ndarray]
) -> tuple[dict[str, torch.Tensor], list[Any], dict[str, Extracted]]:
    """The arrays about clips, the records of `expected.json`, and how each clip was cut."""
    front_end = case.front_end()
    cuts = {name: front_end.extract(clip, TRUNCATION_SEED) for name, clip in clips.items()}
    waveforms = {
        name: front_end.fit(torch.from_numpy(front_end.heard(clips[name])), cut.crop_start or 0)
        for name, cut in cuts.items()
    }
    features = torch.stack([cut.features for cut in cuts.values()])
    longer = torch.tensor([cut.is_longer for cut in cuts.values()])
    whole = torch.stack([*waveforms.values()])
    by_package = not isinstance(reference, HuggingFaceReference) and not reference.fused
    with torch.no_grad():
        if by_package:
            own = reference.log_mel(whole)
            print(f"  f32 Fourier transform: {(own - features).abs().max():.1e} dB off")
            features = own
        embeds, pooled = reference.encode_audio(features, longer)
        unit = reference.unit_audio_embeds(whole, features, longer)
        torch.testing.assert_close(unit, torch.nn.functional.normalize(embeds, dim=-1))
        tensors = {
            "input_features": features,
            "audio_embeds": embeds,
            "audio_pooled": pooled,
        }
        if front_end.fused:
            tensors["fused_audio_embeds"], _ = reference.encode_audio(
                features, torch.ones_like(longer)
            )
        if isinstance(reference, HuggingFaceReference):
            other = [
                front_end.log_mel(waveforms[name].double(), htk=not front_end.fused)
                for name in GRADIENT_CLIPS
            ]
            tensors["other_log_mels"] = torch.stack(other).float()
    records = [
        {
            "file": f"{name}.wav",
            "samples": len(clips[name]),
            "is_longer": cut.is_longer,
            "crop_start": cut.crop_start,
            "chunk_starts": cut.chunk_starts,
        }
        for name, cut in cuts.items()
    ]
    return tensors, records, cuts


def cosines(
    reference: Reference, features: torch.Tensor, longer: torch.Tensor, text: torch.Tensor
) -> torch.Tensor:
    """Cosine of each input with one text: (B)."""
    embeds, _ = reference.encode_audio(features, longer)
    return torch.cosine_similarity(embeds, text[None].to(embeds.dtype), dim=1)


def feature_gradients(
    reference: Reference, features: torch.Tensor, longer: torch.Tensor, texts: torch.Tensor
) -> dict[str, torch.Tensor]:
    values, gradients = [], []
    for text in texts:
        variable = features.clone().requires_grad_(True)
        cosine = cosines(reference, variable, longer, text)
        gradients.append(torch.autograd.grad(cosine.sum(), variable)[0])
        values.append(cosine.detach())
    return {"cosines": torch.stack(values), "feature_gradients": torch.stack(gradients)}


def waveform_gradients(
    case: Case,
    reference: Reference,
    clips: dict[str, np.ndarray],
    cuts: dict[str, Extracted],
    texts: torch.Tensor,
    dtype: torch.dtype = torch.float32,
) -> dict[str, torch.Tensor]:
    front_end = case.front_end()
    tensors, values = {}, []
    for name in GRADIENT_CLIPS:
        longer = torch.tensor([cuts[name].is_longer])
        gradients = []
        for text in texts:
            variable = torch.from_numpy(clips[name]).double().requires_grad_(True)
            features = front_end.features(variable, cuts[name])[None].to(dtype)
            cosine = cosines(reference, features, longer, text)
            gradients.append(torch.autograd.grad(cosine.sum(), variable)[0])
            values.append(cosine.detach())
        tensors[f"waveform_gradients.{name}"] = torch.stack(gradients).to(dtype)
    tensors["waveform_cosines"] = torch.stack(values).reshape(-1, len(texts)).T
    return tensors


def check_round_off(name: str, found: torch.Tensor, precise: torch.Tensor) -> None:
    rows = (found.double() - precise).flatten(1).norm(dim=1)
    error = float((rows / precise.flatten(1).norm(dim=1).clamp(min=1e-30)).max())
    if error > ROUND_OFF:
        raise RuntimeError(f"{name} is off by {error:.1e} from f64")


def write_expected(
    case: Case, reference: Reference, directory: Path, clips: dict[str, np.ndarray]
) -> None:
    """Write `expected.safetensors` and `expected.json`."""
    saved = type(case.tokenizer()).from_pretrained(directory)
    for text in TEXTS:
        if case.ids(text, saved) != case.ids(text, case.tokenizer()):
            raise RuntimeError(f"{case.name}: the saved tokenizer differs from the one made")
    tensors, texts = text_values(case, reference)
    about_clips, records, cuts = clip_values(case, reference, clips)
    tensors |= about_clips

    rng = np.random.default_rng(case.seed)
    shape = about_clips["input_features"].shape[1:]
    longer = torch.tensor([False, True]) if shape[0] == 4 else torch.tensor([False, False])
    if case.every == 1:
        noise = rng.standard_normal((len(longer), *shape), np.float32)
        features = torch.from_numpy(-40 + 20 * noise)
    else:
        features = formula(len(longer), *shape)
    with torch.no_grad():
        tensors["features"] = features
        tensors["feature_embeds"], _ = reference.encode_audio(features, longer)
    targets = tensors["text_embeds"][list(GRADIENT_TEXTS)]
    gradients = feature_gradients(reference, features, longer, targets)
    gradients |= waveform_gradients(case, reference, clips, cuts, targets)
    double = reference.in_double()
    precise = feature_gradients(double, features.double(), longer, targets)
    precise |= waveform_gradients(case, double, clips, cuts, targets, torch.float64)
    for name, gradient in gradients.items():
        check_round_off(f"{case.name}: {name}", gradient, precise[name])
    tensors |= gradients
    tensors["logit_scales"] = reference.logit_scales
    other_rate = []
    if hasattr(reference, "embed_at_other_rate"):
        # Of which no piece is drawn.
        other_rate = [
            name for name, cut in cuts.items() if not (cut.is_longer and cut.chunk_starts)
        ]
        with torch.no_grad():
            embeds = [reference.embed_at_other_rate(clips[name]) for name in other_rate]
        tensors["other_rate_embeds"] = torch.stack(embeds)

    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise RuntimeError(f"{case.name}: {name} is not finite")
    if case.every > 1:
        for name in ("input_features", "features", "feature_gradients"):
            kept = tensors[name].flatten(-len(shape))[..., :: case.every]
            tensors[name] = kept
        for name in [name for name in tensors if name.startswith("waveform_gradients.")]:
            tensors[name] = tensors[name][:, :: case.every]
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, directory / "expected.safetensors")
    summary = {
        "case": case.name,
        "layout": reference.layout,
        "context_length": case.context_length,
        "embedding_width": targets.shape[1],
        "max_samples": case.max_samples,
        "pad_id": case.pad_id,
        "every": case.every,
        "input_shape": list(shape),
        "texts": texts,
        "clips": records,
        "truncation_seed": TRUNCATION_SEED,
        "features_longer": longer.tolist(),
        "gradient_texts": list(GRADIENT_TEXTS),
        "gradient_clips": [list(clips).index(name) for name in GRADIENT_CLIPS],
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES}
        | getattr(reference, "versions", {}),
    }
    if other_rate:
        summary["other_rate_clips"] = [list(clips).index(name) for name in other_rate]
    write_json(directory / "expected.json", summary)


def main() -> None:
    parser = argparse.ArgumentParser(description="make the CLAP parity fixtures")
    parser.add_argument("--out", type=Path, default=FIXTURES, help="where the cases go")
    parser.add_argument(
        "--open-clip", action="store_true", help="make open_clip's cases, not the others"
    )
    arguments = parser.parse_args()
    out: Path = arguments.out
    if arguments.open_clip:
        from clap_open_clip import open_clip_cases as cases
    else:
        from clap_cases import cases

    logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    shutil.rmtree(out / CLIPS, ignore_errors=True)
    clips = write_clips(out / CLIPS)
    for case in cases():
        directory = out / case.name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        case.write(case, directory)
        chosen = {name: clips[name] for name in sorted(case.clips or clips)}
        write_expected(case, load_reference(case, directory), directory, chosen)
        files = list(directory.iterdir())
        for file in files:
            file.chmod(0o644)
        total = sum(file.stat().st_size for file in files)
        print(f"{case.name}: {total / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
