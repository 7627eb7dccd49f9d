"""`gristmill tokenizer`: train, report, encode, decode, export, import."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from tokenizer.exit_status import exit_status
from tokenizer.export_cli import export, import_
from tokenizer.patterns import PATTERNS
from tokenizer.report_cli import report

# What is heavy is imported inside the commands, so that --help answers at once.

app = typer.Typer(help="Train a tokenizer, look at it, use it.", no_args_is_help=True)

Files = Annotated[list[Path], typer.Argument(help="Plain text, JSON Lines or Parquet.", exists=True, dir_okay=False)]
Directory = Annotated[Path, typer.Argument(help="A tokenizer's directory, or its tokenizer.json.", exists=True)]
Column = Annotated[str, typer.Option(help="The column of JSON Lines and Parquet that holds the text.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]


@app.command()
def train(
    files: Files,
    output: Annotated[Path, typer.Option(help="Where tokenizer.json and tokenizer_config.json go.", file_okay=False)],
    vocab_size: Annotated[int, typer.Option(help="Tokens at most, special tokens included.", min=259)] = 32_000,
    pattern: Annotated[str, typer.Option(help=f"Split pattern: {', '.join(PATTERNS)}.")] = "cl100k",
    min_frequency: Annotated[int, typer.Option(help="Pairs rarer than this are not merged.", min=1)] = 2,
    tie_break: Annotated[
        str, typer.Option(help="Which of equally frequent pairs comes first: huggingface, greater_bytes.")
    ] = "huggingface",
    min_count: Annotated[
        int | None,
        typer.Option(
            help="Pre-tokens rarer than this are left out; by default only as many as memory asks for.", min=1
        ),
    ] = None,
    special: Annotated[
        list[str] | None, typer.Option(metavar="TOKEN", help="A special token of your own; may be repeated.")
    ] = None,
    reserved: Annotated[int, typer.Option(help="Special tokens for later use.", min=0, max=1000)] = 0,
    pad_to_multiple_of: Annotated[
        int, typer.Option(help="Reserved tokens are added until this divides the vocabulary's size.", min=1)
    ] = 1,
    column: Column = "text",
    as_json: Json = False,
) -> None:
    """Train a byte-level BPE on FILES and save it."""
    from tokenizer.merges import TIE_BREAKS
    from tokenizer.tally import count_texts
    from tokenizer.texts import read_texts
    from tokenizer.train import padded, save, train_on_counts
    from tokenizer.vocabulary import sha256

    special_tokens = _special_tokens(special or [], reserved, vocab_size)
    for option, value, valid in (("--pattern", pattern, PATTERNS), ("--tie-break", tie_break, TIE_BREAKS)):
        if value not in valid:
            raise typer.BadParameter(f"{value!r} is none of: {', '.join(valid)}", param_hint=option)
    with exit_status():
        counted = count_texts((text for file in files for text in read_texts(file, column)), pattern, min_count)
        if not counted.bytes:
            raise typer.BadParameter("there is no text in them", param_hint="FILES")
        if not len(counted.counts):
            raise typer.BadParameter(f"no pre-token occurs {min_count} times in FILES", param_hint="--min-count")
        trained = train_on_counts(
            counted.pretokens, counted.counts, vocab_size, pattern, special_tokens, min_frequency, tie_break
        )
        save(padded(trained, pad_to_multiple_of), output)
        facts = {"output": str(output), "vocabulary_size": trained.get_vocab_size(), "sha256": sha256(output)}
    facts |= counted.facts()
    if as_json:
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"{facts['vocabulary_size']:,} tokens in {output}")
    if counted.bytes_left_out:
        left_out = f"{facts['share_left_out']:.2%} of the text"
        typer.echo(f"left out: pre-tokens that occur fewer than {counted.min_count:,} times, {left_out}")


def _special_tokens(own: list[str], reserved: int, vocab_size: int) -> list[str]:
    """All special tokens by id, if they fit together."""
    from tokenizer import vocabulary

    names = [*vocabulary.SPECIAL_TOKENS, *own, *vocabulary.reserved(range(reserved))]
    if twice := [name for name in names if names.count(name) > 1]:
        raise typer.BadParameter(f"{twice[0]!r} is there already", param_hint="--special")
    if vocab_size < len(names) + 256:
        needed = f"special tokens and bytes alone are {len(names) + 256} entries"
        raise typer.BadParameter(needed, param_hint="--vocab-size")
    return names


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
