"""`gristmill tokenizer export` and `import`: to other programs' files and from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tokenizer.exit_status import exit_status
from tokenizer.patterns import PATTERNS

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]


def export(
    directory: Annotated[Path, typer.Argument(help="A tokenizer's directory, or its tokenizer.json.", exists=True)],
    output: Annotated[Path, typer.Option(help="The file of ranks; a .json beside it says the rest.", dir_okay=False)],
    form: Annotated[str, typer.Option("--format", help="tiktoken.")] = "tiktoken",
    as_json: Json = False,
) -> None:
    """Write a byte-level BPE in another program's form."""
    if form != "tiktoken":
        raise typer.BadParameter(f"{form!r} is none of: tiktoken", param_hint="--format")
    from tokenizer.export import export_tiktoken

    with exit_status():
        beside = export_tiktoken(directory, output)
    facts = {"ranks": str(output), "beside": str(beside)}
    typer.echo(json.dumps(facts) if as_json else f"ranks in {output}, pattern and special tokens in {beside}")


def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="vocab.json (encoder.json) and merges.txt (vocab.bpe), or one file of tiktoken's ranks.",
            exists=True,
            dir_okay=False,
        ),
    ],
    output: Annotated[Path, typer.Option(help="Where tokenizer.json goes.", file_okay=False)],
    pattern: Annotated[
        str | None,
        typer.Option(
            help=f"How text is split: {', '.join(PATTERNS)}. By default what the .json beside a file of ranks says, "
            "or else gpt2."
        ),
    ] = None,
    special: Annotated[
        list[str] | None,
        typer.Option(metavar="TOKEN=ID", help="A special token of a file of ranks; those beside it are known."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a tokenizer of a published vocabulary."""
    if pattern is not None and pattern not in PATTERNS:
        raise typer.BadParameter(f"{pattern!r} is none of: {', '.join(PATTERNS)}", param_hint="--pattern")
    from tokenizer.importer import from_merges, from_tiktoken
    from tokenizer.train import save
    from tokenizer.vocabulary import sha256

    with exit_status():
        expression = None if pattern is None else PATTERNS[pattern]
        if len(files) == 1:
            facts = _beside(files[0])
            tokens = {**facts.get("special_tokens", {}), **dict(map(_token_and_id, special or []))}
            imported = from_tiktoken(files[0], expression or facts.get("pat_str", PATTERNS["gpt2"]), tokens)
        elif len(files) == 2 and not special:
            vocabulary, merges = sorted(files, key=lambda file: file.suffix != ".json")
            imported = from_merges(vocabulary, merges, expression or PATTERNS["gpt2"])
        else:
            raise typer.BadParameter("one file of ranks, or a vocabulary and its merges, without --special")
        save(imported, output)
        found = {"output": str(output), "vocabulary_size": imported.get_vocab_size(), "sha256": sha256(output)}
    typer.echo(json.dumps(found) if as_json else f"{found['vocabulary_size']:,} tokens in {output}")


def _beside(ranks: Path) -> dict:
    """What `export` wrote beside a file of ranks; nothing where there is no such file."""
    file = ranks.with_name(ranks.name + ".json")
    return json.loads(file.read_bytes()) if file.is_file() else {}


def _token_and_id(option: str) -> tuple[str, int]:
    token, _, number = option.rpartition("=")
    if not token or not number.isdecimal():
        raise typer.BadParameter(f"{option!r} is not TOKEN=ID, such as '<|endoftext|>=100257'", param_hint="--special")
    return token, int(number)
