import json
from pathlib import Path
from typing import Any

import pytest
from report_case import FAMILIES, HOSTILE, doc_id, document, finish, tiny, write_run

from pipelines.errors import ConfigError, GristmillError
from pipelines.explain import explain, sample
from pipelines.explain_text import as_text
from pipelines.lookup import AppliedRule, excerpt, signals_read


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path, *tiny())
    return tmp_path


def one(run: Path, name: str) -> dict[str, Any]:
    (facts,) = explain(run, doc_id(name), None)
    assert facts["doc_id"] == doc_id(name)
    assert json.loads(json.dumps(facts)) == facts
    return facts


def test_kept_document(run: Path) -> None:
    facts = one(run, "a")
    assert (facts["status"], facts["reason"], facts["split"]) == ("kept", None, "train")
    assert facts["signals"]["quality"] == {"words": 120, "characters": 840, "hashes": 0.0}
    assert facts["text"] == "Text of a."
    assert facts["characters"] == facts["bytes"] == 10
    assert facts["cluster"]["size"] == 5
    assert facts["cluster"]["documents"][0]["doc_id"] == doc_id("a")  # those kept come first
    assert (facts["cluster"]["kept"], facts["cluster"]["sources"]) == (1, {"web": 5})
    assert facts["stands_for"]["count"] == 1
    assert facts["stands_for"]["documents"][0]["uri"] == "https://site.example/d"
    assert as_text(facts).startswith(f"{doc_id('a')}  kept, and stands for 1 other\n")
    assert facts["pairs"]["count"] == 2
    assert [(pair["doc_id"], pair["kind"], pair["status"]) for pair in facts["pairs"]["documents"]] == [
        (doc_id("d"), "exact", "dropped"),
        (doc_id("g"), "near", "dropped"),
    ]
    rules = {rule["name"]: rule["failed"] for rule in facts["rules"]}
    assert rules == {"language.code": False, "q.loud": False, "q.never": False, "q.short": False}
    assert "passed  q.short: quality.words < 50" in as_text(facts)


def test_dropped_document(run: Path) -> None:
    facts = one(run, "c")
    assert (facts["status"], facts["reason"]) == ("dropped", "rules")
    assert facts["failed_rules"] == ["q.loud", "q.short"]
    failed = {rule["name"]: rule["values"] for rule in facts["rules"] if rule["failed"]}
    assert failed == {"q.loud": {"quality.hashes": 0.5}, "q.short": {"quality.words": 3}}
    lines = as_text(facts).split("\n")
    assert lines[0] == f"{doc_id('c')}  dropped: failed q.loud, q.short"
    assert lines[lines.index("  FAILED  q.short: quality.words < 50") + 1].strip() == "quality.words = 3"


def test_override_that_applied_is_shown(run: Path) -> None:
    rules = {rule["name"]: rule["predicate"] for rule in one(run, "f")["rules"]}  # its language is fra
    assert rules["q.short"] == "quality.words < 20"


def test_last_override_wins_and_can_switch_off() -> None:
    everywhere = {"predicate": "a.b > 1", "sources": [], "languages": []}
    off = {"predicate": None, "sources": ["web"], "languages": ["fra", "deu"]}
    rule = AppliedRule("q.x", "a.b > 0", ("web", "books"), (everywhere, off))
    assert rule.predicate_for("web", "fra") is None
    assert rule.predicate_for("web", "eng") == rule.predicate_for("books", "fra") == "a.b > 1"
    assert AppliedRule("q.x", "a.b > 0", ("web",)).predicate_for("web", None) == "a.b > 0"


def test_duplicate(run: Path) -> None:
    facts = one(run, "d")
    assert (facts["status"], facts["reason"], facts["failed_rules"]) == ("dropped", "duplicate", [])
    assert facts["duplicate_of"] == {
        "doc_id": doc_id("a"),
        "source": "web",
        "uri": "https://site.example/a",
        "text": "Text of a.",
        "index": None,
        "missing": None,
        "kind": "exact",
        "similarity": 1.0,
        "path": [{"doc_id": doc_id("a"), "similarity": 1.0, "kind": "exact"}],
        "no_path": None,
    }
    assert as_text(facts).split("\n")[:3] == [
        f"{doc_id('d')}  dropped: exact duplicate of {doc_id('a')}",
        "    web  https://site.example/a",
        "    | Text of a.",
    ]
    assert "stands_for" not in facts


def test_split_leak(run: Path) -> None:
    facts = one(run, "h")
    assert (facts["reason"], facts["split"]) == ("split_leak", "validation")
    assert "FAILED  split_leak" in as_text(facts)


def test_gated_document(run: Path) -> None:
    facts = one(run, "e")
    assert (facts["status"], facts["reason"], facts["text"]) == ("dropped", "gate", None)
    assert "signals" not in facts
    assert "FAILED  gate.content_type" in as_text(facts)


def test_unreadable_document(run: Path) -> None:
    facts = one(run, "broken.warc.gz")
    assert facts["status"] == "unreadable"
    assert facts["errors"] == [
        {"level": "record", "path": "broken.warc.gz", "reason": "truncated record", "detail": HOSTILE}
    ]
    assert "record error  truncated record: " in as_text(facts)
    assert explain(run, None, "broken.warc.gz") == [facts]


def test_uri_repeats(run: Path) -> None:
    facts = explain(run, None, "shelf/m.epub")
    assert [fact["doc_id"] for fact in facts] == sorted([doc_id("m"), doc_id("n")])
    assert {fact["split"] for fact in facts} == {"train", "test"}


def test_id_in_capitals(run: Path) -> None:
    assert explain(run, doc_id("a").upper(), None) == explain(run, doc_id("a"), None)


@pytest.mark.parametrize(
    ("doc", "uri", "message"),
    [
        (None, None, "one of --doc and --uri"),
        (doc_id("a"), "https://site.example/a", "one of --doc and --uri"),
        ("abc", None, "32 hex digits"),
        ("g" * 32, None, "32 hex digits"),
        ("\x1b[31m", None, "32 hex digits"),
    ],
)
def test_wrong_arguments(run: Path, doc: str | None, uri: str | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        explain(run, doc, uri)


@pytest.mark.parametrize(("doc", "uri"), [("0" * 32, None), (None, "https://site.example/none"), (None, "\udce4")])
def test_nothing_matches(run: Path, doc: str | None, uri: str | None) -> None:
    with pytest.raises(GristmillError, match="no document") as caught:
        explain(run, doc, uri)
    assert not isinstance(caught.value, ConfigError)


def test_before_it_was_judged(tmp_path: Path) -> None:
    write_run(tmp_path, *tiny(), last="annotate")
    facts = one(tmp_path, "a")
    assert facts["status"] == "not judged"
    assert "words" in facts["signals"]["quality"]
    assert "duplicate_of" not in one(tmp_path, "d")


def test_text_is_safe_for_a_terminal(tmp_path: Path) -> None:
    text = "one\x1b[2J\0\u202etwo\r\n\tthree می‌خواهم"
    write_run(tmp_path, [document("x", text=text, uri="u\x1b]0;title\x07", meta={"title": "a\nb\x9b"})], [], [])
    facts = one(tmp_path, "x")
    assert facts["text"] == "one\ufffd[2J\ufffd\ufffdtwo\n\tthree می‌خواهم"
    assert {"\x1b", "\0", "\x07", "\x9b", "\r"}.isdisjoint(as_text(facts))
    assert "  meta  title: a b\ufffd" in as_text(facts)
    assert explain(tmp_path, None, "u\x1b]0;title\x07") == [facts]


def test_excerpt_is_cut() -> None:
    assert excerpt("abcdef", 3) == "abc…"
    assert excerpt("abc", 3) == "abc"


def test_signals_read_by_a_predicate() -> None:
    predicate = (
        "quality.words < 50 AND (q.x >= 0.25 OR quality.words > 1e3) AND meta['a.b'] <> 'c.d' AND lower(uri) = \"e.f\""
    )
    assert signals_read(predicate) == ["quality.words", "q.x"]


def test_sample_of_a_rule(run: Path) -> None:
    rows = sample(run, "q.short", 10)
    assert {row["doc_id"] for row in rows} == {doc_id(name) for name in "bcgkl"}
    values = {row["doc_id"]: row["signals"] for row in rows}
    assert values[doc_id("g")] == {"quality.words": 40}
    assert next(row["text"] for row in rows if row["doc_id"] == doc_id("b")) == HOSTILE.replace("\0", "\ufffd")
    assert sample(run, "q.short", 2) == rows[:2]


def test_sample_does_not_depend_on_files(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    documents, pairs, errors = tiny()
    write_run(other, documents[::-1], pairs, errors, parts=5)
    for rule in ("q.short", "duplicate"):
        assert sample(other, rule, 2) == sample(run, rule, 2)


def test_sample_of_what_is_named_like_a_rule(run: Path) -> None:
    (duplicate,) = sample(run, "duplicate", 5)
    assert duplicate["signals"] == {"duplicate_of": doc_id("a"), "similarity": 1.0}
    (gated,) = sample(run, "gate.content_type", 5)
    assert (gated["doc_id"], gated["text"], gated["signals"]) == (doc_id("e"), "", {})
    (leak,) = sample(run, "split_leak", 5)
    assert leak["doc_id"] == doc_id("h")


def test_sample_of_a_rule_that_fired_on_nothing(run: Path) -> None:
    assert sample(run, "q.never", 5) == []


@pytest.mark.parametrize(
    ("rule", "hint"), [("q.shrt", "q.short"), ("duplicates", "duplicate"), ("gate.contenttype", "gate.content_type")]
)
def test_sample_of_an_unknown_rule(run: Path, rule: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean '{hint}'"):
        sample(run, rule, 5)


def test_sample_before_it_was_judged(tmp_path: Path) -> None:
    write_run(tmp_path, *tiny(), last="match")
    with pytest.raises(GristmillError, match="`judge` is not finished"):
        sample(tmp_path, "q.short", 5)


def test_rules_are_not_recorded(run: Path) -> None:
    facts = json.loads((run / "stages.json").read_text())["stages"]["judge"]["facts"]
    finish(run, "judge", {"funnel": facts["funnel"]})
    assert one(run, "c")["rules"] == []
    assert "FAILED  q.loud" in as_text(one(run, "c"))
    assert {row["doc_id"] for row in sample(run, "q.loud", 3)} == {doc_id("c")}
    assert set(one(run, "c")["signals"]) == set(FAMILIES)
