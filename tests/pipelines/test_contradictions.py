import pytest

from pipelines.config import Override
from pipelines.contradictions import check
from pipelines.errors import ConfigError
from pipelines.rules import Rule


def rules(**predicates: str) -> list[Rule]:
    return [Rule(f"s.{name}", predicate, ("web",)) for name, predicate in predicates.items()]


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("q.words < 50", "q.words > 10"),
        ("q.words <= 5e1", "q.words >=10"),
        ("q.share < -0.5", "q.share > -0.75"),
    ],
)
def test_two_rules_that_leave_nothing(low, high):
    with pytest.raises(ConfigError, match=r"rules s\.low .* and s\.high .* every document of source 'web'"):
        check(rules(low=low, high=high))


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("q.words < 50", "q.words > 100000"),
        ("q.words < 50", "q.words > 50"),
        ("q.words < 50", "q.lines > 10"),
        ("q.words < 50 OR q.lines < 1", "q.words > 10"),
        ("NOT q.words < 50", "q.words > 10"),
    ],
)
def test_rules_that_leave_something(low, high):
    check(rules(low=low, high=high))


def test_rules_of_two_sources_do_not_meet():
    check([Rule("s.low", "q.words < 50", ("a",)), Rule("s.high", "q.words > 10", ("b",))])


@pytest.mark.parametrize(
    "predicate",
    ["q.a < 3 AND q.a > 10", "q.a > 10 and q.b > 1 and q.a <= 3", "q.a < 3 and q.a >= 3", "q.a < 3 and q.a > 3"],
)
def test_a_rule_that_is_never_true(predicate):
    with pytest.raises(ConfigError, match=r"s\.one: .* is never true: no q\.a is both"):
        check(rules(one=predicate))


@pytest.mark.parametrize("predicate", ["q.a > 3 AND q.a < 10", "q.a <= 3 AND q.a >= 3", "q.a < 3 OR q.a > 10"])
def test_a_rule_that_may_be_true(predicate):
    check(rules(one=predicate))


def test_overrides_count_where_they_are_for_all_documents():
    low, high = "q.words < 50", "q.words > 100"
    wide = Override(rule="s.low", predicate="q.words < 200")
    german = Override(rule="s.low", predicate="q.words < 200", languages=["deu"])
    off = Override(rule="s.low", predicate=None)
    with pytest.raises(ConfigError, match="drop every document"):
        check([Rule("s.low", low, ("web",), (wide,)), *rules(high=high)])
    check([Rule("s.low", low, ("web",), (german,)), *rules(high=high)])
    check([Rule("s.low", low, ("web",), (wide, off)), *rules(high=high)])
