"""`gristmill tokenizer`: train, report, encode, decode, export, import."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from tokenizer.exit_status import exit_status
from tokenizer.export_cli import export, import_
from tokenizer.report_cli import report
from tokenizer.train_cli import train

# What is heavy is imported inside the commands, so that --help answers at once.

app = typer.Typer(help="Train a tokenizer, look at it, use it.", no_args_is_help=True)

Directory = Annotated[Path, typer.Argument(help="A tokenizer's directory, or its tokenizer.json.", exists=True)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]


app.command()(train)
app.command()(report)
app.command()(export)
app.command("import")(import_)


@app.command()
def encode(
    directory: Directory,
    text: Annotated[str | None, typer.Argument(help="The text; standard input where it is left out.")] = None,
    as_json: Json = False,
) -> None:
    """Print the ids of a text."""
    from tokenizer.encode import load

    with exit_status():
        source = sys.stdin.buffer.read() if text is None else text.encode("utf-8", "surrogateescape")
        ids = load(directory).encode(source.decode("utf-8", "replace")).tolist()
    typer.echo(json.dumps(ids) if as_json else " ".join(map(str, ids)))


@app.command()
def decode(
    directory: Directory,
    ids: Annotated[list[int] | None, typer.Argument(help="The ids; standard input where they are left out.")] = None,
    as_json: Json = False,
) -> None:
    """Print the text of ids, as numbers or as a JSON list."""
    from tokenizer.encode import load

    with exit_status():
        encoder = load(directory)
        numbers = ids or _numbers(sys.stdin.read())
        if unknown := [number for number in numbers if not 0 <= number < encoder.vocabulary_size]:
            last = encoder.vocabulary_size - 1
            raise typer.BadParameter(f"the vocabulary has no token {unknown[0]}; its ids go from 0 to {last}")
        text = encoder.decode(numbers)
    if as_json:
        typer.echo(json.dumps(text, ensure_ascii=False))
    else:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()


def _numbers(text: str) -> list[int]:
    """Ids as numbers or as a JSON list."""
    try:
        return [int(word) for word in text.replace(",", " ").strip(" \n[]").split()]
    except ValueError as error:
        raise typer.BadParameter(f"ids are numbers: {error}") from error
