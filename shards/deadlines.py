"""Which bucket each row comes from while weights stay the same: earliest deadline first, from any place on.

Bucket i is due w_i of each row; the weights w sum to 1.

**Schedule.** The k-th row of bucket i becomes available when the due passes k - 1 and is late when it has passed k:
it must be one of the rows floor((k - 1) / w_i) + 1 to ceil(k / w_i), counted from 1. Each next row is taken from the
bucket that has a row available and whose deadline is the earliest, the first in the order of names among equals.

**Exact to one row.** Spread the k-th row of every bucket evenly over the time (k - 1) / w_i to k / w_i: every place is
filled exactly once and no row leaves its window, so by Hall's theorem there is a schedule that meets all deadlines, and
earliest deadline first is one (Horn 1974). A bucket that is never late and never early has had floor(n w_i) or
ceil(n w_i) rows after n rows: less than one row from its due. (Tijdeman, The chairman assignment problem, 1980.)

**Random access.** The schedule forgets where it started: let two runs agree at some time on what is due and on how many
rows are read, not on which, and let d be the latest deadline of the rows that only one of them has read. Rows with
deadlines up to d go before all others, and as many of them are open in both runs, so both have them open at the same
places and fill the same other places with the same other rows; and at d a run without late rows has none of them open.
From then on the two are equal. A row that is available at n and not read for sure has its deadline within 1 / min(w).
So the state at n is found by starting 1 / min(w) rows earlier with any choice of these rows: no index, nothing stored.
"""

from dataclasses import dataclass

import numba
import numpy as np

from shards.order import Int64


@dataclass(frozen=True)
class State:
    """Rows had by each bucket, and how far that is ahead of its due, in units that the segment knows."""

    had: list[int]
    lead: list[int]


@dataclass(frozen=True)
class Segment:
    """Positions under the same weights: bucket i is due weights[i] / unit of each row; sums: unit, and 0 of leads."""

    position: int
    length: int
    weights: list[int]
    unit: int
    start: State

    def due(self, bucket: int, offset: int) -> int:
        """What a bucket is due after `offset` rows of the segment, times `unit`."""
        start = self.start
        return start.had[bucket] * self.unit - start.lead[bucket] + offset * self.weights[bucket]

    def before(self, offset: int) -> tuple[int, State]:
        """A place from which scheduling leads to the state at `offset`, and the state to start with."""
        active = [i for i, weight in enumerate(self.weights) if weight]
        settled = max(-(-max(self.start.lead[i], self.unit) // self.weights[i]) for i in active)
        begin = offset - max(-(-self.unit // self.weights[i]) for i in active)
        if offset <= settled or begin <= 0:
            return 0, self.start
        had, lead = list(self.start.had), list(self.start.lead)
        open_rows = begin + sum(had[i] for i in active) - sum(self.due(i, begin) // self.unit for i in active)
        for i in active:
            had[i], part = divmod(self.due(i, begin), self.unit)
            if part and open_rows:
                had[i], open_rows = had[i] + 1, open_rows - 1
            lead[i] = had[i] * self.unit - self.due(i, begin)
        return begin, State(had, lead)

    def schedule(self, offset: int, count: int) -> tuple[Int64, Int64, State]:
        """Bucket, and row of the bucket from the start of the run, int64 [count] each; and the state after them."""
        begin, state = self.before(offset)
        buckets, rows = np.empty((2, count), np.int64)
        had = np.array(state.had, np.int64)
        weights, lead = np.array(self.weights, np.int64), np.array(state.lead, np.int64)
        _schedule(weights, self.unit, lead, offset - begin, had, buckets, rows)
        ahead = [
            rows_had * self.unit - self.due(i, offset + count) if self.weights[i] else self.start.lead[i]
            for i, rows_had in enumerate(had.tolist())
        ]
        return buckets, rows, State(had.tolist(), ahead)


@numba.njit(cache=True, nogil=True)
def _schedule(weights: Int64, unit: int, lead: Int64, skip: int, had: Int64, buckets: Int64, rows: Int64) -> None:
    """Schedule `skip` rows, then those of `buckets` and `rows`, earliest deadline first; `had` is counted on.

    Of each bucket: from which place on its next row is available, its deadline, and what it is due beyond the row by
    then, which keeps all of it in integers of 64 bits.
    """
    size = len(weights)
    deadline, beyond, available = np.empty((3, size), np.int64)
    for i in range(size):
        if weights[i]:
            left = lead[i] + unit
            deadline[i] = -(-left // weights[i])
            beyond[i] = deadline[i] * weights[i] - left
            available[i] = lead[i] // weights[i] + 1
        else:
            available[i] = np.iinfo(np.int64).max
    for place in range(1, skip + len(buckets) + 1):
        chosen = -1
        for i in range(size):
            if available[i] <= place and (chosen < 0 or deadline[i] < deadline[chosen]):
                chosen = i
        if place > skip:
            buckets[place - skip - 1], rows[place - skip - 1] = chosen, had[chosen]
        had[chosen] += 1
        available[chosen] = deadline[chosen] + (beyond[chosen] == 0)
        left = unit - beyond[chosen]
        gap = -(-left // weights[chosen])
        deadline[chosen] += gap
        beyond[chosen] = gap * weights[chosen] - left
