"""Train a classifier of good and bad texts, and measure it on texts that it was not trained on.

Texts are told apart by a 128-bit hash of their normalized words: what occurs twice on one side counts once, what occurs
on both sides is dropped, and one hash in five is held back and never trained on. The larger side is thinned out to
the size of the smaller, by the hash, so that a score of 0.5 means as likely good as bad. Texts wait in files, not in
memory.
"""

import ctypes
import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import fasttext
import numpy as np
import xxhash
from numpy.typing import NDArray

from filters.fasttext_model import FastTextModel
from filters.learned import BAD, GOOD, normalized_words, scores
from filters.learned_texts import batches
from filters.ranking import average_precision, roc_auc

# Words and pairs of neighbours, as DCLM's classifier has them (Li et al. 2024, arXiv 2406.11794). Of nine settings
# tried on a few thousand web texts, those with a rate of 0.3 or more and 8 to 25 epochs ranked alike, and this one lies
# among them; a rate of 0.1 learnt too little, letter n-grams ranked worse.
PARAMETERS = {"dim": 16, "wordNgrams": 2, "bucket": 200_000, "minCount": 2, "epoch": 10, "lr": 0.5}
LEAST = 100  # different texts a side; below, the measures say nothing
HELD_BACK = 5  # one text in five
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
BUCKETS = 256


class TooFewError(ValueError):
    """A side has too few texts to train on."""


class Example(NamedTuple):
    """A text: the hash of its normalized words, its side (`good` or `bad`), and the words."""

    hash: int
    side: str
    words: bytes

    @property
    def held_back(self) -> bool:
        """Whether the model is measured on it instead of trained."""
        return self.hash % HELD_BACK == 0


def example_of(words: bytes, side: str) -> Example:
    """The example that the normalized words of a text on one side are."""
    return Example(xxhash.xxh3_128_intdigest(words), side, words)


def train(good: Iterable[str], bad: Iterable[str], path: Path) -> dict[str, Any]:
    """Train a model from the texts of both sides, write it to `path`, and say what came of it.

    One thread and a fixed seed: the same texts, in whatever order, give the same file, byte for byte, with the same
    fastText on Linux with glibc. Temporary files take twice the room of the texts, of each at most 6 KiB.

    Returns:
        `sha256` and `bytes` of the file, `parameters`, for each side (`good`, `bad`) the number of `texts`, of those
        `without_words`, of `copies` of others of that side, of those `on_both_sides`, of those `held_back`, and
        of those `trained` on; `roc_auc`, `average_precision` and `thresholds`, all on what was held back.

    Raises:
        TooFewError: Fewer than 100 different texts are left on a side.
    """
    with tempfile.TemporaryDirectory() as folder:
        spool = Path(folder)
        sides = {side: _spool(texts, side, spool) for side, texts in ((GOOD, good), (BAD, bad))}
        for example in _settle(spool, sides):
            sides[example.side]["held_back" if example.held_back else "usable"] += 1
        for side, counts in sides.items():
            if counts["usable"] + counts["held_back"] < LEAST or not counts["held_back"]:
                raise TooFewError(_too_few(side, counts))
        lines = spool / "train.txt"
        _write_lines(_settled(spool), sides, lines)
        _fit(lines, path)
        measures = _measure(FastTextModel(path), _settled(spool))
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return {"sha256": digest, "bytes": len(content), "parameters": PARAMETERS, **sides, **measures}


def _too_few(side: str, counts: dict[str, int]) -> str:
    left = counts["usable"] + counts["held_back"]
    lost = [f"{counts[name]:,} {name.replace('_', ' ')}" for name in ("without_words", "copies", "on_both_sides")]
    return f"{side}: {left:,} different texts are left of {counts['texts']:,} ({', '.join(lost)}); {LEAST} are needed"


def _spool(texts: Iterable[str], side: str, folder: Path) -> dict[str, int]:
    """Append the texts' lines, HASH SIDE WORDS, to one of 256 files each, by the first byte of the hash."""
    counts = {"texts": 0, "without_words": 0, "copies": 0, "on_both_sides": 0, "held_back": 0, "usable": 0}
    with ExitStack() as stack:
        files = [stack.enter_context((folder / f"{i:03}").open("ab")) for i in range(BUCKETS)]
        for batch in batches(texts):
            for words in normalized_words(batch):
                counts["texts"] += 1
                if not words:
                    counts["without_words"] += 1
                    continue
                example = example_of(words, side)
                files[example.hash >> 120].write(b"%032x %s %s\n" % (example.hash, side.encode(), words))
    return counts


def _settle(folder: Path, sides: dict[str, dict[str, int]]) -> Iterator[Example]:
    """Sort each file, leave one line of copies and none of what is on both sides; the examples that are left."""
    for i in range(BUCKETS):
        file = folder / f"{i:03}"
        kept = []
        for _, lines in groupby(sorted(file.read_bytes().splitlines(keepends=True)), key=lambda line: line[:32]):
            group = list(lines)
            same = [_example(line).side for line in group]
            both = len(set(same)) > 1
            for side in set(same):
                sides[side]["copies"] += same.count(side) - 1
                sides[side]["on_both_sides"] += both
            if not both:
                kept.append(group[0])
        file.write_bytes(b"".join(kept))
        yield from map(_example, kept)


def _settled(folder: Path) -> Iterator[Example]:
    for i in range(BUCKETS):
        with (folder / f"{i:03}").open("rb") as file:
            yield from map(_example, file)


def _example(line: bytes) -> Example:
    digest, side, words = line.rstrip(b"\n").split(b" ", 2)
    return Example(int(digest, 16), side.decode(), words)


def _write_lines(examples: Iterator[Example], sides: dict[str, dict[str, int]], path: Path) -> None:
    """Write fastText's training file, both sides about equally large, in the order of the hashes."""
    usable = {side: counts.pop("usable") for side, counts in sides.items()}
    share = {side: min(usable.values()) / count for side, count in usable.items()}
    for counts in sides.values():
        counts["trained"] = 0
    with path.open("wb") as file:
        for example in examples:
            # By bits of their own: the highest ones order.
            thinned = (example.hash >> 32 & 0xFFFFFFFF) / 2**32 >= share[example.side]
            if not (example.held_back or thinned):
                sides[example.side]["trained"] += 1
                file.write(b"__label__%s %s\n" % (example.side.encode(), example.words))


def _fit(lines: Path, path: Path) -> None:
    with zeroed_memory():
        model = fasttext.train_supervised(input=str(lines), thread=1, seed=1, verbose=0, loss="softmax", **PARAMETERS)
    model.save_model(str(path))


@contextmanager
def zeroed_memory() -> Iterator[None]:
    """Have the C library hand out memory filled with zeros, where it is glibc.

    With one thread fastText 0.9 sets only the first tenth of its input matrix at random and leaves the rest as the
    memory was: at best not repeatable, at worst NaN.
    """
    m_perturb, zeros, off = -6, 0xFF, 0
    mallopt = getattr(ctypes.CDLL(None), "mallopt", lambda option, value: 0)
    mallopt(m_perturb, zeros)
    try:
        yield
    finally:
        mallopt(m_perturb, off)


def _measure(model: FastTextModel, examples: Iterator[Example]) -> dict[str, Any]:
    """How well the model ranks the held-back examples, and what a rule `learned.score < THRESHOLD` would do."""
    pairs = [(e.side == GOOD, scores(model, [e.words])[0]) for e in examples if e.held_back]
    is_good, found = np.array([good for good, _ in pairs]), np.array([value for _, value in pairs]).round(4)
    return {
        "roc_auc": round(roc_auc(is_good, found), 4),
        "average_precision": round(average_precision(is_good, found), 4),
        "thresholds": [_at(threshold, is_good, found) for threshold in THRESHOLDS],
    }


def _at(threshold: float, is_good: NDArray[np.bool_], scores: NDArray[np.float64]) -> dict[str, float | None]:
    """Precision and recall of what a threshold keeps as good: no precision where it keeps nothing."""
    kept = scores >= threshold
    right = int((kept & is_good).sum())
    return {
        "threshold": threshold,
        "precision": round(right / int(kept.sum()), 4) if kept.any() else None,
        "recall": round(right / int(is_good.sum()), 4),
        "bad_dropped": round(float((~kept & ~is_good).sum() / (~is_good).sum()), 4),
    }
