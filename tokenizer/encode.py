"""From text to ids and back, with a saved tokenizer."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer

from tokenizer import engines
from tokenizer.patterns import GPT2, PATTERNS
from tokenizer.pieces import pieces
from tokenizer.vocabulary import read_tokenizer, special_ids, tokenizer_file

BATCH_CHARACTERS = 1 << 20
"""How much text `tokenizers` holds at once, at over 100 bytes of memory a character."""

Ids = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


class Encoder:
    """A tokenizer as the corpus uses it: text never becomes a special token; BOS and EOS are the caller's to add.

    `engine` says what encodes, and what came of comparing it with the reference: see `engines.Compared`.
    """

    def __init__(self, path: Path | str, engine: str = "reference") -> None:
        content = read_tokenizer(path)
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file(path)))
        # Not kept in tokenizer.json, so it has to be set again by whoever loads one.
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._divisible = _divisible(content)
        self.vocabulary_size: int = 1 + max(self._tokenizer.get_vocab(with_added_tokens=True).values())
        self.special_ids: dict[str, int] = special_ids(path)
        self.dtype: np.dtype = np.dtype(np.uint16 if self.vocabulary_size <= 1 << 16 else np.uint32)
        self.engine = engines.choose(content, self._reference, engine)

    def encode_batch(self, texts: Iterable[str] | pa.Array | pa.ChunkedArray) -> tuple[Ids, npt.NDArray[np.int64]]:
        """The ids of all texts in a row, uint16 (uint32 above 65,536 entries), and where each begins, int64[texts + 1].

        Text i is `values[offsets[i] : offsets[i + 1]]`. Raises ValueError for a null and UnicodeEncodeError for a str
        with an unpaired surrogate: neither is a text.
        """
        if isinstance(texts, pa.Array | pa.ChunkedArray):
            if texts.null_count:
                raise ValueError(f"{texts.null_count} of {len(texts)} texts are null")
            texts = texts.to_pylist()
        values: list[Ids] = []
        parts_of: list[int] = []
        lengths: list[npt.NDArray[np.int64]] = []
        for parts in self._batches(texts, parts_of):
            ids, sizes = self.engine(parts)
            values.append(ids.astype(self.dtype, copy=False))
            lengths.append(sizes)
        ends = np.cumsum(np.concatenate([np.zeros(1, np.int64), *lengths]))
        offsets = ends[np.cumsum([0, *parts_of])]
        return np.concatenate([np.empty(0, dtype=self.dtype), *values]), offsets

    def encode_arrow(self, texts: Iterable[str] | pa.Array | pa.ChunkedArray) -> pa.LargeListArray:
        """The ids of each text as an Arrow list of uint16 or uint32, over the buffers of `encode_batch`."""
        values, offsets = self.encode_batch(texts)
        return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values))

    def encode(self, text: str) -> Ids:
        """The ids of one text."""
        return self.encode_batch([text])[0]

    def decode(self, ids: Sequence[int] | npt.NDArray[np.integer]) -> str:
        """The text of the ids, special tokens spelled out; bytes that are not UTF-8 become U+FFFD."""
        return self._tokenizer.decode(np.asarray(ids).tolist(), skip_special_tokens=False)

    def _batches(self, texts: Iterable[str], parts_of: list[int]) -> Iterator[list[str]]:
        """The texts in parts, about BATCH_CHARACTERS at once; appends how many parts each text has."""
        batch: list[str] = []
        held = 0
        for text in texts:
            parts_of.append(0)
            for part in pieces(text) if self._divisible else [text]:
                parts_of[-1] += 1
                batch.append(part)
                held += len(part)
                if held >= BATCH_CHARACTERS:
                    yield batch
                    batch, held = [], 0
        if batch:
            yield batch

    def _reference(self, parts: list[str]) -> engines.Flat:
        try:
            encodings = self._tokenizer.encode_batch_fast(parts, add_special_tokens=False)
        except TypeError:
            for part in parts:
                part.encode()  # an unpaired surrogate: says so, which the library does not
            raise
        lengths = np.fromiter(map(len, encodings), np.int64, len(encodings))
        ids = chain.from_iterable(encoding.ids for encoding in encodings)
        return np.fromiter(ids, self.dtype, int(lengths.sum())), lengths


def load(path: Path | str, engine: str = "reference") -> Encoder:
    """The tokenizer saved in a directory or a tokenizer.json; raises FileNotFoundError, or ValueError when it is none.

    `engine` as in `engines.choose`: with any of them, the ids are those of the reference.

    Keeps `tokenizers` to one thread unless TOKENIZERS_PARALLELISM says otherwise: Spark and data loaders already run a
    process per core, and a process forked after the library's thread pool has started can wait for it for ever.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return Encoder(path, engine)


def _divisible(content: dict) -> bool:
    """Whether a text may be encoded in pieces: only where the split pattern is one for which `pieces` is proven."""
    if content.get("normalizer") is not None or any(not token["special"] for token in content["added_tokens"]):
        return False
    outer = content.get("pre_tokenizer") or {}
    steps = outer["pretokenizers"] if outer.get("type") == "Sequence" else [outer]
    if len(steps) == 3 and steps[2].get("type") == "Split":  # of WordPiece: within pre-tokens, which are whole
        steps = steps[:2]
    if not steps or steps[-1].get("type") != "ByteLevel" or steps[-1]["add_prefix_space"]:
        return False
    if len(steps) == 1:
        return bool(steps[0]["use_regex"])  # the regex inside ByteLevel is GPT-2's
    split, level = steps[0], steps[-1]
    return (
        len(steps) == 2
        and not level["use_regex"]
        and split.get("type") == "Split"
        and split["behavior"] == "Isolated"
        and not split["invert"]
        and split["pattern"].get("Regex") in {GPT2, *PATTERNS.values()}
    )
