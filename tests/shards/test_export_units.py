"""Documents with their middle last, as other trainers get them."""

from pathlib import Path

import pytest
from fill_cases import as_units, cut, fill_header, fill_table, plain

from shards.export.documents import documents
from shards.fill_in_the_middle import ROW_ORDERS
from shards.manifest import write_manifest
from shards.read import open as open_shards
from shards.write import write_shard


@pytest.mark.parametrize("packing", ["best_fit", "one_per_row"])
def test_units_are_exported_in_the_order_in_which_they_are_read(tmp_path: Path, packing: str) -> None:
    header = fill_header(packing=packing)
    made = [as_units(i, "some words of a text. " * (1 + i % 5), header) for i in range(12)] + [plain("short", header)]
    assert {unit.suffix_first for unit in made} == {True, False}
    entry = write_shard(tmp_path / "a.arrow", fill_table(made), header, 0)
    write_manifest(tmp_path, header.shared(), [entry])
    expected = [
        [token for unit in cut(each) for role in ROW_ORDERS[int(each.suffix_first)] for token in unit[role]]
        or each.tokens.tolist()
        for each in made
    ]
    found = [list(one) for batch in documents(open_shards(tmp_path).split("train")) for one in batch.sequences()]
    assert sorted(map(list, found)) == sorted(expected)
