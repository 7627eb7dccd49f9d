"""What a vocabulary's entries are worth: unused, under-trained and unreachable tokens, broken characters, long ones.

Land and Bartolo (2024, Fishing for Magikarp, arXiv:2405.05417) sort tokens by encoding their text again and find the
under-trained ones in a model's embeddings. Where there is no model yet, how often a token occurs says how well it can
be learnt: Gowda and May (2020, Finding the Optimal Vocabulary Size for Neural Machine Translation, arXiv:2004.02334)
recommend the largest vocabulary in which 95% of the classes have at least 100 examples.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer.encode import Encoder

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

UNDER_TRAINED = 100
"""A token that occurs fewer times is under-trained (Gowda and May 2020)."""

WELL_TRAINED_SHARE = 0.95
SHOWN = 20

NOT_IN_UTF8 = bytes([0xC0, 0xC1, *range(0xF5, 0x100)])
"""Bytes that occur in no UTF-8 text (RFC 3629, section 3)."""


def vocabulary(
    encoder: Encoder,
    table: Sequence[bytes | None],
    used: Int64,
    rare: int = UNDER_TRAINED,
    left_out: Container[str] = (),
) -> dict[str, Any]:
    """The facts of the ordinary tokens: those that are not special. Shares are of these, but for `share_of_text`.

    `table`: the bytes of each token (`vocabulary.tokens`), of a model that is not byte-level its spelling
    (`spellings`); `used`: how often each id occurs in the texts, int64 [vocabulary size]; `left_out`: what cannot be
    told, which is None: `unreachable` where a token is not what its bytes alone are encoded as, `breaks_utf8` without
    the bytes. Of each kind: `count`, `share`, and some as `tokens`: id, bytes, occurrences, and the token spelt with
    escapes where it is not UTF-8.

    `unused`: occur in no text. `under_trained`: occur fewer than `rare` times, unused ones included (shown: those that
    occur). `unreachable`: occur in no text, and the encoding of their own bytes does not yield them, or no UTF-8 has
    these bytes. `breaks_utf8`: their bytes are no text of their own; `share_of_text` is their share of all tokens of
    the texts. `longest`: by bytes. `occurrences_of_95_percent`: 95% of the tokens occur as often, or more often.
    """
    ordinary = np.array([token is not None for token in table], np.bool_)
    lengths = np.array([len(token or b"") for token in table])
    count = max(1, int(ordinary.sum()))
    texts = [_text(token) for token in table]
    broken = ordinary & np.array([text is None for text in texts], np.bool_)

    def kind(members: Bool, *order: Int64, shown: Bool | None = None) -> dict[str, Any]:
        chosen = np.flatnonzero(members if shown is None else members & shown)
        first = chosen[np.lexsort([chosen, *(key[chosen] for key in reversed(order))])][:SHOWN]
        found = int(np.count_nonzero(members))
        return {"count": found, "share": round(found / count, 4), "tokens": [_entry(i, table, used) for i in first]}

    rank = np.sort(used[ordinary])
    place = len(rank) - int(np.ceil(WELL_TRAINED_SHARE * len(rank)))
    broken_share = {"share_of_text": round(int(used[broken].sum()) / max(1, int(used.sum())), 4)}
    never = ordinary & (used == 0)
    return {
        "ordinary": int(ordinary.sum()),
        "unused": kind(never, -lengths),
        "under_trained": {"fewer_than": rare} | kind(ordinary & (used < rare), used, shown=used > 0),
        "unreachable": None
        if "unreachable" in left_out
        else kind(never & ~_reachable(encoder, table, texts), -lengths),
        "breaks_utf8": None if "breaks_utf8" in left_out else kind(broken, -used) | broken_share,
        "longest": kind(ordinary, -lengths)["tokens"],
        "occurrences_of_95_percent": int(rank[place]) if len(rank) else None,
    }


def spellings(content: dict[str, Any]) -> list[bytes | None]:
    """The tokens of a parsed tokenizer.json by id as its model spells them, special tokens and unused ids None."""
    entries = content["model"]["vocab"]
    ids = entries if isinstance(entries, dict) else {token: i for i, (token, *_) in enumerate(entries)}
    added = {token["id"]: None if token["special"] else token["content"].encode() for token in content["added_tokens"]}
    table = {i: token.encode() for token, i in ids.items()} | added
    return [table.get(i) for i in range(1 + max(table, default=-1))]


def spelt(token: bytes) -> str:
    """A token as text; bytes that are not UTF-8 as escapes."""
    return token.decode("utf-8", "backslashreplace")


def _entry(number: int, table: Sequence[bytes | None], used: Int64) -> dict[str, Any]:
    token = table[number] or b""
    return {"id": int(number), "bytes": len(token), "occurrences": int(used[number]), "token": spelt(token)}


def _text(token: bytes | None) -> str | None:
    try:
        return None if token is None else token.decode()
    except UnicodeDecodeError:
        return None


def _reachable(encoder: Encoder, table: Sequence[bytes | None], texts: Sequence[str | None]) -> Bool:
    """Which tokens come out of the encoding of their own text; of those without one, which could stand in UTF-8."""
    whole = [i for i, text in enumerate(texts) if text is not None]
    values, offsets = encoder.encode_batch([texts[i] or "" for i in whole])
    alone = np.diff(offsets) == 1
    reached = np.array([not set(token or b"").intersection(NOT_IN_UTF8) for token in table], np.bool_)
    reached[whole] = False
    reached[np.array(whole, np.int64)[alone]] = values[offsets[:-1][alone]] == np.array(whole)[alone]
    return reached
