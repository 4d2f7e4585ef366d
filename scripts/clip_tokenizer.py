"""CLIP's byte-level vocabulary and the tokenizer files that checkpoints carry.

Shared by the scripts that make checkpoints, CLAP's among them; not a program itself.

A CLIP vocabulary is laid out as: 256 byte symbols, the same symbols with the
end-of-word suffix, one entry per merge in rank order, then the start and end
tokens. The end token is therefore the highest id, which is what pooling by
argmax relies on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from transformers import CLIPTokenizer

START_TOKEN = "<|startoftext|>"
END_TOKEN = "<|endoftext|>"
WORD_END = "</w>"

Merge = tuple[str, str]


def byte_symbols() -> list[str]:
    """One printable character for each byte value, in CLIP's order.

    Bytes that print as themselves in Latin-1 come first; the others are moved
    to the code points from 256 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    moved = 256 - len(printable)
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(moved)]


def clip_vocabulary(merges: Sequence[Merge]) -> dict[str, int]:
    """The vocabulary of real checkpoints: every byte is covered, the end token is last."""
    symbols = byte_symbols()
    entries = [*symbols, *(s + WORD_END for s in symbols)]
    entries += [left + right for left, right in merges]
    entries += [START_TOKEN, END_TOKEN]
    return numbered(entries)


def ascii_vocabulary(merges: Sequence[Merge]) -> dict[str, int]:
    """A vocabulary of visible ASCII whose start and end tokens sit before the merges.

    The end token is not the highest id, so pooling by argmax is wrong here. A
    byte outside ASCII is unknown, and CLIP's unknown token *is* the end token.
    """
    symbols = [chr(byte) for byte in range(0x21, 0x7F)]
    entries = [*symbols, *(s + WORD_END for s in symbols), START_TOKEN, END_TOKEN]
    entries += [left + right for left, right in merges]
    return numbered(entries)


def numbered(entries: Sequence[str]) -> dict[str, int]:
    """Ids in the order given, which must hold no duplicate."""
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    if len(vocabulary) != len(entries):
        raise ValueError("two vocabulary entries are the same string")
    return vocabulary


def learn_merges(corpus: Sequence[str], count: int) -> list[Merge]:
    """The `count` most frequent byte-pair merges of a corpus, in rank order.

    Written out here because the trainer of `tokenizers` gives another order of
    equally frequent pairs in every run; here the pair that sorts first wins.
    """
    backend = CLIPTokenizer().backend_tokenizer
    normalised = (backend.normalizer.normalize_str(text) for text in corpus)
    frequency = Counter(
        piece
        for text in normalised
        for piece, _span in backend.pre_tokenizer.pre_tokenize_str(text)
    )
    words = {piece: [*piece[:-1], piece[-1] + WORD_END] for piece in frequency}
    return most_frequent_merges(frequency, words, count)


def most_frequent_merges(
    frequency: Mapping[str, int], words: Mapping[str, list[str]], count: int
) -> list[Merge]:
    """The first `count` merges of words given as symbols, with how often each word occurs."""
    merges: list[Merge] = []
    while len(merges) < count:
        pairs: Counter[Merge] = Counter()
        for piece, symbols in words.items():
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += frequency[piece]
        if not pairs:
            raise ValueError(f"the corpus gives {len(merges)} merges, {count} are needed")
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = {piece: merged(symbols, best) for piece, symbols in words.items()}
    return merges


def merged(symbols: Sequence[str], pair: Merge) -> list[str]:
    """The symbols with each occurrence of the pair joined, from the left."""
    joined: list[str] = []
    position = 0
    while position < len(symbols):
        if tuple(symbols[position : position + 2]) == pair:
            joined.append(pair[0] + pair[1])
            position += 2
        else:
            joined.append(symbols[position])
            position += 1
    return joined


def build_tokenizer(
    vocabulary: dict[str, int], merges: Sequence[Merge], context_length: int
) -> CLIPTokenizer:
    """The transformers tokenizer of a vocabulary."""
    return CLIPTokenizer(
        vocab=dict(vocabulary), merges=list(merges), model_max_length=context_length
    )


def write_vocabulary_files(
    directory: Path, vocabulary: dict[str, int], merges: Sequence[Merge]
) -> None:
    """Write `vocab.json` and `merges.txt`, the older form of the tokenizer."""
    vocab_json = json.dumps(vocabulary, ensure_ascii=False)
    (directory / "vocab.json").write_text(vocab_json, encoding="utf-8")
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    (directory / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_special_tokens_map(directory: Path) -> None:
    """Write the `special_tokens_map.json` of repositories from before transformers 5."""
    tokens = {
        "bos_token": START_TOKEN,
        "eos_token": END_TOKEN,
        "pad_token": END_TOKEN,
        "unk_token": END_TOKEN,
    }
    text = json.dumps(tokens, indent=2) + "\n"
    (directory / "special_tokens_map.json").write_text(text, encoding="utf-8")


def merges_as_strings(tokenizer_json: Path) -> None:
    """Rewrite merges from `["a", "b"]` to `"a b"`, as every older `tokenizer.json` has them."""
    content = json.loads(tokenizer_json.read_text(encoding="utf-8"))
    model = content["model"]
    model["merges"] = [" ".join(merge) for merge in model["merges"]]
    tokenizer_json.write_text(
        json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8"
    )
