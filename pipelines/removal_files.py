"""Removed documents in the Parquet files of an output directory: which hold any, and what these are to hold instead.

documents/  the row stays, so that documents in = kept + dropped + errors; its text goes, and of `meta` all but where
            the record stands
verdicts/   the failed rule `removed`, not kept
corpus/     the row goes

Of a file, only the row groups that hold a removed document are read beyond their ids. Memory: one row group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import datasets
from pipelines.funnel import reasons
from pipelines.lookup import REMOVED
from shards.atomic import Together

PLACE = ("file", "position", "group", "gate")  # of `meta`: not from the text, and what ids and splits are made of


@dataclass
class Rewritten:
    """What changes: by a file's name relative to the output its new size, and how many rows fewer it has.

    `judged` counts verdicts by (source, outcome before, and now), see `funnel.reasons`; `sources`: of what was found.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    fewer: dict[str, int] = field(default_factory=dict)
    judged: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    sources: dict[str, str] = field(default_factory=dict)


def rewrite(output: Path, together: Together, removed: list[str], number: int) -> Rewritten:
    """Write all files that hold text or verdicts of `removed` documents anew, without them, into `together`.

    `number`: the removal's, which rows of documents/ name in `meta`. A document that is out already changes nothing.
    """
    done = Rewritten()
    ids = pa.array(removed, pa.string())

    def documents(table: pa.Table, hit: pa.ChunkedArray) -> pa.Table:
        own = table.filter(hit)
        done.sources.update(zip(own["doc_id"].to_pylist(), own["source"].to_pylist()))
        hit = pc.and_(hit, pc.is_valid(table["text"]))
        return _without_text(table, hit, number) if pc.any(hit).as_py() else table

    def verdicts(table: pa.Table, hit: pa.ChunkedArray) -> pa.Table:
        return _dropped(table, hit, done.judged)

    def corpus(table: pa.Table, hit: pa.ChunkedArray) -> pa.Table:
        return table.filter(pc.invert(hit))

    changes = {"documents": documents, "verdicts": verdicts, "corpus": corpus}
    for dataset, change in changes.items():
        for file in datasets.files(output, dataset):
            _rewrite(Path(file), output, together, ids, change, done)
    return done


def _rewrite(
    file: Path,
    output: Path,
    together: Together,
    ids: pa.Array,
    change: Callable[[pa.Table, pa.ChunkedArray], pa.Table],
    done: Rewritten,
) -> None:
    with pq.ParquetFile(file) as opened:
        groups = range(opened.num_row_groups)
        hits = [pc.is_in(opened.read_row_group(group, columns=["doc_id"])["doc_id"], ids) for group in groups]
        if not any(pc.any(hit).as_py() for hit in hits):
            return
        target = together.path(file)
        fewer, changed = 0, False
        with pq.ParquetWriter(target, opened.schema_arrow, compression="zstd") as writer:
            for group, hit in zip(groups, hits):
                table = opened.read_row_group(group)
                new = change(table, hit) if pc.any(hit).as_py() else table
                changed |= new is not table
                fewer += len(table) - len(new)
                if len(new):
                    writer.write_table(new, row_group_size=len(new))
    if not changed:
        target.unlink()
        return
    name = file.relative_to(output).as_posix()
    done.sizes[name], done.fewer[name] = target.stat().st_size, fewer


def _without_text(table: pa.Table, hit: pa.ChunkedArray, number: int) -> pa.Table:
    """Rows of documents/, those of `hit` without text."""
    text = pc.if_else(hit, pa.scalar(None, table.schema.field("text").type), table["text"])
    meta = table["meta"].to_pylist()
    for row in pc.indices_nonzero(hit).to_pylist():
        left = {key: value for key, value in meta[row] or [] if key in PLACE}
        meta[row] = sorted({**left, REMOVED: str(number)}.items())
    columns = {"text": text, "meta": pa.array(meta, table.schema.field("meta").type)}
    return pa.table([columns.get(name, table[name]) for name in table.column_names], schema=table.schema)


def _dropped(table: pa.Table, hit: pa.ChunkedArray, judged: Counter[tuple[str, str, str]]) -> pa.Table:
    """Rows of verdicts/, those of `hit` with the failed rule `removed`: what `judge.with_removed` makes of them."""
    rules = table["failed_rules"].to_pylist()
    rows = [row for row in pc.indices_nonzero(hit).to_pylist() if REMOVED not in rules[row]]
    if not rows:
        return table
    for row in rows:
        rules[row] = sorted([*rules[row], REMOVED])
    out = pc.is_in(pa.array(range(len(table))), pa.array(rows))
    zero = pa.scalar(0, table.schema.field("stands_for").type)
    columns = {
        "failed_rules": pa.array(rules, table.schema.field("failed_rules").type),
        "stands_for": pc.if_else(out, zero, table["stands_for"]),
        "kept": pc.and_(table["kept"], pc.invert(out)),
    }
    new = pa.table([columns.get(name, table[name]) for name in table.column_names], schema=table.schema)
    before, after = (side.take(rows).combine_chunks().to_batches()[0] for side in (table, new))
    judged.update(zip(before["source"].to_pylist(), reasons(before).tolist(), reasons(after).tolist()))
    return new
