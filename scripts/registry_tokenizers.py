"""Small tokenizers in place of those that configurations name and a hub would serve.

Shared by `make_registry.py` and its modules; not a program itself. Each has the form of the
published one (model, normaliser, pre-tokenizer, template, special ids) over a vocabulary of a
few hundred entries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache

from tokenizers import processors
from transformers import (
    BertTokenizer,
    CLIPTokenizer,
    GemmaTokenizer,
    NllbTokenizer,
    PreTrainedTokenizerBase,
    RobertaTokenizer,
    T5Tokenizer,
    XLMRobertaTokenizer,
)

import clap_tokenizer
import clip_tokenizer
from clip_reference import learnt_merges, training_corpus
from clip_tokenizer import most_frequent_merges, numbered

MERGE_COUNT = 90
# Letters that every vocabulary of pieces holds; what is missing is unknown, as in real ones.
LETTERS = [*map(chr, range(0x21, 0x7F)), *"áéíóöüñçãàèßžščř½ÉÜÑ’“”…山田太郎김민준Анна"]
SPACE = "▁"


@cache
def words() -> Counter[str]:
    """How often each lower-case word occurs in the corpus."""
    return Counter(word for text in training_corpus() for word in text.lower().split())


def pieces(special: Sequence[str]) -> list[tuple[str, float]]:
    """A unigram vocabulary: special tokens, frequent words and their beginnings, letters."""
    common = [word for word, _ in sorted(words().items(), key=lambda w: (-w[1], w[0]))[:60]]
    found = [SPACE, *(SPACE + word for word in common), *(word[:3] for word in common if word[3:])]
    scored = {piece: -3.0 - 0.05 * rank for rank, piece in enumerate(dict.fromkeys(found))}
    scored |= {letter: -9.0 - 0.01 * rank for rank, letter in enumerate(LETTERS)}
    return [*((token, 0.0) for token in special), *scored.items()]


def byte_pairs(special: Sequence[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A vocabulary of letters and merges, in which the space before a word is part of it."""
    frequency = Counter({SPACE + word: count for word, count in words().items()})
    merges = most_frequent_merges(frequency, {word: [*word] for word in frequency}, MERGE_COUNT)
    entries = [*special, SPACE, *LETTERS, *(left + right for left, right in merges)]
    return numbered(list(dict.fromkeys(entries))), merges


@cache
def clip(context: int) -> CLIPTokenizer:
    merges = learnt_merges()
    return clip_tokenizer.build_tokenizer(clip_tokenizer.clip_vocabulary(merges), merges, context)


def with_template(tokenizer: PreTrainedTokenizerBase, single: str, *tokens: str):
    """The tokenizer with another template of special tokens."""
    ids = [(token, tokenizer.convert_tokens_to_ids(token)) for token in tokens]
    backend = tokenizer.backend_tokenizer
    backend.post_processor = processors.TemplateProcessing(single=single, special_tokens=ids)
    return tokenizer


def siglip() -> T5Tokenizer:
    """SigLIP's: padded with the end token."""
    return T5Tokenizer(
        vocab=pieces(["<pad>", "</s>", "<unk>"]),
        pad_token="</s>",
        extra_ids=0,
        padding_side="right",
    )


def siglip2() -> GemmaTokenizer:
    """SigLIP 2's: Gemma's, with an end token and no start token."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    vocabulary, merges = byte_pairs([*special, *(f"<0x{byte:02X}>" for byte in range(256))])
    tokenizer = GemmaTokenizer(vocab=vocabulary, merges=merges, padding_side="right")
    return with_template(tokenizer, "$A <eos>", "<eos>")


def mt5() -> T5Tokenizer:
    return T5Tokenizer(vocab=pieces(["<pad>", "</s>", "<unk>"]), extra_ids=0)


def bert() -> BertTokenizer:
    """Uncased, word pieces; the last of the special tokens is far from 0, as in the real one."""
    common = [word for word, _ in words().most_common(60)]
    entries = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]
    entries += [f"##{letter}" for letter in LETTERS] + common + [f"##{w[1:]}" for w in common]
    return BertTokenizer(vocab=numbered(list(dict.fromkeys(entries))))


def roberta() -> RobertaTokenizer:
    merges = clap_tokenizer.learn_merges(training_corpus(), MERGE_COUNT)
    return clap_tokenizer.build_tokenizer(merges, 512)


def xlm_roberta() -> XLMRobertaTokenizer:
    return XLMRobertaTokenizer(vocab=[*pieces(["<s>", "<pad>", "</s>", "<unk>"]), ("<mask>", 0.0)])


def nllb() -> NllbTokenizer:
    """Texts begin with the code of a language."""
    vocabulary, merges = byte_pairs(["<s>", "<pad>", "</s>", "<unk>"])
    return NllbTokenizer(vocab=vocabulary, merges=merges)


@cache
def named(name: str) -> PreTrainedTokenizerBase:
    """The small tokenizer in place of the one of a hub repository."""
    for part, make in (
        ("SigLIP2", siglip2),
        ("i18n", mt5_for_siglip),
        ("SigLIP", siglip),
        ("bert-base-uncased", bert),
        ("xlm-v", xlm_roberta),
        ("xlm-roberta", xlm_roberta),
        ("roberta", roberta),
        ("mt5", mt5),
        ("nllb", nllb),
    ):
        if part in name:
            return make()
    raise ValueError(f"no small tokenizer stands for {name}")


def mt5_for_siglip() -> T5Tokenizer:
    """mT5's vocabulary, padded with the end token."""
    return siglip()
