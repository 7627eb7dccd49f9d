"""`gristmill shards export` and `diff`.

Exit status: 0 done, or the same; 1 a damaged set, or sets that differ; 2 wrong arguments or nothing there.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from shards.cli import AsJson, Directory, fail, open_set

app = typer.Typer(no_args_is_help=True)


@app.command("export")
def export_command(
    directory: Directory,
    output: Annotated[Path, typer.Option(help="A new directory to write to.")],
    format_name: Annotated[
        str, typer.Option("--format", help="megatron, llmc, nanogpt, mds or huggingface.", metavar="FORMAT")
    ],
    view: Annotated[
        str, typer.Option(help="documents: each put back together; rows: as they are packed.")
    ] = "documents",
    keep_padding: Annotated[
        bool, typer.Option("--keep-padding", help="Rows of one width, their padding kept.")
    ] = False,
    split: Annotated[list[str] | None, typer.Option(help="Only this split; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the tokens in another trainer's layout; OUTPUT/export.json says what is there."""
    from shards.export.run import EXPORT, export
    from shards.format import ShardError

    shards = open_set(directory)
    try:
        facts = export(shards, output, format_name, view, keep_padding, split or ())
    except ShardError as error:
        fail(str(error), 1)
    except (ValueError, FileExistsError) as error:
        fail(str(error), 2)
    if as_json:
        typer.echo(json.dumps({"directory": str(output), **facts}, ensure_ascii=False))
        return
    for name, written in facts["splits"].items():
        counts = f"{written['sequences']:,} {view}, {written['tokens']:,} tokens, {len(written['files'])} files"
        typer.echo(f"{name}: {counts}")
    for note in facts["notes"]:
        typer.echo(note)
    typer.echo(output / EXPORT)


@app.command("diff")
def diff_command(
    first: Annotated[Path, typer.Argument(metavar="DIR", help="A run's output directory, or its shards/ directory.")],
    second: Annotated[Path, typer.Argument(metavar="OTHER", help="The one to compare with it.")],
    most: Annotated[int, typer.Option("--most", min=0, help="How many ids and rows of a kind to name.")] = 10,
    as_json: AsJson = False,
) -> None:
    """What two shard sets have in common and what not: headers, splits, files, rows, documents."""
    from shards.diff import as_lines, diff
    from shards.format import ShardError

    try:
        found = diff(open_set(first), open_set(second), most)
    except ShardError as error:
        fail(str(error), 1)
    typer.echo(json.dumps(found.as_json(), ensure_ascii=False) if as_json else "\n".join(as_lines(found)))
    if not found.same:
        raise typer.Exit(1)
