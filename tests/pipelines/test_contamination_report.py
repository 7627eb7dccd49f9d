"""The report's facts about benchmark items, from an output directory as `match` and `judge` leave it."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import datasets
from pipelines.dedup.contamination_report import contamination_facts
from pipelines.ledger import FORMAT
from pipelines.lookup import Finished


def write(folder, name, rows):
    """Rows of a dataset in two files."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    for file in range(2):
        table = pa.Table.from_pylist(rows[file::2], schema=datasets.SCHEMAS[name])
        pq.write_table(table, folder / name / f"{file}.parquet", row_group_size=2)


def row_of(doc, item, start, end, share, documents=1):
    return {
        "doc_id": f"{doc:032x}", "start": start, "end": end, "kind": "contamination", "count": documents,
        "elsewhere": item, "key": None, "share": share,
    }  # fmt: skip


def finished(folder, *stages):
    page = {"format": FORMAT, "stages": {name: {"finished": True, "facts": {}} for name in stages}}
    (folder / "stages.json").write_text(json.dumps(page))
    return Finished.read(folder)


def make(folder):
    items = [
        ("a.jsonl:1:q", 9, 4, 0),
        ("a.jsonl:2:q", 0, 0, 0),
        ("b:9:c.jsonl:1:x:2:y", 3, 3, 3),
        ("a.jsonl:3:q", 5, 5, 4),
        ("a.jsonl:4:q", 1, 1, 0),
    ]
    write(folder, "benchmarks", [dict(zip(datasets.BENCHMARKS.names, item)) for item in items])
    texts = {1: "before éé THE ITEM\0 after", 2: "x" * 500, 3: "short", 4: "other"}
    documents = [
        {"doc_id": f"{n:032x}", "source": "web", "uri": f"https://{n}.example/", "text": text, "meta": []}
        for n, text in texts.items()
    ]
    documents.append({"doc_id": f"{9:032x}", "source": "web", "uri": "gated", "text": None, "meta": [("gate", "size")]})
    write(folder, "documents", documents)
    rows = [
        row_of(1, "a.jsonl:1:q", 0, 6, 0.5, 3),
        row_of(1, "a.jsonl:1:q", 9, 21, 0.5, 3),
        row_of(2, "a.jsonl:1:q", 10, 490, 0.75, 3),
        row_of(3, "a.jsonl:1:q", 0, 5, 0.5, 3),
        row_of(4, "a.jsonl:4:q", 0, 5, 1.0),
        row_of(4, "https://", 0, 2, 1.0) | {"kind": "line"},
    ]
    write(folder, "repeats", rows)
    write(folder, "verdicts", [{"doc_id": f"{n:032x}", "kept": n != 2} for n in texts])


def test_items_are_listed_with_their_documents_and_texts(tmp_path):
    make(tmp_path)
    facts = contamination_facts(finished(tmp_path, "match", "judge"), limit=20)
    assert facts["counts"] == {
        "": {"found": 2, "not_found": 1, "too_short": 1, "ignored": 1},
        "a.jsonl": {"found": 2, "not_found": 1, "too_short": 1, "ignored": 0},
        "b": {"found": 0, "not_found": 0, "too_short": 0, "ignored": 1},
    }
    assert facts["names"] == {
        "not_found": ["a.jsonl:3:q"], "too_short": ["a.jsonl:2:q"], "ignored": ["b:9:c.jsonl:1:x:2:y"]
    }  # fmt: skip
    whole, part = facts["matched"]
    assert (whole["item"], whole["documents"], whole["share"]) == ("a.jsonl:4:q", 1, 1.0)
    assert (part["item"], part["documents"], part["share"]) == ("a.jsonl:1:q", 3, 0.75)
    shown = [(int(row["doc_id"], 16), row["kept"], row["share"], row["text"]) for row in part["examples"]]
    assert shown == [(2, False, 0.75, "x" * 20 + "…"), (1, True, 0.5, "é THE ITEM\ufffd"), (3, True, 0.5, "short")]
    (only,) = whole["examples"]
    assert only == {"doc_id": f"{4:032x}", "source": "web", "uri": "https://4.example/", "kept": True, "share": 1.0,
                    "text": "other"}  # fmt: skip


def test_what_is_shown_is_bounded_and_what_is_not_finished_is_not_looked_at(tmp_path):
    make(tmp_path)
    facts = contamination_facts(finished(tmp_path, "match"), items=1, documents=1)
    assert [row["item"] for row in facts["matched"]] == ["a.jsonl:4:q"]
    assert facts["matched"][0]["examples"][0]["kept"] is None
    assert facts["counts"][""]["found"] == 2
    both = contamination_facts(finished(tmp_path, "match"), documents=1)["matched"]
    assert [(row["documents"], len(row["examples"])) for row in both] == [(1, 1), (3, 1)]
    assert contamination_facts(finished(tmp_path, "ingest")) == {}


def test_without_benchmarks_there_are_no_facts(tmp_path):
    make(tmp_path)
    write(tmp_path, "benchmarks", [])
    assert contamination_facts(finished(tmp_path, "match")) == {}
