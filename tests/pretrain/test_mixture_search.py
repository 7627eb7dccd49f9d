"""`gristmill pretrain mixture`: proxies that are trained, an interrupted search that goes on, what is refused."""

import json
import sys
from pathlib import Path

import pytest
import yaml
from ladder_case import write_case, write_page

from jobs import cli
from pretrain import mixture
from pretrain.update import DivergedError
from shards.read import open as open_shards
from shards.reading import reading_of

SHARES = {"digits", "mill", "river"}


@pytest.fixture(scope="module")
def pretrain(config) -> dict:
    told = config.model_dump(mode="json")
    return {**told, "steps": 8, "batch_tokens": 8 * 24, "micro_batch": 8, "evaluation": {"every": 3, "rows": 60}}


@pytest.fixture
def case(corpus, pretrain, tmp_path) -> tuple[Path, Path]:
    """A config's page and an output directory."""
    (tmp_path / "out").mkdir()
    return write_page(tmp_path / "page.yaml", pretrain), write_case(tmp_path / "out", corpus / "tokenizer")


def call(monkeypatch, capfd, *arguments: object) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of the program."""
    monkeypatch.setattr(sys, "argv", ["gristmill", "pretrain", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capfd.readouterr()
    return ended.value.code or 0, out, err


def search(monkeypatch, capfd, case, *arguments: object) -> tuple[int, str, str]:
    page, output = case
    common = ("mixture", "--config", page, "--output", output, "--budget", 4000)
    return call(monkeypatch, capfd, *common, *arguments)


def test_a_search_trains_its_proxies_goes_on_and_gives_weights_to_paste(case, monkeypatch, capfd) -> None:
    _, output = case
    trained = []
    really = mixture.run

    def counted(config, *rest):
        if len(trained) == 5:
            raise RuntimeError("the machine is gone")
        trained.append(config.name)
        return really(config, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(mixture, "run", counted)
        patch.setattr(sys, "argv", ["gristmill", "pretrain", "mixture", "--config", str(case[0]), "--output"])
        sys.argv += [str(output), "--budget", "4e3", "--proxies", "8", "--json"]
        with pytest.raises(RuntimeError):
            cli.main()
    first = {path: path.stat().st_mtime_ns for path in (output / "mixture").rglob("metrics.jsonl")}
    assert len(first) == 5

    status, out, err = search(monkeypatch, capfd, case, "--proxies", 8, "--json")
    assert status == 0, err
    found = json.loads(out)
    assert all(path.stat().st_mtime_ns == before for path, before in first.items())
    assert found == json.loads((output / "mixture" / "mixture.json").read_text())
    assert found["weights"].keys() == found["natural"].keys() == found["fits"].keys() == SHARES
    assert sum(found["weights"].values()) == pytest.approx(1, abs=1e-5)
    assert all(weight <= found["caps"][name] + 1e-5 for name, weight in found["weights"].items())
    assert found["loss"] <= found["natural_loss"]
    assert found["gain"] == pytest.approx(found["natural_loss"] - found["loss"])
    assert found["natural_loss"] == pytest.approx(
        sum(fit["natural_loss"] for fit in found["fits"].values()) / 3, abs=1e-9
    )
    _weights_are_honoured(output, found)

    status, out, _ = search(monkeypatch, capfd, case, "--proxies", 8)
    assert status == 0
    assert "digits" in out
    assert yaml.safe_load(out.splitlines()[-1])["data"]["weights"] == {
        name: weight for name, weight in found["weights"].items() if weight
    }


def _weights_are_honoured(output: Path, found: dict) -> None:
    """Each proxy read of every bucket what its weights say, and lost least of a bucket where it read most of it."""
    train = open_shards(output / "shards").split("train")
    for number, proxy in enumerate(found["proxies"]):
        summary = json.loads((output / "mixture" / "runs" / f"proxy-{number:03d}" / "summary.json").read_text())
        assert summary["config"]["data"]["weights"] == proxy["weights"]
        order = reading_of(summary["config"], 24).order(train)
        rows = order.at(range(summary["tokens"] // 24))[1]
        buckets = [train.locate(int(row))[0].entry.bucket for row in rows]
        for name, weight in proxy["weights"].items():
            assert abs(buckets.count(name) - weight * len(rows)) < 1.01
    by_share = sorted(found["proxies"], key=lambda proxy: proxy["weights"]["digits"])
    assert by_share[-1]["losses"]["digits"] < by_share[0]["losses"]["digits"]


def test_targets_and_caps_decide_which_weights_are_best(case, monkeypatch, capfd) -> None:
    status, out, err = search(monkeypatch, capfd, case, "--proxies", 8, "--target", "digits=1", "--json")
    assert status == 0, err
    found = json.loads(out)
    assert list(found["fits"]) == ["digits"]
    assert found["weights"]["digits"] > found["natural"]["digits"]
    assert found["weights"]["digits"] <= found["caps"]["digits"] + 1e-5


def test_proxies_that_diverge_are_left_out_and_named(case, monkeypatch, capfd) -> None:
    really, lost = mixture.run, {"proxy-002"}

    def diverges(config, *rest):
        if config.name in lost:
            raise DivergedError("step 3: the loss is nan")
        return really(config, *rest)

    monkeypatch.setattr(mixture, "run", diverges)
    status, out, err = search(monkeypatch, capfd, case, "--proxies", 5, "--json")
    assert status == 0, err
    found = json.loads(out)
    assert [proxy["losses"] is None for proxy in found["proxies"]] == [False, False, True, False, False]
    assert "proxy 3 of 5 diverged and is left out: step 3: the loss is nan" in err
    lost.add("proxy-004")
    status, _, err = search(monkeypatch, capfd, case, "--proxies", 5)
    assert status == 1
    assert "3 of 5 proxies did not diverge: lower optimizer.lr" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "sea=1"], "no held-out bucket is named 'sea'; there are: digits, mill, river"),
        (["--target", "mill"], "'mill' is not of the form BUCKET=WEIGHT"),
        (["--target", "mill=1", "--target", "mill=2"], "mill is given twice"),
        (["--target", "mill=0"], "at least one weight must be above 0"),
        (["--target", "mill=nan"], "'mill=nan' is not of the form"),
        (["--epochs", "0"], "--epochs: must be a positive number"),
        (["--epochs", "0.01"], "0.01 epochs of all buckets are"),
    ],
)
def test_what_means_nothing_is_refused_before_anything_is_trained(case, monkeypatch, capfd, arguments, message) -> None:
    status, _, err = search(monkeypatch, capfd, case, *arguments)
    assert status == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not (case[1] / "mixture").exists()


@pytest.mark.parametrize(
    ("shards", "message"),
    [
        ({"buckets": ("mill",)}, "there is nothing to mix: the train split has 1 bucket"),
        ({"splits": ("train",)}, "there are no held-out rows"),
    ],
)
def test_shards_that_cannot_tell_are_refused(corpus, pretrain, tmp_path, monkeypatch, capfd, shards, message) -> None:
    (tmp_path / "out").mkdir()
    output = write_case(tmp_path / "out", corpus / "tokenizer", **shards)
    status, _, err = search(monkeypatch, capfd, (write_page(tmp_path / "page.yaml", pretrain), output))
    assert status == 2
    assert message in err


def test_other_proxies_in_the_same_place_are_refused(case, pretrain, monkeypatch, capfd, tmp_path) -> None:
    assert search(monkeypatch, capfd, case, "--proxies", 4)[0] == 0
    other = write_page(tmp_path / "other.yaml", {**pretrain, "optimizer": {"lr": 2e-2}})
    status, _, err = search(monkeypatch, capfd, (other, case[1]), "--proxies", 4)
    assert status == 2
    assert "out/mixture holds proxies of another search: move it away" in err


def test_a_directory_without_shards_and_a_page_without_a_run_are_refused(case, tmp_path, monkeypatch, capfd) -> None:
    status, _, err = search(monkeypatch, capfd, (case[0], tmp_path / "empty"))
    assert (status, "there are no shards" in err) == (2, True)
    page = tmp_path / "none.yaml"
    page.write_text(yaml.safe_dump({k: v for k, v in yaml.safe_load(case[0].read_text()).items() if k != "pretrain"}))
    status, _, err = search(monkeypatch, capfd, (page, case[1]))
    assert (status, "no section `pretrain`" in err) == (2, True)
