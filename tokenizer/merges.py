"""Learning the merges of a byte-level BPE from counted pre-tokens, in 64 bits.

Byte-pair encoding (Sennrich, Haddow and Birch 2016, "Neural machine translation of rare words with subword units",
algorithm 1): merge the most frequent pair of neighbouring tokens everywhere, and again. Each merge looks only at the
words that hold its pair.

No two pairs make the same token: no merge ever crossed the ends of a token, so what lies between them was merged alike
wherever these bytes became one. Hence a merged pair never comes into being again.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tokenizer.count import MOST_WEIGHT
from tokenizer.pair_counts import UNLIMITED, Ints, PairCounts, Spelling, doubled
from tokenizer.pair_heap import PairHeap
from tokenizer.split_kernel import buffers
from tokenizer.vocabulary import byte_alphabet

TIE_BREAKS = ("huggingface", "greater_bytes")

MOST_BYTES = 2**31 - 1
"""Bytes of different pre-tokens at most, and how many of these: words and their symbols have 32-bit numbers."""


class Merges(NamedTuple):
    """What was learnt.

    `tokens`: the 256 bytes, in the order of the characters that stand for them in a tokenizer.json, then the learnt
    tokens in order; a token's position is its id but for special tokens before it. `merges`: the pairs
    of tokens in order of rank; pair i makes token 256 + i.
    """

    tokens: list[bytes]
    merges: list[tuple[bytes, bytes]]


class _Tokens:
    """Tokens by id, with their bytes in arrays for the kernels."""

    def __init__(self) -> None:
        self.strings: list[bytes] = []
        self._bytes = np.empty(1 << 12, np.uint8)
        self._offsets = np.zeros(1 << 9, np.int64)

    def add(self, token: bytes) -> int:
        """The id of a new token."""
        number = len(self.strings)
        end = int(self._offsets[number]) + len(token)
        while end > len(self._bytes):
            self._bytes = doubled(self._bytes)
        if number + 2 > len(self._offsets):
            self._offsets = doubled(self._offsets)
        self._bytes[end - len(token) : end] = np.frombuffer(token, np.uint8)
        self._offsets[number + 1] = end
        self.strings.append(token)
        return number

    @property
    def spelling(self) -> Spelling:
        """Bytes and offsets of all tokens."""
        return self._bytes, self._offsets


def train_merges(
    pretokens: pa.Array | pa.ChunkedArray,
    counts: Ints | pa.Array | pa.ChunkedArray,
    vocab_size: int,
    *,
    tie_break: str = "huggingface",
    min_frequency: int = 2,
    max_token_length: int | None = None,
) -> Merges:
    """Learn merges until there are `vocab_size` tokens, the 256 bytes among them, special tokens not.

    `pretokens`: binary or string, n pre-tokens, merges never go across their borders; `counts`: int64[n], how often
    each occurs, 0 or more. Their order does not matter, and a pre-token that is there twice counts as the sum. Fewer
    tokens are learnt where no pair occurs `min_frequency` times any more.

    `tie_break` is for pairs that are equally frequent:
    - "huggingface": the pair with the smaller ids. The merges are those of BpeTrainer in Hugging Face's `tokenizers`
      0.23 (models/bpe/trainer.rs) with the byte alphabet as initial alphabet.
    - "greater_bytes": the lexicographically greater pair of byte strings, as in `max(pairs, key=lambda pair:
      (count[pair], pair))`. The merges are those of Stanford's CS336 (2025, assignment 1). Not all teaching code breaks
      ties so: minbpe takes the pair that it met first, rustbpe that with the smaller ids, bytes numbered by value.

    `max_token_length`: tokens of this many bytes and more are not learnt, as in BpeTrainer, but for those of two bytes.

    Raises TypeError for pre-tokens that are not binary or counts that are not int64; ValueError for another tie break,
    a vocabulary below 256, nulls, lengths that differ, negative counts, more than MOST_BYTES, or
    `count.MOST_WEIGHT` and more.
    """
    if tie_break not in TIE_BREAKS:
        raise ValueError(f"no tie break is called {tie_break!r}; there are: {', '.join(TIE_BREAKS)}")
    if vocab_size < 256:
        raise ValueError(f"a vocabulary of {vocab_size} has no room for 256 bytes")
    data, offsets, weights = _checked(pretokens, counts)
    alphabet = byte_alphabet()
    order = [alphabet[letter] for letter in sorted(alphabet)]
    tokens = _Tokens()
    id_of_byte = np.empty(256, np.int32)
    for byte in order:
        id_of_byte[byte] = tokens.add(bytes([byte]))
    greater = tie_break == "greater_bytes"
    longest = UNLIMITED if max_token_length is None else max_token_length
    pairs = PairCounts(id_of_byte[data], offsets, weights, longest)
    merges = _learn(pairs, PairHeap(greater=greater), tokens, vocab_size, max(min_frequency, 1))
    return Merges(tokens.strings, merges)


def _learn(
    pairs: PairCounts, heap: PairHeap, tokens: _Tokens, vocab_size: int, min_frequency: int
) -> list[tuple[bytes, bytes]]:
    merges: list[tuple[bytes, bytes]] = []
    pairs.count()
    heap.push_pending(pairs, tokens.spelling)
    while len(tokens.strings) < vocab_size:
        top = heap.pop(pairs, tokens.spelling)
        if top is None or top.frequency < min_frequency:
            break
        left, right = tokens.strings[pairs.pairs[0][top.pair]], tokens.strings[pairs.pairs[1][top.pair]]
        token = tokens.add(left + right)
        merges.append((left, right))
        pairs.merge(top.pair, token, top.positions, tokens.spelling)
        heap.push_pending(pairs, tokens.spelling)
    return merges


def _checked(
    pretokens: pa.Array | pa.ChunkedArray, counts: Ints | pa.Array | pa.ChunkedArray
) -> tuple[NDArray[np.uint8], Ints, Ints]:
    """The bytes of all pre-tokens, where each begins [n + 1], and the counts [n]."""
    kind = pretokens.type
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_string, pa.types.is_large_string)
    if not any(is_kind(kind) for is_kind in tests):
        raise TypeError(f"pre-tokens are binary or strings, not {kind}")
    if pretokens.null_count:
        raise ValueError(f"{pretokens.null_count} of {len(pretokens)} pre-tokens are null")
    weights = np.array(counts)
    if weights.dtype != np.int64:
        raise TypeError(f"counts are int64, not {weights.dtype}")
    if len(weights) != len(pretokens):
        raise ValueError(f"{len(pretokens)} pre-tokens, but {len(weights)} counts")
    if weights.min(initial=0) < 0:
        raise ValueError(f"a pre-token with the count {weights.min()}")
    if isinstance(pretokens, pa.ChunkedArray):
        pretokens = pretokens.cast(pa.large_binary()).combine_chunks()
    data, offsets = buffers(pretokens)
    data, offsets = data[offsets[0] : offsets[-1]], offsets - offsets[0]
    if max(len(data), len(weights)) > MOST_BYTES:
        raise ValueError(f"{len(weights)} different pre-tokens of {len(data)} bytes: raise the least count")
    total = float(np.diff(offsets).astype(np.float64) @ weights.astype(np.float64))
    if total >= MOST_WEIGHT:
        raise ValueError(
            f"the pre-tokens stand for {total:.3g} bytes; pairs are counted in 64 bits, for less than 2^62"
        )
    return data, offsets, weights
