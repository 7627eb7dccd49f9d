"""The output directory of a small run in which everything happens, written without running it."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from pipelines import datasets, funnel
from pipelines.ledger import STAGES

# a, b, similarity, kind, and the earlier run that a is of, if any
Pair = tuple[str, str, float, str] | tuple[str, str, float, str, str]

HOSTILE = '</script><b>bold</b>\0<img src="https://evil.example/x.png" onerror=alert(1)> {{ 7 * 7 }}'
SOURCES = ["books", "nothing", "web"]
RULES = [
    ["language.code", "language.code not in ('eng')", ["web"]],
    ["q.loud", "quality.hashes > 0.1 AND meta['note'] <> 'quality.words'", ["web"]],
    ["q.never", "quality.words > 100000", ["web", "books"]],
    ["q.short", "quality.words < 50", ["web"]],
    ["q.unasked", "quality.words < 1", ["nothing"]],
]
OVERRIDES = [{"rule": "q.short", "predicate": "quality.words < 20", "sources": [], "languages": ["fra"]}]
CONFIG = {
    "name": "tiny <corpus>",
    "dedup": {"bands": 21, "rows": 6, "threshold": 0.8, "verify": "sketch", "bucket": 64},
    "rules": {"overrides": OVERRIDES},
    "pretrain": None,
}
HUBS = {"hubs": 2, "passes": 3, "left_over": 0, "estimated": 1}
FAMILIES = {
    "quality": [("words", pa.int64()), ("characters", pa.int64()), ("hashes", pa.float64())],
    "language": [("code", pa.string())],
}


def doc_id(name: str) -> str:
    return xxhash.xxh3_128_hexdigest(name.encode())


def document(name: str, failed: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """A document that is kept unless a rule failed or it is a duplicate."""
    row: dict[str, Any] = {
        "doc_id": doc_id(name),
        "source": "web",
        "uri": f"https://site.example/{name}",
        "text": f"Text of {name}.",
        "meta": {},
        "words": 120,
        "hashes": 0.0,
        "code": "eng",
        "split": "train",
        "duplicate_of": None,
        "duplicate_in": None,
        "similarity": None,
        "content": name,
        "cluster": None,
        "failed_rules": sorted(failed),
        **more,
    }
    row["cluster"] = row["cluster"] or row["doc_id"]
    row["kept"] = not row["failed_rules"] and row["duplicate_of"] is None
    row["stays"] = more.get("stays", row["kept"])
    row["stands_for"] = more.get("stands_for", int(row["kept"]))
    row["content_hash"] = xxhash.xxh3_128_digest(row["content"].encode())
    row |= {"signature": None, "sketch": None, "shingles": 0}
    row["characters"] = 7 * row["words"]
    return row


def error(name: str, **more: str) -> dict[str, str]:
    row = {"doc_id": doc_id(name), "source": "web", "level": "record", "path": name}
    return {**row, "reason": "truncated record", "detail": HOSTILE, **more}


def tiny() -> tuple[list[dict[str, Any]], list[Pair], list[dict[str, str]]]:
    """Documents, pairs and errors of a run in which everything happens."""
    group = {"cluster": doc_id("a")}
    documents = [
        document("a", stands_for=2, **group),
        document("b", ("q.short",), words=9, text=HOSTILE, uri=f"javascript:{HOSTILE}", meta={"title": HOSTILE}),
        document("c", ("q.short", "q.loud"), words=3, hashes=0.5),
        document("d", duplicate_of=doc_id("a"), similarity=1.0, content="a", **group),
        document("e", ("gate.content_type",), text=None, meta={"gate": "content_type"}),
        document("f", ("language.code",), code="fra"),
        document("g", ("q.short",), words=40, **group),  # similar to a, which is kept: not alone
        document("h", ("split_leak",), split="validation", stays=True, **group),
        document("k", ("q.short",), words=41, split="test", **group),  # its cluster is in train: not alone
        document("l", ("q.short",), words=42),
        document("m", source="books", words=90_000, uri="shelf/m.epub"),
        document("n", source="books", words=500_000, split="test", uri="shelf/m.epub"),
    ]
    ids = {name: doc_id(name) for name in "adghk"}
    pairs: list[Pair] = [(ids["a"], ids["d"], 1.0, "exact")]
    pairs += [(ids[x], ids[y], 0.85, "near") for x, y in ("ag", "gh", "hk")]
    errors = [error("broken.warc.gz"), error("other.warc.gz"), error("shelf/x.epub", source="books", level="file")]
    return documents, pairs, errors


def write_run(
    output: Path,
    documents: list[dict[str, Any]],
    pairs: list[Pair],
    errors: list[dict[str, str]],
    last: str = "corpus",
    parts: int = 3,
    sources: Sequence[str] = SOURCES,
) -> None:
    """An output directory as the stages up to `last` leave it, its documents spread over several files."""
    for i, row in enumerate(documents):
        row["part"] = f"part-{i % parts}.parquet"
    for i in range(parts):
        rows = documents[i::parts]
        write(output / "documents" / f"part-{i}.parquet", rows, datasets.DOCUMENTS)
        # Signals have other files than documents, in another order, and none of gated documents.
        measured = [row for row in documents[::-1][i::parts] if row["text"] is not None]
        for family, fields in FAMILIES.items():
            schema = pa.schema([("doc_id", pa.string()), *fields])
            write(output / "signals" / family / f"{i}.parquet", measured, schema)
        write(output / "sketches" / f"{i}.parquet", measured, datasets.SKETCHES)
        write(output / "verdicts" / f"v{i}.parquet", rows, datasets.VERDICTS)
    rows = [{"index": None, **dict(zip(datasets.PAIRS.names, pair))} for pair in pairs]
    write(output / "pairs" / "0.parquet", rows, datasets.PAIRS)
    write(output / "errors" / "0.parquet", errors, datasets.ERRORS)
    for name in ("edits", "repeats"):
        write(output / name / "empty.parquet", [], datasets.SCHEMAS[name])
    counts = Counter(row["source"] for row in documents) + Counter(
        row["source"] for row in errors if row["level"] == "record"
    )
    kinds = Counter(pair[3] for pair in pairs)
    facts = {
        "ingest": {"documents_in": {source: counts[source] for source in sources}},
        "match": {"exact": kinds["exact"], "near": kinds["near"], **HUBS},
        "judge": {"funnel": funnel.funnel(output, list(sources)), "rules": RULES},
    }
    names = list(STAGES)
    stages = {name: stage(facts.get(name, {})) for name in names[: names.index(last) + 1]}
    (output / "stages.json").write_text(json.dumps({"format": 1, "stages": stages}))
    (output / "config.json").write_text(json.dumps(CONFIG))


def write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cut = [{name: row[name] for name in schema.names} for row in rows]
    pq.write_table(pa.Table.from_pylist(cut, schema=schema), path, row_group_size=4)


def stage(facts: dict[str, Any]) -> dict[str, Any]:
    return {"format": 1, "finished": True, "facts": facts, "chunks": {}, "seconds": 1.5}


def finish(output: Path, name: str, facts: dict[str, Any]) -> None:
    page = json.loads((output / "stages.json").read_text())
    page["stages"][name] = stage(facts)
    (output / "stages.json").write_text(json.dumps(page))
