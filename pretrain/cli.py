"""`gristmill pretrain`: measure and sample a run that is there. PyTorch is imported by the commands, not by --help."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pretrain.export_cli import export_command
from pretrain.plan_cli import plan_command

if TYPE_CHECKING:
    from pretrain.runs import SavedRun

app = typer.Typer(
    no_args_is_help=True, help="Train a language model on the shards, measure it, let it write; plan one."
)
app.command("plan")(plan_command)
app.command("export")(export_command)

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Output directory of `gristmill run`.")]
Name = Annotated[str | None, typer.Option("--run", help="Name of the run; may be left out where there is only one.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("evaluate")
def evaluate_command(
    directory: Directory,
    name: Name = None,
    rows: Annotated[int | None, typer.Option(min=1, help="At most this many rows; default: the run's own.")] = None,
    by: Annotated[
        str | None, typer.Option(help="Also by language or source, or by a Parquet file of doc_id and label.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Validation loss and bits per byte of a run's latest checkpoint, in all and per bucket, beside the baseline."""
    with exit_status():
        run = _open(directory, name)
        labels = {"by": run.evaluate_by(by, rows)} if by else {}
        scores = {**run.evaluate(rows), **labels}
        if as_json:
            typer.echo(json.dumps(scores))
            return
        typer.echo(f"{run.path.name}, step {run.state.step}: {_line(scores)}")
        for bucket, part in scores["buckets"].items():
            typer.echo(f"  {bucket}: {_line(part)}")
        for label, part in labels.get("by", {}).items():
            typer.echo(f"  {by} {label}: {_line(part)}")
        typer.echo(f"unigram baseline: {_number(scores['unigram_bits_per_byte'])} bits per byte")


@app.command("sample")
def sample_command(
    directory: Directory,
    name: Name = None,
    prompt: Annotated[list[str] | None, typer.Option(help="Beginning of a text; may be repeated.")] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="At most this many tokens after each prompt.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="0 takes the likeliest token.")] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Choose among this many likeliest tokens.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="Other seed, other texts; default: the run's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Texts by a run's latest checkpoint; what is not given is as in the run's config."""
    with exit_status():
        run = _open(directory, name)
        asked = {"prompts": tuple(prompt or ()) or None, "tokens": tokens, "temperature": temperature, "top_k": top_k}
        samples = run.sample({key: value for key, value in asked.items() if value is not None}, seed)
        if as_json:
            typer.echo(json.dumps({"samples": samples}, ensure_ascii=False))
            return
        for sample in samples:
            typer.echo(f"{typer.style(sample['prompt'], bold=True)}{sample['text']}\n")


def _open(directory: Path, name: str | None) -> SavedRun:
    from pretrain.runs import open_run

    return open_run(directory, name)


@contextmanager
def exit_status() -> Iterator[None]:
    """Say what went wrong in one sentence: status 2 for arguments and missing assets, 1 for damaged ones."""
    from pydantic import ValidationError

    from pretrain.checkpoint import CheckpointError
    from shards.format import ShardError, first_error

    try:
        yield
    except ValidationError as error:
        typer.echo(f"error: {first_error(error)}", err=True)
        raise typer.Exit(2) from None
    except (CheckpointError, ShardError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    except (ValueError, OSError) as error:
        typer.echo(f"error: {_cause(error)}", err=True)
        raise typer.Exit(2 if isinstance(error, (ValueError, FileNotFoundError)) else 1) from None


def _cause(error: ValueError | OSError) -> str:
    """Its own words, or those of the operating system with the file that they are about."""
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.filename or 'files'}: {error.strerror}"
    return str(error)


def _line(scores: dict[str, Any]) -> str:
    return (
        f"{_number(scores['loss'])} nats per token, {_number(scores['bits_per_byte'])} bits per byte "
        f"({scores['targets']:,} tokens, {scores['bytes']:,} bytes)"
    )


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
