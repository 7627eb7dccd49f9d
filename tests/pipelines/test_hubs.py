"""The leader algorithm on hubs, against its definition, however batches are cut."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipelines.dedup.bands import binary
from pipelines.dedup.evidence import Evidence
from pipelines.dedup.hubs import leaders

SIZE = 128

# A document is a few letters of a small alphabet, so that many are similar and many are not.
documents = st.lists(
    st.tuples(st.integers(0, 2), st.booleans(), st.sets(st.integers(0, 9), min_size=1, max_size=4)),
    min_size=1,
    max_size=40,
)


def similarity(a, b, mode):
    if mode == "sketch":
        return len(a & b) / len(a | b)
    return float((signature(a) == signature(b)).mean())


def signature(letters):
    """128 values, of which documents share as many as letters say."""
    ordered = sorted(letters)
    return np.array([ordered[i % len(ordered)] for i in range(SIZE)], np.uint32)


def by_definition(rows, room, least, mode):
    """(pairs, left over) of (key, id, settled, letters) in order."""
    pairs, left, key = set(), [], None
    for own_key, own, settled, letters in rows:
        if own_key != key:
            key, led = own_key, []
        compared = [] if settled else led
        found = [(i, s) for i, other in compared if (s := similarity(other, letters, mode)) >= least][:1]
        pairs |= {(key, i, own, s) for i, s in found}
        if not found and len(led) < room:
            led.append((own, letters))
        elif not found:
            left.append((key, own))
    return pairs, left


@given(documents, st.integers(1, 6), st.integers(1, 9), st.sampled_from(["sketch", "signature", "none"]))
def test_leaders_are_the_definition_s(documents, room, cut, mode):
    ordered = sorted(documents, key=lambda d: (d[0], not d[1]))
    rows = [(key, i, settled, letters) for i, (key, settled, letters) in enumerate(ordered)]
    ids = binary(np.array([list(i.to_bytes(16, "big")) for _, i, *_ in rows], np.uint8).reshape(-1, 16))
    compared = [
        np.array(sorted(letters), np.uint32) if mode == "sketch" else signature(letters) for *_, letters in rows
    ]
    keys, settled = pa.array([key for key, *_ in rows], pa.int64()), pa.array([row[2] for row in rows])
    columns = [keys, ids, settled, pa.array([c.tobytes() for c in compared])]
    whole = pa.RecordBatch.from_arrays(columns, ["key", "id", "settled", "evidence"])
    evidence = Evidence(mode, 0.5)
    emitted = leaders(room, evidence)(whole.slice(at, cut) for at in range(0, len(rows), cut))
    found = [tuple(row.values()) for batch in emitted for row in batch.to_pylist()]
    number = lambda x: int.from_bytes(x, "big")  # noqa: E731
    pairs = {(key, number(a), number(b), s) for key, a, b, s, _ in found if a is not None}
    left = [(key, number(b)) for key, a, b, _, _ in found if a is None]
    assert all(row[4] == rows[number(row[2])][2] for row in found)
    assert (pairs, left) == by_definition(rows, room, evidence.least, mode)
    assert len(pairs) + len(left) == len(found)
