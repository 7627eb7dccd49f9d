"""`gristmill shards`: inspect, verify and show a shard set.

Exit status: 0 done; 1 the set is damaged; 2 wrong arguments or nothing there. Imports of the rest of the package wait
until a command runs, so that --help is quick.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from shards.read import ShardSet

app = typer.Typer(help="Look into token shards and prove them whole.", no_args_is_help=True)

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A run's output directory, or its shards/ directory.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("inspect")
def inspect_command(
    directory: Directory,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also draw a picture: .svg or .html.", dir_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Counts, lengths and packing per split and bucket; sources and languages where a corpus lies beside the shards."""
    from rich.console import Console

    from shards import inspect, inspect_corpus, inspect_plot
    from shards.atomic import replacing
    from shards.format import ShardError

    if plot is not None:
        try:
            inspect_plot.check_format(plot)
        except ValueError as error:
            fail(f"--plot: {error}", 2)
    shards = open_set(directory)
    try:
        facts = inspect.inspect(shards)
        origins = inspect_corpus.origins(shards)
    except ShardError as error:
        fail(str(error), 1)
    if plot is not None:
        try:
            with replacing(plot) as path:
                path.write_text(inspect_plot.draw(plot, shards, facts), "utf-8")
        except OSError as error:
            fail(f"--plot: {error}", 2)
    if as_json:
        typer.echo(json.dumps(inspect.as_json(shards, facts, origins), ensure_ascii=False))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # nothing is cut short on its way into a file
    console.print(*inspect.as_tables(shards, facts, origins), sep="\n")


@app.command("verify")
def verify_command(
    directory: Directory,
    no_overlap: Annotated[
        bool, typer.Option("--no-overlap", help="Do not look for passages that splits share: it takes longest.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check every byte: digests, sums, ids, borders of documents, splits; and report what splits share."""
    from shards.verify_run import prove

    proof = prove(_shards_directory(directory), not no_overlap)
    if as_json:
        typer.echo(json.dumps(asdict(proof), ensure_ascii=False))
    else:
        for problem in proof.problems:
            typer.echo(f"{problem.file}: {problem.what}", err=True)
        typer.echo("\n".join(proof.as_lines()))
    if proof.problems:
        raise typer.Exit(1)


@app.command("show")
def show_command(
    directory: Directory,
    split: Annotated[str, typer.Option(help="Which split.")] = "train",
    rows: Annotated[int, typer.Option(min=1, help="How many rows, from the first.")] = 1,
    row: Annotated[int | None, typer.Option(min=0, help="One row, by its number in the split.")] = None,
    doc: Annotated[str | None, typer.Option(metavar="ID", help="One document, wherever it lies.")] = None,
    tokens: Annotated[bool, typer.Option("--tokens", help="Show the border of every token.")] = False,
    tokenizer: Annotated[Path | None, typer.Option(help="tokenizer.json, by default the run's own.")] = None,
    as_json: AsJson = False,
) -> None:
    """Decoded rows, the borders of documents visible."""
    from rich.console import Console

    from shards import show
    from shards.format import ShardError

    shards = open_set(directory)
    if split not in shards.manifest.splits:
        fail(f"--split: no split {split!r}; there are: {', '.join(shards.manifest.splits)}", 2)
    chosen = shards.split(split)
    if row is not None and row >= len(chosen):
        fail(f"--row: split {split!r} has {len(chosen)} rows, numbered from 0", 2)
    shower = show.Shower(_tokenizer(tokenizer, shards), shards, tokens)
    try:
        if doc is not None:
            shown = [shower.row(*place, doc.lower()) for place in show.rows_of_document(shards, doc)]
        else:
            numbers = range(min(rows, len(chosen))) if row is None else [row]
            shown = [shower.row(chosen, number) for number in numbers]
    except ShardError as error:
        fail(str(error), 1)
    except ValueError as error:
        fail(f"--doc: {error}", 2)
    if doc is not None and not shown:
        fail(f"--doc: no row of these shards holds {doc}", 2)
    if as_json:
        typer.echo(json.dumps({"rows": [asdict(one) for one in shown]}, ensure_ascii=False))
    else:
        console = Console(soft_wrap=True)
        for one in shown:
            console.print(show.as_text(one))


def open_set(directory: Path) -> "ShardSet":
    """The shard set in DIR or in its shards/ directory; ends the command where there is none or a damaged one."""
    from shards import read
    from shards.format import ShardError

    path = _shards_directory(directory)
    try:
        return read.open(path)
    except ShardError as error:
        fail(str(error), 1)


def fail(message: str, status: int) -> NoReturn:
    """End the command with a message on stderr."""
    typer.echo(message, err=True)
    raise typer.Exit(status)


def _shards_directory(directory: Path) -> Path:
    """DIR itself where the manifest lies in it, else its shards/ directory."""
    from shards.manifest import MANIFEST

    if not directory.is_dir():
        fail(f"{directory}: no such directory", 2)
    nested = directory / "shards"
    return nested if nested.is_dir() and not (directory / MANIFEST).exists() else directory


def _tokenizer(path: Path | None, shards: "ShardSet") -> "Tokenizer":
    """The tokenizer at `path`, by default beside the shards; refused where it is not the one that made them."""
    import hashlib

    from tokenizers import Tokenizer

    path = path or shards.directory.absolute().parent / "tokenizer" / "tokenizer.json"
    if not path.is_file():
        fail(f"{path}: no such file; name a tokenizer.json with --tokenizer", 2)
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != shards.header.tokenizer_sha256:
        fail(f"{path}: not the tokenizer that made these shards ({shards.header.tokenizer_sha256[:12]}...)", 2)
    return Tokenizer.from_str(data.decode("utf-8"))
