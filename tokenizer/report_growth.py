"""How a BPE would fare with fewer merges, at every size, from the token counts of one encoding.

A BPE applies the merge of lowest rank first, and what a merge makes is merged later by higher ranks alone. So the
encoding under the first m merges is the one under all of them, stopped before the first merge of rank m or more:
undoing these adds one token for each. How often a merge was applied follows from the counts of the final tokens, each
of which was made by the one merge that makes it, out of parts made by theirs. The curve is exact, for all texts that
were counted, and no text is encoded again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]


class Merges(NamedTuple):
    """The ids of merges by rank, int64 [n] each: merge i makes `made[i]` of `left[i]` and `right[i]`."""

    left: Int64
    right: Int64
    made: Int64


def merges_of(content: dict[str, Any]) -> Merges:
    """The merges of a parsed tokenizer.json.

    Raises ValueError, which says why, where the tokens of an encoding do not tell the merges that made them: another
    model than BPE, merges in random or left out for words of the vocabulary, a token of several merges, or one that is
    merged before it is made.
    """
    model = content["model"]
    if model.get("type") != "BPE":
        raise ValueError(f"a {model.get('type')} model has no merges")
    for option in ("dropout", "ignore_merges", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(option):
            raise ValueError(f"with {option} the tokens do not tell their merges")
    vocabulary = model["vocab"]
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    try:
        ids = [(vocabulary[left], vocabulary[right], vocabulary[left + right]) for left, right in pairs]
    except (KeyError, ValueError) as error:
        raise ValueError(f"a merge of tokens that are not in the vocabulary: {error}") from None
    left, right, made = np.array(ids, np.int64).reshape(-1, 3).T
    rank = np.full(1 + max(vocabulary.values(), default=0), -1)
    rank[made] = np.arange(len(made))
    if len(np.unique(made)) < len(made):
        raise ValueError("several merges make the same token")
    if (np.maximum(rank[left], rank[right]) >= np.arange(len(made))).any():
        raise ValueError("a token is merged before it is made")
    return Merges(left, right, made)


def tokens_by_merges(merges: Merges, used: Int64) -> Int64:
    """How many tokens the counted texts have under the first m merges, int64 [merges + 1], for m from 0.

    `used`: how often each id occurs under all merges, int64 [vocabulary size].
    """
    counts = used.tolist()
    applied = np.zeros(len(merges.made), np.int64)
    parts = zip(merges.left.tolist(), merges.right.tolist(), merges.made.tolist())
    for rank, (left, right, made) in reversed(list(enumerate(parts))):
        applied[rank] = times = counts[made]
        counts[left] += times
        counts[right] += times
    undone = np.append(np.cumsum(applied[::-1])[::-1], 0)
    return int(used.sum()) + undone


def growth(content: dict[str, Any], vocabulary_size: int, used: Int64, size: int) -> list[dict[str, Any]]:
    """The curve at a dozen or two of sizes: `vocabulary_size` (special tokens included), `tokens`, `bytes_per_token`.

    Sizes are those without and with all merges, and between them powers of two and their halves more. `size`: bytes of
    the counted texts. Raises ValueError as `merges_of` does.
    """
    tokens = tokens_by_merges(merges_of(content), used)
    least = vocabulary_size - (len(tokens) - 1)
    round_sizes = {step << power for power in range(40) for step in (2, 3)}
    sizes = sorted({least, vocabulary_size} | {n for n in round_sizes if least < n < vocabulary_size})
    return [
        {"vocabulary_size": n, "tokens": count, "bytes_per_token": round(size / count, 4) if count else None}
        for n in sizes
        for count in [int(tokens[n - least])]
    ]
