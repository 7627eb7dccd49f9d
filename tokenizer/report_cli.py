"""`gristmill tokenizer report`: how well a tokenizer fits texts, beside others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from tokenizer.exit_status import exit_status

# What is heavy is imported inside the command, so that --help answers at once.

Files = Annotated[
    list[Path] | None, typer.Argument(help="Plain text, JSON Lines or Parquet.", exists=True, dir_okay=False)
]
Directory = Annotated[Path, typer.Argument(help="A tokenizer's directory, or its tokenizer.json.", exists=True)]

DIMENSIONS = {"groups": "source", "languages": "language", "scripts": "script"}


def report(
    directory: Directory,
    files: Files = None,
    corpus: Annotated[
        Path | None,
        typer.Option(metavar="RUN_DIR", help="Measure on the corpus of a run.", exists=True, file_okay=False),
    ] = None,
    split: Annotated[str, typer.Option(help="Which split of the corpus.")] = "train",
    most_bytes: Annotated[
        int, typer.Option(min=1, help="Of a larger corpus, a sample of about so many bytes of text.")
    ] = 1 << 28,
    compare: Annotated[
        list[Path] | None,
        typer.Option(metavar="TOKENIZER", help="Another tokenizer.json, or its directory.", exists=True),
    ] = None,
    gpt2: Annotated[bool, typer.Option(help="Beside GPT-2's published vocabulary.")] = True,
    rare: Annotated[int, typer.Option(min=1, help="Tokens that occur fewer times are under-trained.")] = 100,
    html: Annotated[Path | None, typer.Option(help="Write a page to this file.", dir_okay=False)] = None,
    column: Annotated[str, typer.Option(help="The column of JSON Lines and Parquet that holds the text.")] = "text",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Measure the tokenizer in DIRECTORY on FILES, each a source of its own, or on a run's corpus."""
    from tokenizer.files import replace_file
    from tokenizer.report import report as measure
    from tokenizer.report_page import page

    if not files and corpus is None:
        raise typer.BadParameter("name files, or a run with --corpus", param_hint="FILES")
    with exit_status():
        with TemporaryDirectory(prefix="gristmill-") as folder:
            others = ({"GPT-2": _gpt2(folder)} if gpt2 else {}) | {str(path): path for path in compare or []}
            content = measure(directory, _texts(files or [], column, corpus, split, most_bytes), others, rare)
        if html is not None:
            replace_file(html, page(content))
    if as_json:
        typer.echo(json.dumps(content, ensure_ascii=False))
    else:
        _print(content)


def _gpt2(folder: str) -> Path:
    from tokenizer.gpt2 import gpt2
    from tokenizer.train import save

    save(gpt2(), folder)
    return Path(folder)


def _texts(
    files: list[Path], column: str, corpus: Path | None, split: str, most_bytes: int
) -> Iterator[tuple[Any, Iterable[str]]]:
    from tokenizer.report_corpus import corpus_texts
    from tokenizer.texts import read_texts

    for file in files:
        yield str(file), read_texts(file, column)
    if corpus is not None:
        yield from corpus_texts(corpus, most_bytes, split)


def _print(content: dict[str, Any]) -> None:
    """The figures as tables: bytes per token of all tokenizers, and what the vocabulary holds."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # nothing is cut short on its way into a file
    for dimension in DIMENSIONS:
        if content[dimension]:
            console.print(_table(content, dimension))
    if content["total"]["not_round_tripped"]:
        console.print(f"{content['total']['not_round_tripped']:,} texts do not come back from decode(encode(text))")
    vocabulary = content["vocabulary"]
    console.print(f"{content['vocabulary_size']:,} entries, {vocabulary['ordinary']:,} of them ordinary tokens")
    rare = f"under-trained, fewer than {vocabulary['under_trained']['fewer_than']} times"
    kinds = {
        "unused": "unused",
        rare: "under_trained",
        "unreachable": "unreachable",
        "parts of characters": "breaks_utf8",
    }
    for name, key in kinds.items():
        kind = vocabulary[key]
        if kind is None:
            console.print(f"{name}: not told, as {content['left_out'][key]}", markup=False)
            continue
        console.print(f"{name}: {kind['count']:,} ({kind['share']:.1%})", _spelt(kind["tokens"][:8]), markup=False)
    console.print("longest:", _spelt(vocabulary["longest"][:8]), markup=False)


def _spelt(tokens: list[dict[str, Any]]) -> str:
    """Tokens side by side, nothing in them that would drive the terminal."""
    return " ".join(repr(token["token"][:60]) for token in tokens)


def _table(content: dict[str, Any], dimension: str) -> Any:
    from rich.table import Table
    from rich.text import Text

    from tokenizer.report_chart import short
    from tokenizer.report_page import visible

    table = Table(DIMENSIONS[dimension], box=None)
    headers = ["texts", "bytes", "tokens", "tokens/word", "characters/token", "not back", "bytes/token"]
    for header in [*headers, *(f"{visible(other)} bytes/token" for other in content["compared"])]:
        table.add_column(Text(header), justify="right")
    rows = [
        (name, row, [other[dimension][name] for other in content["compared"].values()])
        for name, row in content[dimension].items()
    ]
    if dimension == "groups":
        rows.append(("all", content["total"], [other["total"] for other in content["compared"].values()]))
    for name, row, compared in rows:
        ratios = [row["tokens_per_word"], row["characters_per_token"]]
        compression = [row["bytes_per_token"], *(other["bytes_per_token"] for other in compared)]
        table.add_row(
            Text(visible(name)),
            f"{row['texts']:,}",
            *(short(row[key]) for key in ("bytes", "tokens")),
            *map(_ratio, ratios),
            f"{row['not_round_tripped']:,}",
            *map(_ratio, compression),
        )
    return table


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
