"""`gristmill quality`: make what the learned families read, from texts that the user calls good, bad or the target."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

# What is heavy is imported inside the commands, so that --help answers at once.

app = typer.Typer(help="Make models of quality from examples.", no_args_is_help=True)

_PATHS = "JSON Lines, Parquet, text, a folder of them, or a run's output directory (its corpus); may be repeated"
_WHERE = "take those documents of runs that fulfil this, for example 'quality.words > 500'"
Where = Annotated[str | None, typer.Option(help=_WHERE)]
Output = Annotated[Path, typer.Option("--output", help="the file to write", dir_okay=False)]
Column = Annotated[str, typer.Option(help="the column of JSON Lines and Parquet that holds the text")]
Master = Annotated[str | None, typer.Option("--master", help="Spark master URL, where a predicate needs Spark")]
AsJson = Annotated[bool, typer.Option("--json", help="print facts as JSON")]


@app.command()
def train(
    good: Annotated[list[Path], typer.Option(help=f"good texts: {_PATHS}")],
    bad: Annotated[list[Path], typer.Option(help=f"bad texts: {_PATHS}")],
    output: Output,
    good_where: Where = None,
    bad_where: Where = None,
    column: Column = "text",
    master: Master = None,
    as_json: AsJson = False,
) -> None:
    """Train a classifier of good and bad texts, for the family `learned`, and write its card beside it."""
    from filters import learned_card, learned_training
    from jobs.quality_texts import Side, texts

    sides = [Side("good", good, good_where, column), Side("bad", bad, bad_where, column)]
    with _writing(output):
        good_texts, bad_texts = texts(sides, master)
        facts = learned_training.train(good_texts, bad_texts, output)
        card = learned_card.write(output, facts, {side.name: str(side) for side in sides})
    both = facts["good"]["on_both_sides"]
    shown = {
        "model": str(output),
        "sha256": facts["sha256"],
        "card": str(card),
        "trained_on": f"{facts['good']['trained']:,} good, {facts['bad']['trained']:,} bad",
        "dropped": f"{both:,} that are on both sides" if both else "none",
        "held_back": f"{facts['good']['held_back']:,} good, {facts['bad']['held_back']:,} bad",
        "roc_auc": facts["roc_auc"],
        "average_precision": facts["average_precision"],
    }
    _print(shown, {"model": str(output), "card": str(card), **facts}, as_json)


@app.command()
def weights(
    target: Annotated[list[Path], typer.Option(help=f"what the corpus shall be like: {_PATHS}")],
    raw: Annotated[list[Path], typer.Option(help=f"what it is chosen from: {_PATHS}")],
    output: Output,
    target_where: Where = None,
    raw_where: Where = None,
    column: Column = "text",
    master: Master = None,
    as_json: AsJson = False,
) -> None:
    """Make importance weights towards a target corpus (DSIR), for the family `importance`."""
    from filters import importance
    from jobs.quality_texts import Side, texts

    sides = [Side("target", target, target_where, column), Side("raw", raw, raw_where, column)]
    with _writing(output):
        target_texts, raw_texts = texts(sides, master)
        facts = importance.make(target_texts, raw_texts, output)
    facts = {"weights": str(output), **facts}
    _print(facts, facts, as_json)


@app.command()
def frequencies(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help=_PATHS)],
    output: Output,
    where: Where = None,
    words: Annotated[int, typer.Option(help="how many words, the most frequent ones, are kept", min=1)] = 200_000,
    column: Column = "text",
    master: Master = None,
    as_json: AsJson = False,
) -> None:
    """Count the words of texts, for the family `unigram`."""
    from filters import unigram
    from jobs.quality_texts import Side, texts

    with _writing(output):
        facts = unigram.make(texts([Side("texts", paths, where, column)], master)[0], output, words)
    facts = {"frequencies": str(output), **facts}
    _print(facts, facts, as_json)


@contextmanager
def _writing(output: Path) -> Iterator[None]:
    """Turn what was wrong with the texts or the place of the output into the error that ends the program."""
    from pipelines.errors import ConfigError

    if not output.parent.is_dir():
        raise ConfigError(f"--output: there is no folder {output.parent}")
    try:
        yield
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _print(shown: dict[str, Any], facts: dict[str, Any], as_json: bool) -> None:
    width = max(map(len, shown))
    lines = (f"{name.replace('_', ' '):<{width}}  {_plain(value)}" for name, value in shown.items())
    typer.echo(json.dumps(facts) if as_json else "\n".join(lines))


def _plain(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
