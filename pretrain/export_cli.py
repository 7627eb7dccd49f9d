"""`gristmill pretrain export`. PyTorch is imported by the command, not by --help."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Precision(StrEnum):
    """Of the exported weights."""

    float32 = "float32"
    bfloat16 = "bfloat16"


def export_command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Output directory of `gristmill run`.")],
    output: Annotated[Path, typer.Option(help="A new directory to write to.")],
    name: Annotated[
        str | None, typer.Option("--run", help="Name of the run; may be left out where there is only one.")
    ] = None,
    dtype: Annotated[Precision, typer.Option(help="Of the weights; bfloat16 halves them.")] = Precision.float32,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """A run's latest checkpoint as a directory for Hugging Face transformers: weights, configs, tokenizer."""
    from pretrain.cli import exit_status

    with exit_status():
        from pretrain.export import architecture, export

        run = export(directory, output, name, dtype.value)
        kind, _ = architecture(run.state.config.model)
    facts = {"directory": str(output), "run": run.path.name, "step": run.state.step, "model_type": kind}
    if as_json:
        typer.echo(json.dumps({**facts, "dtype": dtype.value}))
    else:
        typer.echo(f"{output}: {run.path.name}, step {run.state.step}, as {kind}, {dtype.value}")
