"""Personal data and secrets: counted as signals, and masked by placeholders as edits of the kind `mask`.

A compiled pass over the bytes of a batch finds candidates (`filters.pii_candidates`); exact checks see only these, with
some bytes around them, and find what they would find in the whole text. Findings that overlap are masked and counted as
one, of the kind that comes first in `KINDS`. Masking is idempotent: masked text gives nothing new.

Names, postal addresses and numbers of passports or taxpayers are not looked for, nor e-mail addresses in disguise
("name at example dot com").
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa

from filters import keys, pii_candidates, pii_checks, pii_phones
from filters.batch import TextBatch
from filters.family import signal
from filters.pii_checks import AHEAD, CONTEXT, PLACEHOLDERS, Span

KINDS = ("key", "email", "iban", "card", "ipv6", "ipv4", "phone")
"""What is looked for; the earlier kind names findings that overlap."""

_count = pa.int64()


class Mask(NamedTuple):
    """A span that a placeholder replaces: bytes of the text's UTF-8 form, `reason` the kind of what is there."""

    start: int
    end: int
    reason: str
    replacement: str


class Pii:
    """The family `pii`, measured on the text as it is given."""

    name = "pii"
    version = 1
    schema = pa.schema(
        [
            signal("emails", _count, "E-mail addresses, those of documentation (RFC 2606, RFC 6761) left out."),
            signal("ipv4", _count, "Public IPv4 addresses, popular resolvers and version numbers left out."),
            signal("ipv6", _count, "Public IPv6 addresses, popular resolvers left out."),
            signal("phones", _count, "Telephone numbers: international, common national forms, or named as such."),
            signal("cards", _count, "Payment card numbers: an issuer's range and length, and Luhn's check digit."),
            signal("ibans", _count, "IBANs: their country's length, check digits by mod 97."),
            signal(
                "keys",
                _count,
                "Private keys, JSON Web Tokens, tokens of known services, random values under names of secrets.",
            ),
        ]
    )

    def __init__(self, *, detect_secrets: bool = False) -> None:
        """Args: detect_secrets: whether the plugins of detect-secrets look at suspicious lines, too.

        Raises:
            ValueError: detect-secrets is asked for and not installed.
        """
        token_finders: list[Callable[[bytes], Iterable[Span]]] = [keys.tokens]
        if detect_secrets:
            token_finders.append(keys.DetectSecrets())
        self._finders: dict[int, list[_Finder]] = {
            pii_candidates.ADDRESS: [_Finder("email", pii_checks.emails)],
            pii_candidates.DOTTED: [_Finder("ipv4", pii_checks.ipv4)],
            pii_candidates.NUMBER: [_Finder("phone", pii_phones.phones)],
            pii_candidates.LONG_NUMBER: [_Finder("card", pii_checks.cards)],
            pii_candidates.COLONS: [_Finder("ipv6", pii_checks.ipv6)],
            pii_candidates.ACCOUNT: [_Finder("iban", pii_checks.ibans)],
            pii_candidates.TOKEN: [_Finder("key", find) for find in token_finders],
            pii_candidates.BLOCK: [_Finder("key", keys.blocks, keys.BLOCK_AHEAD)],
        }
        self._found: WeakKeyDictionary[TextBatch, dict[int, list[Mask]]] = WeakKeyDictionary()

    def __call__(self, batch: TextBatch) -> pa.RecordBatch:
        """One row per text: how many of each kind; overlapping findings count once."""
        counts = np.zeros((len(KINDS), len(batch)), np.int64)
        for text, masks in self.masks(batch).items():
            for mask in masks:
                counts[KINDS.index(mask.reason), text] += 1
        columns = [counts[KINDS.index(field.name.removesuffix("s"))] for field in self.schema]
        return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=self.schema)

    def masks(self, batch: TextBatch) -> dict[int, list[Mask]]:
        """What is found in each text that holds anything, by the text's position; rising, without overlaps.

        Kept as long as the batch, so that signals and edits cost one search.
        """
        if batch not in self._found:
            self._found[batch] = self._search(batch)
        return self._found[batch]

    def _search(self, batch: TextBatch) -> dict[int, list[Mask]]:
        found: dict[int, set[tuple[str, int, int]]] = {}
        for text, kind, start, end in pii_candidates.candidates(batch).tolist():
            begin, stop = batch.offsets[text : text + 2].tolist()
            for finder in self._finders[kind]:
                first = max(begin, start - CONTEXT)
                window = batch.data[first : min(stop, end + finder.ahead)].tobytes()
                for left, right in finder.find(window):
                    if start <= first + left and (first + right <= end or kind == pii_candidates.BLOCK):
                        found.setdefault(text, set()).add((finder.kind, first + left - begin, first + right - begin))
        return {text: resolve(spans) for text, spans in sorted(found.items())}


class _Finder(NamedTuple):
    kind: str
    find: Callable[[bytes], Iterable[Span]]
    ahead: int = AHEAD


def resolve(found: Iterable[tuple[str, int, int]]) -> list[Mask]:
    """Findings (kind, start, end) without overlaps, rising.

    Those that overlap become one span, so that no part of a value is left over, of the kind that is first in `KINDS`.
    """
    merged: list[tuple[int, int, int]] = []  # start, end, place in KINDS
    for start, end, rank in sorted((start, end, KINDS.index(kind)) for kind, start, end in found):
        if merged and start < merged[-1][1]:
            first, last, before = merged.pop()
            start, end, rank = first, max(end, last), min(rank, before)
        merged.append((start, end, rank))
    return [Mask(start, end, KINDS[rank], PLACEHOLDERS[KINDS[rank]]) for start, end, rank in merged]
