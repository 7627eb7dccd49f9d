"""Removal and tracing on a whole run: what comes after it finds everything fresh, and brings no text back."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_run import make_input, write_config

from jobs.whole import run_stages
from pipelines.datasets import scan
from pipelines.digest import digest
from pipelines.ledger import read_stages
from pipelines.removal import remove
from pipelines.tracing import Tracer
from shards.tombstones import Request
from shards.verify_run import prove

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, spark: object) -> Path:
    folder = tmp_path_factory.mktemp("removal")
    make_input(folder / "input")
    write_config(folder / "config.yaml", folder / "input")
    run_stages(folder / "config.yaml", str(folder / "before"), until="pack")
    shutil.copytree(folder / "before", folder / "output")
    remove(folder / "output", Request(domains=("site3.example",), with_duplicates=True))
    return folder


def test_random_tokens_lead_to_their_records(place: Path) -> None:
    tracer = Tracer(place / "before")
    rng, archives = np.random.default_rng(0), set()
    texts = {row["doc_id"]: row["text"] for row in scan(place / "before", "corpus", ["doc_id", "text"]).to_pylist()}
    splits = tracer.shards.manifest.splits
    for _ in range(200):
        split = list(splits)[rng.integers(len(splits))]
        facts = tracer.trace(split, int(rng.integers(splits[split].rows)), int(rng.integers(65)))
        if facts["role"] == "text":
            assert facts["missing"] == []
            assert texts[facts["document"]][facts["text"]["first"] : facts["text"]["end"]] == facts["text"]["token"]
            if facts["source"] == "web":
                data = (place / "input" / "web" / facts["archive"]).read_bytes()
                assert data[int(facts["record"]) :].startswith(b"\x1f\x8b")  # a record's own gzip member
                assert facts["meta"]["record_id"].startswith("<urn:uuid:")
            archives.add(facts["archive"])
    assert len(archives) > 5


def test_a_run_afterwards_does_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = digest(place / "output")
    run_stages(place / "config.yaml", str(place / "output"), until="pack")
    said = [line.rpartition(": ")[2] for line in capsys.readouterr().err.splitlines() if ": " in line]
    assert said == ["up to date"] * 7
    assert digest(place / "output") == before
    assert prove(place / "output" / "shards").problems == []


def test_judged_and_written_again_the_corpus_is_the_same(place: Path) -> None:
    """Also where another run is pointed to the tombstones of this one."""
    expected = digest(place / "output")
    again = place / "again"
    shutil.copytree(place / "output", again)
    page = json.loads((again / "stages.json").read_text())
    for name in ("judge", "corpus"):
        page["stages"][name] |= {"finished": False, "chunks": {}}
    (again / "stages.json").write_text(json.dumps(page))
    elsewhere = place / "elsewhere"
    shutil.copytree(place / "before", elsewhere)
    write_config(place / "pointed.yaml", place / "input", removals=[str(place / "output")])
    for output, config in ((again, "config.yaml"), (elsewhere, "pointed.yaml")):
        run_stages(place / config, str(output), until="corpus")
        found = digest(output)
        assert (found["verdicts"], found["corpus"]) == (expected["verdicts"], expected["corpus"])
        funnels = [read_stages(directory)["judge"]["facts"]["funnel"] for directory in (output, place / "output")]
        assert funnels[0] == funnels[1]
        assert funnels[0]["web"]["dropped_removed"] == 10
