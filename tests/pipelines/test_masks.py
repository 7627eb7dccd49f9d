"""Personal data are masked in the corpus, line edits and repeats beside them, and measured before."""

import pyarrow as pa

from filters.edits import Edit, apply
from pipelines import datasets
from pipelines.annotate import annotator

MAIL = "someone@mail-server.org"
TEXT = (
    f"First line of the text.\nEnable javascript or write to {MAIL}, please.\nWrite to {MAIL} or 8.8.4.4 or 52.1.2.3."
)


def annotated(monkeypatch, masks, edits=(), families=None, text=TEXT):
    rows = [("a" * 32, "web", "uri", text, [("language", "Python")]), ("b" * 32, "other", "uri", text, [])]
    batch = pa.Table.from_pylist(
        [dict(zip(datasets.DOCUMENTS.names, row)) for row in rows], schema=datasets.DOCUMENTS
    ).append_column("part", pa.array(["p", "p"]))
    monkeypatch.setattr("pipelines.texts.batches", lambda *_: iter(batch.combine_chunks().to_batches()))
    function = annotator(
        [[("file", 0)]], families or {}, {}, {"web": list(edits)}, {"web": masks, "other": []}, "folded", 5
    )
    (written,) = function(pa.record_batch({"id": [0]}))
    return written


def edits_of(written, doc_id):
    rows = [row for row in written["edits"].to_pylist() if row["doc_id"] == doc_id]
    rows.sort(key=lambda row: (row["start"], -row["end"]))
    return [Edit(row["start"], row["end"], row["reason"], row["replacement"]) for row in rows]


def test_only_what_a_source_asks_for(monkeypatch):
    written = annotated(monkeypatch, ["email"])
    assert {row["doc_id"] for row in written["edits"].to_pylist()} == {"a" * 32}
    found = edits_of(written, "a" * 32)
    assert [edit.reason for edit in found] == ["email", "email"]
    assert MAIL not in apply(TEXT, found)
    assert "52.1.2.3" in apply(TEXT, found)


def test_masking_twice_changes_nothing(monkeypatch):
    once = apply(TEXT, edits_of(annotated(monkeypatch, ["email", "ipv4"]), "a" * 32))
    assert "52.1.2.3" not in once
    assert edits_of(annotated(monkeypatch, ["email", "ipv4"], text=once), "a" * 32) == []


def test_a_placeholder_goes_with_its_line(monkeypatch):
    written = annotated(monkeypatch, ["email"], edits=["javascript"])
    left = apply(TEXT, edits_of(written, "a" * 32))
    assert left.split("\n") == ["First line of the text.", TEXT.split("\n")[2].replace(MAIL, "<EMAIL>")]


def test_sketches_and_signals_see_the_text_before_masks(monkeypatch):
    masked, plain = annotated(monkeypatch, ["email", "ipv4"]), annotated(monkeypatch, [])
    assert masked["sketches"].equals(plain["sketches"])


def test_families_see_the_uri_and_the_language(monkeypatch):
    families = {"code": "filters.code:Code", "url": "filters.urls:Urls"}
    written = annotated(monkeypatch, [], families=families)
    assert written["signals/code"]["comment_syntax"].to_pylist()[0] != ""
    assert written["signals/code"]["comment_syntax"].to_pylist()[1] == ""
    assert written["signals/url"]["blocked"].to_pylist() == [False, False]


def test_overlapping_edits():
    text = "0123456789"
    assert apply(text, [Edit(2, 8, "line"), Edit(3, 5, "email", "<E>")]) == "0189"
    assert apply(text, [Edit(2, 6, "email", "<E>"), Edit(4, 8, "line")]) == "01<E>89"
    assert apply(text, [Edit(2, 6, "line"), Edit(4, 8, "email", "<E>")]) == "01<E>89"
