"""`gristmill pretrain plan`: what to train with a budget and a corpus. Reads a manifest at most, imports no PyTorch."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from pretrain.laws import BESIROGLU, LAWS

if TYPE_CHECKING:
    from shards.read import ShardSet

Directory = Annotated[
    Path | None,
    typer.Argument(metavar="[DIR]", help="The corpus: output directory of `gristmill run`, or its shards/."),
]
Tokens = Annotated[list[str] | None, typer.Option(help="The corpus by its size: 2e10, or SOURCE=2e10 for each source.")]
Flops = Annotated[float | None, typer.Option(help="Training budget: 6 x parameters x tokens.")]
Device = Annotated[str | None, typer.Option(help="Kind of accelerator: H100, A100, RTX-4090 ...")]
Peak = Annotated[float | None, typer.Option(help="FLOP/s of one device, where its kind has no name here.")]
Devices = Annotated[int, typer.Option(help="How many of them.")]
Hours = Annotated[float | None, typer.Option(help="The budget as wall-clock hours, all devices at once.")]
Mfu = Annotated[float, typer.Option(help="Share of the peak that 6 x parameters x tokens gets.")]
Price = Annotated[float | None, typer.Option(help="Of one device for an hour, in your currency.")]
Parameters = Annotated[float | None, typer.Option(help="A model size that is fixed beforehand.")]
Serve = Annotated[float, typer.Option(help="Tokens to be served: a smaller model, trained longer, of the same loss.")]
Law = Annotated[str, typer.Option(help=f"Scaling law to follow: {', '.join(LAWS)}.")]
Vocabulary = Annotated[int | None, typer.Option(help="Of the tokenizer; default: the shards', or 32,000.")]
Context = Annotated[int | None, typer.Option(help="Tokens in a row; default: the shards', or 2,048.")]
Name = Annotated[str, typer.Option(help="Of the run in the config.")]
Page = Annotated[
    Path | None, typer.Option("--write-config", help="Write the page of the run: whole where DIR has its config.json.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def plan_command(
    given: typer.Context,
    directory: Directory = None,
    tokens: Tokens = None,
    flops: Flops = None,
    device: Device = None,
    peak: Peak = None,
    devices: Devices = 1,
    hours: Hours = None,
    mfu: Mfu = 0.4,
    price: Price = None,
    parameters: Parameters = None,
    serve: Serve = 0,
    law: Law = BESIROGLU.name,
    vocabulary: Vocabulary = None,
    context: Context = None,
    name: Name = "plan",
    config: Page = None,
    as_json: Json = False,
) -> None:
    """Model size, tokens, expected loss, memory, hours and cost for a budget and a corpus, before anything runs.

    The budget is --flops, or --device with --hours; without one it is a single epoch of the corpus. The corpus is DIR
    or --tokens; without one there is text enough.
    """
    from rich.console import Console

    from pretrain.plan import make_plan
    from pretrain.plan_request import PlanRequest, ask
    from pretrain.plan_view import as_renderables, headline

    shards = None if directory is None else _open(directory)
    fields = {} if shards is None else _facts(shards)
    asked = PlanRequest.model_fields.keys() - {"tokens"}
    fields.update({key: value for key, value in given.params.items() if key in asked and value is not None})
    try:
        if tokens:
            if shards:
                raise ValueError("tokens: the corpus is DIR already; keep one of them")
            fields["tokens"] = _sources(tokens)
        plan = make_plan(ask(**fields))
    except ValueError as error:
        _fail(str(error), 2)
    if config is not None:
        _write(config, plan.config, headline(plan), shards)
    if as_json:
        typer.echo(json.dumps(plan.model_dump(mode="json"), allow_nan=False))
        return
    console = Console()
    for part in as_renderables(plan):
        console.print(part)


def _open(directory: Path) -> ShardSet:
    from shards import read
    from shards.format import ShardError
    from shards.manifest import MANIFEST

    nested = directory / "shards"
    path = nested if nested.is_dir() and not (directory / MANIFEST).exists() else directory
    if not (path / MANIFEST).is_file():
        _fail(f"there are no shards in {directory}", 2)
    try:
        return read.open(path)
    except ShardError as error:
        _fail(str(error), 1)


def _facts(shards: ShardSet) -> dict[str, Any]:
    """What a shard set says of a plan: train tokens by bucket, vocabulary, context."""
    tokens: dict[str, int] = {}
    for entry in shards.manifest.files:
        if entry.split == "train":
            tokens[entry.bucket] = tokens.get(entry.bucket, 0) + entry.tokens
    header = shards.header
    return {"tokens": tokens, "vocabulary": header.vocabulary_size, "context": header.context_length}


def _sources(given: list[str]) -> dict[str, int]:
    """`2e10` or `web=2e10`, each once, to tokens by source. Raises ValueError for what is no number of tokens."""
    found: dict[str, int] = {}
    for text in given:
        source, named, size = text.rpartition("=")
        source = source if named else "corpus"
        try:
            count = float(size)
        except ValueError:
            raise ValueError(f"tokens: {text!r} is no number of tokens, nor SOURCE=NUMBER") from None
        if not math.isfinite(count):
            raise ValueError(f"tokens: {text!r} is no finite number of tokens")
        if source in found:
            raise ValueError(f"tokens: {source} is given twice")
        found[source] = int(count)
    return found


def _write(path: Path, config: Any, comment: str, shards: ShardSet | None) -> None:
    """The page to run: complete where the run that made the shards left its config beside them."""
    from pretrain.plan_config import page
    from shards.atomic import replacing

    beside = None if shards is None else shards.directory.absolute().parent / "config.json"
    rest = json.loads(beside.read_text("utf-8")) if beside and beside.is_file() else None
    missing = "" if rest else "\nadd this section to the page of your corpus"
    text = page(config, f"{comment}\nby gristmill pretrain plan{missing}", rest)
    try:
        with replacing(path) as temporary:
            temporary.write_text(text, "utf-8")
    except OSError as error:
        _fail(f"write-config: {path}: {error.strerror}", 2)


def _fail(message: str, status: int) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(status)
