"""Ladders: the law of a few runs, which runs these are, the curve, and the command on tiny shards."""

import io
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ladder_case import write_case, write_page
from pydantic import ValidationError
from rich.console import Console

from jobs import cli, whole
from jobs.config import load
from pretrain import ladder, train
from pretrain.config import PretrainConfig
from pretrain.failures import ResourceError
from pretrain.inputs import open_inputs
from pretrain.ladder_fit import NOISE, fit_law, leave_one_out
from pretrain.ladder_forecast import Curve, forecast_path, off_forecast, read_forecast, write_forecast
from pretrain.ladder_rungs import FALL, LARGEST, PARTS, STABLE, rungs
from pretrain.laws import BESIROGLU, HOFFMANN, Chinchilla
from pretrain.metrics import read_metrics
from pretrain.origin import Origin
from pretrain.shape import count_parameters
from pretrain.view import View

COMPUTE = 6 * 20 * 1e5**2 * 2.0 ** -np.arange(5)
TEN_TIMES = 10 * COMPUTE[0]
BYTES = 2.1  # of a token


def law(compute, e: float, b: float) -> np.ndarray:
    """About 4.5 at the first run."""
    return e + (4.5 - e) * (compute / COMPUTE[0]) ** -b


@given(e=st.floats(0.8, 2.0), b=st.floats(0.05, 0.15))
@settings(deadline=None, max_examples=25)
def test_a_law_is_found_again_at_ten_times_the_compute_of_its_runs(e, b) -> None:
    losses = law(COMPUTE, e, b)
    found = fit_law(COMPUTE, losses, BYTES)
    assert [found.loss(c) for c in COMPUTE] == pytest.approx(losses, rel=4e-3)
    assert found.loss(TEN_TIMES) == pytest.approx(law(TEN_TIMES, e, b), rel=0.02)
    assert abs(found.loss(TEN_TIMES) / law(TEN_TIMES, e, b) - 1) < 2 * found.error(TEN_TIMES)
    facts = found.facts()
    assert facts["e"] + facts["a"] / TEN_TIMES ** facts["b"] == pytest.approx(found.loss(TEN_TIMES))
    scaled = fit_law(7 * COMPUTE, losses, BYTES)
    assert scaled.loss(7 * TEN_TIMES) == pytest.approx(found.loss(TEN_TIMES), rel=1e-4)
    assert np.abs(leave_one_out(COMPUTE, losses, BYTES)).max() < 0.01


def test_the_stated_error_covers_what_noise_does() -> None:
    random, expected = np.random.default_rng(3), law(TEN_TIMES, 1.5, 0.1)
    off = []
    noise = NOISE * np.sqrt(COMPUTE[0] / COMPUTE)
    for _ in range(60):
        found = fit_law(COMPUTE, law(COMPUTE, 1.5, 0.1) * np.exp(random.normal(0, noise)), BYTES)
        off.append(((found.loss(TEN_TIMES) / expected - 1), found.error(TEN_TIMES)))
    missed, stated = np.array(off).T
    assert (np.abs(missed) < 2 * stated).mean() > 0.9
    assert missed.std() < 0.02
    assert stated.max() < 0.05


@pytest.mark.parametrize("parameters", [1e6, 1e7, 1e8, 1e9, 1e10])
@pytest.mark.parametrize("law", [HOFFMANN, BESIROGLU])
def test_runs_that_follow_hoffmanns_law_are_forecast_at_any_size(law: Chinchilla, parameters: float) -> None:
    """Its tokens are of 4.5 bytes; 20 of them for each parameter."""
    sizes = np.array([parameters, *parameters * LARGEST * FALL ** np.arange(5)])
    losses, compute = np.array([law.loss(size, 20 * size) for size in sizes]), 120 * sizes**2
    found = fit_law(compute[1:], losses[1:], 4.48)
    assert found.loss(compute[0]) == pytest.approx(losses[0], rel=0.015)


def test_the_error_grows_with_the_distance_and_the_noise() -> None:
    losses = law(COMPUTE, 1.5, 0.1)
    found = fit_law(COMPUTE, losses, BYTES)
    errors = [found.error(factor * COMPUTE[0]) for factor in (1, 3, 10, 100)]
    assert errors == sorted(errors)
    wrong = losses * (1, 1.05, 0.95, 1.05, 0.95)
    assert fit_law(COMPUTE, wrong, BYTES).error(TEN_TIMES) > 2 * errors[2]


def test_a_rung_that_went_wrong_is_seen_when_left_out() -> None:
    losses = law(COMPUTE, 1.5, 0.1)
    losses[2] *= 1.1
    assert leave_one_out(COMPUTE, losses, BYTES)[2] == pytest.approx(1 / 1.1 - 1, abs=0.01)


@pytest.mark.parametrize(
    ("compute", "losses", "text", "message"),
    [
        (COMPUTE[:2], np.ones(2), BYTES, "three runs"),
        (COMPUTE, np.ones(4), BYTES, "three runs"),
        (COMPUTE, np.full(5, np.nan), BYTES, "loss of run 0: must be a positive"),
        (COMPUTE * (1, 1, -1, 1, 1), np.ones(5), BYTES, "compute of run 2: must be a positive"),
        (COMPUTE, np.ones(5), 0.0, "bytes_per_token: must be a positive"),
    ],
)
def test_measurements_that_give_no_law_are_refused(compute, losses, text, message) -> None:
    with pytest.raises(ValueError, match=message):
        fit_law(compute, losses, text)


def recorded() -> list[dict]:
    """Ladders and runs that were trained on the shards of benchmarks/ladder.py, whose last line is of this form."""
    lines = Path(__file__).with_name("ladder_recorded.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def size(run: dict) -> ladder.Size:
    return ladder.Size(run["parameters"], run["tokens"], run["compute"])


def forecast_again(told: dict) -> tuple[dict, float]:
    """The forecast from a recorded ladder, and by which part of its run's loss it is off."""
    measured = np.array([rung["losses"] for rung in told["rungs"]])
    steps = told["config"]["steps"]
    found = ladder.forecast(list(map(size, told["rungs"])), measured, size(told["run"]), steps, told["bytes_per_token"])
    return found, found["loss"] / told["run"]["losses"][-1] - 1


@pytest.mark.parametrize("told", recorded(), ids=lambda told: told["name"])
def test_a_recorded_run_of_about_ten_times_the_compute_ends_within_two_percent_of_its_forecast(told) -> None:
    rungs, run, steps = told["rungs"], told["run"], told["config"]["steps"]
    assert len(rungs) == 5
    assert max(rung["parameters"] for rung in rungs) <= 1_000_000
    assert run["compute"] > 7 * max(rung["compute"] for rung in rungs)  # ten times, as near as widths allow
    found, error = forecast_again(told)
    assert error == pytest.approx(told["error"], abs=1e-4)
    assert abs(error) < 0.02
    assert abs(error) < 2 * found["error"]
    largest = rungs[0]["losses"][-1]
    assert largest / run["losses"][-1] - 1 > 0.1  # what is forecast is not what was seen already
    curve = Curve.model_validate(found["curve"])
    assert curve.tolerances[-1] >= 3 * found["error"]
    assert not any(off_forecast(curve, step, loss) for step, loss in zip(curve.steps, run["losses"]))
    assert off_forecast(curve, steps, largest)  # a run that does no better than the largest rung is off


def test_a_run_may_be_further_off_under_way_than_at_its_end() -> None:
    """Losses are noisier while the learning rate is high."""
    losses = np.outer(law(COMPUTE, 1.5, 0.1), np.linspace(1.2, 1.0, 8))
    sizes = [ladder.Size(1, 1, compute) for compute in COMPUTE]
    found = ladder.forecast(sizes, losses, ladder.Size(1, 1, TEN_TIMES), 1000, BYTES)
    tolerances = found["curve"]["tolerances"]
    assert tolerances == sorted(tolerances, reverse=True)
    assert tolerances[0] > 1.3 * tolerances[-1]


@pytest.mark.parametrize("told", recorded(), ids=lambda told: told["name"])
def test_the_rungs_of_a_recorded_run_are_those_of_today(told) -> None:
    config, shards = PretrainConfig.model_validate(told["config"]), told["shards"]
    found = rungs(config, shards["vocabulary"], shards["context"], config.steps, 5, 1_000_000)
    for rung, of in zip(found, told["rungs"], strict=True):
        assert count_parameters(rung.model, shards["vocabulary"]).all == of["parameters"]
        assert rung.steps * rung.batch_tokens == of["tokens"]
        assert rung.optimizer.lr == pytest.approx(of["lr"])


def test_recorded_forecasts_are_off_by_as_much_as_they_say() -> None:
    found = [(error, forecast["error"]) for forecast, error in map(forecast_again, recorded())]
    errors, stated = np.array(found).T
    assert len(errors) == 11
    assert np.sqrt((errors**2).mean()) < 0.01
    assert 0.6 < np.sqrt(((errors / stated) ** 2).mean()) < 1.4


CURVE = Curve(steps=(30, 60, 100), losses=(4.0, 3.0, 2.5), tolerances=(0.04, 0.02, 0.02))


@given(step=st.integers(1, 130), above=st.floats(-0.5, 0.5))
def test_off_forecast_says_by_how_much_a_loss_is_above_tolerance(step, above) -> None:
    at = CURVE.at(step)
    if not 30 <= step <= 100:
        assert at is None
        assert off_forecast(CURVE, step, 99.0) is None
        return
    expected, tolerance = at
    assert 2.5 <= expected <= 4.0
    assert 0.02 <= tolerance <= 0.04
    found = off_forecast(CURVE, step, expected * (1 + above))
    if abs(above - tolerance) > 1e-9:
        assert (found is not None) == (above > tolerance)
    if found is not None:
        assert found == pytest.approx(above)


def test_a_curve_between_its_points_and_a_loss_that_is_no_number() -> None:
    found = [CURVE.at(step) for step in (30, 60, 100)]
    assert found == [pytest.approx(expected) for expected in ((4.0, 0.04), (3.0, 0.02), (2.5, 0.02))]
    assert CURVE.at(round(math.sqrt(30 * 60))) == pytest.approx((math.sqrt(4 * 3), 0.03), rel=0.01)
    assert off_forecast(CURVE, 60, math.nan) == math.inf
    assert off_forecast(CURVE, 60, math.inf) == math.inf
    assert off_forecast(CURVE, 60, None) == math.inf


def origin_of(config: PretrainConfig, corpus: Path) -> Origin:
    return open_inputs(corpus / "shards", corpus / "tokenizer").origin(config)


def foretold(output: Path, config: PretrainConfig, corpus: Path, losses: tuple[float, ...]) -> None:
    """A forecast of the run `config`, at steps 6, 9 and 12."""
    path = forecast_path(output, config.name)
    path.parent.mkdir(parents=True)
    curve = Curve(steps=(6, 9, 12), losses=losses, tolerances=(0.02, 0.02, 0.02)).model_dump(mode="json")
    write_forecast(path, {"curve": curve, "origin": origin_of(config, corpus).model_dump(mode="json")})


def test_a_forecast_is_read_by_the_run_that_it_is_of_and_anything_else_is_refused(corpus, config, tmp_path) -> None:
    path, origin = forecast_path(tmp_path, config.name), origin_of(config, corpus)
    assert read_forecast(path, origin) is None
    foretold(tmp_path, config, corpus, (3.0, 2.0, 1.0))
    assert read_forecast(path, origin).losses == (3.0, 2.0, 1.0)
    for other in ({"steps": 13}, {"seed": 2}, {"optimizer": {"lr": 0.1}}):
        changed = PretrainConfig.model_validate({**config.model_dump(), **other})
        assert read_forecast(path, origin_of(changed, corpus)) is None
    for text in ("[1, 2]", "{", '{"curve": {}}', path.read_text().replace("3.0", "-3.0")):
        path.write_text(text)
        with pytest.raises(ValueError, match="this is no forecast"):
            read_forecast(path, origin)


@pytest.mark.parametrize("name", ["tiny", "other"])
def test_a_run_that_falls_off_its_forecast_says_so(name, corpus, config, tmp_path) -> None:
    foretold(tmp_path, config, corpus, (0.5, 100.0, 0.4))
    config, view = config.model_copy(update={"name": name}), View()
    told: list[dict] = []

    def on_event(event: dict) -> None:
        told.append(event)
        view.see(event)

    train.run(config, corpus / "shards", corpus / "tokenizer", tmp_path, on_event)
    records = read_metrics(tmp_path / "runs" / name / "metrics.jsonl")
    assert records == [event for event in told if event["kind"] in ("train", "evaluation")]
    found = {r["step"]: (r["loss"], r.get("above_forecast")) for r in records if r["kind"] == "evaluation"}
    assert list(found) == [3, 6, 9, 12]
    console = Console(file=io.StringIO(), width=100)
    console.print(view.table())
    if name == "other":  # no ladder was climbed for it
        assert not any(above for _, above in found.values())
        return
    assert found[3][1] is None
    assert found[6][1] == pytest.approx(found[6][0] / 0.5 - 1)
    assert found[9][1] is None
    assert found[12][1] == pytest.approx(found[12][0] / 0.4 - 1)
    assert f"loss at step 12 is {found[12][1]:.1%} above the forecast" in console.file.getvalue()


def test_the_warning_is_a_line_where_there_is_no_terminal(capfd) -> None:
    for above in (0.034, None):
        whole._tell({"kind": "evaluation", "step": 1200, "bits_per_byte": 1.25, "above_forecast": above})
    whole._tell({"kind": "evaluation", "step": 1400, "bits_per_byte": 1.25})
    told = capfd.readouterr().err
    assert "step 1,200 is 3.4% above the forecast" in told
    assert "step 1,200 is no number" in told
    assert told.count("forecast") == 1


@pytest.mark.parametrize(
    ("steps", "losses", "tolerances"),
    [
        ((1, 2), (3.0,), (0.1, 0.1)),
        ((1, 2), (3.0, 2.0), (0.1,)),
        ((1, 2), (3.0, 2.0), (0.1, 0.0)),
        ((2, 1), (3.0, 2.0), (0.1, 0.1)),
        ((0, 1), (3.0, 2.0), (0.1, 0.1)),
        ((1, 2), (3.0, math.nan), (0.1, 0.1)),
    ],
)
def test_what_is_no_curve_is_refused(steps, losses, tolerances) -> None:
    with pytest.raises(ValidationError):
        Curve(steps=steps, losses=losses, tolerances=tolerances)


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
    assert [t / s for t, s in zip(tokens, sizes)] == pytest.approx([steps * config.batch_tokens / whole] * 5, rel=0.05)
    for rung in found:
        assert rung.steps % PARTS == 0
        assert rung.evaluation.every == rung.steps // PARTS
        assert rung.schedule.warmup / rung.steps == pytest.approx(300 / steps, abs=0.6 / rung.steps)
        assert config.optimizer.lr < rung.optimizer.lr <= STABLE
        assert rung.batch_tokens < config.batch_tokens
        assert rung.data == config.data
    assert len({rung.name for rung in found}) == 5
    if most > whole:  # where a batch is more than a few rows, a rung has as many steps as the run
        assert [rung.steps for rung in found] == pytest.approx([steps] * 5, rel=0.2)
        assert found[0].steps == pytest.approx(steps, rel=0.05)


@pytest.mark.parametrize("lr", [1e-4, 1e-3, 8e-3, 2e-2])
def test_smaller_runs_have_higher_rates_up_to_where_small_models_do_not_train_reliably(lr) -> None:
    muon = {"lr": 3 * lr}
    climbed = rungs(large(optimizer={"lr": lr, "muon": muon}), 4096, 256, 20_000, 5, 10**9)
    found = [rung.optimizer for rung in climbed]
    rates = [optimizer.lr for optimizer in found]
    assert rates == sorted(rates)
    assert lr <= rates[0] <= rates[-1] <= max(lr, STABLE)
    assert (rates[-1] > lr) == (lr < STABLE)
    assert [optimizer.muon.lr for optimizer in found] == pytest.approx([3 * rate for rate in rates])
    if rates[0] < STABLE:
        whole, largest = (count_parameters(config.model, 4096) for config in (large(), climbed[0]))
        blocks, scale = largest.non_embedding / whole.non_embedding, largest.all / whole.all
        assert rates[0] / lr == pytest.approx(blocks**-0.713 * scale**0.307)


@pytest.mark.parametrize("hidden", range(24, 64, 8))
def test_rungs_fall_where_there_are_hardly_enough_shapes(hidden) -> None:
    """Widths of rungs are multiples of four, from eight on."""
    model = {"layers": 4, "hidden": hidden, "heads": 2, "kv_heads": 2, "intermediate": 2 * hidden}
    found = [rung.model.hidden for rung in rungs(large(model=model), 1024, 256, 20_000, 4, 10**6)]
    assert found == sorted(set(found), reverse=True)
    assert found[0] < hidden
    with pytest.raises(ValueError, match="no 20 smaller models"):
        rungs(large(model=model), 1024, 256, 20_000, 20, 10**6)


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
    assert not list(output.rglob("forecast.json"))

    status, out, err = call(monkeypatch, capfd, page, output, "--json")
    assert status == 0, err
    found = json.loads(out)
    assert all(path.stat().st_mtime_ns == before for path, before in first.items())
    path = forecast_path(output, "tiny")
    assert found == json.loads(path.read_text())
    inputs = open_inputs(output / "shards", output / "tokenizer")
    curve = read_forecast(path, inputs.origin(load(page).pretrain))
    assert curve == Curve.model_validate(found["curve"])
    assert curve.steps == (18, 24, 30, 36, 42, 48, 54, 60)
    assert found["loss"] == curve.losses[-1] < min(rung["losses"][-1] for rung in found["rungs"])
    assert found["tokens"] == 60 * 16 * 24
    assert curve.tolerances[-1] >= 3 * found["error"]

    pretrain = ["gristmill", "pretrain", "run", "--config", str(page), "--output", str(output), "--json"]
    monkeypatch.setattr(sys, "argv", pretrain)
    with pytest.raises(SystemExit):
        cli.main()
    summary = json.loads(capfd.readouterr().out)
    assert found["parameters"] == summary["parameters"]
    # Not how good it is: a grammar of 125 sentences is learnt by no power law.
    above = summary["validation_loss"] / found["loss"] - 1
    told = off_forecast(curve, 60, summary["validation_loss"])
    assert told == (pytest.approx(above) if above > curve.tolerances[-1] else None)

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


def test_a_run_too_short_for_a_curve_is_refused_before_a_rung_is_trained(case, monkeypatch, capfd) -> None:
    page, output = case
    told = yaml.safe_load(page.read_text())
    told["pretrain"].update(steps=9, schedule={"warmup": 1})
    page.write_text(yaml.safe_dump(told))
    status, _, err = call(monkeypatch, capfd, page, output)
    assert (status, "a run of 9 steps is too short for a curve: 10 at least" in err) == (2, True)
    assert not (output / "ladder").exists()


def test_held_out_rows_without_text_are_refused(case, monkeypatch, capfd) -> None:
    monkeypatch.setattr(ladder, "run", lambda *arguments: {"validation": {"targets": 5, "bytes": 0}})
    status, _, err = call(monkeypatch, capfd, *case)
    assert (status, "the held-out rows have no text" in err) == (2, True)


def test_memory_that_gives_out_is_one_line(case, monkeypatch, capfd) -> None:
    def exhausted(*arguments):
        raise ResourceError("out of memory: lower micro_batch")

    monkeypatch.setattr(ladder, "run", exhausted)
    status, _, err = call(monkeypatch, capfd, *case)
    assert (status, err.strip()) == (1, "gristmill: pretrain: out of memory: lower micro_batch")
