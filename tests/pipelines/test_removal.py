import itertools
import json
import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from kills import Killed, killed_at
from removal_case import documents, make_run, text_of
from report_case import doc_id
from tokenizers import Tokenizer

from jobs import cli
from pipelines import datasets, tombstones
from pipelines.digest import digest
from pipelines.errors import ConfigError, GristmillError
from pipelines.explain import explain, sample
from pipelines.explain_text import as_text
from pipelines.funnel import check, funnel
from pipelines.ledger import Ledger, read_stages
from pipelines.lookup import REMOVED
from pipelines.removal import remove, resolve
from shards import read
from shards.packing_report import add_up, read_layout, report
from shards.tombstones import Request
from shards.verify_run import prove

OF_BAD = ["a", "c", "d", "i", "j"]
BAD = Request(domains=("bad.example",), reason="asked by the owner", date="2024-05-01")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("finished") / "output"
    make_run(output)
    return output


@pytest.fixture
def output(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "output")
    return tmp_path / "output"


def everything(output: Path) -> str:
    """All text that is anywhere in the directory, that of shards decoded."""
    tokenizer = Tokenizer.from_file(str(output / "tokenizer" / "tokenizer.json"))
    parts = []
    for path in sorted(path for path in output.rglob("*") if path.is_file()):
        if path.suffix == ".parquet":
            parts += [str(row) for row in pq.read_table(path, partitioning=None).to_pylist()]
        elif path.name != "tokenizer.json" and path.suffix != ".arrow":
            parts.append(path.read_text("utf-8"))
    shards = read.open(output / "shards")
    for name in shards.manifest.splits:
        split = shards.split(name)
        parts += [tokenizer.decode(split.row(row).tolist()) for row in range(len(split))]
    return "\0".join(parts)


def holds(output: Path) -> set[str]:
    """The documents of which any word is left."""
    found = everything(output)
    return {name for name in "abcdefghj" if f"{name}word" in found}


def whole(output: Path) -> None:
    """What holds of every finished run: sums, sizes and what stages say."""
    stages = read_stages(output)
    for entry in stages.values():
        assert entry["finished"]
        for chunk in entry["chunks"].values():
            assert {name: (output / name).stat().st_size for name in chunk["files"]} == chunk["files"]
    table = funnel(output, ["books", "nothing", "web"])
    check(table, stages["ingest"]["facts"]["documents_in"])
    assert table == {name: {"dropped_removed": 0, **row} for name, row in stages["judge"]["facts"]["funnel"].items()}
    kept = datasets.rows(output, "corpus")
    assert kept == sum(row["kept"] for row in table.values()) == stages["corpus"]["facts"]["documents"]
    assert kept == sum(stages["corpus"]["chunks"]["corpus"]["facts"]["rows"].values())
    manifest = read.open(output / "shards").manifest
    facts = stages["pack"]["facts"]
    assert facts == stages["pack"]["chunks"]["pack"]["facts"]
    assert facts["tokens"] == sum(split.tokens for split in manifest.splits.values())
    for name, split in manifest.splits.items():
        assert split.tokens == sum(counts.get(name, 0) for counts in facts["sources"].values())
        layout = read_layout(output / "shards" / f"{name}-all-00000.arrow")
        assert facts["packing"][name] == add_up([report(layout)]).model_dump(mode="json")
    assert prove(output / "shards").problems == []


def test_the_case_is_whole(output: Path) -> None:
    whole(output)
    assert holds(output) == set("abcdefghj")


def test_a_domain_goes_everywhere(output: Path) -> None:
    assert "dword" in (output / "report" / "report.html").read_text()
    before, rows = digest(output), len(read.open(output / "shards").split("train"))
    facts = remove(output, BAD)
    assert (facts["documents"], facts["kept"], facts["shards"]["documents"]) == (5, 3, 3)
    assert facts["sources"] == {"web": 5}
    assert holds(output) == set("befgh")
    whole(output)
    after = digest(output)
    assert {name for name in before if before[name] != after[name]} == {"documents", "verdicts", "corpus", "shards"}
    assert len(read.open(output / "shards").split("train")) == rows
    page = (output / "report" / "report.html").read_text()
    assert "[removed]" in page
    assert json.loads((output / "report" / "funnel.json").read_text())["totals"]["dropped_removed"] == 4  # i: a gate's


def test_rows_of_documents_stay_with_their_place_alone(output: Path) -> None:
    remove(output, Request(ids=(doc_id("a"),)))
    (row,) = [row for row in datasets.scan(output, "documents").to_pylist() if row["doc_id"] == doc_id("a")]
    assert row["text"] is None
    assert row["uri"] == "https://www.bad.example/a"
    assert dict(row["meta"]) == {"file": "x.warc.gz", "position": "7", "removed": "1"}
    others = [row for row in datasets.scan(output, "documents").to_pylist() if row["doc_id"] == doc_id("e")]
    assert dict(others[0]["meta"]) == {"file": "x.warc.gz", "position": "9"}


def test_duplicates_stay_dropped_or_go_too(output: Path, tmp_path: Path) -> None:
    shutil.copytree(output, tmp_path / "both")
    remove(output, Request(uris=("https://www.bad.example/a",)))
    verdicts = {row["doc_id"]: row for row in datasets.scan(output, "verdicts").to_pylist()}
    assert verdicts[doc_id("a")]["failed_rules"] == [REMOVED]
    assert (verdicts[doc_id("a")]["kept"], verdicts[doc_id("a")]["stands_for"]) == (False, 0)
    assert verdicts[doc_id("b")]["duplicate_of"] == doc_id("a")
    assert "b" in holds(output)
    facts = remove(tmp_path / "both", Request(uris=("https://www.bad.example/a",), with_duplicates=True))
    assert facts["documents"] == 2
    assert holds(tmp_path / "both") == set("cdefghj")
    whole(tmp_path / "both")


def test_a_domain_is_the_host_and_what_is_below_it(output: Path) -> None:
    def names(domain: str) -> list[str]:
        found = resolve(output, Request(domains=(domain,)))
        return [name for name in "abcdefghij" if doc_id(name) in found]

    assert names("bad.example") == names(" Bad.Example. ") == names("*.bad.example") == OF_BAD
    assert names("www.bad.example") == ["a", "c", "i", "j"]
    assert names("org") == ["f"]
    for domain in ("ad.example", "h.txt", "no domain", "", "# bad.example", "org\nbad.example", "https://bad.example/"):
        with pytest.raises(ConfigError, match="--domain"):
            names(domain)


def test_explain_says_removed_when_and_why(output: Path) -> None:
    remove(output, BAD)
    (facts,) = explain(output, doc_id("a"), None)
    assert (facts["status"], facts["reason"], facts["text"]) == ("dropped", "removed", None)
    assert facts["removed"] == {"removal": 1, "date": "2024-05-01", "reason": "asked by the owner", "by": None}
    assert as_text(facts).startswith(f"{doc_id('a')}  removed on 2024-05-01 (removal 1): asked by the owner")
    assert {row["doc_id"] for row in sample(output, "removed", 9)} == {doc_id(name) for name in OF_BAD}
    assert "aword" not in json.dumps(explain(output, doc_id("b"), None))


def test_removed_twice_is_removed_once(output: Path) -> None:
    remove(output, BAD)
    before = digest(output)
    again = remove(output, Request(ids=(doc_id("a"),), domains=("bad.example",)))
    assert (again["removal"], again["documents"], again["already_removed"]) == (None, 0, 5)
    assert digest(output) == before
    assert [tombstone.number for tombstone in tombstones.read(output)] == [1]
    second = remove(output, Request(ids=(doc_id("a"), doc_id("g"))))
    assert (second["removal"], second["documents"], second["shards"]["version"]) == (2, 1, 3)
    whole(output)


def test_text_that_was_read_again_goes_again(output: Path, finished: Path) -> None:
    remove(output, BAD)
    shutil.rmtree(output / "documents")
    shutil.copytree(finished / "documents", output / "documents")
    assert "a" in holds(output)
    assert remove(output, BAD)["documents"] == 0
    assert holds(output) == set("befgh")


def test_a_dry_run_changes_nothing(output: Path) -> None:
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    facts = remove(output, BAD, dry_run=True)
    assert (facts["documents"], facts["shards"]["version"]) == (5, 2)
    after = {path: path.read_bytes() for path in output.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == before


def test_a_kill_at_any_moment(output: Path, tmp_path: Path) -> None:
    """What is left holds the old texts in one whole set, or the next command here finishes the work."""
    shutil.copytree(output, tmp_path / "done")
    remove(tmp_path / "done", BAD)
    done, old = digest(tmp_path / "done"), digest(output)
    page = (tmp_path / "done" / "report" / "report.html").read_text()
    steps, copy = [], tmp_path / "copy"
    for step in itertools.count():
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(output, copy)
        try:
            with killed_at(step):
                remove(copy, BAD)
        except Killed:
            with Ledger(copy):
                pass
            assert digest(copy) in (old, done), step
            steps.append(digest(copy) == done)
            if steps[-1]:
                assert not (copy / "report").exists() or holds(copy) == set("befgh")
            remove(copy, BAD)
        else:
            break
        assert digest(copy) == done, step
        assert (copy / "report" / "report.html").read_text() == page
        whole(copy)
    assert steps == sorted(steps)
    assert set(steps) == {False, True}


def test_a_run_that_is_not_yet_packed(output: Path) -> None:
    """What is encoded already is made again, without the documents."""
    shutil.rmtree(output / "shards")
    (output / "tokens").mkdir()
    (output / "tokens" / "0.parquet").write_text("aword")
    stages = read_stages(output)
    stages["pack"] = {"finished": False, "chunks": {"k": {"files": {"tokens/0.parquet": 5}, "facts": {}}}}
    with Ledger(output) as ledger:
        ledger.stages = stages
        ledger.save()
    facts = remove(output, BAD)
    assert facts["shards"] is None
    assert not (output / "tokens" / "0.parquet").exists()
    assert read_stages(output)["pack"]["chunks"] == {}


def test_what_is_made_from_the_same_stays_fresh(output: Path) -> None:
    prints = {name: entry["fingerprint"] for name, entry in read_stages(output).items() if "fingerprint" in entry}
    remove(output, BAD)
    whole(output)
    stages = read_stages(output)
    assert {name: stages[name]["fingerprint"] for name in prints} == prints


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--id", "0" * 32], "--id: "),
        (["--id", "xyz"], "--id: a doc_id has 32 hex digits"),
        (["--uri", "https://nowhere.example/"], "--uri: "),
        (["--domain", "nowhere.example"], "--domain: "),
        (["--ids", "missing.txt"], "--ids: cannot read"),
        (["--id", doc_id("a"), "--date", "May"], "--date: "),
        (["--id", doc_id("a"), "--date", "2026-13-45"], "--date: "),
        ([], "say what to remove"),
    ],
)
def test_what_is_not_there_is_named_with_status_2(
    output: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = digest(output)
    monkeypatch.setattr(sys, "argv", ["gristmill", "shards", "remove", str(output), *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert digest(output) == before


def test_the_command_takes_a_list_and_tells_what_it_did(
    output: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = output.parent / "ids.txt"
    listed.write_text(f"# two of them\n{doc_id('e').upper()}\n\n{doc_id('g')}\n")
    arguments = ["remove", str(output / "shards"), "--ids", str(listed), "--reason", "a list", "--json"]
    monkeypatch.setattr(sys, "argv", ["gristmill", "shards", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["documents"], facts["dry_run"]) == (2, False)
    assert holds(output) == set("abcdfhj")
    assert tombstones.read(output)[0].asked == {"ids": [doc_id("e"), doc_id("g")]}
    whole(output)


def test_tombstones_that_a_config_names(output: Path, tmp_path: Path) -> None:
    remove(output, BAD)
    expected = sorted(doc_id(name) for name in OF_BAD)
    listed = tmp_path / "ids.txt"
    listed.write_text("".join(f"{one}\n" for one in expected))
    ways = [output, output / "removed", output / "removed" / "0001.json", listed]
    for way in ways:
        assert tombstones.removed(tmp_path, [str(way)]) == expected
        assert tombstones.fingerprint([str(way)]) == tombstones.fingerprint([str(output)])
    assert tombstones.removed(output, []) == expected
    assert tombstones.facts_of(tmp_path, [str(listed)], doc_id("a")) == {
        "removal": None,
        "date": None,
        "reason": None,
        "by": str(listed),
    }
    assert tombstones.fingerprint([]) != tombstones.fingerprint([str(output)])


def test_tombstones_that_cannot_be_read(output: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="removals: nothing was removed from"):
        tombstones.fingerprint([str(output)])
    with pytest.raises(ConfigError, match="removals: cannot read"):
        tombstones.fingerprint([str(tmp_path / "nowhere")])
    (tmp_path / "ids.txt").write_text("no id\n")
    with pytest.raises(ConfigError, match=r"removals: .*ids.txt, line 1: 'no id'"):
        tombstones.fingerprint([str(tmp_path / "ids.txt")])
    remove(output, BAD)
    (output / "removed" / "0001.json").write_text("{}")
    with pytest.raises(GristmillError, match=r"removed/0001.json: number: Field required"):
        remove(output, BAD)


@pytest.mark.spark
def test_judge_says_what_the_removal_wrote(spark: object, output: Path) -> None:
    """`with_removed` on the verdicts before is the verdicts after."""
    from pipelines.judge import with_removed

    frame = spark.read.parquet(str(output / "verdicts"))
    judged = with_removed(frame, sorted(doc_id(name) for name in OF_BAD)).collect()
    assert with_removed(frame, []) is frame
    remove(output, BAD)
    after = datasets.scan(output, "verdicts").to_pylist()
    assert sorted((row.asDict() for row in judged), key=lambda row: row["doc_id"]) == sorted(
        after, key=lambda row: row["doc_id"]
    )


def test_the_texts_are_told_apart() -> None:
    assert len({row["text"] for row in documents() if row["text"]}) == 9
    assert "aword1" in text_of("a")
