"""`gristmill tokenizer`: train, report, encode, decode."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from tokenizer.patterns import PATTERNS

# What is heavy is imported inside the commands, so that --help answers at once.

app = typer.Typer(help="Train a tokenizer, look at it, use it.", no_args_is_help=True)

Files = Annotated[list[Path], typer.Argument(help="Plain text, JSON Lines or Parquet.", exists=True, dir_okay=False)]
Directory = Annotated[Path, typer.Argument(help="A tokenizer's directory, or its tokenizer.json.", exists=True)]
Column = Annotated[str, typer.Option(help="The column of JSON Lines and Parquet that holds the text.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]


@contextmanager
def _exit_status() -> Iterator[None]:
    """Turn a missing file into exit status 2 and an unreadable one into 1, each with its one sentence."""
    try:
        yield
    except FileNotFoundError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    except (ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


@app.command()
def train(
    files: Files,
    output: Annotated[Path, typer.Option(help="Where tokenizer.json and tokenizer_config.json go.", file_okay=False)],
    vocab_size: Annotated[int, typer.Option(help="Tokens at most, special tokens included.", min=259)] = 32_000,
    pattern: Annotated[str, typer.Option(help=f"Split pattern: {', '.join(PATTERNS)}.")] = "cl100k",
    min_frequency: Annotated[int, typer.Option(help="Pairs rarer than this are not merged.", min=1)] = 2,
    column: Column = "text",
    as_json: Json = False,
) -> None:
    """Train a byte-level BPE on FILES and save it."""
    from tokenizer.texts import read_texts
    from tokenizer.train import save
    from tokenizer.train import train as train_bpe
    from tokenizer.vocabulary import sha256

    if pattern not in PATTERNS:
        raise typer.BadParameter(f"{pattern!r} is none of: {', '.join(PATTERNS)}", param_hint="--pattern")
    with _exit_status():
        texts = (text for file in files for text in read_texts(file, column) if text)
        first = next(texts, None)
        if first is None:
            raise typer.BadParameter("there is no text in them", param_hint="FILES")
        trained = train_bpe(chain([first], texts), vocab_size, pattern, min_frequency=min_frequency)
        save(trained, output)
        facts = {"output": str(output), "vocabulary_size": trained.get_vocab_size(), "sha256": sha256(output)}
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        typer.echo(f"{facts['vocabulary_size']:,} tokens in {output}")


@app.command()
def report(directory: Directory, files: Files, column: Column = "text", as_json: Json = False) -> None:
    """Measure the tokenizer in DIRECTORY on FILES, each a group of its own."""
    from tokenizer.report import report as measure
    from tokenizer.texts import read_texts

    with _exit_status():
        content = measure(directory, {str(file): read_texts(file, column) for file in files})
    if as_json:
        typer.echo(json.dumps(content, ensure_ascii=False))
    else:
        _print_report(content)


def _print_report(content: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("group", "bytes", "tokens", "bytes per token", "tokens per word", "not round-tripped", box=None)
    for name, count in [*content["groups"].items(), ("total", content["total"])]:
        keys = ("bytes", "tokens", "bytes_per_token", "tokens_per_word", "not_round_tripped")
        table.add_row(name, *("-" if count[key] is None else f"{count[key]:,}" for key in keys))
    console = Console()
    console.print(table)
    console.print(
        f"{content['vocabulary_size']:,} tokens, {content['unused_share']:.1%} of them in none of these texts"
    )
    console.print("longest:", " ".join(repr(token["token"]) for token in content["longest_tokens"]), markup=False)


@app.command()
def encode(
    directory: Directory,
    text: Annotated[str | None, typer.Argument(help="The text; standard input where it is left out.")] = None,
    as_json: Json = False,
) -> None:
    """Print the ids of a text."""
    from tokenizer.encode import load

    with _exit_status():
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

    with _exit_status():
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
