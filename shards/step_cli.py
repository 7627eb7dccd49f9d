"""`gristmill shards step`: which documents a training step reads, or when a document is read.

Exit status: 0 done; 1 a damaged set; 2 wrong arguments or nothing there.
"""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shards.cli import AsJson, Directory, fail, open_set

if TYPE_CHECKING:
    from shards.read import ShardSet
    from shards.reading import Reading

app = typer.Typer(no_args_is_help=True)


@app.command("step")
def step_command(
    directory: Directory,
    run: Annotated[str | None, typer.Option("--run", help="Name of the run; not needed where there is one.")] = None,
    step: Annotated[int | None, typer.Option(min=1, help="The rows and documents of this step, from 1.")] = None,
    doc: Annotated[str | None, typer.Option(help="The steps that read this document, by its doc_id.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Without a run: the seed of the order.")] = None,
    batch_rows: Annotated[int | None, typer.Option(min=1, help="Without a run: rows of a step.")] = None,
    weight: Annotated[list[str] | None, typer.Option(help="Without a run: BUCKET=WEIGHT; may be repeated.")] = None,
    cap: Annotated[list[str] | None, typer.Option(help="Without a run: BUCKET=EPOCHS; may be repeated.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="With --doc: look through so many steps.")] = None,
    as_json: AsJson = False,
) -> None:
    """Which rows and documents a training step reads, or the steps that read a document; nothing is run."""
    from shards import step as lookup
    from shards.format import ShardError

    if (step is None) == (doc is None):
        fail("give either --step or --doc", 2)
    if doc is not None and (len(doc) != 32 or set(doc.lower()) - set("0123456789abcdef")):
        fail(f"--doc: {doc!r} is no doc_id: 32 hex digits", 2)
    shards = open_set(directory)
    by_hand = {"--seed": seed, "--batch-rows": batch_rows, "--weight": weight or None, "--cap": cap or None}
    try:
        split = shards.split(lookup.TRAIN)
        name, reading, length = _reading(run, shards, by_hand)
        if step is not None:
            facts = _step(shards, reading, step)
        else:
            assert doc is not None
            until = steps or length or reading.steps(len(split))
            found = list(lookup.steps_of_document(split, reading, doc.lower(), until))
            facts = {"document": doc.lower(), "steps": until, "read": [asdict(one) for one in found]}
    except ShardError as error:
        fail(str(error), 1)
    except (ValueError, KeyError, FileNotFoundError) as error:
        fail(str(error.args[0]), 2)
    facts = {"run": name, **facts}
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else _text(facts))


def _reading(run: str | None, shards: "ShardSet", by_hand: dict[str, Any]) -> tuple[str | None, "Reading", int | None]:
    """Name of the run, its reading and its steps; the name None and no steps where the reading is given by hand."""
    from pydantic import ValidationError

    from shards.format import first_error
    from shards.reading import Reading
    from shards.step import run_reading

    given = [name for name, value in by_hand.items() if value is not None]
    if not given:
        return run_reading(shards.directory.absolute().parent, run, shards)
    if run is not None:
        raise ValueError(f"{given[0]}: the run {run} has its own")
    if by_hand["--seed"] is None or by_hand["--batch-rows"] is None:
        raise ValueError("without a run, give both --seed and --batch-rows")
    weights = _numbers("--weight", by_hand["--weight"])
    caps = _numbers("--cap", by_hand["--cap"])
    batches = ((1, by_hand["--batch-rows"]),)
    stages = ((1, weights),) if weights else ()
    try:
        return None, Reading(seed=by_hand["--seed"], batches=batches, weights=stages, caps=caps), None
    except ValidationError as error:
        raise ValueError(first_error(error)) from None


def _numbers(option: str, given: list[str] | None) -> dict[str, float]:
    """BUCKET=NUMBER of each; a bucket's name may hold an equals sign."""
    found = {}
    for text in given or ():
        name, equals, number = text.rpartition("=")
        try:
            found[name] = float(number)
        except ValueError:
            equals = ""
        if not equals:
            raise ValueError(f"{option}: {text!r} is not BUCKET=NUMBER") from None
    return found


def _step(shards: "ShardSet", reading: "Reading", step: int) -> dict[str, Any]:
    from shards import step as lookup

    rows = lookup.rows_of_step(shards.split(lookup.TRAIN), reading, step)
    documents = {piece.document for row in rows for piece in row.pieces}
    known = lookup.uris(shards.directory.absolute().parent / "corpus", documents)
    position, count = reading.at(step)
    facts: dict[str, Any] = {"step": step, "position": position, "count": count, "rows": [asdict(row) for row in rows]}
    for row in facts["rows"]:
        for piece in row["pieces"]:
            piece["uri"] = known.get(piece["document"])
    return facts


def _text(facts: dict[str, Any]) -> str:
    from shards.show import printable

    if "read" in facts:
        lines = [f"{facts['document']}: read {len(facts['read'])} times in steps 1 to {facts['steps']:,}"]
        lines += [
            f"  step {one['step']:,}: row {one['row']}, epoch {one['epoch']}, {one['tokens']:,} tokens"
            for one in facts["read"]
        ]
        return "\n".join(lines)
    lines = [f"step {facts['step']:,}: {facts['count']:,} rows from position {facts['position']:,}"]
    for row in facts["rows"]:
        lines.append(
            f"row {row['row']}  {row['file']}, row {row['row_in_file']}, {row['bucket']}, epoch {row['epoch']}"
        )
        lines += [
            f"  {piece['document']}  tokens {piece['offset']} to {piece['offset'] + piece['length'] - 1}"
            + (f"  {printable(piece['uri'], kept='')}" if piece["uri"] else "")
            for piece in row["pieces"]
        ]
    return "\n".join(lines)
