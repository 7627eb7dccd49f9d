"""How often a document is worth repeating."""

import pyarrow as pa

from pipelines.corpus import copies


def test_fineweb2_s_table():
    sizes = [1, 2, 3, 4, 5, 6, 99, 100, 999, 1_000, 10**6]
    assert copies(pa.array(sizes), "fineweb2").to_pylist() == [1, 2, 3, 3, 5, 5, 5, 8, 8, 1, 1]
    assert copies(pa.array(sizes), "none").to_pylist() == [1] * len(sizes)
