"""What a report says of duplicates: its facts, and what the page draws of them."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pyarrow.compute as pc
from markupsafe import Markup
from numpy.typing import NDArray

from filters.minhash import SKETCH_SIZE
from pipelines import charts, datasets
from pipelines.dedup.curve import PERMUTATIONS, probability
from pipelines.lookup import DUPLICATE, Examples, Finished, Row, batches_where, documents_of, rows_where, shown
from pipelines.report_clusters import Clusters
from pipelines.report_verdicts import EXAMPLES, Verdicts

EXCERPT = 300  # characters
MOST_ROWS, MOST_COLUMNS = 30, 10  # of the table of sources


def duplicate_facts(finished: Finished, verdicts: Verdicts, counted: Clusters) -> Row:
    """What became of duplicates. All counts are of documents, but for pairs and clusters.

    dropped        those with a `duplicate_of`: exact + near + linked + held
    exact          ... of the same content
    near           ... that was found similar
    linked         ... to which only a chain of pairs leads (`transitive`)
    held           ... that an earlier run holds; `indexes` by name
    also_failed    of those dropped: those that a rule drops too, which is where the funnel counts them
    by_source      of each source with duplicates: its `documents`, how many of them were dropped as duplicates `of` a
                   document of which source, and how many an index `held`
    stands_for     documents that the kept ones stand for, themselves included
    clustered      documents in clusters of several
    cluster_sizes  clusters by size, a bin from its first size up to 2 (first - 1): 2, 3 to 4, 5 to 8, ...
    largest        of the largest clusters: size, documents kept, documents by source, examples
    """
    _add_examples(finished, counted.largest)
    held: Counter[str] = Counter()
    for (_, index), count in verdicts.held.items():
        held[index] += count
    dropped = verdicts.fired[DUPLICATE]
    funnel = finished.facts["judge"]["funnel"].values()
    return {
        "exact_pairs": finished.facts.get("match", {}).get("exact", 0),
        "near_pairs": finished.facts.get("match", {}).get("near", 0),
        "dropped": dropped,
        **{kind: counted.kinds[kind] for kind in ("exact", "near", "linked")},
        "held": held.total(),
        "indexes": dict(sorted(held.items())),
        "also_failed": dropped - sum(row["dropped_duplicate"] for row in funnel),
        "stands_for": verdicts.stands_for,
        "by_source": _by_source(counted.matrix, verdicts),
        "clusters": int(counted.bins.sum()),
        "clustered": counted.documents,
        "cluster_sizes": {str(2**k // 2 + 1): n for k, n in enumerate(counted.bins.tolist()) if n},
        "largest": counted.largest,
    }


def matching_facts(finished: Finished) -> Row:
    """How documents were compared, by what match says, or the config where match is silent; None: not known.

    bands, rows; threshold; verify (`Dedup.verify`); error: standard error of the similarity of two documents at the
    threshold, of `estimated` documents whose sketch is full, or of all where signatures were compared, and 0 of the
    others; bucket, hubs, passes and left_over: see `dedup.hubs`.
    """
    config, counted = finished.config.get("dedup") or {}, finished.facts.get("match", {})
    facts: Row = {name: config.get(name) for name in ("threshold", "verify", "bucket")}
    facts |= {name: counted.get(name, config.get(name)) for name in ("bands", "rows")}
    facts |= {name: counted.get(name) for name in ("hubs", "passes", "left_over", "estimated")}
    values = SKETCH_SIZE if facts["verify"] == "sketch" else PERMUTATIONS
    threshold = facts["threshold"]
    # Of a share of n values that agree; `minhash.jaccard` and `dedup.evidence.Evidence` say where it comes from.
    facts["error"] = None if threshold is None else math.sqrt(threshold * (1 - threshold) / values)
    facts["sketch"] = SKETCH_SIZE
    return facts


def _by_source(matrix: NDArray[np.int64], verdicts: Verdicts) -> Row:
    sources = verdicts.sources
    table: Row = {}
    for name, counts in zip(sources, matrix.tolist()):
        of = {other: n for other, n in zip(sources, counts) if n}
        held = {index: n for (source, index), n in sorted(verdicts.held.items()) if source == name}
        if of or held:
            table[name] = {"documents": verdicts.documents[name], "of": of, "held": held}
    return table


def _add_examples(finished: Finished, largest: list[Row]) -> None:
    """Add documents with an excerpt of their text, those kept first, to each of the clusters."""
    chosen, files = Examples(EXAMPLES), datasets.files(finished.output, "verdicts")
    columns = ["doc_id", "cluster", "kept", "part"]
    for batch in batches_where(files, "cluster", [row["cluster"] for row in largest], columns):
        for name in pc.unique(batch["cluster"]).to_pylist():
            rows = batch.filter(pc.equal(batch["cluster"], name))
            chosen.add(name, rows, pc.invert(rows["kept"]).to_numpy(zero_copy_only=False))
    parts = chosen.parts()
    documents = documents_of(finished.output, parts, EXCERPT)
    verdicts = {row["doc_id"]: row for row in rows_where(files, "doc_id", parts, ["doc_id", "kept", "similarity"])}
    for row in largest:
        row["documents"] = [
            {**shown(documents[doc_id]), **{name: verdicts[doc_id][name] for name in ("kept", "similarity")}}
            for doc_id in chosen.of(row["cluster"])
        ]


def cluster_chart(sizes: dict[str, int]) -> Markup | None:
    """`cluster_sizes` of `duplicate_facts`, without gaps."""
    if not sizes:
        return None
    bins = [2**k // 2 + 1 for k in range(1, max(map(int, sizes)).bit_length() + 1)]
    bins = [first for first in bins if first <= max(map(int, sizes))]
    labels = ["2" if first == 2 else f"{first}-{2 * (first - 1)}" for first in bins]
    counts = [sizes.get(str(first), 0) for first in bins]
    return charts.histogram(labels, [("fired", "clusters", counts)], "documents in a cluster", every=-(-len(bins) // 6))


def band_chart(matching: Row) -> Markup | None:
    """The probability curve of the bands, of `matching_facts`; None where the bands are not known."""
    bands, rows, threshold = matching["bands"], matching["rows"], matching["threshold"]
    if not bands or not rows:
        return None
    curve = [(i / 100, probability(i / 100, bands, rows)) for i in range(101)]
    marks = (
        [] if threshold is None else [(f"threshold {threshold}: {probability(threshold, bands, rows):.2%}", threshold)]
    )
    title = "share of pairs that are compared"
    return charts.line_chart([("line", curve)], "similarity", title, (), marks, (0, 1), (0, 1.02))


def source_table(by_source: Row) -> Row:
    """`by_source` of `duplicate_facts` as a table for the page: those sources with most duplicates, one by one.

    columns: labels; rows: (source, its documents, counts by column, their sum); more_rows: sources left out.
    """
    of, held = Counter[str](), Counter[str]()
    for row in by_source.values():
        of.update(row["of"])
        held.update(row["held"])
    total = {name: sum(row["of"].values()) + sum(row["held"].values()) for name, row in by_source.items()}
    named = [name for name, _ in sorted(of.items(), key=lambda item: (-item[1], item[0]))]
    columns, rest = named[:MOST_COLUMNS], named[MOST_COLUMNS:]
    rows = []
    for name in sorted(total, key=lambda name: (-total[name], name))[:MOST_ROWS]:
        row = by_source[name]
        counts = [row["of"].get(column, 0) for column in columns]
        counts += [sum(row["of"].get(column, 0) for column in rest)] if rest else []
        counts += [row["held"].get(index, 0) for index in sorted(held)]
        rows.append((name, row["documents"], counts, total[name]))
    labels = [*columns, *([f"{len(rest)} other sources"] if rest else []), *(f"index {name}" for name in sorted(held))]
    return {"columns": labels, "rows": rows, "more_rows": len(total) - len(rows)}
