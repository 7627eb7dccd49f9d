"""What encoding tasks say of what they encoded: sums by bucket, and sums of sums."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipelines.encoded import Sums, add_up, sums

INT64 = st.integers(-(2**63), 2**63 - 1)
DOCUMENT = st.tuples(st.sampled_from(["a", "b", "ä", ""]), st.integers(0, 99), st.integers(0, 99), INT64)


@given(st.lists(DOCUMENT, max_size=30))
def test_the_sums_of_a_batch_are_those_of_its_documents(documents):
    buckets, kept, dropped, fingerprints = zip(*documents) if documents else ((),) * 4
    batch = pa.RecordBatch.from_pydict(
        {
            "split": pa.array(["train"] * len(documents), pa.string()),
            "source": pa.array(["web"] * len(documents), pa.string()),
            "bucket": pa.array(buckets, pa.string()),
            "count": pa.array([a + b for a, b in zip(kept, dropped)], pa.int64()),
            "kept": pa.array(kept, pa.int64()),
            "fingerprint": pa.array(fingerprints, pa.int64()),
        }
    )
    each = [Sums("train", "web", bucket, 1, a, b, 2 * a, mark) for bucket, a, b, mark in documents]
    found = sums(batch, 2 * np.array(kept, np.int64))
    assert len({part.bucket for part in found}) == len(found)
    assert add_up(found) == add_up(each)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 9), INT64), max_size=20))
def test_parts_add_up_in_any_order(parts):
    each = [Sums("train", source, bucket, 1, n, 2 * n, 3 * n, mark) for source, bucket, n, mark in parts]
    found = add_up(each)
    assert found == add_up(reversed(each)) == add_up([*add_up(each[:7]), *each[7:]])
    for part in found:
        of = [one for one in each if (one.source, one.bucket) == (part.source, part.bucket)]
        assert part.documents == len(of)
        assert (part.tokens, part.dropped, part.places) == tuple(sum(one[i] for one in of) for i in (4, 5, 6))
        assert part.fingerprint == int(np.bitwise_xor.reduce([one.fingerprint for one in of]))
