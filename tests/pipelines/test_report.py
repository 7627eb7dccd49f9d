import json
import random
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from report_case import HOSTILE, HUBS, RULES, SOURCES, doc_id, document, finish, tiny, write_run

from pipelines import charts, datasets, funnel, report_clusters, report_verdicts
from pipelines.errors import GristmillError
from pipelines.report import as_funnel, gather, write_report
from pipelines.report_duplicates import source_table
from pipelines.report_facts import WORD_BINS
from pipelines.report_normalization import normalization_facts
from pipelines.report_page import contamination_section, render


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
    assert [web[f"dropped_{reason}"] for reason in funnel.REASONS] == [1, 0, 1, 5, 1, 1]
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
    assert shown.count("quality.words = ") == 5  # q.loud names it in a literal only
    assert "Also fired: q.loud on 1" in shown
    assert "quality.hashes = 0.5" in shown
    assert "fra: quality.words < 20" in shown
    section = text[text.index('id="rules"') : text.index('id="duplicates"')]
    assert section.count("<blockquote>") == 5 + 1 + 1 + 1 + 1 + 1  # q.short has five documents, all others one


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
    assert page["duplicates"]["largest"] == [{"cluster": doc_id("a"), "size": 5, "kept": 1, "sources": {"web": 5}}]
    counts = {name: page["duplicates"][name] for name in ("exact_pairs", "near_pairs", "dropped", "exact", "near")}
    assert counts == {"exact_pairs": 1, "near_pairs": 3, "dropped": 1, "exact": 1, "near": 0}
    assert page["duplicates"]["by_source"] == {"web": {"documents": 10, "of": {"web": 1}, "held": {}}}
    assert page["duplicates"]["stands_for"] == 4  # a for d too, m and n
    assert page["matching"]["error"] == pytest.approx(0.00625)  # sqrt(0.8 * 0.2 / 4096)
    assert page["languages"] == {"eng": {"kept": 3, "dropped": 7}, "fra": {"kept": 0, "dropped": 1}}
    assert page["sources"]["books"]["characters_kept"] == 7 * 590_000
    assert page["errors"][0]["reason"] == "truncated record"
    assert [(row["source"], row["level"], row["count"]) for row in page["errors"]] == [
        ("web", "record", 2),
        ("books", "file", 1),
    ]


@pytest.fixture
def random_page(tmp_path: Path) -> tuple[dict[str, Any], list[Any], dict[str, dict[str, str]]]:
    """funnel.json of a random run, its documents, and who is similar to whom, and how."""
    documents, pairs, similar = random_run(random.Random(3))
    write_run(tmp_path, documents, pairs, [], parts=4)
    return report(tmp_path)[1], documents, similar


def test_rules_and_lengths_are_those_of_a_brute_force_count(random_page: tuple[Any, Any, Any]) -> None:
    page, documents, similar = random_page
    kept = {row["doc_id"] for row in documents if row["kept"]} | {doc_id(f"old {i}") for i in range(400)}
    in_train = {row["cluster"] for row in documents if row["kept"] and row["split"] == "train"}
    for name in ("q.short", "q.loud"):
        alone = [
            row
            for row in documents
            if row["failed_rules"] == [name]
            and row["duplicate_of"] is None
            and not similar[row["doc_id"]].keys() & kept
            and (row["split"] == "train" or row["cluster"] not in in_train)
        ]
        assert page["rules"][name]["fired"] == sum(name in row["failed_rules"] for row in documents)
        assert page["rules"][name]["alone"] == len(alone)
        failed = [row["failed_rules"] for row in documents if name in row["failed_rules"]]
        others = Counter(rule for rules in failed for rule in rules if rule != name)
        others["duplicate"] = sum(row["duplicate_of"] is not None for row in documents if name in row["failed_rules"])
        assert page["rules"][name]["overlap"] == {rule: count for rule, count in others.items() if count}
        assert 0 < len(alone) < sum(row["failed_rules"] == [name] for row in documents)
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


def test_duplicates_are_those_of_a_brute_force_count(random_page: tuple[Any, Any, Any]) -> None:
    page, documents, similar = random_page
    found, source_of = page["duplicates"], {row["doc_id"]: row["source"] for row in documents}
    dropped = [row for row in documents if row["duplicate_of"]]
    here = [row for row in dropped if row["duplicate_in"] is None]
    kinds = Counter(similar[row["doc_id"]].get(row["duplicate_of"], "linked") for row in here)
    assert {name: found[name] for name in ("exact", "near", "linked")} == kinds
    assert found["dropped"] == len(dropped) == sum(kinds.values()) + found["held"]
    assert found["indexes"] == {"old": len(dropped) - len(here)}
    assert found["also_failed"] == sum(bool(row["failed_rules"]) for row in dropped) > 0
    assert found["stands_for"] == sum(row["stands_for"] for row in documents)
    for source in ("web", "books"):
        row = found["by_source"][source]
        own = [d for d in here if d["source"] == source]
        assert row["documents"] == sum(d["source"] == source for d in documents)
        assert row["of"] == Counter(source_of[d["duplicate_of"]] for d in own)
        assert row["held"] == {"old": sum(d["source"] == source and d["duplicate_in"] == "old" for d in dropped)}
    sizes = Counter(row["cluster"] for row in documents)
    sizes = Counter({cluster: size for cluster, size in sizes.items() if size > 1})
    assert (found["clusters"], found["clustered"]) == (len(sizes), sizes.total())
    for first, count in found["cluster_sizes"].items():
        assert count == sum(int(first) <= size <= max(2, 2 * (int(first) - 1)) for size in sizes.values())
    largest = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:5]
    assert [(row["cluster"], row["size"]) for row in found["largest"]] == largest
    for row in found["largest"]:
        members = [d for d in documents if d["cluster"] == row["cluster"]]
        assert row["kept"] == sum(d["kept"] for d in members)
        assert row["sources"] == Counter(d["source"] for d in members)


def test_documents_in_several_shares(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "random"
    other.mkdir()
    documents, pairs, _ = random_run(random.Random(4))
    write_run(other, documents, pairs, [], parts=4)
    for folder in (run, other):
        whole = report(folder)
        with monkeypatch.context() as patch:
            for module in (report_verdicts, report_clusters):
                patch.setattr(module, "AT_ONCE", 7)
            assert report(folder) == whole


def random_run(rng: random.Random) -> tuple[list[Any], list[Any], dict[str, dict[str, str]]]:
    """Documents in classes of equal content, near pairs between classes, and who is similar to whom, and how.

    A document stays unless it is similar to one that does before it, or, in some clusters, to one that stays by a chain
    only; an earlier run holds some.
    """
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
        member: {other: "exact" if i == j else "near" for j in like[i] for other in classes[j] if other != member}
        for i, members in enumerate(classes)
        for member in members
    }
    for i, members in enumerate(classes):
        if i % 9 == 0:  # an earlier run has one that is similar to these
            pairs.append((old := doc_id(f"old {i}"), members[0], 0.95, "near", "old"))
            for member in members:
                similar[member][old] = "held"
    content = {member: members[0] for members in classes for member in members}
    rows: dict[str, Any] = {}
    for key in sorted(similar):
        cluster, todo = {key}, [key]
        while todo:
            new = similar.get(todo.pop(), {}).keys() - cluster
            cluster |= new
            todo += new
        chained = len(cluster) % 3 == 0
        staying = [other for other in sorted(cluster) if other in rows and rows[other]["stays"]]
        old = next((other for other, kind in similar[key].items() if kind == "held"), None)
        original = old or next((other for other in staying if chained or other in similar[key]), None)
        failed = rng.choice([(), (), ("q.short",), ("q.loud",), ("q.loud", "q.short")])
        how = {"held": 0.95, "exact": 1.0, "near": 0.9}
        dropped: dict[str, Any] = {"stays": not failed}
        if original and rng.random() < 0.9:  # another takes no part
            dropped = {"duplicate_of": original, "similarity": how.get(similar[key].get(original, "linked"))}
            dropped |= {"duplicate_in": "old"} if old else {}
        elif original and not failed:
            failed = ("q.loud",)
        words = rng.choice([0, 1, 5, 49, 50, 10**8, rng.randrange(9999)])
        row = document(key, failed, cluster=min(cluster), words=words, content=content[key], **dropped)
        row |= {"doc_id": key, "code": rng.choice(["eng", "fra"]), "split": rng.choice(["train", "test"])}
        rows[key] = row | {"source": rng.choice(["web", "books"])}
    return list(rows.values()), pairs, similar


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
    packing = {"rows": 9, "tokens": 1_005, "documents": 4, "cuts": 8, "cut_documents": 2, "context_lost": 201}
    packing |= {"dropped": 335, "middle_last": 3}
    packed = {"tokens": 1_005, "rows": 9, "files": 2, "sources": {"web": {"train": 1_000, "test": 5}}}
    finish(run, "pack", packed | {"packing": {"train": packing}})
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
    for cell in ("1.33", "20.00%", "25.00%"):  # 12 parts in 9 rows, 201 of 1,005 tokens, 335 of 1,340
        assert f"<td>{cell}</td>" in text
    assert page["packing"] == {"train": packing}
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


def test_bands_that_match_resolved_come_before_the_configs(run: Path) -> None:
    assert report(run)[1]["matching"]["bands"] == 21
    config = json.loads((run / "config.json").read_text())
    config["dedup"] |= {"bands": None, "rows": None, "target": 0.7}
    (run / "config.json").write_text(json.dumps(config))
    text, page = report(run)
    assert page["matching"]["bands"] is None
    assert "share of pairs that are compared" not in text
    finish(run, "match", {"exact": 1, "near": 3, "bands": 32, "rows": 4})
    text, page = report(run)
    assert (page["matching"]["bands"], page["matching"]["rows"]) == (32, 4)
    assert f"threshold 0.8: {1 - (1 - 0.8**4) ** 32:.2%}" in text


def test_how_duplicates_were_found_is_said(run: Path) -> None:
    shown = " ".join(Page(report(run)[0]).text.split())
    assert "The check: 1 exact + 0 near = 1." in shown
    assert "The similarity of 1 document with 4,096 different shingles or more is an estimate" in shown
    assert "a standard error of 0.006 at 0.8; that of all others is exact." in shown
    assert "2 buckets of similar documents held more than the 64 that are all compared with each other" in shown
    assert "in 3 passes, and 0 were left over." in shown
    finish(run, "match", {"exact": 1, "near": 3, **HUBS, "hubs": 0, "estimated": 0})
    shown = " ".join(Page(report(run)[0]).text.split())
    assert "All similarities are exact: no document has 4,096" in shown
    assert "No bucket of similar documents held more than the 64" in shown
    config = json.loads((run / "config.json").read_text())
    config["dedup"]["verify"] = "signature"
    (run / "config.json").write_text(json.dumps(config))
    shown = " ".join(Page(report(run)[0]).text.split())
    assert "estimates by signatures, with a standard error of 0.035 at 0.8." in shown


def test_largest_clusters_with_samples(run: Path) -> None:
    text, _ = report(run)
    section = text[text.index("The largest clusters") : text.index('id="languages"')]
    assert section.count("<blockquote>") == 3  # of five
    assert f'<code class="id" title="{doc_id("a")}">' in section
    assert "Text of a." in section  # the one that is kept comes first


def test_sources_of_duplicates_beyond_the_table(tmp_path: Path) -> None:
    names = [f"s{i:02}" for i in range(40)]
    documents = []
    for i, name in enumerate(names):
        cluster = doc_id(f"{name} kept")
        documents.append(document(f"{name} kept", source=name, cluster=cluster))
        other = {"source": names[i - 1], "cluster": cluster, "duplicate_of": cluster, "similarity": 0.9}
        documents += [document(f"{name} {k}", **other) for k in range(i + 1)]
    pairs = [(row["duplicate_of"], row["doc_id"], 0.9, "near") for row in documents if row["duplicate_of"]]
    table = source_table({})
    assert table == {"columns": [], "rows": [], "more_rows": 0}
    write_run(tmp_path, documents, pairs, [], sources=names)
    text, page = report(tmp_path)
    by_source = page["duplicates"]["by_source"]
    assert by_source["s38"] == {"documents": 41, "of": {"s39": 40}, "held": {}}
    table = source_table(by_source)
    assert len(table["rows"]) == 30
    assert table["more_rows"] == 10
    assert table["columns"][:2] == ["s39", "s38"]
    assert table["columns"][-1] == "30 other sources"
    for name, documents_of, counts, every in table["rows"]:
        assert sum(counts) == every == documents_of - 1 == sum(by_source[name]["of"].values())
    assert "And 10 more sources" in text


def test_contamination_has_its_place(run: Path) -> None:
    text, _ = report(run)
    assert 'id="contamination"' not in text
    example = {"doc_id": doc_id("a"), "source": "web", "uri": f"u{HOSTILE}", "text": HOSTILE * 99, "share": 0.5}
    item = {"item": HOSTILE, "documents": 7, "share": 0.75, "examples": [{**example, "kept": False}] * 9}
    counts = {"found": 60, "not_found": 3, "too_short": 2, "ignored": 1}
    facts = {"counts": {"": counts, HOSTILE: counts, "b.jsonl": counts}, "names": {}, "matched": [item] * 60}
    text = render({**gather(run), "contamination": facts})
    page = Page(text)
    assert 'href="#contamination"' in text
    assert text.count("75% of it at most") == 50
    assert "And 10 more items that were found." in page.text
    assert "script" not in page.tags
    assert page.text.count(HOSTILE.replace("\0", "\ufffd")) >= 51
    assert contamination_section(facts)["matched"][0]["examples"][0]["text"].endswith("…")
    assert as_funnel({**gather(run), "contamination": facts})["contamination"] == facts


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
    drawn = charts.histogram(["1", "2", "3"], [("kept", "kept", [10_000, 1, 0])], "words")
    assert [float(height) for height in re.findall(r'<rect [^>]*height="([\d.]+)"', drawn)][1:] == [1.0]  # to be seen


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


def test_characters_changed_by_normalization(tmp_path: Path) -> None:
    rows = [
        ("web", [("title", "x"), ("normalized.lines", "3"), ("normalized.form", "4")]),
        ("web", []),
        ("books", [("normalized.lines", "20")]),
        ("web", [("normalized.lines", "2")]),
        ("books", None),
    ]
    (tmp_path / "documents").mkdir()
    table = [{"doc_id": doc_id(str(i)), "source": s, "uri": "", "text": "", "meta": m} for i, (s, m) in enumerate(rows)]
    pq.write_table(pa.Table.from_pylist(table, schema=datasets.DOCUMENTS), tmp_path / "documents" / "a.parquet")
    assert normalization_facts(tmp_path) == {
        "books": {"lines": {"documents": 1, "characters": 20}},
        "web": {"form": {"documents": 1, "characters": 4}, "lines": {"documents": 2, "characters": 5}},
    }
