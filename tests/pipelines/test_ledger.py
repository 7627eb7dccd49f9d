import json
import multiprocessing
import os
import signal

import pytest

from pipelines.errors import GristmillError
from pipelines.ledger import Ledger


def write(stage, key, name="documents/a.parquet", text="x"):
    staging = stage.staging()
    path = staging / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    stage.commit(key, staging, {"rows": 1})


def ingest(ledger, inputs=1):
    return ledger.stage("ingest", inputs=inputs, config={}, code=[1])


def test_a_finished_stage_is_fresh_until_something_changes(tmp_path):
    with Ledger(tmp_path) as ledger:
        stage = ingest(ledger)
        assert not stage.is_fresh()
        assert stage.begin(["k"]) == ["k"]
        write(stage, "k")
        assert not stage.is_fresh()
        stage.finish({"documents": 1})
    with Ledger(tmp_path) as ledger:
        assert ingest(ledger).is_fresh()
        assert ingest(ledger).facts == {"documents": 1}
        assert not ingest(ledger, inputs=2).is_fresh()
        assert not ledger.stage("ingest", inputs=1, config={"a": 1}, code=[1]).is_fresh()
        assert not ledger.stage("ingest", inputs=1, config={}, code=[2]).is_fresh()


def test_a_stage_whose_files_are_gone_is_not_fresh(tmp_path):
    with Ledger(tmp_path) as ledger:
        stage = ingest(ledger)
        stage.begin(["k"])
        write(stage, "k")
        stage.finish()
        (tmp_path / "documents/a.parquet").unlink()
        assert not ingest(ledger).is_fresh()
        assert ingest(ledger).begin(["k"]) == ["k"]


def test_chunks_with_the_same_key_are_kept_and_all_else_is_removed(tmp_path):
    with Ledger(tmp_path) as ledger:
        stage = ingest(ledger)
        stage.begin(["a", "b"])
        write(stage, "a", "documents/a.parquet")
        write(stage, "b", "documents/b.parquet")
        (tmp_path / "documents" / "stray.parquet").write_text("left by a killed run")
        (tmp_path / "errors").mkdir()
        (tmp_path / "errors" / "stray.parquet").write_text("left by a killed run")
        changed = ingest(ledger, inputs=2)
        assert changed.begin(["b", "c"]) == ["c"]
        assert [path.name for path in (tmp_path / "documents").iterdir()] == ["b.parquet"]
        assert not (tmp_path / "errors").exists()


def test_a_change_makes_later_stages_unfinished(tmp_path):
    with Ledger(tmp_path) as ledger:
        for name in ("ingest", "annotate", "match"):
            stage = ledger.stage(name, inputs=1, config={}, code=[])
            stage.begin([])
            stage.finish()
        ledger.stage("annotate", inputs=1, config={"x": 1}, code=[]).begin([])
        assert [ledger.stages[name]["finished"] for name in ("ingest", "annotate", "match")] == [True, False, False]


def test_dropped_chunks_leave_no_file_and_no_folder(tmp_path):
    with Ledger(tmp_path) as ledger:
        stage = ledger.stage("pack", inputs=1, config={}, code=[])
        stage.begin(["a", "b"])
        write(stage, "a", "tokens/a.parquet")
        write(stage, "b", "shards/b.arrow")
        stage.drop(["a"])
        assert not (tmp_path / "tokens").exists()
        stage.finish()
        assert ledger.stage("pack", inputs=1, config={}, code=[]).is_fresh()


def test_a_second_run_is_kept_out(tmp_path):
    with Ledger(tmp_path), pytest.raises(GristmillError, match="another run"), Ledger(tmp_path):
        pass
    with Ledger(tmp_path):  # and let in when the first is over
        pass


def _hold(path, ready):
    with Ledger(path):
        ready.set()
        signal.pause()


def test_the_lock_of_a_killed_run_is_gone_and_its_staging_is_cleared(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold, args=(tmp_path, ready))
    process.start()
    assert ready.wait(60)
    (tmp_path / ".staging" / "half").mkdir(parents=True)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with Ledger(tmp_path):
        assert not (tmp_path / ".staging").exists()


def test_a_damaged_ledger_is_refused_by_name(tmp_path):
    (tmp_path / "stages.json").write_text("{")
    with pytest.raises(GristmillError, match=r"stages\.json"), Ledger(tmp_path):
        pass


def test_the_ledger_is_json_that_people_can_read(tmp_path):
    with Ledger(tmp_path) as ledger:
        stage = ingest(ledger)
        stage.begin(["k"])
        write(stage, "k")
        stage.finish()
    page = json.loads((tmp_path / "stages.json").read_text())
    assert page["stages"]["ingest"]["chunks"]["k"]["files"] == {"documents/a.parquet": 1}
