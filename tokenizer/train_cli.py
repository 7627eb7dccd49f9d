"""`gristmill tokenizer train`: from files of text to a saved tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tokenizer.exit_status import exit_status
from tokenizer.patterns import PATTERNS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# What is heavy is imported inside the functions, so that --help answers at once.

Model = Literal["bpe", "wordpiece", "unigram"]


def train(
    files: Annotated[
        list[Path], typer.Argument(help="Plain text, JSON Lines or Parquet.", exists=True, dir_okay=False)
    ],
    output: Annotated[Path, typer.Option(help="Where tokenizer.json and tokenizer_config.json go.", file_okay=False)],
    model: Annotated[
        Model, typer.Option(help="bpe is learnt from counts, wordpiece and unigram from texts in memory.")
    ] = "bpe",
    vocab_size: Annotated[int, typer.Option(help="Tokens at most, special tokens included.", min=259)] = 32_000,
    pattern: Annotated[str, typer.Option(help=f"Split pattern: {', '.join(PATTERNS)}.")] = "cl100k",
    min_frequency: Annotated[
        int | None, typer.Option(help="Pairs rarer than this are not merged; by default 2. Not for unigram.", min=0)
    ] = None,
    tie_break: Annotated[
        str | None,
        typer.Option(
            help="Which of equally frequent pairs comes first: huggingface (the default), greater_bytes. For bpe alone."
        ),
    ] = None,
    min_count: Annotated[
        int | None,
        typer.Option(
            help="Pre-tokens rarer than this are left out; by default only as many as memory asks for. For bpe alone.",
            min=1,
        ),
    ] = None,
    special: Annotated[
        list[str] | None, typer.Option(metavar="TOKEN", help="A special token of your own; may be repeated.")
    ] = None,
    reserved: Annotated[int, typer.Option(help="Special tokens for later use.", min=0, max=1000)] = 0,
    pad_to_multiple_of: Annotated[
        int,
        typer.Option(help="Reserved tokens are added until this divides the vocabulary's size.", min=1, max=4096),
    ] = 1,
    column: Annotated[str, typer.Option(help="The column of JSON Lines and Parquet that holds the text.")] = "text",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Train a tokenizer over bytes on FILES and save it."""
    from tokenizer.texts import read_texts
    from tokenizer.train import padded, save
    from tokenizer.vocabulary import sha256

    _check(model, pattern, min_frequency, tie_break, min_count)
    special_tokens = _special_tokens(special or [], reserved, vocab_size, 512 if model == "wordpiece" else 256)
    with exit_status():
        texts = _some(text for file in files for text in read_texts(file, column))
        frequency, tie_break = 2 if min_frequency is None else min_frequency, tie_break or "huggingface"
        if model == "bpe":
            trained, counted = _bpe(texts, vocab_size, pattern, special_tokens, frequency, tie_break, min_count)
        else:
            trained, counted = _from_texts(model, texts, vocab_size, pattern, special_tokens, frequency), {}
        save(padded(trained, pad_to_multiple_of), output)
        facts = {"output": str(output), "vocabulary_size": trained.get_vocab_size(), "sha256": sha256(output)}
    if as_json:
        typer.echo(json.dumps(facts | counted))
        return
    typer.echo(f"{facts['vocabulary_size']:,} tokens in {output}")
    if counted.get("share_left_out"):
        left_out = f"{counted['share_left_out']:.2%} of the text"
        typer.echo(f"left out: pre-tokens that occur fewer than {counted['min_count']:,} times, {left_out}")


def _bpe(
    texts: Iterable[str],
    vocab_size: int,
    pattern: str,
    special_tokens: list[str],
    min_frequency: int,
    tie_break: str,
    min_count: int | None,
) -> tuple[Tokenizer, dict[str, Any]]:
    """A byte-level BPE, and what was counted."""
    from tokenizer.tally import count_texts
    from tokenizer.train import train_on_counts

    found = count_texts(texts, pattern, min_count)
    if not len(found.counts):
        raise typer.BadParameter(f"no pre-token occurs {min_count} times in FILES", param_hint="--min-count")
    trained = train_on_counts(
        found.pretokens, found.counts, vocab_size, pattern, special_tokens, min_frequency, tie_break
    )
    return trained, found.facts()


def _from_texts(
    model: Model, texts: Iterable[str], vocab_size: int, pattern: str, special_tokens: list[str], min_frequency: int
) -> Tokenizer:
    from tokenizer.models import train_unigram, train_wordpiece

    if model == "wordpiece":
        return train_wordpiece(texts, vocab_size, pattern, special_tokens, min_frequency)
    return train_unigram(texts, vocab_size, pattern, special_tokens)


def _some(texts: Iterator[str]) -> Iterator[str]:
    """The texts, if there is anything in them."""
    first = next((text for text in texts if text), None)
    if first is None:
        raise typer.BadParameter("there is no text in them", param_hint="FILES")
    return chain([first], texts)


def _check(model: Model, pattern: str, min_frequency: int | None, tie_break: str | None, min_count: int | None) -> None:
    """Refuse names that there are not, and options that the model has no use for."""
    from tokenizer.merges import TIE_BREAKS

    for option, value, valid in (("--pattern", pattern, PATTERNS), ("--tie-break", tie_break, TIE_BREAKS)):
        if value is not None and value not in valid:
            raise typer.BadParameter(f"{value!r} is none of: {', '.join(valid)}", param_hint=option)
    idle: dict[str, object] = {} if model == "bpe" else {"--tie-break": tie_break, "--min-count": min_count}
    if model == "unigram":
        idle["--min-frequency"] = min_frequency
    for option, given in idle.items():
        if given is not None:
            raise typer.BadParameter(f"{model} has no use for it", param_hint=option)


def _special_tokens(own: list[str], reserved: int, vocab_size: int, letters: int) -> list[str]:
    """All special tokens by id, if they fit together, and into the vocabulary beside `letters` others."""
    from tokenizer import vocabulary

    names = [*vocabulary.SPECIAL_TOKENS, *own, *vocabulary.reserved(range(reserved))]
    if "" in names:
        raise typer.BadParameter("a special token has at least one character", param_hint="--special")
    if twice := [name for name in names if names.count(name) > 1]:
        raise typer.BadParameter(f"{twice[0]!r} is there already", param_hint="--special")
    if vocab_size < len(names) + letters:
        needed = f"special tokens and bytes alone are {len(names) + letters} entries"
        raise typer.BadParameter(needed, param_hint="--vocab-size")
    return names
