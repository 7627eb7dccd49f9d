"""`gristmill pretrain mixture` and `ladder`: small runs on one's own shards that tell what a large one should be like.

Like `gristmill pretrain run` it takes a config's page and its output directory, and goes on where it was stopped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from pipelines.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from pretrain.config import PretrainConfig

app = typer.Typer(no_args_is_help=True)

Page = Annotated[Path, typer.Option("--config", help="the run's YAML page")]
Output = Annotated[str | None, typer.Option("--output", help="directory of the run; by default the config's")]
AsJson = Annotated[bool, typer.Option("--json", help="print facts as JSON")]


@app.command("mixture")
def mixture_command(
    config: Page,
    budget: Annotated[float, typer.Option(min=1, max=1e18, help="tokens of the run that the mixture is for")],
    output: Output = None,
    proxies: Annotated[int, typer.Option(min=4, help="models to train: three to eight for each bucket")] = 32,
    epochs: Annotated[float, typer.Option(help="a bucket may be repeated so often in that run")] = 4.0,
    target: Annotated[list[str] | None, typer.Option(help="BUCKET=WEIGHT of a held-out bucket; default: all 1")] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the mixtures and of the resampling")] = 1,
    as_json: AsJson = False,
) -> None:
    """Which weights of the buckets to train on: the config's model, trained as many proxies, each on a mixture."""
    from rich.console import Console

    targets = _targets(target or [])
    if not (epochs > 0 and math.isfinite(epochs)):
        raise ConfigError(f"--epochs: must be a positive number, not {epochs:g}")

    def work(settings: PretrainConfig, directory: Path) -> dict[str, Any]:
        from pretrain.mixture import Search, search

        asked = Search(proxies=proxies, budget=int(budget), epochs=epochs, targets=targets, seed=seed)
        return search(settings, asked, directory / "shards", directory / "tokenizer", directory, _tell("mixture"))

    found = _locked(config, output, work)
    if as_json:
        typer.echo(json.dumps(found))
        return
    console = Console()
    console.print(_weights(found), _fits(found))
    weights = {name: weight for name, weight in found["weights"].items() if weight > 0}
    # a line to paste, however long: the console would break it
    typer.echo(yaml.safe_dump({"data": {"weights": weights}}, default_flow_style=True, width=math.inf)[1:-2])


@app.command("ladder")
def ladder_command(
    config: Page,
    output: Output = None,
    rungs: Annotated[int, typer.Option(min=4, help="runs to forecast from")] = 5,
    parameters: Annotated[int, typer.Option(min=1, help="of the largest of them at most")] = 1_000_000,
    as_json: AsJson = False,
) -> None:
    """What loss to expect of the config's run: a scaling law of one's own shards, fitted to small runs on them."""
    from rich.console import Console

    def work(settings: PretrainConfig, directory: Path) -> dict[str, Any]:
        from pretrain.ladder import Ladder, climb

        asked = Ladder(rungs=rungs, parameters=parameters)
        return climb(settings, asked, directory / "shards", directory / "tokenizer", directory, _tell("ladder"))

    found = _locked(config, output, work)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        Console().print(_rungs(found), _curve(found))


def _targets(given: list[str]) -> dict[str, float]:
    """`BUCKET=WEIGHT`, each bucket once. Raises ConfigError for what is not that."""
    found: dict[str, float] = {}
    for text in given:
        name, _, number = text.rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not name or not (weight >= 0 and math.isfinite(weight)):
            raise ConfigError(f"--target: {text!r} is not of the form BUCKET=WEIGHT, with a weight of 0 or more")
        if name in found:
            raise ConfigError(f"--target: {name} is given twice")
        found[name] = weight
    return found


def _locked(page: Path, output: str | None, work: Callable[[PretrainConfig, Path], dict[str, Any]]) -> dict[str, Any]:
    """Do `work` with the page's section `pretrain` and the output directory, which no other run may use meanwhile."""
    from jobs.pretrain import asked_for
    from jobs.whole import training_errors
    from pipelines.ledger import Ledger

    config, directory = asked_for(page, output)
    with Ledger(directory) as ledger, training_errors():
        return work(config, ledger.output)


def _tell(name: str) -> Callable[[str], None]:
    from jobs.whole import say

    return lambda line: say(f"{name}: {line}")


def _weights(found: dict[str, Any]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table("bucket", "weight", "", "natural", "most", title="Weights", box=box.SIMPLE)
    for name, weight in found["weights"].items():
        error, natural, cap = (found[key][name] for key in ("weights_error", "natural", "caps"))
        table.add_row(name, f"{weight:.4f}", f"± {error:.4f}", f"{natural:.4f}", f"{cap:.4f}")
    table.caption = (
        f"predicted {found['loss']:.4f} bits per byte, natural mixture {found['natural_loss']:.4f}: "
        f"{found['gain']:.4f} ± {found['gain_error']:.4f} less"
    )
    return table


def _fits(found: dict[str, Any]) -> Table:
    from rich import box
    from rich.table import Table

    columns = ("held out", "best", "natural", "form", "error", "spread", "rank correlation")
    table = Table(*columns, title="Predicted bits per byte", box=box.SIMPLE)
    for name, fit in found["fits"].items():
        rank = fit["leave_one_out_rank_correlation"]
        numbers = [f"{fit[key]:.4f}" for key in ("loss", "natural_loss")]
        errors = [f"{fit[key]:.4f}" for key in ("error", "spread")]
        table.add_row(name, *numbers, fit["form"], *errors, "none" if rank is None else f"{rank:.2f}")
    table.caption = "error: of proxies left out; spread: of their losses; rank correlation: each proxy left out"
    return table


def _rungs(found: dict[str, Any]) -> Table:
    from rich import box
    from rich.table import Table

    law = found["law"]
    table = Table("run", "parameters", "tokens", "loss", "left out", title="Rungs", box=box.SIMPLE)
    for rung, missed in zip(found["rungs"], found["leave_one_out"]):
        sizes = [f"{rung[key]:,}" for key in ("parameters", "tokens")]
        table.add_row(rung["name"], *sizes, f"{rung['losses'][-1]:.4f}", f"{missed:+.2%}")
    sizes = [f"{found[key]:,}" for key in ("parameters", "tokens")]
    table.add_row("the run", *sizes, f"{found['loss']:.4f}", f"± {found['error']:.2%}")
    table.caption = (
        f"loss = {law['e']:.3f} + {law['a']:.3g} / C^{law['b']:.3f} nats per token, C = 6 x parameters x tokens; "
        "left out: what the others say of a rung"
    )
    return table


def _curve(found: dict[str, Any]) -> Table:
    from rich import box
    from rich.table import Table

    curve = found["curve"]
    table = Table("step", "validation loss", "off from", title="Forecast of the run", box=box.SIMPLE)
    for step, loss, tolerance in zip(curve["steps"], curve["losses"], curve["tolerances"]):
        table.add_row(f"{step:,}", f"{loss:.4f}", f"{tolerance:+.1%}")
    table.caption = "off from: a run whose loss is further above this is off the forecast"
    return table
