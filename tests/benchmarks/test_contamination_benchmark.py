"""The benchmark of decontamination on a few thousand documents: all that it finds, and that it can find fault."""

import importlib.util
import sys
from pathlib import Path

import pytest

from jobs.whole import run_stages
from pipelines.dedup.benchmark_items import read

pytestmark = pytest.mark.spark

DOCUMENTS, EVERY = 3_000, 10


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "contamination.py"
    spec = importlib.util.spec_from_file_location("contamination_benchmark", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def finished(spark, data, benchmark, tmp_path_factory):
    """The output of a run, and what was planted in its texts."""
    folder = tmp_path_factory.mktemp("contamination")
    texts, truth = benchmark.planted(data, DOCUMENTS, every=EVERY)
    run_stages(benchmark.write(folder, data, texts), str(folder / "output"), until="judge")
    return folder / "output", truth


def test_whole_items_and_halves_are_found_and_nothing_else(benchmark, data, finished):
    output, truth = finished
    facts = benchmark.score(output, truth, DOCUMENTS)
    items = read(benchmark.settings(data))
    planted = range(0, len(items.names), EVERY)
    long_enough = sum(1 for item in planted if items.totals[item])
    halves = sum(1 for place in truth.values() if place.kind == "half" and place.words >= 13)
    assert 3 * len(planted) == len(truth)
    assert (facts["whole_planted"], facts["whole_found"]) == (long_enough, long_enough)
    assert (facts["half_planted"], facts["half_found"]) == (halves, halves)
    assert (facts["paraphrase_planted"], facts["paraphrase_found"]) == (len(planted), 0)
    assert (long_enough, halves) == (311, 283)
    assert facts["missed"] == {"whole": [], "half": []}
    assert (facts["false_alarms"], facts["false_alarms_per_10000_documents"]) == ([], 0.0)
    # Some items hold the words of others.
    assert facts["items"]["found"] >= long_enough
    assert facts["items"]["too_short"] == int((items.totals == 0).sum()) == 16
    assert sum(facts["items"].values()) == len(items.names) == 3_130


def test_what_is_found_where_nothing_is_said_to_be_planted_is_a_false_alarm(benchmark, finished):
    output, truth = finished
    place, (_, item, _) = next(entry for entry in sorted(truth.items()) if entry[1].kind == "whole")
    other = {place: found for place, found in truth.items() if found.item != item}
    facts = benchmark.score(output, other, DOCUMENTS)
    alarms = [alarm for alarm in facts["false_alarms"] if alarm["item"] == item]
    assert place in {alarm["document"] for alarm in alarms}
    text = next(text for name, text in benchmark.parts(benchmark.DATA) if name == item)
    assert any(alarm["text"].strip("… ")[:40] in text for alarm in alarms)
    assert facts["false_alarms_per_10000_documents"] > 1


def test_what_is_planted_and_not_there_is_missed(benchmark, finished):
    output, truth = finished
    place, (_, item, words) = next(entry for entry in sorted(truth.items()) if entry[1].kind == "paraphrase")
    facts = benchmark.score(output, truth | {place: benchmark.Planted("whole", item, words)}, DOCUMENTS)
    assert facts["missed"]["whole"] == [item]
    assert facts["whole_found"] == facts["whole_planted"] - 1
