"""The benchmarks of training: the same rows and weights for all, how figures compare, what is said without a GPU."""

import importlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import shards.read
from pretrain.data import IGNORE, Loader
from pretrain.model import Decoder

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
VOCABULARY, CONTEXT = 400, 32


@pytest.fixture(scope="module")
def benchmarks():
    """Imports a module of the benchmarks by its name."""
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def data(benchmarks, tmp_path_factory) -> Path:
    """tokenizer/, shards/ and whole/ of short texts in two buckets."""
    random = np.random.default_rng(0)
    words = ["mill", "river", "stone", "grain", "ferry", "raven", "bell", "night"]
    texts = [(("books", "pages")[i % 3 == 0], " ".join(random.choice(words, 5 + i % 40))) for i in range(300)]
    work = tmp_path_factory.mktemp("packed")
    benchmarks("packed").pack(iter(texts), work, VOCABULARY, CONTEXT)
    return work


@pytest.fixture
def setting(benchmarks, data, tmp_path):
    speed = benchmarks("peers.train_speed")
    config = speed.settings(6, 1e-3, tiny=True, compiled=False)
    config = config.model_copy(update={"batch_tokens": speed.BATCH * CONTEXT})
    return speed.Setting(tmp_path, data, tmp_path / "work", config, 1, "passive", 300.0)


def test_scripts_beside_it_import_the_package_pretrain():
    code = "import pretrain, pretrain.device; print(pretrain.__file__, pretrain.device.__file__)"
    run = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, check=True)
    package = BENCHMARKS.parent / "pretrain"
    assert [Path(name).resolve() for name in run.stdout.split()] == [package / "__init__.py", package / "device.py"]


def test_whole_rows_are_the_same_rows_in_the_same_order(data):
    sets = [shards.read.open(data / name) for name in ("shards", "whole")]
    for split in ("train", "validation"):
        several, one = (found.split(split) for found in sets)
        assert len(several) == len(one) > 5
        order, same = (part.order(1).at(np.arange(len(one)))[1] for part in (several, one))
        assert order.tolist() == same.tolist()
        assert (several.rows(order) == one.rows(order)).all()
        assert max(len(several.pieces(i)) for i in range(len(one))) > 1
        assert {len(one.pieces(i)) for i in range(len(one))} == {1}
        assert several.pieces(0)["length"].sum() == one.pieces(0)["length"].sum()


def test_the_plan_holds_the_rows_that_our_run_reads_and_the_weights_that_it_begins_with(benchmarks, setting):
    inputs = benchmarks("peers.train_speed").write_plan(setting)
    plan = json.loads((setting.plan / "plan.json").read_text())
    rows = np.load(setting.plan / "rows.npy").astype(np.int64)
    assert rows.shape == (6 * plan["batch"], CONTEXT + 1)
    loader = Loader(inputs.train, setting.config.reading(CONTEXT))
    for step in range(1, 7):
        batch = loader.batch(*loader.reading.at(step))
        planned = torch.from_numpy(rows[plan["batch"] * (step - 1) : plan["batch"] * step])
        assert torch.equal(batch.inputs, planned[:, :-1])
        counted = batch.targets != IGNORE
        assert torch.equal(batch.targets[counted], planned[:, 1:][counted])
    assert len(plan["rates"]) == 6
    assert max(plan["rates"]) == setting.config.optimizer.lr
    begun = Decoder(setting.config.model, plan["vocabulary"], setting.config.seed).state_dict()
    for name, weight in load_file(setting.plan / "initial" / "model.safetensors").items():
        assert torch.equal(weight, begun[name])


def test_our_programs_run_and_learn(benchmarks, setting):
    speed = benchmarks("peers.train_speed")
    page = speed.measured_speeds(["bare", "ours"], setting, 1)
    assert page["failed"] == {}
    assert set(page["tokens_per_second"]) == {"bare", "ours"}
    assert page["share_of_bare"] == page["ratios"]["bare"][0] > 0
    assert page["ratio"] is None
    (wait,) = page["data_wait"]["ours"]
    assert 0 <= wait < 1
    setting = replace(setting, work=setting.work / "loss")
    found = speed.measured_losses(["bare", "ours", "litgpt"], setting, 8, {"litgpt": "it has failed before"})
    assert set(found) == {"ours"}
    untrained = speed.losses(
        setting.plan / "initial" / "model.safetensors",
        speed.open_inputs(setting.data / "shards", setting.data / "tokenizer"),
        setting.config,
        8,
    )
    for kind in ("by_document", "by_row"):
        assert found["ours"][kind] < untrained[kind]


def test_of_each_program_the_best_rate_counts_if_it_had_them_all(benchmarks):
    low = {"ours": {"by_document": 5.0, "by_row": 4.0}, "litgpt": {"by_document": 3.0, "by_row": 3.0}}
    high = {"ours": {"by_document": 4.5, "by_row": 4.2}}
    assert benchmarks("peers.train_speed").best({1e-3: low, 4e-3: high}) == {
        "ours": {"by_document": 4.5, "by_row": 4.0}
    }


def test_losses_by_document_and_by_row_differ_only_in_what_is_seen(benchmarks, setting, data):
    speed = benchmarks("peers.train_speed")
    speed.write_plan(setting)
    weights = setting.plan / "initial" / "model.safetensors"
    several, one = (
        speed.losses(weights, speed.open_inputs(data / name, data / "tokenizer"), setting.config, 8)
        for name in ("shards", "whole")
    )
    assert several["by_document"] != several["by_row"]
    assert one["by_document"] == pytest.approx(one["by_row"], abs=1e-5)


def test_speed_leaves_out_the_warm_up(benchmarks):
    speed = benchmarks("peers.train_speed").speed
    stamps = [0.0, 100.0, 200.0, *(200.0 + 2 * i for i in range(1, 9))]  # two slow steps of ten
    assert speed(stamps, 1000) == 500.0
    assert speed([0.0, 50.0, 51.0], 100) == 100.0


def test_ratios_are_of_one_round_each_and_what_misses_is_named(benchmarks):
    speed = benchmarks("peers.train_speed")
    speeds = {"bare": [10.0, 20.0], "ours": [9.5, 17.0], "litgpt": [8.0, 20.0], "trainer": []}
    page = speed.compared(speeds)
    assert page["share_of_bare"] == 0.9
    assert page["ratios"] == {"bare": [0.85, 0.95], "litgpt": [0.85, 1.188]}
    assert (page["ratio"], page["ratio_to_trainer"]) == (1.019, None)
    loss = {
        "ours": {"by_document": 5.0, "by_row": 5.2},
        "ours_whole": {"by_document": 5.2, "by_row": 5.1},
        "litgpt": {"by_document": 5.1, "by_row": 5.0},
    }
    page |= {"loss": loss, "data_wait": {"ours": [0.02]}}
    assert speed.missed(page) == ["data_wait 0.0200 >= 0.01", "loss by_row: ours_whole 5.1000 > litgpt 5.0000"]
    assert speed.missed({**page, "share_of_bare": 0.8})[0] == "share_of_bare 0.8 < 0.9"


def test_without_a_gpu_its_benchmark_says_that_it_was_not_run(benchmarks, monkeypatch, capsys):
    gpu = benchmarks("pretrain_gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["pretrain_gpu.py"])
    assert gpu.main() == 2
    told = capsys.readouterr()
    assert "not run: PyTorch finds no CUDA device" in told.err
    page = json.loads(told.out.splitlines()[-1])
    assert not page["run"]
    assert "mfu" not in page


def test_the_gpu_benchmark_runs_on_a_cpu_with_a_tiny_shape_and_states_no_mfu(benchmarks, monkeypatch, capsys):
    gpu = benchmarks("pretrain_gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["pretrain_gpu.py", "--shape", "tiny", "--steps", "2"])
    assert gpu.main() == 0
    page = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert page["mfu"] == {"tiny": None}
    assert [row["micro_batch"] for row in page["settings"]] == [4, 8]
    assert all(row["tokens_per_second"] > 0 and row["mfu"] is None for row in page["settings"])


def test_the_shapes_of_the_gpu_benchmark_have_their_names_parameters(benchmarks):
    gpu = benchmarks("pretrain_gpu")
    for name, parameters in (("124M", 124e6), ("1B", 1e9)):
        shape = gpu.SHAPES[name]
        assert gpu.count_parameters(shape.model, shape.vocabulary).all == pytest.approx(parameters, rel=0.02)
    assert {setting.shape for setting in gpu.SETTINGS} == set(gpu.SHAPES)
