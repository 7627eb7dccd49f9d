"""`gristmill shards trace` and `remove`: what joins shards with the run that they came from.

Exit status: 0 done; 1 a damaged set; 2 wrong arguments, or nothing there.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.errors import ConfigError, GristmillError
from shards.format import ShardError

app = typer.Typer(no_args_is_help=True)

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A run's output directory, or its shards/ directory.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Many = list[str] | None


@app.command("trace")
def trace_command(
    directory: Directory,
    row: Annotated[int, typer.Option(min=0, help="Number of the row in its split.")],
    position: Annotated[int, typer.Option(min=0, help="Which token of the row, from 0.")],
    split: Annotated[str, typer.Option(help="Which split.")] = "train",
    as_json: AsJson = False,
) -> None:
    """Where a token comes from: document, URI, archive and record in it, and the text around it in the corpus."""
    from pipelines.lookup import excerpt
    from pipelines.tracing import Tracer, as_text

    _there(directory)
    try:
        facts = Tracer(directory).trace(split, row, position)
    except ShardError as error:
        raise GristmillError(f"{directory}: {error}") from error
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
    else:
        text = as_text(facts)
        typer.echo(excerpt(text, len(text)))


@app.command("remove")
def remove_command(
    directory: Directory,
    ids: Annotated[Path | None, typer.Option("--ids", help="A text file of doc_ids, one a line.")] = None,
    doc: Annotated[Many, typer.Option("--id", help="A doc_id; may be repeated.")] = None,
    uri: Annotated[Many, typer.Option("--uri", help="A URI; may be repeated.")] = None,
    domain: Annotated[Many, typer.Option("--domain", help="A domain and all below it; may be repeated.")] = None,
    with_duplicates: Annotated[
        bool, typer.Option("--with-duplicates", help="And all documents of their clusters of duplicates.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why; it is kept in removed/.")] = None,
    date: Annotated[str | None, typer.Option(help="When, as YYYY-MM-DD; by default today (UTC).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take documents out of shards and corpus: rows keep their numbers, and no later run brings the text back."""
    from pipelines.tombstones import read_ids
    from shards.tombstones import DOCUMENT, Request

    _there(directory)
    given = [value.strip().lower() for value in doc or []]
    for value in given:
        if not DOCUMENT.fullmatch(value):
            raise ConfigError(f"--id: a doc_id has 32 hex digits, {value[:80]!r} does not")
    if date is not None and not _is_day(date):
        raise ConfigError(f"--date: {date!r} is no day of the form YYYY-MM-DD")
    named = tuple(dict.fromkeys([*given, *(read_ids(ids, "--ids") if ids else [])]))
    if not (named or uri or domain or ids):
        raise ConfigError("say what to remove: --ids, --id, --uri or --domain")
    request = Request(named, tuple(uri or ()), tuple(domain or ()), with_duplicates, reason, date)
    facts = _remove(directory, request, dry_run)
    typer.echo(json.dumps({**facts, "dry_run": dry_run}) if as_json else _as_text(facts, dry_run))


def _is_day(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _there(directory: Path) -> None:
    if not directory.is_dir():
        raise ConfigError(f"{directory}: no such directory")


def _remove(directory: Path, request: Any, dry_run: bool) -> dict[str, Any]:
    """From the run that a directory is, or whose shards it holds, else from the shard set alone."""
    from pipelines import removal
    from shards import remove as from_shards

    whole = directory.absolute()
    run = whole.parent if whole.name == "shards" and (whole.parent / "stages.json").is_file() else whole
    try:
        if (run / "stages.json").is_file():
            return removal.remove(run, request, dry_run)
        return from_shards.remove(directory, request, dry_run)
    except ShardError as error:
        raise GristmillError(f"{directory}: {error}") from error
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _as_text(facts: dict[str, Any], dry_run: bool) -> str:
    verb = "would be removed" if dry_run else "removed"
    lines = [f"{facts['documents']:,} documents {verb}, {facts['already_removed']:,} were before"]
    if "kept" in facts:
        sources = ", ".join(f"{count:,} of {source}" for source, count in facts["sources"].items())
        lines.append(f"of the corpus: {facts['kept']:,}; by source: {sources or 'none'}")
    if shards := facts["shards"]:
        counts = f"{shards['documents']:,} documents, {shards['tokens']:,} tokens in {shards['files']:,} files"
        lines.append(f"of the shards: {counts}; their version is {shards['version']}")
    return "\n".join(lines)
