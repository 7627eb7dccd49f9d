import json
import random
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from report_case import HOSTILE, RULES, SOURCES, doc_id, document, finish, tiny, write_run

from pipelines import charts, funnel
from pipelines.errors import GristmillError
from pipelines.report import write_report
from pipelines.report_facts import WORD_BINS


def report(output: Path) -> tuple[str, dict[str, Any]]:
    path = write_report(output)
    return path.read_text("utf-8"), json.loads((path.parent / "funnel.json").read_text("utf-8"))


class Page(HTMLParser):
    """What a browser would make of a page: its elements and their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path, *tiny())
    return tmp_path


def test_sums_hold_for_every_source(run: Path) -> None:
    _, page = report(run)
    assert list(page["sources"]) == SOURCES
    for row in [*page["sources"].values(), page["totals"]]:
        assert row["read"] == row["documents_in"] == row["kept"] + row["dropped"] + row["errors"]
        assert row["dropped"] == sum(row[f"dropped_{reason}"] for reason in funnel.REASONS)
    assert page["totals"]["read"] == page["documents_in"] == 14
    web = page["sources"]["web"]
    assert [web[f"dropped_{reason}"] for reason in funnel.REASONS] == [1, 1, 5, 1, 1]
    assert page["sources"]["nothing"]["read"] == 0


def test_sum_that_does_not_hold_is_shown(run: Path) -> None:
    facts = json.loads((run / "stages.json").read_text())["stages"]["ingest"]["facts"]
    assert "✗" not in report(run)[0]
    facts["documents_in"]["web"] += 1
    finish(run, "ingest", facts)
    assert "✗" in report(run)[0]


def test_rules_fired_and_fired_alone(run: Path) -> None:
    _, page = report(run)
    counted = {name: (rule["fired"], rule["alone"], rule["asked"]) for name, rule in page["rules"].items()}
    assert counted == {
        "q.short": (5, 2, 9),  # alone: b and l
        "q.loud": (1, 0, 9),
        "language.code": (1, 1, 9),
        "q.never": (0, 0, 11),
        "q.unasked": (0, 0, 0),
        "gate.content_type": (1, None, None),
        "duplicate": (1, None, None),
        "split_leak": (1, 1, None),
    }
    notes = {name: rule["note"] for name, rule in page["rules"].items() if rule["note"]}
    assert notes == {
        "q.short": "fired on 56% of what it was asked about",
        "q.never": "fired on nothing",
        "q.unasked": "asked of no document",
    }


def test_page_shows_every_rule_with_examples_and_values(run: Path) -> None:
    text, page = report(run)
    shown = Page(text).text
    for name, predicate, _ in RULES:
        assert name in shown
        assert predicate in shown
    assert page["rules"].keys() >= {name for name, *_ in RULES}
    assert shown.count("quality.words = ") == 3  # of five; q.loud names it in a literal only
    assert "quality.hashes = 0.5" in shown
    assert "fra: quality.words < 20" in shown
    section = text[text.index('id="rules"') : text.index('id="duplicates"')]
    assert section.count("<blockquote>") == 3 + 1 + 1 + 1 + 1 + 1  # q.short has five documents, all others one


def test_hostile_text_stays_text_and_nothing_is_loaded(run: Path) -> None:
    text, _ = report(run)
    page = Page(text)
    assert {"script", "img", "link", "iframe", "object", "base"}.isdisjoint(page.tags)
    assert HOSTILE.replace("\0", "\ufffd") in page.text
    assert "\0" not in text
    loaded = [
        value for name, value in page.attributes if name in ("src", "href", "xlink:href", "action", "data", "srcset")
    ]
    assert loaded
    assert all(value.startswith("#") for value in loaded)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "url(" not in text
    assert "@import" not in text


def test_page_is_well_formed(run: Path) -> None:
    finish(run, "pretrain", {"name": "tiny"})
    text, _ = report(run)
    for tag in ("section", "details", "table", "svg", "div", "blockquote", "span", "p"):
        assert len(re.findall(rf"<{tag}[\s>]", text)) == text.count(f"</{tag}>"), tag


def test_duplicates_languages_lengths_and_errors(run: Path) -> None:
    _, page = report(run)
    assert page["duplicates"]["cluster_sizes"] == {"5": 1}
    assert page["duplicates"]["largest"] == [{"cluster": doc_id("a"), "size": 5, "kept": 1}]
    assert (page["duplicates"]["exact_pairs"], page["duplicates"]["near_pairs"], page["duplicates"]["dropped"]) == (
        1,
        3,
        1,
    )
    assert page["languages"] == {"eng": {"kept": 3, "dropped": 7}, "fra": {"kept": 0, "dropped": 1}}
    assert page["sources"]["books"]["characters_kept"] == 7 * 590_000
    assert page["errors"][0]["reason"] == "truncated record"
    assert [(row["source"], row["level"], row["count"]) for row in page["errors"]] == [
        ("web", "record", 2),
        ("books", "file", 1),
    ]


def test_counts_are_those_of_a_brute_force_count(tmp_path: Path) -> None:
    documents, pairs, similar = random_run(random.Random(3))
    write_run(tmp_path, documents, pairs, [], parts=4)
    _, page = report(tmp_path)
    rules = page["rules"]
    kept = {row["doc_id"] for row in documents if row["kept"]}
    in_train = {row["cluster"] for row in documents if row["kept"] and row["split"] == "train"}
    for name in ("q.short", "q.loud"):
        alone = [
            row
            for row in documents
            if row["failed_rules"] == [name]
            and not similar[row["doc_id"]] & kept
            and (row["split"] == "train" or row["cluster"] not in in_train)
        ]
        assert rules[name]["fired"] == sum(name in row["failed_rules"] for row in documents)
        assert rules[name]["alone"] == len(alone)
    for word in ("kept", "dropped"):
        rows = [row for row in documents if row["kept"] == (word == "kept")]
        for code in ("eng", "fra"):
            assert page["languages"][code][word] == sum(row["code"] == code for row in rows)
        for source in ("web", "books"):
            lengths = [row["words"] for row in rows if row["source"] == source]
            ends = [*WORD_BINS[1:].tolist(), 10**12]
            assert page["lengths"][source][f"words_{word}"] == [
                sum(low <= length < high for length in lengths) for low, high in zip(WORD_BINS.tolist(), ends)
            ]
    sizes = Counter(row["cluster"] for row in documents if similar[row["doc_id"]])
    assert page["duplicates"]["clusters"] == len(sizes)
    assert sum(page["duplicates"]["cluster_sizes"].values()) == len(sizes)
    for first, count in page["duplicates"]["cluster_sizes"].items():
        assert count == sum(int(first) <= size <= max(2, 2 * (int(first) - 1)) for size in sizes.values())


def random_run(rng: random.Random) -> tuple[list[Any], list[Any], dict[str, set[str]]]:
    """Documents in classes of equal content, near pairs between classes, and who is similar to whom."""
    ids = sorted(doc_id(f"random {i}") for i in range(400))
    classes: list[list[str]] = []
    while ids:
        size = rng.choice([1, 1, 1, 2, 3])
        classes.append(sorted(ids.pop(rng.randrange(len(ids))) for _ in range(min(size, len(ids)))))
    pairs = [(members[0], other, 1.0, "exact") for members in classes for other in members[1:]]
    like = {i: {i} for i in range(len(classes))}
    for i, j in {tuple(sorted(rng.sample(range(len(classes)), 2))) for _ in range(80)}:
        a, b = sorted((classes[i][0], classes[j][0]))
        pairs.append((a, b, 0.9, "near"))
        like[i].add(j)
        like[j].add(i)
    similar = {
        member: {other for j in like[i] for other in classes[j]} - {member}
        for i, members in enumerate(classes)
        for member in members
    }
    documents = []
    for key in similar:
        cluster, todo = {key}, [key]
        while todo:
            new = similar[todo.pop()] - cluster
            cluster |= new
            todo += new
        failed = rng.choice([(), (), ("q.short",), ("q.loud",), ("q.loud", "q.short")])
        row = document(
            key, failed, cluster=min(cluster), words=rng.choice([0, 1, 5, 49, 50, 10**8, rng.randrange(9999)])
        )
        row |= {"doc_id": key, "code": rng.choice(["eng", "fra"]), "split": rng.choice(["train", "test"])}
        documents.append(row | {"source": rng.choice(["web", "books"])})
    return documents, pairs, similar


def test_unfinished_stages_are_named_and_left_out(tmp_path: Path) -> None:
    write_run(tmp_path, *tiny(), last="ingest")
    text, page = report(tmp_path)
    assert page["unfinished"] == [
        "annotate",
        "match",
        "judge",
        "corpus",
        "tokenizer",
        "pack",
    ]  # the config trains nothing
    assert "Not finished: annotate, match" in text
    assert "sources" not in page
    assert page["documents_in"] == 14
    assert 'id="rules"' not in text
    assert 'id="errors"' in text


def test_nothing_is_finished(tmp_path: Path) -> None:
    (tmp_path / "stages.json").write_text(json.dumps({"format": 1, "stages": {}}))
    text, page = report(tmp_path)
    assert page["finished"] == []
    assert "<section" not in text


def test_empty_datasets(tmp_path: Path) -> None:
    write_run(tmp_path, [], [], [])
    _, page = report(tmp_path)
    assert page["totals"]["read"] == 0
    assert page["duplicates"]["clusters"] == 0
    assert page["rules"]["q.short"]["note"] == "asked of no document"


def test_without_config_rules_and_signals(run: Path) -> None:
    (run / "config.json").unlink()
    facts = json.loads((run / "stages.json").read_text())["stages"]["judge"]["facts"]
    finish(run, "judge", {"funnel": facts["funnel"]})
    for path in (run / "signals").rglob("*.parquet"):
        path.unlink()
    text, page = report(run)
    assert page["rules"]["q.short"]["asked"] is None
    assert page["lengths"] == page["languages"] == {}
    assert "characters_in" not in page["totals"]
    assert 'id="lengths"' not in text


def test_tokenizer_shards_and_training(run: Path) -> None:
    counts = {
        "texts": 3,
        "bytes": 4_000,
        "words": 800,
        "tokens": 1_000,
        "bytes_per_token": 4.0,
        "tokens_per_word": 1.25,
    }
    finish(run, "tokenizer", {"entries": 300, **counts, "groups": {"web": counts}})
    finish(run, "pack", {"tokens": 1_005, "rows": 9, "files": 2, "sources": {"web": {"train": 1_000, "test": 5}}})
    split = {"files": 1, "rows": 9, "tokens": 1_005, "padding": 3, "documents": 4}
    manifest = {"header": {"context_length": 128, "packing": "concatenate"}, "splits": {"train": split}}
    (run / "shards").mkdir()
    (run / "shards" / "manifest.json").write_text(json.dumps(manifest))
    finish(run, "pretrain", {"name": "tiny", "validation_bits_per_byte": 2.125, "unigram_bits_per_byte": 4.5})
    folder = run / "runs" / "tiny"
    folder.mkdir(parents=True)
    lines = [{"kind": "train", "step": i, "loss": 6 - i / 200} for i in range(1, 1_001)]
    lines += [{"kind": "evaluation", "step": 1_000, "bits_per_byte": 2.125}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"kind": "tr')
    (folder / "samples.json").write_text(json.dumps([{"prompt": "Once ", "text": HOSTILE + "\ud800"}]))
    text, page = report(run)
    shown = Page(text).text
    assert page["tokens"] == 1_005
    assert page["sources"]["web"]["tokens"] == 1_005
    assert page["sources"]["books"]["tokens"] == 0
    assert "unigram baseline 4.500" in shown
    assert "training loss, nats per token" in shown
    assert "Once " + HOSTILE.replace("\0", "\ufffd") in shown
    assert "0.30%" in shown  # padding: 3 of 1,008
    assert "script" not in Page(text).tags


def test_same_run_gives_the_same_files(run: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    first = write_report(run)
    second = write_report(run, tmp_path_factory.mktemp("staging") / "report")
    assert first == run / "report" / "report.html"
    for name in ("report.html", "funnel.json"):
        assert (first.parent / name).read_bytes() == (second.parent / name).read_bytes()
    assert sorted(path.name for path in second.parent.iterdir()) == ["funnel.json", "report.html"]


def test_damaged_config_page(run: Path) -> None:
    (run / "config.json").write_text("{")
    with pytest.raises(GristmillError, match=r"config\.json is damaged"):
        write_report(run)


def test_share_bar_fills_its_width() -> None:
    bar = charts.share_bar([("kept", "kept: 3", 3), ("rules", "<rules>", 1), ("error", "none", 0)], 4)
    assert re.findall(r'class="(\w+)" x="([\d.]+)" y="0" width="([\d.]+)"', bar) == [
        ("kept", "0.000", "75.000"),
        ("rules", "75.000", "25.000"),
    ]
    assert "&lt;rules&gt;" in bar
    assert "rect" not in charts.share_bar([("kept", "kept", 0)], 0)


def test_histogram_heights_are_in_proportion() -> None:
    drawn = charts.histogram(["1", "2"], [("kept", "kept", [4, 2]), ("dropped", "dropped", [0, 2])], "words")
    heights = [float(height) for height in re.findall(r'<rect [^>]*height="([\d.]+)"', drawn)]
    assert heights == [heights[0], heights[0] / 2, heights[0] / 2]


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [(0, 10, 5, [0, 2, 4, 6, 8, 10]), (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 3, 3, [0, 1, 2, 3]), (5, 5, 4, [5])],
)
def test_ticks(low: float, high: float, count: int, expected: list[float]) -> None:
    assert charts.ticks(low, high, count) == expected


def test_thinned_keeps_the_mean() -> None:
    points = [(float(i), float(i % 7)) for i in range(700)]
    thin = charts.thinned(points, 100)
    assert len(thin) == 100
    assert sum(y for _, y in thin) / 100 == pytest.approx(3)
    assert charts.thinned(points, 1_000) == points


def test_line_chart_of_one_point() -> None:
    drawn = charts.line_chart([("line", [(1, 2.0)])], "step", "loss", [("level", 3.0)])
    assert "nan" not in drawn
    assert drawn.count("<circle") == 1
