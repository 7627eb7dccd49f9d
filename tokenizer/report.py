"""How well a tokenizer fits texts: compression by group, tokens that earn nothing, and whether texts come back."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tokenizer.encode import Encoder, load
from tokenizer.vocabulary import sha256, tokens

LONGEST_SHOWN = 20


def report(path: Path | str, groups: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """Measure the tokenizer in `path` on named groups of texts; each text is read once.

    `groups` and `total` give: texts, bytes (of UTF-8), words (separated by white space, `str.split`), tokens,
    `bytes_per_token` (compression: more is better), `tokens_per_word` (fertility: fewer is better), and
    `not_round_tripped`, the texts that do not come back from decode(encode(text)). Ratios over nothing are None.
    `unused_share` is the share of ordinary tokens that occur in none of the texts; `longest_tokens` are the longest by
    bytes, spelled with escapes where they are not UTF-8.
    """
    encoder = load(path)
    table = tokens(path)
    used = np.zeros(encoder.vocabulary_size, dtype=np.int64)
    counts = {name: _count(encoder, texts, used) for name, texts in groups.items()}
    total = {key: sum(count[key] for count in counts.values()) for key in _NOTHING}
    ordinary = [index for index, token in enumerate(table) if token is not None]
    longest = sorted(ordinary, key=lambda index: (-len(table[index] or b""), index))[:LONGEST_SHOWN]
    return {
        "tokenizer_sha256": sha256(path),
        "vocabulary_size": encoder.vocabulary_size,
        "special_ids": encoder.special_ids,
        "total": _with_ratios(total),
        "groups": {name: _with_ratios(count) for name, count in counts.items()},
        "unused_share": round(float(np.mean(used[ordinary] == 0)), 4) if ordinary else None,
        "longest_tokens": [
            {"id": index, "bytes": len(token), "token": token.decode("utf-8", "backslashreplace")}
            for index in longest
            if (token := table[index]) is not None
        ],
    }


def write_report(content: dict[str, Any], directory: Path | str) -> Path:
    """Write a report as report.json into `directory`, whole or not at all; returns the file."""
    file = Path(directory) / "report.json"
    part = file.with_name(file.name + ".part")
    part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return part.replace(file)


_NOTHING = {"texts": 0, "bytes": 0, "words": 0, "tokens": 0, "not_round_tripped": 0}


def _count(encoder: Encoder, texts: Iterable[str], used: np.ndarray) -> dict[str, int]:
    """The sums of one group; adds each token's occurrences to `used`."""
    count = dict(_NOTHING)
    for batch in _batches(texts):
        values, offsets = encoder.encode_batch(batch)
        used += np.bincount(values, minlength=len(used))
        count["texts"] += len(batch)
        count["bytes"] += sum(len(text.encode()) for text in batch)
        count["words"] += sum(len(text.split()) for text in batch)
        count["tokens"] += len(values)
        count["not_round_tripped"] += sum(
            encoder.decode(values[start:end]) != text for text, start, end in zip(batch, offsets, offsets[1:])
        )
    return count


def _batches(texts: Iterable[str], characters: int = 1 << 20) -> Iterator[list[str]]:
    batch: list[str] = []
    held = 0
    for text in texts:
        batch.append(text)
        held += len(text)
        if held >= characters:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _with_ratios(count: dict[str, int]) -> dict[str, int | float | None]:
    return count | {
        "bytes_per_token": round(count["bytes"] / count["tokens"], 4) if count["tokens"] else None,
        "tokens_per_word": round(count["tokens"] / count["words"], 4) if count["words"] else None,
    }
