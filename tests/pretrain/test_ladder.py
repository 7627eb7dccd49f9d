"""Ladders: the law of a few runs, which runs these are, the curve, and the command on tiny shards."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ladder_case import write_case, write_page
from pydantic import ValidationError

from jobs import cli
from pretrain import ladder
from pretrain.config import PretrainConfig
from pretrain.ladder_fit import fit_law, leave_one_out
from pretrain.ladder_forecast import FILE, Curve, off_forecast
from pretrain.ladder_rungs import PARTS, rungs
from pretrain.shape import count_parameters

PARAMETERS = 300e3 * 3 ** (-np.arange(5) / 2)
TOKENS = 1.2e6 * np.array([1, 1 / 4, 1 / 2, 1, 1 / 4])
FACTORS = np.array([1.6, 1.3, 1.1, 1.0])  # of B, at parts of a run


def law(parameters, tokens, e=1.8, alpha=0.4, beta=0.3) -> np.ndarray:
    a, b = 0.9 * 1e5**alpha, 1.1 * 1e6**beta
    n, d = np.atleast_1d(parameters)[:, None], np.atleast_1d(tokens)[:, None]
    return e + a / n**alpha + b * FACTORS / d**beta


@pytest.mark.parametrize(("e", "alpha", "beta"), [(1.8, 0.4, 0.3), (2.5, 0.25, 0.5), (1.0, 0.5, 0.25)])
def test_a_law_is_found_again_beyond_its_runs(e, alpha, beta) -> None:
    losses = law(PARAMETERS, TOKENS, e, alpha, beta)
    found = fit_law(PARAMETERS, TOKENS, losses)
    guess = np.array([found.losses(n, d) for n, d in zip(PARAMETERS, TOKENS)])
    assert guess == pytest.approx(losses, rel=1e-3)
    larger = PARAMETERS[0] * 10**0.5, TOKENS[0] * 10**0.5
    assert found.losses(*larger) == pytest.approx(law(*larger, e, alpha, beta)[0], rel=5e-3)
    facts = found.facts()
    end = facts["e"] + facts["a"] / larger[0] ** facts["alpha"] + facts["b"] / larger[1] ** facts["beta"]
    assert end == pytest.approx(found.losses(*larger)[-1])
    assert np.abs(leave_one_out(PARAMETERS, TOKENS, losses)).max() < 0.02


def test_a_rung_that_went_wrong_hardly_moves_the_law_but_is_seen_when_left_out() -> None:
    losses = law(PARAMETERS, TOKENS)
    wrong = losses.copy()
    wrong[2] *= 1.1
    missed = leave_one_out(PARAMETERS, TOKENS, wrong)
    assert missed[2] == pytest.approx(1 / 1.1 - 1, abs=0.02)


@pytest.mark.parametrize(
    ("parameters", "tokens", "losses"),
    [
        (PARAMETERS[:2], TOKENS[:2], np.ones((2, 3))),
        (PARAMETERS, TOKENS, np.full((5, 3), np.nan)),
        (PARAMETERS, -TOKENS, np.ones((5, 3))),
        (PARAMETERS, TOKENS, np.ones((4, 3))),
    ],
)
def test_measurements_that_give_no_law_are_refused(parameters, tokens, losses) -> None:
    with pytest.raises(ValueError, match=r"three runs|positive"):
        fit_law(parameters, tokens, losses)


CURVE = Curve(steps=(30, 60, 100), losses=(4.0, 3.0, 2.5), tolerance=0.02)


@given(step=st.integers(1, 130), above=st.floats(-0.5, 0.5))
def test_off_forecast_says_by_how_much_a_loss_is_above_tolerance(step, above) -> None:
    expected = CURVE.at(step)
    if not 30 <= step <= 100:
        assert expected is None
        assert off_forecast(CURVE, step, 99.0) is None
        return
    assert 2.5 <= expected <= 4.0
    found = off_forecast(CURVE, step, expected * (1 + above))
    if abs(above - 0.02) > 1e-9:
        assert (found is not None) == (above > 0.02)
    if found is not None:
        assert found == pytest.approx(above)


def test_a_curve_between_its_points_and_a_loss_that_is_no_number() -> None:
    assert [CURVE.at(step) for step in (30, 60, 100)] == [4.0, 3.0, 2.5]
    assert CURVE.at(round(math.sqrt(30 * 60))) == pytest.approx(math.sqrt(4 * 3), rel=0.01)
    assert off_forecast(CURVE, 60, math.nan) == math.inf
    assert off_forecast(CURVE, 60, math.inf) == math.inf


def test_a_curve_is_read_as_written_and_anything_else_refused(tmp_path) -> None:
    path = tmp_path / "runs" / "small" / FILE
    assert Curve.read(path) is None
    CURVE.write(path)
    assert Curve.read(path) == CURVE
    path.write_text("[1, 2]")
    with pytest.raises(ValueError, match="this is no forecast"):
        Curve.read(path)


@pytest.mark.parametrize(
    ("steps", "losses"), [((1, 2), (3.0,)), ((2, 1), (3.0, 2.0)), ((0, 1), (3.0, 2.0)), ((1, 2), (3.0, math.nan))]
)
def test_what_is_no_curve_is_refused(steps, losses) -> None:
    with pytest.raises(ValidationError):
        Curve(steps=steps, losses=losses, tolerance=0.1)


def large(**changes) -> PretrainConfig:
    told = {
        "model": {"layers": 12, "hidden": 768, "heads": 12, "kv_heads": 4, "intermediate": 2048},
        "batch_tokens": 64 * 256,
        "schedule": {"warmup": 300},
    }
    return PretrainConfig.model_validate({**told, **changes})


@pytest.mark.parametrize("most", [1_000_000, 10**9])
def test_rungs_are_the_run_at_smaller_sizes(most) -> None:
    config, steps, context, vocabulary = large(), 20_000, 256, 4096
    found = rungs(config, vocabulary, context, steps, 5, most)
    sizes = [count_parameters(rung.model, vocabulary).all for rung in found]
    tokens = [rung.steps * rung.batch_tokens for rung in found]
    whole = count_parameters(config.model, vocabulary).all
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 5
    assert sizes[0] <= min(most, 0.34 * whole)
    assert sizes[0] > 0.7 * min(most, 0.3 * whole)
    assert tokens[0] / (steps * config.batch_tokens) == pytest.approx(sizes[0] / whole, rel=0.1)
    assert abs(np.corrcoef(np.log(sizes), np.log(tokens))[0, 1]) < 0.8
    for rung in found:
        assert rung.steps % PARTS == 0
        assert rung.evaluation.every == rung.steps // PARTS
        assert rung.schedule.warmup / rung.steps == pytest.approx(300 / steps, abs=0.6 / rung.steps)
        assert rung.optimizer.lr > config.optimizer.lr
        assert rung.batch_tokens < config.batch_tokens
        assert rung.data == config.data
    assert len({rung.name for rung in found}) == 5


@pytest.mark.parametrize(
    ("config", "vocabulary", "message"),
    [
        (large(batch_changes=[{"step": 5, "tokens": 512}]), 4096, "batch_changes: runs that change"),
        (large(data={"weights": {"a": 1}, "changes": [{"step": 5, "weights": {"a": 2}}]}), 4096, "data.changes: runs"),
        (large(), 128_000, "no 5 smaller models than the config's have at most 1,000,000 parameters"),
    ],
)
def test_runs_that_cannot_be_forecast_are_refused(config, vocabulary, message) -> None:
    with pytest.raises(ValueError, match=message):
        rungs(config, vocabulary, 256, 1000, 5, 1_000_000)


@pytest.fixture
def case(corpus, config, tmp_path) -> tuple[Path, Path]:
    """A config's page and an output directory."""
    (tmp_path / "out").mkdir()
    told = {
        **config.model_dump(mode="json"),
        "model": {"layers": 2, "hidden": 64, "heads": 4, "kv_heads": 2, "intermediate": 128},
        "steps": 60,
        "batch_tokens": 16 * 24,
        "micro_batch": 16,
        "schedule": {"warmup": 4},
        "evaluation": {"every": 6, "rows": 60},
    }
    return write_page(tmp_path / "page.yaml", told), write_case(tmp_path / "out", corpus / "tokenizer")


def call(monkeypatch, capfd, page: Path, output: Path, *arguments: object) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of `gristmill pretrain ladder`."""
    told = ("ladder", "--config", page, "--output", output, *arguments)
    monkeypatch.setattr(sys, "argv", ["gristmill", "pretrain", *map(str, told)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capfd.readouterr()
    return ended.value.code or 0, out, err


def test_a_ladder_is_climbed_goes_on_and_forecasts_the_run(case, corpus, monkeypatch, capfd) -> None:
    page, output = case
    really = ladder.run

    def killed(config, *rest):
        if config.name == "rung-3":
            raise ValueError("the machine is gone")
        return really(config, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(ladder, "run", killed)
        assert call(monkeypatch, capfd, page, output)[0] == 2
    first = {path: path.stat().st_mtime_ns for path in (output / "ladder").rglob("metrics.jsonl")}
    assert len(first) == 3
    assert not (output / "runs").exists()

    status, out, err = call(monkeypatch, capfd, page, output, "--json")
    assert status == 0, err
    found = json.loads(out)
    assert all(path.stat().st_mtime_ns == before for path, before in first.items())
    assert found == json.loads((output / "ladder" / "ladder.json").read_text())
    curve = Curve.read(output / "runs" / "tiny" / FILE)
    assert curve == Curve.model_validate(found["curve"])
    assert curve.steps == (18, 24, 30, 36, 42, 48, 54, 60)
    assert found["loss"] == curve.losses[-1] < min(rung["losses"][-1] for rung in found["rungs"])
    assert found["tokens"] == 60 * 16 * 24
    assert curve.tolerance >= found["error"]

    pretrain = ["gristmill", "pretrain", "run", "--config", str(page), "--output", str(output), "--json"]
    monkeypatch.setattr(sys, "argv", pretrain)
    with pytest.raises(SystemExit):
        cli.main()
    summary = json.loads(capfd.readouterr().out)
    assert found["parameters"]["all"] == summary["parameters"]
    # How good forecasts are is for benchmarks/ladder.py: a grammar of 125 sentences is learnt by no power law.
    above = summary["validation_loss"] / found["loss"] - 1
    told = off_forecast(curve, 60, summary["validation_loss"])
    assert told == (pytest.approx(above) if above > curve.tolerance else None)

    status, out, _ = call(monkeypatch, capfd, page, output)
    assert status == 0
    assert f"{found['loss']:.4f}" in out
    assert "rung-4" in out


def test_what_cannot_be_measured_is_refused(case, corpus, tmp_path, monkeypatch, capfd) -> None:
    page, output = case
    status, _, err = call(monkeypatch, capfd, page, output, "--parameters", 3000)
    assert (status, "no 5 smaller models" in err) == (2, True)
    (tmp_path / "bare").mkdir()
    bare = write_case(tmp_path / "bare", corpus / "tokenizer", splits=("train",))
    status, _, err = call(monkeypatch, capfd, page, bare)
    assert (status, "there are no held-out rows" in err) == (2, True)
