"""Training a byte-level BPE, and saving it so that every loader in the field reads it."""

import json
from collections.abc import Iterable, Sequence
from itertools import count, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizers

from tokenizer.files import replace_file
from tokenizer.merges import train_merges
from tokenizer.patterns import pattern_by_name
from tokenizer.tally import count_texts
from tokenizer.vocabulary import BEGIN_OF_TEXT, END_OF_TEXT, PADDING, SPECIAL_TOKENS, byte_alphabet, reserved


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
    tie_break: str = "huggingface",
) -> Tokenizer:
    """Learn a vocabulary of at most `vocab_size` tokens (fewer where the texts hold no more pairs).

    The ids: `special_tokens` in their order, the 256 bytes, then the merges. A pair that occurs fewer than
    `min_frequency` times is not merged. The result depends on the counts of pre-tokens alone (`tally.count_texts`), not
    on the order of the texts. Raises as `train_on_counts`.
    """
    counted = count_texts(texts, pattern)
    return train_on_counts(
        counted.pretokens, counted.counts, vocab_size, pattern, special_tokens, min_frequency, tie_break
    )


def train_on_counts(
    pretokens: pa.Array | pa.ChunkedArray,
    counts: NDArray[np.int64] | pa.Array | pa.ChunkedArray,
    vocab_size: int,
    pattern: str = "cl100k",
    special_tokens: Sequence[str] = SPECIAL_TOKENS,
    min_frequency: int = 2,
    tie_break: str = "huggingface",
) -> Tokenizer:
    """Learn a vocabulary from counted pre-tokens.

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


def padded(tokenizer: Tokenizer, multiple: int) -> Tokenizer:
    """The tokenizer, with reserved special tokens at its end so that the size of its vocabulary is divisible.

    Matrices whose sides are multiples of 64 or 128 multiply faster. The tokens are named on from those there are.
    """
    missing = -tokenizer.get_vocab_size(with_added_tokens=True) % multiple
    names = (name for name in reserved(count()) if tokenizer.token_to_id(name) is None)
    fillers = [AddedToken(name, special=True, normalized=False) for name in islice(names, missing)]
    tokenizer.add_special_tokens(fillers)
    tokenizer.encode_special_tokens = True
    return tokenizer


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
    replace_file(directory / "tokenizer_config.json", json.dumps(config, indent=2) + "\n")
    replace_file(directory / "tokenizer.json", tokenizer.to_str(pretty=True) + "\n")
