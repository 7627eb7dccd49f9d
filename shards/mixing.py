"""Mixing buckets by weights: which bucket each row of a run comes from, a pure function of the row's position.

**Due.** A weight is a share of the tokens that the model reads. All rows are of one width, so it is a share of rows;
the padding of a bucket's rows counts as the bucket's own, as the order of reading must survive `remove`, which turns
documents into padding. After n rows under weights w (their sum 1), bucket i is due n w_i rows.

While weights stay, every bucket is less than one row from its due after any number of rows, see `shards.deadlines`.

**Changes.** What was read cannot be unread. When weights change, each bucket takes its distance from its due along, and
no schedule that knows nothing of later changes can keep it below one row for all at once (of 50 equal buckets, 25 are
ahead when the 25 others become all there is). It is below one row again at the latest when 1 / min(w) further rows are
read, as the schedule forgets; until then it was at most 1.13 rows over 150 changes between random weights. What a
bucket that gets no weight was owed, or had in advance, the others share.

**Caps.** A bucket is due no more than its cap; the others are due what is left, in proportion to their weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fractions import Fraction
from math import lcm
from typing import Final

import numpy as np
import numpy.typing as npt

from shards.deadlines import Segment, State
from shards.order import Int64
from shards.read import Split

UNIT: Final = 1 << 50  # a row in the integers that dues are counted in, or a little less, so that shares are exact
SMALLEST: Final = Fraction(1, 10**7)  # share of a bucket: random access costs its inverse
BLOCK: Final = 8192  # rows scheduled at a time
ENDLESS: Final = 1 << 62

Weights = Mapping[str, float]


class Mixture:
    """The buckets of a run, mixed; `rows`: how many rows there are under the caps, None where there is no end."""

    def __init__(self, sizes: Mapping[str, int], stages: Sequence[tuple[int, Weights]], caps: Weights) -> None:
        """`sizes`: rows of each bucket; `stages`: weights, each from a position on, the first from 0; `caps`: epochs.

        Weights need not sum to 1; a bucket that is not named has none. Raises ValueError, naming the bucket: unknown,
        without rows, of a negative weight or one below `SMALLEST`; for a stage without weight, stages out of order.
        """
        self.names = sorted(sizes)
        for key, names in (*(("weights", weights) for _, weights in stages), ("caps", caps)):
            for name in names:
                _check_name(key, name, sizes)
        positions = [position for position, _ in stages]
        if not positions or positions[0] != 0 or positions != sorted(set(positions)):
            raise ValueError(f"weights must begin at row 0 and change at later rows, in order; not at {positions}")
        limits = [int(Fraction(str(caps[n])) * sizes[n]) if n in caps else None for n in self.names]
        shares = [_shares(weights, self.names) for _, weights in stages]
        self._segments, self.rows = _segments(list(zip(positions, shares)), limits)
        self._block: tuple[int, Int64, Int64] = (-1, np.empty(0, np.int64), np.empty(0, np.int64))

    def at(self, positions: npt.ArrayLike) -> tuple[Int64, Int64]:
        """Bucket (its place in `names`) and how many rows it had before, int64 [n] each, of positions int64 [n].

        Raises ValueError for a position that is negative, or beyond the caps.
        """
        positions = np.atleast_1d(np.asarray(positions, np.int64))
        if positions.size and (positions.min() < 0 or (self.rows is not None and positions.max() >= self.rows)):
            raise ValueError(f"the caps leave rows for positions 0 to {(self.rows or ENDLESS) - 1}, not {positions}")
        buckets, rows = np.empty((2, len(positions)), np.int64)
        numbers = positions // BLOCK
        for number in np.unique(numbers).tolist():
            here = numbers == number
            block, block_buckets, block_rows = self._block
            if block != number:
                block_buckets, block_rows = self._schedule(number * BLOCK)
                self._block = (number, block_buckets, block_rows)
            inside = positions[here] - number * BLOCK
            buckets[here], rows[here] = block_buckets[inside], block_rows[inside]
        return buckets, rows

    def _schedule(self, begin: int) -> tuple[Int64, Int64]:
        """The block that begins at a position, as far as there are rows."""
        end, parts = begin + BLOCK, []
        for segment in self._segments:
            first, last = max(begin, segment.position), min(end, segment.position + segment.length)
            if first < last:
                parts.append(segment.schedule(first - segment.position, last - first)[:2])
        return np.concatenate([b for b, _ in parts]), np.concatenate([r for _, r in parts])


class MixedOrder:
    """The order of a split's rows under weights; of each bucket every epoch holds all rows once, in a new order."""

    def __init__(self, split: Split, seed: int, stages: Sequence[tuple[int, Weights]], caps: Weights) -> None:
        """See `Mixture`, which raises ValueError."""
        sizes: dict[str, int] = {}
        firsts: dict[str, list[tuple[int, int]]] = {}  # of each file: its first row in the bucket, and in the split
        row = 0
        for file in split.files:
            bucket, rows = file.entry.bucket, file.entry.rows
            firsts.setdefault(bucket, []).append((sizes.get(bucket, 0), row))
            sizes[bucket] = sizes.get(bucket, 0) + rows
            row += rows
        self.mixture = Mixture(sizes, stages, caps)
        self._orders = [replace(split.order(seed), rows=sizes[n], bucket=n) for n in self.mixture.names]
        self._firsts = [np.array(firsts[name], np.int64) for name in self.mixture.names]

    @property
    def rows(self) -> int | None:
        """Rows that a run can read under the caps; None where there is no end."""
        return self.mixture.rows

    def at(self, positions: npt.ArrayLike) -> tuple[Int64, Int64]:
        """Epoch of its bucket and row of the split, int64 [n] each, of positions int64 [n]; errors as `Mixture.at`."""
        buckets, had = self.mixture.at(positions)
        epochs, rows = np.empty((2, len(buckets)), np.int64)
        for bucket in np.unique(buckets).tolist():
            here = buckets == bucket
            epochs[here], own = self._orders[bucket].at(had[here])
            in_bucket, in_split = self._firsts[bucket].T
            file = np.searchsorted(in_bucket, own, "right") - 1
            rows[here] = own + (in_split - in_bucket)[file]
        return epochs, rows


def _check_name(key: str, name: str, sizes: Mapping[str, int]) -> None:
    if name not in sizes:
        near = get_close_matches(name, sizes, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(sizes))}"
        raise ValueError(f"{key}: no bucket is named {name!r}; {hint}")
    if not sizes[name]:
        raise ValueError(f"{key}: bucket {name!r} has no rows")


def _shares(weights: Weights, names: list[str]) -> list[Fraction]:
    """Weights as written in decimals, divided by their sum, in the order of `names`."""
    given = [Fraction(str(weights.get(name, 0))) for name in names]
    for name, weight in zip(names, given):
        if weight < 0 or 0 < weight < SMALLEST * sum(given):
            raise ValueError(
                f"weights: bucket {name!r}: {weights[name]} is neither 0 nor {float(SMALLEST)} of their sum or more"
            )
    if not sum(given):
        raise ValueError("weights: no bucket has one")
    return [weight / sum(given) for weight in given]


def _segments(stages: list[tuple[int, list[Fraction]]], limits: list[int | None]) -> tuple[list[Segment], int | None]:
    """The run in segments of constant weights, and the rows in it, None for no end: a segment ends with its stage, or
    where a bucket is due as many rows as its limit; a row that a limit lies within is a segment of its own.
    """
    found: list[Segment] = []
    state, unit, position = State([0] * len(limits), [0] * len(limits)), 1, 0
    spent = {i for i, limit in enumerate(limits) if limit == 0}
    for (_, shares), end in zip(stages, [*(p for p, _ in stages[1:]), ENDLESS]):
        while position < end:
            active = [0 if i in spent else share for i, share in enumerate(shares)]
            if not any(active):
                return found, position
            unit, state = _carried(state, unit, active)
            room = [
                None if limit is None or i in spent else limit * unit - had * unit + lead
                for i, (limit, had, lead) in enumerate(zip(limits, state.had, state.lead))
            ]
            weights = _apportion(unit, active)
            whole = min((r // w for r, w in zip(room, weights) if r is not None and w), default=ENDLESS)
            length = min(whole or 1, end - position)
            if not whole:
                weights = _within(unit, active, room)
            if sum(weights) < unit:  # all have come to their limits
                return found, position
            segment = Segment(position, length, weights, unit, state)
            found.append(segment)
            position += length
            if position < ENDLESS:
                state = segment.schedule(length, 0)[2]
            spent |= {i for i, r in enumerate(room) if r is not None and r <= length * weights[i]}
    return found, None


def _carried(state: State, unit: int, active: Sequence[Fraction | int]) -> tuple[int, State]:
    """The unit of the shares that are active, and the state in it; what the others lead by is shared by the active."""
    total = sum(active)
    denominator = lcm(*(Fraction(share / total).denominator for share in active))
    new = UNIT // denominator * denominator or UNIT
    lead = [round(Fraction(lead * new, unit)) if share else 0 for lead, share in zip(state.lead, active)]
    excess = _apportion(sum(lead), active)
    return new, State(state.had, [a - b for a, b in zip(lead, excess)])


def _apportion(total: int, shares: Sequence[Fraction | int]) -> list[int]:
    """Integers in proportion to `shares` that sum to `total`: by largest remainders, the first among equals."""
    exact = [total * Fraction(share) / sum(shares) for share in shares]
    parts = [part.__floor__() for part in exact]
    by_remainder = sorted(range(len(parts)), key=lambda i: parts[i] - exact[i])
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts


def _within(unit: int, active: Sequence[Fraction | int], room: Sequence[int | None]) -> list[int]:
    """One row's weights, none above its room; they sum to less than `unit` where no bucket has more room."""
    free, parts = list(active), [0] * len(active)
    while any(free):
        shares = _apportion(unit - sum(parts), free)
        full = [i for i, share in enumerate(shares) if free[i] and room[i] is not None and share >= (room[i] or 0)]
        if not full:
            return [a + b for a, b in zip(parts, shares)]
        for i in full:
            parts[i], free[i] = room[i] or 0, 0
    return parts
