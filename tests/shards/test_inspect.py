import json
import xml.etree.ElementTree as ET
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from look_cases import make_run
from shard_cases import make_header, make_id, make_table, make_tokens
from typer.testing import CliRunner

from shards import read
from shards.cli import app
from shards.inspect import BucketFacts, as_tables, inspect
from shards.inspect_corpus import Origin, origins
from shards.inspect_plot import draw, html, svg
from shards.manifest import write_manifest
from shards.packing_report import add_up, read_layout, report
from shards.pieces import documents
from shards.write import write_shard

run = CliRunner().invoke
DOCUMENTS = [
    ("train", "web", "eng", "It was the age of wisdom. " * 3),
    ("train", "web", "deu", "Zwölf Boxkämpfer"),
    ("train", "books", "eng", "It was the age of foolishness. " * 9),
    ("train", "books", "jpn", "吾輩は猫である。"),
    ("validation", "web", "eng", "words"),
]


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", DOCUMENTS)


def tokens_of(text: str) -> int:
    return len(text.encode()) + 2


def test_facts_count_what_is_there(shard_set: Path) -> None:
    facts = {(fact.split, fact.bucket): fact for fact in inspect(read.open(shard_set))}
    assert list(facts) == [("train", "code"), ("train", "web"), ("validation", "web")]
    web = facts["train", "web"]
    assert (web.files, web.rows, web.tokens, web.padding, web.documents) == (1, 17, 263, 9, 5)
    # rows of 16 tokens: 5 | 40 over 3 rows | 2 | 200 over 14 rows | 16 over 2 rows
    assert web.pieces == {"whole": 2, "piece": 3 + 14 + 2}
    assert (web.packing.cut_documents, web.packing.cuts) == (3, 2 + 13 + 1)
    assert web.lengths == {1: 1, 2: 1, 4: 1, 5: 1, 7: 1}
    assert web.padding_share == 9 / (17 * 16)
    assert facts["train", "code"].lengths == {4: 3}
    assert facts["train", "code"].packing.documents_per_row == {1: 3}


def test_packing_is_that_of_all_files_of_a_bucket(tmp_path: Path) -> None:
    header, entries = make_header(packing="one_per_row"), []
    for number, lengths in enumerate([[5, 40, 2], [3, 16, 17], []]):
        table = make_table(make_tokens(lengths, number), [f"{number} {i}" for i in range(len(lengths))])
        entries.append(write_shard(tmp_path / f"train-{number}.arrow", table, header, seed=number))
    write_manifest(tmp_path, header.shared(), entries)
    (fact,) = inspect(read.open(tmp_path))
    assert fact.packing == add_up(report(read_layout(path)) for path in sorted(tmp_path.glob("*.arrow")))
    assert fact.packing.truncated_documents == 2
    assert fact.files == 3


def test_middle_last_is_no_cut(tmp_path: Path) -> None:
    make_run(
        tmp_path / "run", [("train", "code", "und", f"def f{i}():\n    return {i}\n") for i in range(5)], fill=True
    )
    (fact,) = inspect(read.open(tmp_path / "run" / "shards"))
    assert fact.pieces == {"fill_in_the_middle": 15}
    assert (fact.packing.cut_documents, fact.packing.context_lost, fact.packing.middle_last) == (0, 0, 5)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(2, 70), max_size=8), min_size=1, max_size=3))
def test_documents_are_put_together_from_their_pieces(tmp_path: Path, files: list[list[int]]) -> None:
    directory = tmp_path / str(np.random.default_rng().integers(1 << 60))
    directory.mkdir()
    entries, expected = [], {}
    for number, lengths in enumerate(files):
        header = make_header(split=("train", "test")[number % 2])
        names = [f"{number} {i}" for i in range(len(lengths))]
        expected |= {make_id(name): (length, header.split) for name, length in zip(names, lengths)}
        table = make_table(make_tokens(lengths, number), names)
        entries.append(write_shard(directory / f"{number}.arrow", table, header, seed=1))
    manifest = write_manifest(directory, make_header().shared(), entries)
    found = documents(read.open(directory))
    splits = list(manifest.splits)
    ids = [one.ljust(16, b"\0") for one in found.ids.tolist()]
    assert ids == sorted(expected)
    assert {i: (t, splits[s]) for i, t, s in zip(ids, found.tokens.tolist(), found.split.tolist())} == expected


def test_origins_are_those_of_the_corpus(run_directory: Path) -> None:
    found = origins(read.open(run_directory / "shards"))
    expected = Counter()
    for split, source, language, text in DOCUMENTS:
        expected[split, source, language] += tokens_of(text)
    assert {(row.split, row.source, row.language): row.tokens for row in found} == expected
    assert all(row.documents == 1 for row in found)
    assert [row.split for row in found] == ["train"] * 4 + ["validation"]
    trained = [row.tokens for row in found if row.split == "train"]
    assert trained == sorted(trained, reverse=True)


def test_what_the_corpus_does_not_tell_is_left_open(run_directory: Path) -> None:
    (run_directory / "corpus" / "split=train" / "source=books" / "0.parquet").unlink()
    (run_directory / "signals" / "language" / "0.parquet").unlink()
    found = origins(read.open(run_directory / "shards"))
    web = sum(tokens_of(text) for split, source, _, text in DOCUMENTS if (split, source) == ("train", "web"))
    books = sum(tokens_of(text) for _, source, _, text in DOCUMENTS if source == "books")
    assert found[:2] == [Origin("train", None, None, 2, books), Origin("train", "web", None, 2, web)]
    for path in (run_directory / "corpus").rglob("*.parquet"):
        path.unlink()
    assert origins(read.open(run_directory / "shards")) is None


def test_the_command(run_directory: Path) -> None:
    for directory in (run_directory, run_directory / "shards"):
        result = run(app, ["inspect", str(directory), "--json"])
        assert result.exit_code == 0, result.output
        facts = json.loads(result.stdout)
        assert [(bucket["split"], bucket["bucket"]) for bucket in facts["buckets"]] == [
            ("train", "books"), ("train", "web"), ("validation", "web")
        ]  # fmt: skip
        assert facts["splits"]["test"]["rows"] == 0
        books = facts["buckets"][0]
        assert sum(books["lengths"].values()) == books["packing"]["documents"] == 2
        assert books["packing"]["cut_documents"] == 1
        assert books["packing"]["rows"] == books["rows"] == sum(books["packing"]["documents_per_row"].values())
        assert "dropped" not in books["packing"]
        assert {row["language"] for row in facts["origins"]} == {"eng", "deu", "jpn"}
    shown = run(app, ["inspect", str(run_directory)])
    assert shown.exit_code == 0
    for word in ("Contents", "Packing", "context lost", "Documents by length", "Sources", "Languages", "jpn"):
        assert word in shown.stdout
    assert "\x1b" not in shown.stdout


def test_without_a_corpus_it_says_so(tmp_path: Path) -> None:
    make_run(tmp_path / "run", DOCUMENTS, corpus=False)
    shown = run(app, ["inspect", str(tmp_path / "run")])
    assert "no corpus beside the shards" in shown.stdout
    assert json.loads(run(app, ["inspect", str(tmp_path / "run"), "--json"]).stdout)["origins"] is None


def test_a_damaged_corpus_is_named(run_directory: Path) -> None:
    file = run_directory / "corpus" / "split=train" / "source=web" / "0.parquet"
    file.write_bytes(b"PAR1")
    result = run(app, ["inspect", str(run_directory)])
    assert (result.exit_code, str(file) in result.output) == (1, True)


def test_an_empty_set(tmp_path: Path) -> None:
    write_manifest(tmp_path, make_header().shared(), [], ("train",))
    shards = read.open(tmp_path)
    assert inspect(shards) == []
    assert as_tables(shards, [], None)
    ET.fromstring(svg(shards, []))
    assert json.loads(run(app, ["inspect", str(tmp_path), "--json"]).stdout)["buckets"] == []


def drawn_widths(picture: str, title: str) -> dict[str, float]:
    """The bars below a title, by their hint."""
    namespace = {"s": "http://www.w3.org/2000/svg"}
    for group in ET.fromstring(picture).findall("s:g", namespace):
        if (group.findtext("s:text", "", namespace)).startswith(title):
            bars = group.findall("s:rect", namespace)
            return {bar.findtext("s:title", "", namespace): float(bar.attrib["width"]) for bar in bars}
    raise AssertionError(title)


def test_the_picture_draws_the_facts(run_directory: Path) -> None:
    shards = read.open(run_directory / "shards")
    facts = inspect(shards)
    picture = svg(shards, facts)
    bars = drawn_widths(picture, "Tokens by split and bucket")
    assert len(bars) == len(facts)
    widths = list(bars.values())
    assert np.allclose(
        np.array(widths) / max(widths), [fact.tokens / max(f.tokens for f in facts) for fact in facts], atol=1e-3
    )
    lengths = drawn_widths(picture, "Documents by length")
    expected = {f"{fact.split}: {count} from {2**k}" for fact in facts for k, count in fact.lengths.items()}
    assert {hint for hint in lengths if hint.startswith("validation")} == {hint for hint in expected if "valid" in hint}
    rows = drawn_widths(picture, "Rows by number of documents")
    assert sum(int(hint.split(": ")[1].split()[0]) for hint in rows) == sum(fact.rows for fact in facts)
    assert svg(shards, facts) == picture
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    assert "prefers-color-scheme: dark" in picture


def test_hostile_names_are_escaped(run_directory: Path) -> None:
    shards = read.open(run_directory / "shards")
    name = "<script>alert(1)</script>\x00\u202e&\n\"'"
    facts = [BucketFacts("train", name, tokens=5, rows=1, documents=1, lengths={2: 1})] * 50
    picture = svg(shards, facts)
    root = ET.fromstring(picture)
    assert not [node.tag for node in root.iter() if node.tag.endswith("script")]
    assert all(c == "\n" or c.isprintable() for c in picture)
    assert "first 40 of 50" in picture
    page = html(shards, facts)

    seen: set[str] = set()

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list) -> None:
            seen.add(tag)

    Tags().feed(page)
    assert "script" not in seen
    assert {"html", "svg", "rect"} <= seen


def test_pictures_are_written_by_their_suffix(run_directory: Path, tmp_path: Path) -> None:
    shards = read.open(run_directory / "shards")
    facts = inspect(shards)
    for name in ("a.svg", "b.HTML"):
        result = run(app, ["inspect", str(run_directory), "--plot", str(tmp_path / name), "--json"])
        assert result.exit_code == 0, result.output
        assert (tmp_path / name).read_text() == draw(tmp_path / name, shards, facts)
    for name in ("c.png", "d"):
        result = run(app, ["inspect", str(run_directory), "--plot", str(tmp_path / name)])
        assert result.exit_code == 2
        assert ".svg, .html" in result.output
        assert not (tmp_path / name).exists()
    result = run(app, ["inspect", str(run_directory), "--plot", str(tmp_path / "no" / "a.svg")])
    assert (result.exit_code, "a.svg" in result.output) == (2, True)
