"""Faster engines that read the same tokenizer.json, each trusted no further than it was compared.

`tokenizers` is the reference. An engine is given a copy of tokenizer.json in which no text spells a special token. It
is compared with the reference on hostile strings when it is loaded, and on a sample of everything that it encodes; at
the first difference the reference takes over, for good. Texts with characters that an engine is known to class
otherwise go to the reference at once.
"""

import json
import os
from collections.abc import Callable, Sequence
from copy import deepcopy
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from tokenizer.hostile import hostile_texts
from tokenizer.patterns import GPT2
from tokenizer.vocabulary import is_byte_level

Flat = tuple[NDArray[np.unsignedinteger], NDArray[np.int64]]
"""The ids of several texts in a row, and how many each has, int64 [texts]."""

EncodeTexts = Callable[[list[str]], Flat]

SAMPLE = 64
"""One character in so many is encoded by the reference as well: 1.6% of its time."""

ALLOWANCE = 1 << 16
"""Characters that may be compared before there were SAMPLE times as many."""

_GIGATOKEN_FORGETS = 1 << 26
"""Characters after which gigatoken is built anew: its cache of words has no bound (measured with 0.10.0: 2.2 GB after
290 MB of random words; fastokens 0.3.5 stayed at 0.4 GB)."""


class Engine(NamedTuple):
    """How to build an engine from a tokenizer.json's content, and the ranges of characters that it does not class as
    the reference does under some pattern (measured over all of Unicode with the versions in constraints.txt)."""

    build: Callable[[str], EncodeTexts]
    doubtful: tuple[tuple[int, int], ...]


class Compared:
    """An engine, or the reference alone: see `choose`. Called with texts, it gives the ids of the reference.

    `engine`: what is in use; `compared`: how many texts both encoded, hostile strings left out; `differed`: how many of
    them got different ids, all in one batch, since then the reference takes over; `reasons`: why what was tried is not
    in use.
    """

    def __init__(self, reference: EncodeTexts) -> None:
        self.engine = "reference"
        self.compared = self.differed = 0
        self.reasons: list[str] = []
        self._reference = reference
        self._encode = reference
        self._doubtful = np.zeros(0, np.bool_)
        self._seen = self._spent = 0

    def use(self, name: str, content: dict[str, Any]) -> bool:
        """Take up an engine if it reads this tokenizer and encodes the hostile strings as the reference does."""
        if not installed(name):
            self.reasons.append(f"{name} is not installed")
            return False
        if not is_byte_level(content):
            self.reasons.append(f"{name} is used for byte-level BPE alone")
            return False
        try:
            self._encode = ENGINES[name].build(json.dumps(_without_special_tokens(content)))
        except BaseException as error:  # a Rust panic is no Exception
            self._give_up(f"{name} cannot read this tokenizer", error)
            return False
        self.engine = name
        self._doubtful = _table(ENGINES[name].doubtful)
        texts = hostile_texts(content)
        self._checked(texts, range(len(texts)))
        self.compared = self.differed = 0
        return self.engine == name

    def count_anew(self) -> None:
        """Forget how many texts were compared, but no reason: the counts are then those of the next task."""
        self.compared = self.differed = 0

    def __call__(self, texts: list[str]) -> Flat:
        """The ids of the texts, and how many each has."""
        if self.engine == "reference":
            return self._reference(texts)
        return self._checked(texts, self._sample(texts))

    def _checked(self, texts: list[str], sample: Sequence[int]) -> Flat:
        """The engine's ids, where those of the sample are the reference's; the reference's otherwise."""
        try:
            values, lengths = self._encode(texts)
        except BaseException as error:
            self._give_up(f"{self.engine} failed", error)
            return self._reference(texts)
        doubtful = [number for number, text in enumerate(texts) if self._doubts(text)]
        again = sorted({*sample, *doubtful})
        if not again:
            return values, lengths
        ids = np.split(values, np.cumsum(lengths)[:-1])
        expected, sizes = self._reference([texts[number] for number in again])
        compared = set(again) - set(doubtful)
        self.compared += len(compared)
        differ = []
        for number, right in zip(again, np.split(expected, np.cumsum(sizes)[:-1]), strict=True):
            if number in compared and not np.array_equal(ids[number], right):
                differ.append(texts[number])
            ids[number] = right
        if differ:
            self.differed += len(differ)
            self._give_up(f"{self.engine} gives other ids than tokenizers, for one on {differ[0][:80]!r}")
            return self._reference(texts)
        return np.concatenate(ids), np.array([len(part) for part in ids], np.int64)

    def _sample(self, texts: list[str]) -> list[int]:
        """Which of the texts to compare: the first by hash for which there is time."""
        self._seen += sum(map(len, texts))
        chosen = []
        for number in sorted(range(len(texts)), key=lambda number: xxhash.xxh3_64_intdigest(_start(texts[number]))):
            if self._spent + len(texts[number]) <= ALLOWANCE + self._seen // SAMPLE:
                self._spent += len(texts[number])
                chosen.append(number)
        return chosen

    def _doubts(self, text: str) -> bool:
        return not text.isascii() and bool(self._doubtful[np.frombuffer(text.encode("utf-32-le"), np.uint32)].any())

    def _give_up(self, reason: str, error: BaseException | None = None) -> None:
        """Go on with the reference alone."""
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise error
        self.reasons.append(reason if error is None else f"{reason}: {str(error).splitlines()[0][:200]}")
        self.engine, self._encode = "reference", self._reference


def choose(content: dict[str, Any], reference: EncodeTexts, choice: str) -> Compared:
    """What encodes the texts of a tokenizer.json's content: `choice` is `reference`, an engine, or `auto`, the first
    engine that is installed and passes. Raises ValueError for any other name, and for an engine that is not installed.
    """
    if choice not in CHOICES:
        raise ValueError(f"there is no engine {choice!r}; there are: {', '.join(CHOICES)}")
    compared = Compared(reference)
    if choice == "auto":
        any(compared.use(name, content) for name in ENGINES)
    elif choice != "reference":
        require(choice)
        compared.use(choice, content)
    return compared


def installed(name: str) -> bool:
    """Whether an engine's package is there."""
    return find_spec(name) is not None


def require(choice: str) -> None:
    """Raise ValueError for an engine that is asked for by name and not installed."""
    if choice in ENGINES and not installed(choice):
        raise ValueError(f"the engine {choice} is not installed (`pip install {choice}`); with auto, others would do")


def _without_special_tokens(content: dict[str, Any]) -> dict[str, Any]:
    """A copy that splits and merges alike, but in which a special token is a word that no text has.

    Each stays in the vocabulary, since engines want every id, under a spelling with U+E000, which is no letter of the
    byte alphabet. Two splits are spelt as the engines know them by heart, which makes them several times faster.
    """
    special = {token["content"]: token["id"] for token in content["added_tokens"] if token["special"]}
    vocabulary = {token: number for token, number in content["model"]["vocab"].items() if token not in special}
    vocabulary |= {f"\ue000{number}": number for number in special.values()}
    copy = content | {
        "added_tokens": [token for token in content["added_tokens"] if not token["special"]],
        "model": content["model"] | {"vocab": vocabulary},
        "pre_tokenizer": deepcopy(content["pre_tokenizer"]),
    }
    copy |= {"post_processor": None, "truncation": None, "padding": None}
    steps = copy["pre_tokenizer"].get("pretokenizers", [])
    if len(steps) == 2 and "Regex" in steps[0].get("pattern", {}):
        pattern = steps[0]["pattern"]["Regex"]
        steps[0]["pattern"] = {"Regex": pattern.replace(r"\p{N}{1,1}", r"\p{N}")}
        if pattern == GPT2 and steps[0]["behavior"] == "Isolated" and not steps[0]["invert"]:
            copy["pre_tokenizer"] = steps[1] | {"use_regex": True}
    return copy


def _start(text: str) -> bytes:
    return text[:256].encode("utf-8", "surrogatepass")


def _table(ranges: tuple[tuple[int, int], ...]) -> NDArray[np.bool_]:
    table = np.zeros(0x110000, np.bool_)
    for first, last in ranges:
        table[first : last + 1] = True
    return table


def _lengths(offsets: NDArray[np.integer]) -> NDArray[np.int64]:
    return (offsets[1:] - offsets[:-1]).astype(np.int64)


def _fastokens(content: str) -> EncodeTexts:
    # Its thread pool is as large as the machine, and of no use to a process that is one of many.
    if os.environ.get("TOKENIZERS_PARALLELISM", "true") == "false":
        os.environ.setdefault("RAYON_NUM_THREADS", "1")
    from fastokens import Tokenizer

    engine = Tokenizer.from_json_str(content)

    def encode(texts: list[str]) -> Flat:
        ids, offsets = engine.encode_batch_flat(texts)
        return np.frombuffer(ids, "<u4"), _lengths(np.frombuffer(offsets, "<u8"))

    return encode


def _gigatoken(content: str) -> EncodeTexts:
    from gigatoken import Tokenizer

    engine = Tokenizer.from_json(content)
    held = 0

    def encode(texts: list[str]) -> Flat:
        nonlocal engine, held
        if held > _GIGATOKEN_FORGETS:
            engine, held = Tokenizer.from_json(content), 0
        held += sum(map(len, texts))
        layout = engine.encode_batch(texts, parallel=False).layout
        return np.asarray(layout.content.data), _lengths(np.asarray(layout.offsets.data))

    return encode


_UNICODE_17 = (
    (0x88F, 0x88F), (0xC5C, 0xC5C), (0xCDC, 0xCDC), (0x1ACF, 0x1ADD), (0x1AE0, 0x1AEB), (0xA7CE, 0xA7CF),
    (0xA7D2, 0xA7D2), (0xA7D4, 0xA7D4), (0xA7F1, 0xA7F1), (0x10940, 0x10959), (0x10EC5, 0x10EC7), (0x10EFA, 0x10EFB),
    (0x11B60, 0x11B67), (0x11DB0, 0x11DDB), (0x11DE0, 0x11DE9), (0x16EA0, 0x16EB8), (0x16EBB, 0x16ED3),
    (0x16FF2, 0x16FF6), (0x187F8, 0x187FF), (0x18D09, 0x18D1E), (0x18D80, 0x18DF2), (0x1E6C0, 0x1E6DE),
    (0x1E6E0, 0x1E6F5), (0x1E6FE, 0x1E6FF), (0x2B73A, 0x2B73F), (0x2CEA2, 0x2CEAD), (0x323B0, 0x33479),
)  # fmt: skip
"""What became a letter, a digit or a mark after Unicode 16, which is the reference's."""

ENGINES = {
    # (?i:'s) takes in U+017F for the reference alone; U+180E is white space to its general regular expressions.
    "fastokens": Engine(_fastokens, ((0x17F, 0x17F), (0x180E, 0x180E))),
    "gigatoken": Engine(_gigatoken, _UNICODE_17),
}
"""In the order in which they are tried: gigatoken is as fast and not as exact."""

CHOICES = ("auto", "reference", *ENGINES)
