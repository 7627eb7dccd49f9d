"""Adding up partial counts of pre-tokens, and keeping those that are frequent enough, in bounded memory."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tokenizer.count import COUNTS, count
from tokenizer.split_kernel import Ints

MOST_PRETOKENS = 20_000_000
MOST_BYTES = 1 << 30
"""How many pre-tokens are kept at most, and how many bytes of them, where no least count is given. Training takes up to
400 bytes of memory for each pre-token: 8 GB."""

_BATCH_BYTES = 1 << 24  # of text, counted at once
_RANGE = 1 << 20  # pre-tokens that are added up at once


class Tally(NamedTuple):
    """The counts to train on, and what they leave out."""

    pretokens: pa.Array
    """Large binary [n]: the different pre-tokens that count `min_count` and more."""
    counts: pa.Array
    """int64 [n]."""
    min_count: int
    """0 where all are kept."""
    unique: int
    """How many different pre-tokens there are, those left out among them."""
    bytes: int
    """Bytes of text, each as often as it counts."""
    bytes_left_out: int

    def facts(self) -> dict[str, int | float]:
        """What a report says of the counts; `share_left_out` is of `bytes`."""
        return {
            "bytes": self.bytes,
            "pretokens": self.unique,
            "pretokens_kept": len(self.counts),
            "min_count": self.min_count,
            "share_left_out": self.bytes_left_out / self.bytes if self.bytes else 0.0,
        }


def count_texts(texts: Iterable[str], pattern: str, min_count: int | None = None) -> Tally:
    """Count the pre-tokens of texts in one process; partial counts go to temporary files. Raises as `count.count`."""
    with TemporaryDirectory(prefix="gristmill-") as folder:
        return keep(summed(count(_batches(texts), pattern), Path(folder)), min_count)


def _batches(texts: Iterable[str]) -> Iterator[tuple[pa.Array, Ints]]:
    batch: list[str] = []
    held = 0
    for text in texts:
        batch.append(text)
        held += len(text)
        if held >= _BATCH_BYTES:
            yield pa.array(batch, pa.large_string()), np.ones(len(batch), np.int64)
            batch, held = [], 0
    yield pa.array(batch, pa.large_string()), np.ones(len(batch), np.int64)


def keep(
    sums: Iterable[pa.RecordBatch],
    min_count: int | None = None,
    scale: int = 1,
    most: int = MOST_PRETOKENS,
    most_bytes: int = MOST_BYTES,
) -> Tally:
    """Keep the pre-tokens that count `min_count` and more; they need not be in any order.

    `sums`: batches in the form of COUNTS, no pre-token twice; `scale`: what a count of 1 is in them. Without
    `min_count` it is the least with which no more than `most` pre-tokens of `most_bytes` bytes are kept.
    """
    least = min_count or 0
    kept = COUNTS.empty_table()
    unique = total = 0
    for batch in sums:
        unique += len(batch)
        total += _weight(batch)
        kept = pa.concat_tables([kept, pa.Table.from_batches([batch]).filter(pc.field("count") >= least * scale)])
        # Only now and then, since each time costs a sort. What goes now would go at the end as well.
        if min_count is None and (len(kept) > 2 * most or kept.nbytes > 2 * most_bytes):
            least, kept = _fitting(kept, least, scale, most, most_bytes)
    if min_count is None:
        least, kept = _fitting(kept, least, scale, most, most_bytes)
    pretokens, counts = (kept[name].combine_chunks() for name in COUNTS.names)
    return Tally(pretokens, counts, least, unique, total, total - _weight(kept))


def _weight(counts: pa.RecordBatch | pa.Table) -> int:
    return pc.sum(pc.multiply(pc.binary_length(counts["pretoken"]), counts["count"])).as_py() or 0


def _fitting(kept: pa.Table, least: int, scale: int, most: int, most_bytes: int) -> tuple[int, pa.Table]:
    """The least count with which what is kept fits, and what is kept then."""
    counts, sizes = kept["count"].to_numpy(), pc.binary_length(kept["pretoken"]).to_numpy()
    order = np.argsort(-counts, kind="stable")
    fitting = min(most, int(np.searchsorted(np.cumsum(sizes[order]), most_bytes, "right")))
    if fitting >= len(order):
        return least, kept
    least = int(counts[order[fitting]]) // scale + 1  # more than the first that does not fit
    return least, kept.filter(pc.field("count") >= least * scale)


def summed(partials: Iterable[pa.RecordBatch], folder: Path) -> Iterator[pa.RecordBatch]:
    """Add partial counts up; yields batches in the form of COUNTS, no pre-token twice.

    Where there are several, each is sorted and written into `folder`; then they are read together, range by range.
    """
    partials = iter(partials)
    few = list(islice(partials, 2))
    if len(few) < 2:
        yield from few
        return
    runs = [_run(partial, folder / f"{number}.arrow") for number, partial in enumerate(chain(few, partials))]
    step = max(_RANGE // len(runs), 1)
    at = [0] * len(runs)
    while any(start < len(run) for start, run in zip(at, runs)):
        # Up to here no run holds more than `step` further pre-tokens, and one of them holds as many.
        nexts = [run["pretoken"][start + step].as_py() for start, run in zip(at, runs) if start + step < len(run)]
        border = min(nexts, default=None)
        ends = [len(run) if border is None else _first(run, border, start) for start, run in zip(at, runs)]
        parts = pa.concat_tables(run.slice(start, end - start) for run, start, end in zip(runs, at, ends))
        sums = parts.group_by("pretoken").aggregate([("count", "sum")]).select(["pretoken", "count_sum"])
        yield from sums.rename_columns(COUNTS.names).cast(COUNTS).to_batches()
        at = ends


def _run(partial: pa.RecordBatch, file: Path) -> pa.Table:
    """A partial count, sorted, in a file that is mapped into memory."""
    with pa.ipc.new_file(file, COUNTS) as writer:
        writer.write(partial.take(pc.sort_indices(partial["pretoken"])))
    return pa.ipc.open_file(pa.memory_map(str(file))).read_all()


def _first(run: pa.Table, border: bytes, start: int) -> int:
    """The first row from `start` on whose pre-token is `border` or greater."""
    return bisect_left(run["pretoken"], border, start, key=lambda pretoken: pretoken.as_py())
