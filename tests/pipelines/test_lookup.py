import numpy as np
import pyarrow as pa
import pytest
import xxhash

from pipelines.lookup import Examples, find, keys, unkeyed

# Zeros at the end, at the start and everywhere; bytes beyond 127; one that is another's start.
IDS = ["00" * 16, "01" + "00" * 15, "ff" * 16, "80" + "00" * 15, "00" * 15 + "01", "7f" * 15 + "00", "7f" * 16]


def test_keys_sort_and_compare_as_ids_do() -> None:
    found = keys(pa.array(IDS))
    assert [unkeyed(key) for key in np.sort(found)] == sorted(IDS)
    assert [[bool(a == b) for b in found] for a in found] == [[a == b for b in IDS] for a in IDS]
    assert [unkeyed(key) for key in keys(pa.array(IDS)[2:5])] == IDS[2:5]
    assert len(keys(pa.array([], pa.string()))) == 0
    with pytest.raises(ValueError, match=r".+"):
        keys(pa.array(["no id"]))


def test_find() -> None:
    known = np.sort(keys(pa.array(IDS[1:])))
    at, there = find(known, keys(pa.array([*IDS, "fe" * 16])))
    assert there.tolist() == [False, *[True] * 6, False]
    assert [unkeyed(known[i]) for i in at[there]] == IDS[1:]
    at, there = find(known[:0], known)
    assert not there.any()


def test_examples_do_not_depend_on_batches() -> None:
    ids = [xxhash.xxh3_128_hexdigest(str(i).encode()) for i in range(430)]
    rows = pa.RecordBatch.from_pydict({"doc_id": ids, "part": [f"p{i}" for i in range(len(ids))]})
    ranks = np.arange(len(ids)) % 3 == 0
    whole, parts = Examples(9), Examples(9)
    for name in ("one", "two"):
        whole.add(name, rows, ranks)
        for start in range(len(ids) - len(ids) % 50, -1, -50):
            parts.add(name, rows[start : start + 50], ranks[start : start + 50])
    assert whole.of("one") == parts.of("one")
    assert whole.parts() == parts.parts()
    assert set(whole.of("one")) != set(whole.of("two"))
    assert all(not ranks[ids.index(doc_id)] for doc_id in whole.of("one"))
    assert whole.of("three") == []
