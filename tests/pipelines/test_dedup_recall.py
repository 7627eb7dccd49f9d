"""Planted near-duplicates of known similarity: how many become candidates, and how many of those are verified."""

import random
import shutil

import pytest
from dedup_case import SOURCES, planted_pair, write_config, write_documents
from dedup_checks import check_removed
from dedup_reference import jaccard, shingles
from scipy.stats import binom

from jobs.whole import run_stages
from pipelines.datasets import scan

pytestmark = pytest.mark.spark

# Pairs by level, in twentieths; more where a bound is promised.
PAIRS = {10: 400, 11: 400, 12: 400, 13: 400, 14: 400, 15: 1_000, 16: 1_000, 17: 400, 18: 400, 19: 400}
FALSE_ALARM = 1e-6  # the chance that a right program fails at any level, were the pairs drawn anew


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recall")
    docs = [doc for level, count in PAIRS.items() for number in range(count) for doc in planted_pair(level, number)]
    write_documents(random.Random(1).sample(docs, len(docs)), folder / "input")
    return folder


def found(place, **dedup):
    """The planted pairs among the near pairs of a run, as (level, number); any other pair fails."""
    config = write_config(place / "config.yaml", place / "input", SOURCES[:1], dedup=dedup)
    shutil.rmtree(place / "output" / "pairs", ignore_errors=True)  # what is annotated stays
    run_stages(config, str(place / "output"), until="judge")
    rows = scan(place / "output", "documents", ["doc_id", "meta"]).to_pylist()
    keys = {row["doc_id"]: dict(row["meta"])["key"].rsplit("-", 1) for row in rows}
    assert len(keys) == 2 * sum(PAIRS.values())
    pairs = [(keys[row["a"]], keys[row["b"]]) for row in scan(place / "output", "pairs").to_pylist()]
    assert all(one == other for (one, _), (other, _) in pairs)
    return {tuple(map(int, name.split("-"))) for (name, _), _ in pairs}


@pytest.fixture(scope="module")
def candidates(spark, place):
    return found(place, verify="none")


def at(level, pairs):
    return sum(1 for pair in pairs if pair[0] == level)


def assert_on_curve(pairs, bands, rows):
    for level, count in PAIRS.items():
        probability = 1 - (1 - (level / 20) ** rows) ** bands
        tail = FALSE_ALARM / len(PAIRS) / 2
        least, most = binom.ppf(tail, count, probability), binom.isf(tail, count, probability)
        assert least <= at(level, pairs) <= most, f"{at(level, pairs)} of {count} at {level / 20}: {probability:.3f}"


def test_the_planted_pairs_have_their_similarity():
    for level in PAIRS:
        one, other = planted_pair(level, 7)
        assert jaccard(shingles(one.words), shingles(other.words)) == level / 20


def test_candidates_follow_the_curve(candidates):
    assert_on_curve(candidates, 21, 6)


@pytest.mark.parametrize(("bands", "rows"), [(14, 8), (9, 13)])
def test_candidates_of_other_bands_follow_theirs(spark, place, bands, rows):
    assert_on_curve(found(place, verify="none", bands=bands, rows=rows), bands, rows)


def test_the_default_bands_compare_97_of_100_pairs_at_three_quarters(candidates):
    assert at(15, candidates) / PAIRS[15] >= 0.97


@pytest.mark.parametrize("settings", [{}, {"in_memory_documents": 0, "in_memory_pairs": 0}], ids=["memory", "Spark"])
def test_verified_are_the_candidates_at_the_threshold_and_99_of_100_of_all(spark, place, candidates, settings):
    verified = found(place, **settings)
    assert verified == {pair for pair in candidates if pair[0] >= 16}
    for level in range(16, 20):
        assert at(level, verified) / PAIRS[level] >= 0.99
    assert check_removed(place / "output")["removed_near"] == len(verified)
