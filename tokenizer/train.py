"""Training a byte-level BPE with `tokenizers`, and saving it so that every loader in the field reads it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizers
from tokenizers.trainers import BpeTrainer

from tokenizer.merges import train_merges
from tokenizer.patterns import pattern_by_name
from tokenizer.pieces import pieces
from tokenizer.vocabulary import BEGIN_OF_TEXT, END_OF_TEXT, PADDING, SPECIAL_TOKENS, byte_alphabet

MOST_BYTES = 2**31 - 1
"""`tokenizers` counts pairs in 32 bits, signed; a pair cannot be more frequent than the text has bytes."""


def untrained(pattern: str) -> Tokenizer:
    """A byte-level BPE without merges: no normalizer, no prefix space, no post-processor; `pattern` by its name."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = PreTokenizers(
        [
            Split(Regex(pattern_by_name(pattern)), behavior="isolated"),
            ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = ByteLevelDecoder()
    return tokenizer


def train(
    texts: Iterable[str],
    vocab_size: int,
    pattern: str = "cl100k",
    special_tokens: Sequence[str] = SPECIAL_TOKENS,
    min_frequency: int = 2,
) -> Tokenizer:
    """Learn a vocabulary of at most `vocab_size` tokens (fewer where the texts hold no more pairs).

    The ids: `special_tokens` in their order, the 256 bytes, then the merges. A pair that occurs fewer than
    `min_frequency` times is not merged. The result depends on the texts alone, not on their order or on the number of
    threads: the trainer counts pre-tokens first, and breaks ties between equally frequent pairs by their ids.

    Raises ValueError for a vocabulary without room for bytes and special tokens, repeated special tokens, or texts of
    more than 2^31 - 1 bytes, beyond which `tokenizers` could lose frequent pairs without a word.
    """
    _check_room(vocab_size, special_tokens)
    tokenizer = untrained(pattern)
    trainer = BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in special_tokens],
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_counted(texts), trainer=trainer)
    tokenizer.encode_special_tokens = True
    return tokenizer


def train_on_counts(
    pretokens: pa.Array | pa.ChunkedArray,
    counts: NDArray[np.int64] | pa.Array | pa.ChunkedArray,
    vocab_size: int,
    pattern: str = "cl100k",
    special_tokens: Sequence[str] = SPECIAL_TOKENS,
    min_frequency: int = 2,
    tie_break: str = "huggingface",
) -> Tokenizer:
    """Learn a vocabulary from counted pre-tokens: what `train` learns from their texts, without its limit.

    `pretokens`: binary [n], as `pattern` splits the corpus; `counts`: int64 [n]. Ids as in `train`; `tie_break` as in
    `merges.train_merges`, which also says what it raises. Raises ValueError as well for a vocabulary without room for
    bytes and special tokens, repeated special tokens, or a learnt token that is spelt like a special one.
    """
    _check_room(vocab_size, special_tokens)
    learnt = train_merges(
        pretokens, counts, vocab_size - len(special_tokens), tie_break=tie_break, min_frequency=min_frequency
    )
    letters = {byte: letter for letter, byte in byte_alphabet().items()}
    spelt = {token: "".join(letters[byte] for byte in token) for token in learnt.tokens}
    if clash := sorted(set(special_tokens) & set(spelt.values())):
        raise ValueError(f"the texts hold the special token {clash[0]!r} as a word, and it was learnt as one")
    vocabulary = {token: number for number, token in enumerate([*special_tokens, *spelt.values()])}
    tokenizer = untrained(pattern)
    tokenizer.model = BPE(vocabulary, [(spelt[left], spelt[right]) for left, right in learnt.merges])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special_tokens])
    tokenizer.encode_special_tokens = True
    return tokenizer


def _check_room(vocab_size: int, special_tokens: Sequence[str]) -> None:
    if len(set(special_tokens)) != len(special_tokens):
        raise ValueError(f"a special token is named twice: {', '.join(special_tokens)}")
    if vocab_size < len(special_tokens) + 256:
        raise ValueError(
            f"a vocabulary of {vocab_size} has no room for 256 bytes and {len(special_tokens)} special tokens"
        )


def _counted(texts: Iterable[str]) -> Iterator[str]:
    """The texts in pieces of bounded size, for as long as no pair's count can overflow."""
    total = 0
    for text in texts:
        for piece in pieces(text):
            total += len(piece.encode())
            if total > MOST_BYTES:
                raise ValueError("the texts to train on hold more than 2^31 - 1 bytes; take a sample of them")
            yield piece


def save(tokenizer: Tokenizer, directory: Path | str, model_max_length: int | None = None) -> None:
    """Write tokenizer.json and tokenizer_config.json into `directory`, each whole or not at all.

    The same tokenizer gives the same bytes. `split_special_tokens` makes transformers read a special token that a text
    spells out as ordinary tokens, as our own path does.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    config: dict[str, object] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,
    }
    roles = {"bos_token": BEGIN_OF_TEXT, "eos_token": END_OF_TEXT, "pad_token": PADDING}
    config |= {role: token for role, token in roles.items() if tokenizer.token_to_id(token) is not None}
    if model_max_length is not None:
        config["model_max_length"] = model_max_length
    _replace(directory / "tokenizer_config.json", json.dumps(config, indent=2) + "\n")
    _replace(directory / "tokenizer.json", tokenizer.to_str(pretty=True) + "\n")


def _replace(file: Path, content: str) -> None:
    part = file.with_name(file.name + ".part")
    part.write_text(content, encoding="utf-8", newline="\n")
    part.replace(file)
