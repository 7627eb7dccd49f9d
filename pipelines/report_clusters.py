"""What a report counts of documents that have duplicates: who was dropped for whom, and clusters by size.

Documents are looked at so many at a time as fit into memory, all of a cluster together; pairs stream by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines import datasets
from pipelines.errors import GristmillError
from pipelines.lookup import Finished, Row, batches, find, keys, unkeyed
from pipelines.report_verdicts import AT_ONCE, Verdicts, codes, share_of, sole_rules

TOP_CLUSTERS = 5


class Clusters:
    """What is counted of the documents that have duplicates, and of their clusters.

    kinds: documents dropped as `exact`, `near`, `linked`; not_alone: as for `report_facts.rule_facts`;
    matrix: int64[sources, sources], documents of the row's source dropped for one of the column's; bins: int64[64],
    clusters of more than 2^(k - 1) and at most 2^k documents.
    """

    def __init__(self, finished: Finished, verdicts: Verdicts) -> None:
        self.kinds: Counter[str] = Counter()
        self.not_alone: Counter[str] = Counter()
        self.matrix = np.zeros((len(verdicts.sources), len(verdicts.sources)), np.int64)
        self.bins = np.zeros(64, np.int64)
        self.documents = 0
        self.largest: list[Row] = []
        pairs = datasets.files(finished.output, "pairs")
        held = sum(batch.num_rows - batch["index"].null_count for batch in batches(pairs, ["index"]))
        # Of a cluster of n >= 2 documents at least n - 1 bear another's name; alone is only who has an earlier run's.
        shares = -(-(2 * verdicts.joined + held) // AT_ONCE)
        for share in range(shares):
            members = Members(verdicts, pairs, share, shares)
            content = members.content()
            self._count_dropped(members, content)
            self._count_clusters(members, verdicts.sources)
            self.not_alone.update(members.not_alone(content))

    def _count_dropped(self, members: Members, content: NDArray[np.int64]) -> None:
        dropped = np.flatnonzero(members.rows["original"] != b"")
        original, known = find(members.rows["id"], members.rows["original"][dropped])
        if not known.all():
            lost = unkeyed(members.rows["id"][dropped[~known]][0])
            raise GristmillError(f"verdicts: {lost} is a duplicate of a document that is not of its cluster")
        sources = members.rows["source"]
        np.add.at(self.matrix, (sources[dropped], sources[original]), 1)
        exact = content[dropped] == content[original]
        linked = ~exact & members.rows["linked"][dropped]
        self.kinds.update(exact=int(exact.sum()), linked=int(linked.sum()), near=int((~exact & ~linked).sum()))

    def _count_clusters(self, members: Members, sources: list[str]) -> None:
        sizes = np.bincount(members.rows["cluster"], minlength=len(members.names))
        several = sizes[sizes > 1]  # a cluster that reaches into an earlier run may have one document here
        self.documents += int(several.sum())
        self.bins += np.bincount(np.ceil(np.log2(several)).astype(np.int64), minlength=64)
        for cluster in np.argsort(-sizes, kind="stable")[: min(TOP_CLUSTERS, len(several))]:
            rows = members.rows[members.rows["cluster"] == cluster]
            by_source = np.bincount(rows["source"], minlength=len(sources)).tolist()
            self.largest.append(
                {
                    "cluster": unkeyed(members.names[cluster]),
                    "size": len(rows),
                    "kept": int(rows["kept"].sum()),
                    "sources": {name: n for name, n in zip(sources, by_source) if n},
                }
            )
        self.largest = sorted(self.largest, key=lambda row: (-row["size"], row["cluster"]))[:TOP_CLUSTERS]


MEMBER = np.dtype(
    [
        ("id", "S16"),
        ("cluster", np.int32),  # position in names
        ("source", np.int16),  # position in the sources
        ("rule", np.int16),  # position in the rules of the rule that alone drops it; -1
        ("kept", bool),
        ("held_out", bool),
        ("original", "S16"),  # of which it is a duplicate; empty where there is none, or an earlier run holds it
        ("linked", bool),  # it was not found similar to its original
    ]
)


class Members:
    """Of one of `shares` shares of all clusters the documents, with those that are similar to an earlier run's alone.

    names: S16[clusters], sorted; rows: MEMBER[n], sorted by id. In memory 45 bytes a document, twice that to sort them.
    """

    def __init__(self, verdicts: Verdicts, pairs: list[str], share: int, shares: int) -> None:
        self.pairs, self.rules = pairs, sorted(verdicts.single)
        joined = (
            batch["cluster"].filter(pc.not_equal(batch["cluster"], batch["doc_id"]))
            for batch in batches(verdicts.files, ["doc_id", "cluster"])
        )
        held = (batch["b"].filter(pc.is_valid(batch["index"])) for batch in batches(pairs, ["b", "index"]))
        names = (found[share_of(found, shares) == share] for found in map(keys, chain(joined, held)))
        self.names = _distinct(np.concatenate([np.empty(0, "S16"), *map(_distinct, names)]))
        rows = [np.empty(0, MEMBER)]
        columns = ["doc_id", "source", "failed_rules", "duplicate_of", "duplicate_in", "similarity", "cluster"]
        for batch in batches(verdicts.files, [*columns, "kept", "split"]):
            cluster, here = find(self.names, keys(batch["cluster"]))
            rows.append(self._rows(batch.filter(pa.array(here)), cluster[here], verdicts.sources))
        unsorted = np.concatenate(rows)
        del rows  # as much again
        self.rows = unsorted[np.argsort(unsorted["id"])]

    def _rows(self, batch: pa.RecordBatch, cluster: NDArray[np.int64], sources: list[str]) -> NDArray[np.void]:
        rows = np.zeros(len(batch), MEMBER)
        rows["id"], rows["cluster"] = keys(batch["doc_id"]), cluster
        rows["source"], rows["rule"] = codes(batch["source"], sources), codes(sole_rules(batch), self.rules)
        rows["kept"] = batch["kept"].to_numpy(zero_copy_only=False)
        rows["held_out"] = pc.not_equal(batch["split"], "train").to_numpy(zero_copy_only=False)
        rows["linked"] = pc.is_null(batch["similarity"]).to_numpy(zero_copy_only=False)
        here = pc.and_(pc.is_valid(batch["duplicate_of"]), pc.is_null(batch["duplicate_in"]))
        rows["original"][here.to_numpy(zero_copy_only=False)] = keys(batch["duplicate_of"].filter(here))
        return rows

    def content(self) -> NDArray[np.int64]:
        """For each document the position of the one that stands for all of the same content: int64[n]."""
        found = np.arange(len(self.rows))
        for kind, a, b in self._pairs():
            if kind == "exact":
                found[b] = a
        return found

    def not_alone(self, content: NDArray[np.int64]) -> Counter[str]:
        """By rule, how many of the documents that it alone drops would be dropped without it: a similar document is
        kept, here or in an earlier run, or the document is held out and one of its cluster is kept in train."""
        rows = self.rows
        asked = rows["rule"] >= 0
        if not asked.any():
            return Counter()
        stays = np.zeros(len(rows), bool)  # by content
        stays[content[rows["kept"]]] = True
        beaten = stays.copy()
        for kind, a, b in self._pairs():
            if kind == "near":
                beaten[a[stays[b]]] = True
                beaten[b[stays[a]]] = True
            elif kind == "held":
                beaten[content[b]] = True
        trained = np.zeros(len(self.names), bool)
        trained[rows["cluster"][rows["kept"] & ~rows["held_out"]]] = True
        dropped = asked & (beaten[content] | (rows["held_out"] & trained[rows["cluster"]]))
        counts = np.bincount(rows["rule"][dropped], minlength=len(self.rules)).tolist()
        return Counter(dict(zip(self.rules, counts)))

    def _pairs(self) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.int64]]]:
        """The pairs as (kind, a, b), a batch of one kind at a time; a and b are positions.

        The kind is `held` where `a` is of an earlier run: then it is no position.
        """
        for batch in batches(self.pairs, ["a", "b", "kind", "index"]):
            (a, a_here), (b, b_here) = (find(self.rows["id"], keys(batch[side])) for side in ("a", "b"))
            held = pc.is_valid(batch["index"]).to_numpy(zero_copy_only=False)
            exact = pc.equal(batch["kind"], "exact").to_numpy(zero_copy_only=False)
            yield "held", a[held & b_here], b[held & b_here]
            here = a_here & b_here & ~held
            yield "exact", a[here & exact], b[here & exact]
            yield "near", a[here & ~exact], b[here & ~exact]


def _distinct(ids: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
    """Sorted, each once; NumPy's unique takes several times as long of byte strings."""
    ids = np.sort(ids)
    return ids[np.r_[True, ids[1:] != ids[:-1]]] if len(ids) else ids
