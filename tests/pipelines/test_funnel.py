import random

import pyarrow as pa
import pytest

from pipelines import datasets
from pipelines.errors import GristmillError
from pipelines.funnel import check, reasons

RULES = ["gate.size", "language.code", "language.score", "q.short", "split_leak", "gated.not"]


def batch(rows: list[dict[str, object]]) -> pa.RecordBatch:
    schema = pa.schema([datasets.VERDICTS.field(name) for name in ("kept", "failed_rules", "duplicate_of")])
    return pa.RecordBatch.from_pylist(rows, schema=schema)


def reason(row: dict[str, object]) -> str:
    failed = row["failed_rules"]
    assert isinstance(failed, list)
    if row["kept"]:
        return "kept"
    if any(rule.startswith("gate.") for rule in failed):
        return "gate"
    if {"language.code", "language.score"} & set(failed):
        return "language"
    if failed == ["split_leak"]:
        return "split_leak"
    return "rules" if failed else "duplicate"


def test_first_reason_of_any_combination() -> None:
    rng = random.Random(1)
    rows: list[dict[str, object]] = []
    for _ in range(500):
        failed = sorted(rng.sample(RULES, rng.randrange(4)))
        original = rng.choice([None, "0" * 32])
        rows.append({"kept": not failed and original is None, "failed_rules": failed, "duplicate_of": original})
    assert reasons(batch(rows)).tolist() == [reason(row) for row in rows]
    assert {reason(row) for row in rows} == {"kept", "gate", "language", "rules", "split_leak", "duplicate"}
    assert reasons(batch(rows).slice(7, 40)).tolist() == [reason(row) for row in rows[7:47]]


def test_no_rows() -> None:
    assert reasons(batch([])).tolist() == []


def test_dropped_without_a_reason() -> None:
    with pytest.raises(GristmillError, match="without a reason"):
        reasons(batch([{"kept": False, "failed_rules": [], "duplicate_of": None}]))


def test_sum_that_does_not_hold() -> None:
    row = {"documents_in": 3, "kept": 1, "dropped": 1, "errors": 1}
    check({"web": row}, {"web": 3})
    with pytest.raises(GristmillError, match="web: 4 documents came in, but 1 kept"):
        check({"web": row}, {"web": 4})
