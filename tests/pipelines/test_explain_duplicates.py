import json
import random
import shutil
from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from report_case import HOSTILE, Pair, doc_id, document, write_run

from jobs.whole import run_stages
from pipelines import explain_path
from pipelines.explain import explain
from pipelines.explain_text import as_text
from pipelines.report import write_report


def one(run: Path, name: str) -> dict[str, Any]:
    (facts,) = explain(run, doc_id(name), None)
    assert json.loads(json.dumps(facts)) == facts
    return facts


def set_indexes(run: Path, indexes: dict[str, str]) -> None:
    config = json.loads((run / "config.json").read_text())
    config["dedup"]["indexes"] = indexes
    (run / "config.json").write_text(json.dumps(config))


def near(a: str, b: str, similarity: float = 0.9) -> Pair:
    a, b = sorted((doc_id(a), doc_id(b)))
    return (a, b, similarity, "near")


def test_two_sources_of_a_novel_are_one_cluster(tmp_path: Path) -> None:
    name = min(doc_id("epub"), doc_id("gutenberg"))
    epub = document("epub", source="epub", uri="se/pride.epub", text="It is a truth…", cluster=name, stands_for=2)
    other = {"source": "gutenberg", "uri": "1342.txt", "duplicate_of": doc_id("epub"), "similarity": 0.93}
    gutenberg = document("gutenberg", cluster=name, **other)
    write_run(tmp_path, [epub, gutenberg], [near("epub", "gutenberg", 0.93)], [], sources=["epub", "gutenberg"])
    facts = one(tmp_path, "gutenberg")
    original = facts["duplicate_of"]
    assert (original["kind"], original["similarity"], original["source"]) == ("near", 0.93, "epub")
    assert original["path"] == [{"doc_id": doc_id("epub"), "similarity": 0.93, "kind": "near"}]
    cluster = {"cluster": name, "size": 2, "kept": 1, "sources": {"epub": 1, "gutenberg": 1}}
    rows = [
        {"doc_id": doc_id("epub"), "status": "kept", "source": "epub", "uri": "se/pride.epub"},
        {"doc_id": doc_id("gutenberg"), "status": "dropped", "source": "gutenberg", "uri": "1342.txt"},
    ]
    assert facts["cluster"] == {**cluster, "documents": rows}
    text = as_text(facts)
    assert f"dropped: near duplicate of {doc_id('epub')} (similarity 0.93)\n    epub  se/pride.epub\n" in text
    assert f"  cluster       {name}  2 documents, 1 kept: 1 of epub, 1 of gutenberg\n" in text
    kept = one(tmp_path, "epub")
    assert kept["cluster"] == facts["cluster"]
    assert kept["stands_for"] == {"count": 1, "documents": [{**rows[1], "similarity": 0.93}]}
    assert "kept, and stands for 1 other\n" in as_text(kept)


def test_a_document_that_stands_for_many(tmp_path: Path) -> None:
    group = {"cluster": doc_id("x")}
    dropped = [document(f"n{i}", duplicate_of=doc_id("x"), similarity=0.8 + i / 100, **group) for i in range(13)]
    write_run(tmp_path, [document("x", **group), *dropped], [near("x", f"n{i}", 0.8 + i / 100) for i in range(13)], [])
    facts = one(tmp_path, "x")
    for entry in ("stands_for", "pairs"):
        assert facts[entry]["count"] == 13
        assert [row["doc_id"] for row in facts[entry]["documents"]] == [doc_id(f"n{i}") for i in range(12, 2, -1)]
    assert (facts["cluster"]["size"], len(facts["cluster"]["documents"])) == (14, 10)
    text = as_text(facts)
    assert "  stands for    13 documents\n" in text
    assert text.count("    and 3 more\n") == 2
    assert "    and 4 more\n" in text


def test_document_that_failed_a_rule_and_is_a_duplicate(tmp_path: Path) -> None:
    group = {"cluster": doc_id("x")}
    documents = [
        document("x", ("q.short",), words=3, stays=True, **group),
        document("y", ("q.loud",), duplicate_of=doc_id("x"), similarity=0.9, **group),
    ]
    write_run(tmp_path, documents, [near("x", "y")], [])
    lines = as_text(one(tmp_path, "y")).split("\n")
    assert lines[:2] == [
        f"{doc_id('y')}  dropped: failed q.loud",
        f"  near duplicate of {doc_id('x')} (similarity 0.9)",
    ]
    facts = one(tmp_path, "x")
    assert facts["stands_for"]["count"] == 1  # it stays in the choice, though a rule drops it
    assert "dropped: failed q.short" in as_text(facts)


def linked_run(output: Path, pairs: list[Pair], names: list[str], content: dict[str, str] | None = None) -> None:
    """Documents of one cluster in `transitive` choice: all but the first are dropped for it, by whatever chain."""
    content, known = content or {}, {frozenset(pair[:2]): pair[2] for pair in pairs}
    rows = []
    for name in names:
        more: dict[str, Any] = {"cluster": min(map(doc_id, names)), "content": content.get(name, name)}
        if name != names[0]:
            similarity = known.get(frozenset((doc_id(name), doc_id(names[0]))))
            more |= {"duplicate_of": doc_id(names[0]), "similarity": similarity}
        rows.append(document(name, **more))
    write_run(output, rows, pairs, [])


def test_chain_of_pairs(tmp_path: Path) -> None:
    pairs = [near("a", "b", 0.81), near("b", "c", 0.82), near("c", "d", 0.83), near("b", "d", 0.84)]
    linked_run(tmp_path, pairs, list("abcd"))
    original = one(tmp_path, "d")["duplicate_of"]
    assert (original["kind"], original["similarity"]) == ("linked", None)
    chain = [(link["doc_id"], link["similarity"], link["kind"]) for link in original["path"]]
    assert chain == [(doc_id("b"), 0.84, "near"), (doc_id("a"), 0.81, "near")]
    assert original["path"][0]["uri"] == "https://site.example/b"
    text = as_text(one(tmp_path, "d"))
    assert f"dropped: duplicate of {doc_id('a')}, by a chain of 2 similar pairs\n" in text
    assert f"    {doc_id('b')}  0.840  near  dropped  web  https://site.example/b\n" in text
    assert one(tmp_path, "b")["duplicate_of"]["kind"] == "near"


def test_chain_through_copies(tmp_path: Path) -> None:
    """Pairs name the first of each content; they hold for all of it."""
    same = sorted("bcd", key=doc_id)
    exact: list[Pair] = [(doc_id(same[0]), doc_id(name), 1.0, "exact") for name in same[1:]]
    ends: list[Pair] = [near("a", same[0], 0.8), near("e", same[0], 0.9)]
    names = ["a", "e", *same]
    linked_run(tmp_path, [*exact, *ends], names, dict.fromkeys(same, "b"))
    chain = one(tmp_path, "e")["duplicate_of"]["path"]
    assert [link["doc_id"] for link in chain] == [doc_id(same[0]), doc_id("a")]
    chain = one(tmp_path, same[2])["duplicate_of"]["path"]
    assert [(link["doc_id"], link["similarity"]) for link in chain] == [(doc_id("a"), 0.8)]


def test_long_chain(tmp_path: Path) -> None:
    names = [f"chain {i}" for i in range(300)]
    linked_run(tmp_path, [near(a, b) for a, b in pairwise(names)], names)
    facts = one(tmp_path, names[-1])
    assert [link["doc_id"] for link in facts["duplicate_of"]["path"]] == [doc_id(name) for name in names[-2::-1]]
    text = as_text(facts)
    assert "by a chain of 299 similar pairs" in text
    assert "    ... and 289 more\n" in text


def test_paths_are_the_shortest(tmp_path: Path) -> None:
    rng = random.Random(5)
    names = [f"node {i}" for i in range(60)]
    edges = {(rng.randrange(i), i) for i in range(1, 60)} | {tuple(sorted(rng.sample(range(60), 2))) for _ in range(20)}
    similarity = {edge: round(rng.uniform(0.8, 1), 3) for edge in edges}
    pairs = [near(names[i], names[j], similarity[i, j]) for i, j in sorted(edges)]
    linked_run(tmp_path, pairs, names)
    distance, todo = {0: 0}, deque([0])
    while todo:
        at = todo.popleft()
        for i, j in edges:
            for here, there in ((i, j), (j, i)):
                if here == at and there not in distance:
                    distance[there] = distance[at] + 1
                    todo.append(there)
    number = {doc_id(name): i for i, name in enumerate(names)}
    for i in range(1, 60):
        links, why = explain_path.path(tmp_path, min(map(doc_id, names)), doc_id(names[i]), doc_id(names[0]))
        assert why is None
        assert len(links) == distance[i]
        steps = [i, *(number[link["doc_id"]] for link in links)]
        for a, b, link in zip(steps, steps[1:], links):
            assert link["similarity"] == similarity[min(a, b), max(a, b)]


def test_path_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    linked_run(tmp_path, [near("a", "b"), near("c", "d")], list("abcd"))
    facts = one(tmp_path, "d")
    assert (facts["duplicate_of"]["path"], facts["duplicate_of"]["no_path"]) == ([], "no chain of pairs/ leads to it")
    text = as_text(facts)
    assert f"dropped: duplicate of {doc_id('a')}\n" in text
    assert "    the path is not known: no chain of pairs/ leads to it\n" in text
    monkeypatch.setattr(explain_path, "LIMIT", 3)
    assert one(tmp_path, "d")["duplicate_of"]["no_path"] == "a cluster of 4 documents is too large to look for it"
    linked_run(tmp_path, [near("a", "b"), near("b", "c"), near("a", "x"), near("b", "x")], list("abc"))
    assert len(one(tmp_path, "c")["duplicate_of"]["path"]) == 2
    monkeypatch.setattr(explain_path, "LIMIT", 1)
    assert "too large to look for it" in one(tmp_path, "c")["duplicate_of"]["no_path"]


@pytest.fixture
def held(tmp_path: Path) -> tuple[Path, Path]:
    """A run, and an earlier one that holds what two of its documents are similar to; both have a document x."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    earlier = [document("o", uri=f"old/o{HOSTILE}", text="The old one."), document("x", text="Another x.")]
    write_run(old, earlier, [], [])
    held = {"duplicate_of": doc_id("o"), "duplicate_in": "spring"}
    documents = [
        document("n", similarity=0.85, **held),
        document("c", similarity=1.0, content="o", **held),
        document("x"),
        document("y", duplicate_of=doc_id("x"), duplicate_in="spring", similarity=0.9),
    ]
    pairs: list[Pair] = [
        (doc_id("o"), doc_id("n"), 0.85, "near", "spring"),
        (doc_id("o"), doc_id("c"), 1.0, "exact", "spring"),
        (doc_id("x"), doc_id("y"), 0.9, "near", "spring"),
    ]
    write_run(new, documents, pairs, [])
    set_indexes(new, {"spring": str(old)})
    return old, new


def test_earlier_run_holds_it(held: tuple[Path, Path]) -> None:
    _, run = held
    original = one(run, "n")["duplicate_of"]
    assert (original["index"], original["kind"], original["similarity"]) == ("spring", "near", 0.85)
    assert (original["source"], original["text"], original["missing"]) == ("web", "The old one.", None)
    assert original["path"] == [{"doc_id": doc_id("o"), "similarity": 0.85, "kind": "near"}]
    text = as_text(one(run, "n"))
    head = f"dropped: near duplicate of {doc_id('o')} (similarity 0.85), which the earlier run 'spring' holds"
    assert head in text
    assert f"    {doc_id('o')}  0.850  near  of the earlier run 'spring'\n" in text
    assert "\0" not in text
    assert one(run, "c")["duplicate_of"]["kind"] == "exact"


def test_same_id_in_the_earlier_run(held: tuple[Path, Path]) -> None:
    _, run = held
    assert one(run, "y")["duplicate_of"]["text"] == "Another x."
    facts = one(run, "x")
    assert facts["stands_for"]["count"] == 0
    assert "pairs" not in facts
    assert "  kept\n" in as_text(facts)


def test_earlier_run_is_gone(held: tuple[Path, Path]) -> None:
    old, run = held
    (old / "documents" / "part-0.parquet").write_bytes(b"PAR1 no more")
    facts = one(run, "n")
    assert f"{old} cannot be read" in facts["duplicate_of"]["missing"]
    assert facts["duplicate_of"]["kind"] == "near"  # 0.85 is not the same content
    shutil.rmtree(old)
    facts = one(run, "c")
    assert facts["duplicate_of"]["missing"] == f"the output directory of that run, {old}, is gone"
    assert facts["duplicate_of"]["kind"] is None  # of similarity 1, who knows
    text = as_text(facts)
    assert f"dropped: duplicate of {doc_id('o')} (similarity 1), which the earlier run 'spring' holds\n" in text
    assert f"nothing more is known of it: the output directory of that run, {old}, is gone\n" in text
    write_run(old, [document("z")], [], [])
    assert one(run, "n")["duplicate_of"]["missing"] == f"{old} no longer holds it"
    set_indexes(run, {})
    assert one(run, "n")["duplicate_of"]["missing"] == "config.json names no index spring"


# EPUB, Gutenberg's text, and the Jaccard similarity of all their shingles
NOVELS = [
    ("se-austen-pride", "1342-0", 0.890),
    ("se-doyle-sherlock", "1661-8", 0.972),
    ("se-herman-melville_moby-dick", "2701-0", 0.924),
]


@pytest.mark.spark
def test_real_novels_of_two_sources_are_clusters(spark: object, data: Path, tmp_path: Path) -> None:
    books = data / "books"
    config = {
        "name": "novels",
        "sources": [
            {"name": "epub", "format": "epub", "paths": [str(books / f"{name}.epub") for name, *_ in NOVELS]},
            {"name": "gutenberg", "format": "text", "kind": "book", "paths": [str(books / "gutenberg" / "*.txt")]},
        ],
        "annotate": {"families": []},
        "rules": {"sets": {"book": []}},
        "split": {"validation": 0, "test": 0},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    run_stages(tmp_path / "config.yaml", str(tmp_path / "output"), until="judge")
    for epub, text, similarity in NOVELS:
        (facts,) = explain(tmp_path / "output", None, f"{text}.txt")
        original = facts["duplicate_of"]
        assert (facts["reason"], original["kind"], original["uri"]) == ("duplicate", "near", f"{epub}.epub")
        assert original["similarity"] == pytest.approx(similarity, abs=0.02)  # an estimate, 4 standard errors
        assert facts["cluster"]["sources"] == {"epub": 1, "gutenberg": 1}
        words = f"dropped: near duplicate of {original['doc_id']} (similarity {original['similarity']:.4g})"
        assert words in as_text(facts)
    page = " ".join(write_report(tmp_path / "output").read_text("utf-8").split())
    assert "The similarity of 6 documents with 4,096 different shingles or more is an estimate" in page
    assert "The largest clusters" in page
