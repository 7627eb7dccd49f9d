"""What a report counts of verdicts in one pass, and the documents by doc_id, so many at a time as fit into memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines import datasets
from pipelines.funnel import reasons
from pipelines.lookup import DUPLICATE, Examples, batches, find, keys

OF_RULE = 10  # examples of each rule
EXAMPLES = 3  # of anything else
AT_ONCE = 8_000_000  # documents in memory; more are gone through in several passes

COLUMNS = ["doc_id", "source", "failed_rules", "duplicate_of", "duplicate_in", "cluster", "stands_for", "kept", "part"]


class Verdicts:
    """What one pass over verdicts/ counts.

    `single`: by rule, documents for which it is the only reason; `held`: by (source, index), documents that an earlier
    run holds; `joined`: documents whose cluster has the name of another; `together`: by two names, the lesser first,
    documents on which both fired.
    """

    def __init__(self, output: Path) -> None:
        self.files = datasets.files(output, "verdicts")
        self.documents: Counter[str] = Counter()  # by source
        self.with_text: Counter[str] = Counter()  # by source
        self.fired: Counter[str] = Counter()
        self.single: Counter[str] = Counter()
        self.together: Counter[tuple[str, str]] = Counter()
        self.held: Counter[tuple[str, str]] = Counter()
        self.joined = self.stands_for = 0
        self.examples = Examples(OF_RULE)
        for batch in batches(self.files, COLUMNS):
            self._count(batch)
        self.sources = sorted(self.documents)

    def _count(self, batch: pa.RecordBatch) -> None:
        gated = pa.array(reasons(batch) == "gate")
        self.documents.update(batch["source"].to_pylist())
        self.with_text.update(batch["source"].filter(pc.invert(gated)).to_pylist())
        rules, rows = pc.list_flatten(batch["failed_rules"]), pc.list_parent_indices(batch["failed_rules"])
        found = {name: rows.filter(pc.equal(rules, name)) for name in pc.unique(rules).to_pylist()}
        found[DUPLICATE] = pc.indices_nonzero(pc.is_valid(batch["duplicate_of"]))
        for name, at in found.items():
            if len(at):
                self.fired[name] += len(at)
                self.examples.add(name, batch.take(at))
        self.together.update(overlaps(found, len(batch)))
        self.single.update(sole_rules(batch).drop_null().to_pylist())
        held = batch.filter(pc.is_valid(batch["duplicate_in"]))
        self.held.update(zip(held["source"].to_pylist(), held["duplicate_in"].to_pylist()))
        self.joined += pc.sum(pc.not_equal(batch["cluster"], batch["doc_id"])).as_py() or 0
        self.stands_for += pc.sum(batch["stands_for"]).as_py() or 0

    def tables(self) -> Iterator[Documents]:
        """All documents, up to `AT_ONCE` at a time."""
        shares = -(-self.documents.total() // AT_ONCE) or 1
        for share in range(shares):
            yield Documents(self, share, shares)


class Documents:
    """One of `shares` shares of all documents: n of them, sorted by doc_id. 19 bytes each, and twice that to sort them.

    ids: S16[n]; sources: int16[n], positions in `Verdicts.sources`; kept: bool[n].
    """

    def __init__(self, verdicts: Verdicts, share: int, shares: int) -> None:
        ids, sources, kept = [], [], []
        for batch in batches(verdicts.files, ["doc_id", "source", "kept"]):
            own = keys(batch["doc_id"])
            here = share_of(own, shares) == share
            ids.append(own[here])
            sources.append(codes(batch["source"], verdicts.sources)[here])
            kept.append(batch["kept"].to_numpy(zero_copy_only=False)[here])
        every = np.concatenate([np.empty(0, "S16"), *ids])
        order = np.argsort(every)
        self.ids = every[order]
        self.sources = np.concatenate([np.empty(0, np.int16), *sources])[order]
        self.kept = np.concatenate([np.empty(0, bool), *kept])[order]

    def find(self, doc_ids: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Of n ids the positions in `ids`, and which are there: int64[n], bool[n]."""
        return find(self.ids, keys(doc_ids))


def sole_rules(batch: pa.RecordBatch) -> pa.StringArray:
    """Of n rows of verdicts the rule without which the document would have been kept, as far as the row tells: the only
    reason why it was dropped, if that is a rule of a rule set or of language, else null: string[n]."""
    is_rule = np.isin(reasons(batch), ["rules", "language"])
    sole = is_rule & (pc.list_value_length(batch["failed_rules"]).to_numpy() == 1)
    sole &= pc.is_null(batch["duplicate_of"]).to_numpy(zero_copy_only=False)
    first = batch["failed_rules"].offsets[:-1].filter(pa.array(sole))
    found = np.full(len(batch), None, object)
    found[sole] = batch["failed_rules"].values.take(first).to_pylist()
    return pa.array(found, pa.string())


def overlaps(rows: dict[str, pa.Array], count: int) -> dict[tuple[str, str], int]:
    """Of `count` rows, on how many two rules fired, by their names, the lesser first. `rows`: by rule, which rows."""
    names = sorted(rows)
    fired = np.zeros((len(names), count), np.float32)  # counts up to 2^24 are exact, and a batch has fewer rows
    for number, name in enumerate(names):
        fired[number, rows[name].to_numpy()] = 1
    both = (fired @ fired.T).astype(np.int64)
    pairs = zip(*np.nonzero(np.triu(both, 1)))
    return {(names[a], names[b]): int(both[a, b]) for a, b in pairs}


def codes(names: pa.Array, known: list[str]) -> NDArray[np.int16]:
    """Of n names the positions in a list that has them all; -1 for null."""
    return pc.fill_null(pc.index_in(names, pa.array(known, pa.string())), -1).to_numpy().astype(np.int16)


def share_of(ids: NDArray[np.bytes_], shares: int) -> NDArray[np.int64]:
    """Which of about equal shares each id belongs to, by bytes that say nothing of its place in the order."""
    if shares == 1:
        return np.zeros(len(ids), np.int64)
    return (ids.view("<u8")[1::2] % np.uint64(shares)).astype(np.int64)
