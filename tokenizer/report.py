"""How well a tokenizer fits texts: compression, by source, language and script, and the tokens that earn nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from filters.scripts import SCRIPTS
from tokenizer import report_growth
from tokenizer.encode import Encoder, load
from tokenizer.files import replace_file
from tokenizer.report_counts import TEXT_COLUMNS, TOKEN_COLUMNS, Counts, Int64, Key, count
from tokenizer.report_page import page
from tokenizer.report_tokens import UNDER_TRAINED, spellings, vocabulary
from tokenizer.vocabulary import read_tokenizer, sha256, tokens

Facts = dict[str, Any]
DIMENSIONS = ("groups", "languages", "scripts")


def report(
    path: Path | str,
    groups: Mapping[Any, Iterable[str]] | Iterable[tuple[Key, Iterable[str]]],
    compare: Mapping[str, Path | str] | None = None,
    rare: int = UNDER_TRAINED,
) -> Facts:
    """Measure the tokenizer in `path`, and others beside it, on texts, each of which is read once.

    `groups`: texts by source, or by (source, language), language None where it is not known; also as pairs, whose keys
    may come again. `compare`: tokenizers by name. `rare`: tokens that occur fewer times are under-trained.

    `total`, `groups` (by source), `languages` (texts of known language) and `scripts` (ISO 15924; `Zyyy`: no letters)
    give: texts, bytes (of UTF-8), characters (code points), words, tokens, not_round_tripped (as `report_counts.count`
    defines them), `bytes_per_token` (compression: more is better), `tokens_per_word` (fertility: fewer is better; words
    are letters in scripts without spaces) and `characters_per_token`. Ratios over nothing are None. `compared` has the
    same of the other tokenizers, by name, but for what the texts alone decide. `vocabulary` is what
    `report_tokens.vocabulary` says and `growth` the curve of `report_growth.growth`; of what the model does not allow
    of them, which is None, `left_out` says why.

    Raises FileNotFoundError where there is no tokenizer and ValueError where it cannot be read.
    """
    paths = [Path(path), *(Path(other) for other in (compare or {}).values())]
    encoders = [load(one) for one in paths]
    counts = count(encoders, groups.items() if isinstance(groups, Mapping) else groups)
    own, *others = (_of_tokenizer(counts, n, one, encoders[n]) for n, one in enumerate(paths))
    left_out = own.pop("left_out")
    content = read_tokenizer(paths[0])
    if content["model"].get("type") == "WordPiece":
        left_out["unreachable"] = "a WordPiece token inside a word is not what its bytes alone are encoded as"
    try:
        table = tokens(paths[0])
    except ValueError as error:
        table = spellings(content)
        left_out |= {"unreachable": str(error), "breaks_utf8": str(error)}
    return own | {
        "vocabulary": vocabulary(encoders[0], table, counts.used[0], rare, left_out),
        "special_ids": encoders[0].special_ids,
        "left_out": left_out,
        "compared": dict(zip(compare or {}, map(_without_texts, others))),
    }


def write_report(content: Facts, directory: Path | str) -> Path:
    """Write a report into `directory` as report.json and report.html, each whole or not at all; returns the first."""
    file = Path(directory) / "report.json"
    replace_file(file.with_suffix(".html"), page(content))
    replace_file(file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return file


def _of_tokenizer(counts: Counts, number: int, path: Path, encoder: Encoder) -> Facts:
    """What one tokenizer makes of the texts."""
    columns = counts.of_tokenizer(number)
    by_key, by_script = columns.sum(axis=1), columns.sum(axis=0)
    total = _sums(by_key.sum(axis=0))
    left_out: dict[str, str] = {}
    growth = None
    try:
        content = read_tokenizer(path)
        growth = report_growth.growth(content, encoder.vocabulary_size, counts.used[number], total["bytes"])
    except ValueError as error:
        left_out["growth"] = str(error)
    return {
        "tokenizer_sha256": sha256(path),
        "vocabulary_size": encoder.vocabulary_size,
        "total": total,
        "groups": _by(by_key, [source for source, _ in counts.keys]),
        "languages": _largest_first(_by(by_key, [language for _, language in counts.keys])),
        "scripts": _largest_first(_by(by_script, SCRIPTS)),
        "growth": growth,
        "left_out": left_out,
    }


def _by(rows: Int64, names: Iterable[str | None]) -> dict[str, Facts]:
    """Rows [n, columns] added up by name, those without one left out."""
    sums: dict[str, Int64] = {}
    for name, row in zip(names, rows):
        if name is not None:
            sums[name] = sums[name] + row if name in sums else row
    return {name: _sums(row) for name, row in sums.items()}


def _largest_first(rows: dict[str, Facts]) -> dict[str, Facts]:
    """What has texts, by bytes, then by name."""
    found = [(name, row) for name, row in rows.items() if row["texts"]]
    return dict(sorted(found, key=lambda item: (-item[1]["bytes"], item[0])))


def _sums(row: Int64) -> Facts:
    """The columns by name, with ratios."""
    sums: Facts = dict(zip((*TEXT_COLUMNS, *TOKEN_COLUMNS), row.tolist()))
    ratios = {
        "bytes_per_token": ("bytes", "tokens"),
        "tokens_per_word": ("tokens", "words"),
        "characters_per_token": ("characters", "tokens"),
    }
    for name, (above, below) in ratios.items():
        sums[name] = round(sums[above] / sums[below], 4) if sums[below] else None
    return sums


def _without_texts(facts: Facts) -> Facts:
    """The facts of a compared tokenizer without the columns that are the texts' own."""

    def shorter(row: Facts) -> Facts:
        return {key: value for key, value in row.items() if key not in TEXT_COLUMNS}

    rows = {name: {key: shorter(row) for key, row in facts[name].items()} for name in DIMENSIONS}
    return facts | rows | {"total": shorter(facts["total"])}
