"""The card of a learned-quality model: a page of Markdown beside it."""

from pathlib import Path
from typing import Any

from filters.learned_training import HELD_BACK


def write(model: Path, facts: dict[str, Any], described: dict[str, str]) -> Path:
    """Write the card of a model beside it; its path.

    Args:
        model: The model's file.
        facts: What `learned_training.train` returned.
        described: For each side, `good` and `bad`, what it was made of, in words.
    """
    sides = "\n".join(
        f"| {side} | {_cell(described[side])} | {c['texts']:,} | {c['without_words']:,} | {c['copies']:,} "
        f"| {c['on_both_sides']:,} | {c['held_back']:,} | {c['trained']:,} |"
        for side, c in ((side, facts[side]) for side in ("good", "bad"))
    )
    thresholds = "\n".join(
        f"| {row['threshold']} | {_share(row['precision'])} | {_share(row['recall'])} | {_share(row['bad_dropped'])} |"
        for row in facts["thresholds"]
    )
    parameters = ", ".join(f"{name} {value}" for name, value in facts["parameters"].items())
    path = model.with_suffix(".md")
    text = _CARD.format(
        name=model.name,
        size=facts["bytes"],
        sha256=facts["sha256"],
        sides=sides,
        parameters=parameters,
        roc_auc=facts["roc_auc"],
        average_precision=facts["average_precision"],
        thresholds=thresholds,
        held_back=HELD_BACK,
    )
    path.write_text(text, encoding="utf-8")
    return path


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _share(value: float | None) -> str:
    return "none kept" if value is None else f"{value:.1%}"


_CARD = """# Learned quality: `{name}`

A fastText classifier with the labels `good` and `bad`, {size:,} bytes, SHA-256 `{sha256}`, made by
`gristmill quality train`. The family `learned` asks it for the probability of `good` (`learned.score`).

## What it learnt from

| side | made of | texts | without words | copies | on both sides | held back | trained on |
|---|---|---|---|---|---|---|---|
{sides}

It reads normalized words: case-folded, digits as `0`, no punctuation; of a text above 6 KiB, 2 KiB each of start,
middle and end. Texts with the same normalized words count once; those on both sides are left out. One text in
{held_back}, by the hash of its words, is held back and never trained on. The larger side is thinned out to the size of
the smaller.

fastText: {parameters}, one thread, seed 1.

## Held-back texts

ROC AUC {roc_auc}, average precision {average_precision} (of `good`).

| keep where score is at least | of what is kept, good | of good, kept | of bad, dropped |
|---|---|---|---|
{thresholds}

## What these numbers do not say

- They hold for texts like those above. Between two sources a classifier also learns what has nothing to do with
  quality: language, topic, year, how the text was extracted. Read a sample of what it drops before you rely on it.
- Near-copies are not told apart from copies: pages of one site may be on both sides of the held-back split.
- Text in a language that neither side has scores somewhere near 0.5, which means nothing.
"""
