"""Tokens traced to texts: every token of a small run, and a thousand of real texts."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from removal_case import documents, make_run, make_shards
from report_case import doc_id, document, write

from jobs import cli
from pipelines import datasets
from pipelines.errors import ConfigError
from pipelines.tracing import Tracer, as_text
from shards.format import ShardError
from tokenizer.vocabulary import tokens as spelling_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("traced") / "output"
    make_run(output)
    return output


def test_every_token_leads_to_its_place(run: Path) -> None:
    """The spans of a document's tokens, put together, are its text; each holds its token's bytes."""
    tracer = Tracer(run)
    spelling = spelling_of(run / "tokenizer")
    rows = {row["doc_id"]: row for row in documents()}
    covered: dict[str, dict[int, bytes]] = {}
    for name, totals in tracer.shards.manifest.splits.items():
        for row in range(totals.rows):
            for position in range(tracer.shards.header.width):
                facts = tracer.trace(name, row, position)
                assert facts["missing"] == []
                if facts["role"] != "text":
                    assert "text" not in facts
                    assert (facts["document"] is None) == (facts["role"] == "padding")
                    continue
                own = rows[facts["document"]]
                assert (facts["uri"], facts["source"]) == (own["uri"], own["source"])
                assert facts["archive"] == own["meta"].get("file")
                assert facts["record"] == own["meta"].get("position")
                place = facts["text"]
                token = spelling[facts["token"]]
                assert own["text"].encode()[place["first_byte"] : place["end_byte"]] == token
                shown = place["before"] + place["token"] + place["after"]
                assert own["text"][max(0, place["first"] - 80) : place["end"] + 80] == shown
                covered.setdefault(facts["document"], {})[place["first_byte"]] = token
    kept = {row["doc_id"]: row["text"] for row in rows.values() if row["kept"]}
    assert {key: b"".join(parts[i] for i in sorted(parts)).decode() for key, parts in covered.items()} == kept


def test_a_thousand_tokens_of_real_texts(data: Path, tmp_path: Path) -> None:
    files = sorted(data.rglob("*.txt"))[:8] or pytest.skip(f"{data} has no text files")
    rows = []
    for number, file in enumerate(files):
        text = file.read_bytes()[:200_000].decode("utf-8", "ignore")
        meta = {"file": file.name, "position": str(number)}
        split = ("train", "validation", "test")[number % 3]
        rows.append({**document(str(number), text=text, uri=file.name, meta=meta, split=split), "copies": 1})
        folder = tmp_path / "corpus" / f"split={split}" / "source=web"
        write(folder / f"{number}.parquet", rows[-1:], datasets.CORPUS)
    make_shards(tmp_path, rows, context=255)
    texts = {row["doc_id"]: row for row in rows}
    tracer, spelling = Tracer(tmp_path), spelling_of(tmp_path / "tokenizer")
    rng, seen = np.random.default_rng(0), set()
    splits = list(tracer.shards.manifest.splits)
    for _ in range(1_000):
        split = splits[rng.integers(len(splits))]
        row = int(rng.integers(tracer.shards.manifest.splits[split].rows))
        facts = tracer.trace(split, row, int(rng.integers(256)))
        if facts["role"] == "text":
            own, place = texts[facts["document"]], facts["text"]
            assert (facts["archive"], facts["record"]) == (own["uri"], own["meta"]["position"])
            assert own["text"].encode()[place["first_byte"] : place["end_byte"]] == spelling[facts["token"]]
            assert place["token"] == own["text"][place["first"] : place["end"]]
            seen.add(facts["document"])
    assert seen == set(texts)


def test_what_cannot_be_told_is_said(run: Path, tmp_path: Path) -> None:
    shards = Tracer(run / "shards")
    assert shards.trace("train", 0, 0)["missing"] == []
    (tmp_path / "shards").symlink_to(run / "shards")
    alone = Tracer(tmp_path)
    facts = alone.trace("train", 0, 3)
    assert "there is no" in facts["missing"][0]
    assert "source" not in facts
    (tmp_path / "corpus").symlink_to(run / "corpus")
    facts = Tracer(tmp_path).trace("train", 0, 3)
    assert "tokenizer" in facts["missing"][0]
    assert facts["source"]
    for split, row, position, message in (
        ("dev", 0, 0, "no split 'dev'"),
        ("train", 10**6, 0, "rows 0 to"),
        ("train", 0, 32, "tokens 0 to 31"),
    ):
        with pytest.raises(ConfigError, match=message):
            shards.trace(split, row, position)
    with pytest.raises(ShardError, match=r"manifest\.json: missing"):
        Tracer(tmp_path / "corpus")


def test_the_command(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["gristmill", "shards", "trace", str(run), *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out + captured.err

    status, told = call("--split", "test", "--row", "0", "--position", "4", "--json")
    facts = json.loads(told)
    assert (status, facts["document"]) == (0, doc_id("c"))
    status, told = call("--split", "test", "--row", "0", "--position", "4")
    assert status == 0
    assert f"⟦{facts['text']['token']}⟧" in told
    assert "https://www.bad.example/c" in told
    assert "padding" in as_text(Tracer(run).trace("test", 0, 0) | {"role": "padding"})
    assert call("--row", "99999", "--position", "0")[0] == 2
