"""Quantiles in predicates: how they are written, and what they are, against sorting by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import ConfigError
from pipelines.quantiles import Quantile, calls, filled, measure


def test_calls_in_one_spelling():
    predicate = "a.b < QUANTILE( a.b ,0.30, source,language.code) and quality.words < quantile(quality.words, .5)"
    assert [call.key for call in calls(predicate)] == [
        "quantile(a.b, 0.3, source, language.code)",
        "quantile(quality.words, 0.5)",
    ]
    assert calls("quality.words < 3") == []


@pytest.mark.parametrize(
    "predicate",
    [
        "a.b < quantile(a.b)",
        "a.b < quantile(a.b, x)",
        "a.b < quantile(a.b, 0)",
        "a.b < quantile(a.b, 1.0)",
        "a.b < quantile(a.b, nan)",
        "a.b < quantile(source, 0.5)",
        "a.b < quantile(a.b + 1, 0.5)",
        "a.b < quantile(abs(a.b), 0.5)",
        "a.b < quantile(a.b, 0.5, uri)",
        "a.b < quantile(",
    ],
)
def test_what_is_no_quantile_is_refused(predicate):
    with pytest.raises(ConfigError, match="quantile"):
        calls(predicate)


@given(st.text())
def test_any_group_is_a_literal_of_its_own(group):
    sql = filled("x.y < quantile(x.y, 0.5, source)", {"quantile(x.y, 0.5, source)": {group: 1.5}})
    assert sql.startswith("x.y < try_element_at(map('")
    assert sql.endswith("', 1.5D), concat_ws('\\u001f', '', coalesce(cast(source as string), '')))")


@pytest.mark.spark
def test_against_sorting(spark):
    values = [(["a", "b", 'it\'s\\ "x"'][i % 3], i % 2 or None, float((i * 37) % 101) / 7) for i in range(500)]
    values += [("a", 1, None), ("empty", 1, None)]
    rows = [{"source": s, "language": {"code": c}, "s": {"v": v}} for s, c, v in values]
    frame = spark.createDataFrame(rows, "source string, language struct<code: int>, s struct<v: double>")
    for share in (0.001, 0.25, 0.5, 0.9, 0.999):
        call = Quantile("s.v", share, ("source", "language.code"))
        found = measure(frame.repartition(7), [call])[call.key]
        groups = {}
        for source, code, value in values:
            if value is not None:
                groups.setdefault(call.group_of([source, code]), []).append(value)
        assert found == {g: sorted(v)[math.ceil(share * len(v)) - 1] for g, v in groups.items()}
        predicate = filled(f"s.v < {call.key}", {call.key: found})
        kept = sum(v >= found[call.group_of([s, c])] for s, c, v in values if v is not None)
        assert frame.where(f"not ({predicate})").count() == kept
    assert frame.where(filled("s.v < quantile(s.v, 0.5)", {})).count() == 0
