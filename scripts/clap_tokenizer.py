"""The vocabularies of CLAP checkpoints: RoBERTa's, GPT-2's and BERT's.

Shared by the scripts that make CLAP checkpoints; not a program itself.

A RoBERTa vocabulary begins with the four special tokens, of which padding has id 1
(positions are counted from there), and ends with the mask token. A space is part of
the word after it, as the symbol of byte 0x20.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tokenizers import AddedToken
from tokenizers.pre_tokenizers import ByteLevel
from transformers import BertTokenizer, GPT2Tokenizer, PreTrainedTokenizerBase, RobertaTokenizer

from clip_tokenizer import Merge, byte_symbols, most_frequent_merges, numbered

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")
MASK_TOKEN = "<mask>"
PAD_ID = SPECIAL_TOKENS.index("<pad>")


def learn_merges(corpus: Sequence[str], count: int) -> list[Merge]:
    """The `count` most frequent byte-pair merges of a corpus, in rank order."""
    cut = ByteLevel(add_prefix_space=False).pre_tokenize_str
    frequency = Counter(piece for text in corpus for piece, _span in cut(text))
    return most_frequent_merges(frequency, {piece: [*piece] for piece in frequency}, count)


def vocabulary(merges: Sequence[Merge]) -> dict[str, int]:
    joined = [left + right for left, right in merges]
    return numbered([*SPECIAL_TOKENS, *byte_symbols(), *joined, MASK_TOKEN])


def build_tokenizer(merges: Sequence[Merge], context_length: int) -> RobertaTokenizer:
    # The published tokenizers let the mask token swallow the space before it.
    mask = AddedToken(MASK_TOKEN, lstrip=True, normalized=False, special=True)
    return RobertaTokenizer(
        vocab=vocabulary(merges),
        merges=list(merges),
        mask_token=mask,
        model_max_length=context_length,
    )


def build_gpt2_tokenizer(merges: Sequence[Merge]) -> PreTrainedTokenizerBase:
    """GPT-2's, as msclap changes it: the exclamation mark, of id 0, is the padding token."""
    joined = [left + right for left, right in merges]
    vocab = numbered([*byte_symbols(), *joined, "<|endoftext|>"])
    assert vocab["!"] == 0
    return GPT2Tokenizer(vocab=vocab, merges=list(merges))


def build_bert_tokenizer() -> PreTrainedTokenizerBase:
    """BERT's, of single characters and a few words, in lower case."""
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789"]
    words = ["voice", "sound", "##ing", "the", "of", "ma", "##ri", "##ow", "dog", "rain"]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [f"##{letter}" for letter in letters]
    vocab = numbered([*special, *letters, *pieces, *words, *"'-?!.,<>/", "山", "и"])
    return BertTokenizer(vocab=vocab)
