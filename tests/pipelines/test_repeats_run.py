"""Whole runs with `repeats` on: what is cut from the corpus, what stays, and what becomes of benchmark items."""

import json
import random
import re
import shutil

import pytest
from small_run import write_config

from jobs.whole import run_stages
from pipelines.datasets import scan
from pipelines.dedup.contamination_report import contamination_facts
from pipelines.digest import digest
from pipelines.ledger import read_stages
from pipelines.lookup import Finished

pytestmark = pytest.mark.spark

BREAK = "\n\n"
LINE = "Subscribe to our weekly newsletter"
PARAGRAPH = "All rights are reserved by us.\nNothing here may be passed on"
PAGES = 12
LICENSE = "# This program is free software, you can do with it what you like.\n# It comes without any warranty.\n"


def sentences(seed, n):
    generator = random.Random(seed)
    return [
        " ".join(f"{generator.choice('bcdfgklmnprst')}{generator.randrange(10**6)}" for _ in range(9)).capitalize()
        + "."
        for _ in range(n)
    ]


# In every other page it begins and ends within a line of the page's own.
QUOTED = sentences("quoted", 8)
PASSAGE = "\n".join([" ".join(QUOTED[:4]), " ".join(QUOTED[4:6]), " ".join(QUOTED[6:])])
ITEM, UNSEEN = (" ".join(sentences(name, 3)) for name in ("item", "unseen"))


def page(number):
    own = sentences(number, 9)
    quoted = f"{own[2]} {PASSAGE} {own[3]}" if number % 2 else f"{own[2]}\n\n{PASSAGE}\n\n{own[3]}"
    parts = [LINE, " ".join(own[:2]), quoted, LINE.upper(), own[4], PARAGRAPH, " ".join(own[5:])]
    if number == 5:
        parts.append(f"A test: {ITEM}")
    return BREAK.join(parts)


def code(number):
    body = "\n".join(f"def f{number}_{i}(x):\n    return x + {i * number}\n" for i in range(5))
    return "\n".join([LICENSE * 4, LINE, body])


def config(folder, name, **changes):
    """A config over pages and code in which all repeats are cut `later`, at sentences."""
    cut = {"documents": 3, "words": 3, "cut": "later"}
    repeats = {
        "lines": cut,
        "paragraphs": cut,
        "passages": {"cut": "later", "border": "sentence"},
        "contamination": {"benchmarks": [{"path": f"{folder}/items.jsonl", "fields": ["question"]}], "action": "drop"},
    }
    for kind, options in changes.pop("repeats", {}).items():
        repeats[kind] = repeats[kind] | options
    sources = [
        {"name": "pages", "format": "jsonl", "kind": "text", "paths": [f"{folder}/pages*.jsonl"],
         "options": {"columns": {"uri": "uri", "id": "uri"}}},
        {"name": "code", "format": "jsonl", "kind": "code", "paths": [f"{folder}/code.jsonl"],
         "options": {"columns": {"uri": "uri", "id": "uri"}}},
    ]  # fmt: skip
    content = {
        "sources": sources,
        "annotate": {"families": []},
        "rules": {"sets": {"text": [], "code": []}},
        "split": {"validation": 0.1, "test": 0.1},
        "repeats": repeats,
    }
    return write_config(folder / f"{name}.yaml", folder, **{**content, **changes})


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repeats")
    write_lines(folder / "pages.jsonl", [{"uri": f"page {n}", "text": page(n)} for n in range(PAGES)])
    write_lines(folder / "code.jsonl", [{"uri": f"code {n}", "text": code(n)} for n in range(4)])
    write_lines(folder / "items.jsonl", [{"question": ITEM}, {"question": "Too short"}, {"question": UNSEEN}])
    return folder


@pytest.fixture(scope="module")
def matched(spark, place):
    """The output as far as match, and the addresses of the pages by doc_id."""
    output = place / "output"
    run_stages(config(place, "matched"), str(output), until="match")
    rows = sorted(scan(output, "documents", ["doc_id", "uri"]).to_pylist(), key=lambda row: row["doc_id"])
    return output, [row["uri"] for row in rows if row["uri"].startswith("page")]


@pytest.fixture(scope="module")
def cut(spark, place, matched):
    """The texts of the corpus by address, where a rule drops the two pages that come first."""
    output, pages = matched
    rules = place / "mine.yaml"
    rules.write_text("unwanted: uri in ({})\n".format(", ".join(f"'{uri}'" for uri in pages[:2])))
    changed = {"rules": {"sets": {"text": [str(rules)], "code": []}}}
    shutil.copytree(output, place / "cut")
    run_stages(config(place, "cut", **changed), str(place / "cut"), until="corpus")
    return place / "cut", texts(place / "cut")


def texts(output):
    return {row["uri"]: row["text"] for row in scan(output, "corpus", ["uri", "text"]).to_pylist()}


def contents(text):
    """The sentences and lines of a text, by which a reader would know it."""
    return [part for line in text.split("\n") for part in re.split(r"(?<=\.) ", line) if part]


def test_what_repeats_stays_in_the_first_page_that_is_kept(matched, cut):
    pages, corpus = matched[1], cut[1]
    dropped = {*pages[:2], "page 5"}  # page 5 holds a benchmark item
    assert {uri for uri in corpus if uri.startswith("page")} == set(pages) - dropped
    first = next(uri for uri in pages if uri not in dropped)
    assert corpus[first] == page(int(first.split()[1]))
    for uri, text in corpus.items():
        if uri.startswith("page") and uri != first:
            number = int(uri.split()[1])
            own = sentences(number, 9)
            around = f"{own[2]}{' ' if number % 2 else BREAK}{own[3]}"
            assert text == BREAK.join([" ".join(own[:2]), around, own[4], " ".join(own[5:])])


def test_no_line_sentence_or_passage_vanishes_and_nothing_is_cut_in_two(cut):
    _, corpus = cut
    kept = {uri: page(int(uri.split()[1])) for uri in corpus if uri.startswith("page")}
    original = {part for text in kept.values() for part in contents(text)}
    left = {part for uri in kept for part in contents(corpus[uri])}
    assert {part.lower() for part in left} == {part.lower() for part in original}
    assert left <= original
    assert sum(PASSAGE in text for text in corpus.values()) == 1
    assert not any("\n\n\n" in text or text != text.strip() for uri, text in corpus.items() if uri in kept)


def test_code_is_untouched_unless_asked(place, matched, cut):
    _, corpus = cut
    assert [corpus[f"code {n}"] for n in range(4)] == [code(n) for n in range(4)]
    settings = {"lines": {"code": True, "words": 4}, "passages": {"code": True, "border": "line", "words": 30}}
    output = place / "code"
    shutil.copytree(matched[0], output)
    run_stages(config(place, "code", repeats=settings), str(output), until="corpus")
    with_license = [text for uri, text in texts(output).items() if uri.startswith("code") and "warranty" in text]
    assert len(with_license) == 1
    assert all(f"def f{n}_0" in texts(output)[f"code {n}"] for n in range(4))


def test_what_is_only_counted_is_not_cut_and_found_once(place, matched):
    output = place / "counted"
    shutil.copytree(matched[0], output)
    none = {kind: {"cut": "none"} for kind in ("lines", "paragraphs", "passages")}
    run_stages(config(place, "none", repeats=none), str(output), until="corpus")
    before, after = read_stages(matched[0]), read_stages(output)
    assert before["match"] == after["match"]  # what is cut decides nothing about what is found
    corpus = texts(output)
    assert len(corpus) == PAGES - 1 + 4
    for uri, text in corpus.items():
        kind, number = uri.split()
        assert text == (page(int(number)).strip("\n") if kind == "page" else code(int(number)))  # code stays as it is
    kinds = scan(output, "repeats", ["kind"])["kind"].to_pylist()
    assert set(kinds) == {"line", "paragraph", "passage", "contamination"}


def test_a_document_with_a_benchmark_item_is_dropped_and_listed(matched, cut):
    output, _ = cut
    verdicts = {row["doc_id"]: row["failed_rules"] for row in scan(output, "verdicts").to_pylist()}
    facts = contamination_facts(Finished.read(output))
    assert facts["counts"][""] == {"found": 1, "not_found": 1, "too_short": 1, "ignored": 0}
    assert facts["names"]["too_short"] == ["items.jsonl:2:question"]
    (item,) = facts["matched"]
    (example,) = item["examples"]
    assert (item["item"], item["share"], item["documents"]) == ("items.jsonl:1:question", 1.0, 1)
    assert (example["uri"], example["text"], example["kept"]) == ("page 5", ITEM.rstrip("."), False)
    assert [doc_id for doc_id, rules in verdicts.items() if "contamination.share" in rules] == [example["doc_id"]]


def test_an_item_may_be_cut_instead(place, matched):
    output = place / "item"
    shutil.copytree(matched[0], output)
    run_stages(config(place, "item", repeats={"contamination": {"action": "cut"}}), str(output), until="corpus")
    assert texts(output)["page 5"].endswith(f"{sentences(5, 9)[-1]}\n\nA test:")


def test_files_chunks_and_order_make_no_difference(spark, place, cut, tmp_path):
    generator = random.Random(1)
    rows = [{"uri": f"page {n}", "text": page(n)} for n in range(PAGES)]
    generator.shuffle(rows)
    write_lines(place / "pages.jsonl", rows)
    try:
        rules = {"sets": {"text": [str(place / "mine.yaml")], "code": []}}
        run_stages(config(place, "again", rules=rules, chunk_bytes=1_000), str(tmp_path), until="corpus")
    finally:
        write_lines(place / "pages.jsonl", [{"uri": f"page {n}", "text": page(n)} for n in range(PAGES)])
    again, expected = digest(tmp_path), digest(cut[0])
    names = ("repeats", "benchmarks", "verdicts", "corpus")
    assert {name: again[name] for name in names} == {name: expected[name] for name in names}
