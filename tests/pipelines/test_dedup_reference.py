"""Whole runs against brute force: who stays, and of what each other is a duplicate; and the same in any layout."""

import os
import random
import shutil
import signal
import time

import numpy as np
import pytest
from dedup_case import SOURCES, Builder, documents, write_config, write_documents
from dedup_checks import (
    Sketches,
    by_doc_id,
    check_in_hubs,
    check_removed,
    found_pairs,
    found_verdicts,
    sketch_similarity,
)
from dedup_reference import as_bytes, compare, jaccard, shingles, signatures, verdicts
from test_run import start

from filters import minhash
from jobs.whole import judge_again, run_stages
from pipelines.datasets import scan
from pipelines.digest import digest
from pipelines.ledger import read_stages

pytestmark = pytest.mark.spark

DOCUMENTS = 1_500
BUCKET = 16  # far fewer than lie in the two hubs
IN_SPARK = {"in_memory_documents": 0, "in_memory_pairs": 0}
LENGTH = {"families": ["quality"]}

BY_SOURCE = (["source_priority"], lambda doc: SOURCES.index(doc.source))
BY_LENGTH = (["quality.words DESC"], lambda doc: -len(doc.words))
BY_DATE = (["meta['date']", "source_priority"], lambda doc: (doc.date, SOURCES.index(doc.source)))
BY_ID = ([], lambda doc: 0)
ORDERS = ("rules_first", "duplicates_first")


@pytest.fixture(scope="module")
def docs():
    found = documents(DOCUMENTS)
    assert len(found) == DOCUMENTS
    return found


@pytest.fixture(scope="module")
def place(docs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("proof")
    write_documents(docs, folder / "input")
    return folder


def run(place, output, until="judge", given="input", **changes):
    """The output of a run in this process."""
    config = write_config(output.with_name(f"{output.name}.yaml"), place / given, **{"annotate": LENGTH, **changes})
    run_stages(config, str(output), until=until)
    return output


@pytest.fixture(scope="module")
def whole(spark, place):
    """A run whose buckets are all compared, all with all."""
    return run(place, place / "whole", dedup={"bucket": DOCUMENTS})


@pytest.fixture(scope="module")
def with_hubs(whole, place):
    shutil.copytree(whole, place / "hubs")  # what is annotated is the same
    return run(place, place / "hubs", dedup={"bucket": BUCKET})


@pytest.fixture(scope="module")
def known(whole, docs):
    """The documents by doc_id."""
    return by_doc_id(docs, whole)


@pytest.fixture(scope="module")
def compared(known):
    return compare({doc_id: doc for doc_id, doc in known.items() if doc.text.strip()}, bucket=BUCKET)


@pytest.fixture(scope="module")
def digests(with_hubs):
    return digest(with_hubs)


def judged(finished, place, folder, **changes):
    """A copy of a finished run, judged again under another config."""
    shutil.copytree(finished, folder / "output")
    judge_again(folder / "output", write_config(folder / "c.yaml", place / "input", annotate=LENGTH, **changes))
    return folder / "output"


def assert_equal(found, expected):
    """Verdict by verdict, so that a failure names the documents."""
    assert found.keys() == expected.keys()
    different = {doc_id: (found[doc_id], expected[doc_id]) for doc_id in expected if found[doc_id] != expected[doc_id]}
    assert not different, f"{len(different)} of {len(expected)}: {dict(list(different.items())[:3])}"


def test_the_case_has_something_of_everything(whole, with_hubs, known, compared):
    assert read_stages(whole)["match"]["facts"]["hubs"] == 0
    facts = read_stages(with_hubs)["match"]["facts"]
    assert facts["hubs"] > 10
    assert facts["estimated"] == 0
    expected = verdicts(known, compared.similar, BY_SOURCE[1]).values()
    assert sum(verdict.kept for verdict in expected) > DOCUMENTS // 4
    assert sum(verdict.duplicate_of is not None for verdict in expected) > DOCUMENTS // 4
    assert {reason for verdict in expected for reason in verdict.failed} == {"gate.no_text", "unwanted.spam"}
    assert max(verdict.stands_for for verdict in expected) > 10
    assert {verdict.similarity == 1 for verdict in expected if verdict.similarity} == {True, False}
    short = [doc for doc in known.values() if len(doc.words) < 5 and doc.text.strip()]
    assert len(short) > DOCUMENTS // 20
    assert len(compared.in_hubs) > DOCUMENTS // 5
    unfreed = verdicts(known, compared.similar, BY_SOURCE[1], duplicates_first=True)
    freed = [d for d, verdict in found_verdicts(with_hubs).items() if verdict.kept and unfreed[d].duplicate_of]
    assert set(freed) & compared.in_hubs


def test_signatures_and_sketches_are_those_of_the_words(whole, known):
    rows = {row["doc_id"]: row for row in scan(whole, "sketches").to_pylist()}
    with_text = {doc_id: doc.words for doc_id, doc in known.items() if doc.text.strip()}
    assert rows.keys() == with_text.keys()
    for (doc_id, words), signature in zip(with_text.items(), signatures(with_text.values())):
        hashes = sorted({minhash.shingle_hash(as_bytes(shingle)) for shingle in shingles(words)})
        assert np.frombuffer(rows[doc_id]["sketch"], "<u4").tolist() == hashes
        if hashes:
            assert rows[doc_id]["signature"] == signature.astype("<u4").tobytes()
        else:
            assert rows[doc_id]["signature"] is None


def test_pairs_are_those_of_brute_force(whole, with_hubs, compared):
    assert found_pairs(whole) == compared.similar
    for a, others in found_pairs(with_hubs).items():
        assert others.items() <= compared.similar[a].items()


@pytest.mark.parametrize(
    ("keep_order", "key", "order", "dedup"),
    [
        *((*by, order, {}) for by in (BY_SOURCE, BY_LENGTH, BY_DATE, BY_ID) for order in ORDERS),
        *((*BY_SOURCE, order, {"choice": "transitive"}) for order in ORDERS),
        *((*BY_LENGTH, "rules_first", {"choice": choice, "in_memory_pairs": 0}) for choice in ("greedy", "transitive")),
    ],
)
def test_verdicts_are_those_of_brute_force(whole, place, known, compared, tmp_path, keep_order, key, order, dedup):
    settings = {"bucket": DOCUMENTS, "keep_order": keep_order, **dedup}
    output = judged(whole, place, tmp_path, dedup=settings, rules={"order": order})
    transitive = "transitive" in dedup.values()
    expected = verdicts(known, compared.similar, key, transitive, order == "duplicates_first")
    assert_equal(found_verdicts(output), expected)
    if not transitive:
        check_removed(output)


@pytest.mark.parametrize(
    ("keep_order", "key", "order", "dedup"),
    [
        *((*by, order, {}) for by in (BY_SOURCE, BY_LENGTH) for order in ORDERS),
        (*BY_ID, "rules_first", IN_SPARK),
    ],
)
def test_with_hubs_the_same_documents_stay(with_hubs, place, known, compared, tmp_path, keep_order, key, order, dedup):
    settings = {"bucket": BUCKET, "keep_order": keep_order, **dedup}
    output = judged(with_hubs, place, tmp_path, dedup=settings, rules={"order": order})
    expected = verdicts(known, compared.similar, key, duplicates_first=order == "duplicates_first")
    check_in_hubs(found_verdicts(output), expected, lambda doc_id: (key(known[doc_id]), doc_id), compared)
    check_removed(output)


def test_with_hubs_one_of_each_component_of_the_pairs_stays(with_hubs, place, known, tmp_path):
    output = judged(with_hubs, place, tmp_path, dedup={"bucket": BUCKET, "choice": "transitive"})
    assert_equal(found_verdicts(output), verdicts(known, found_pairs(output), BY_SOURCE[1], transitive=True))


def test_other_bands_another_threshold_and_texts_as_they_are(spark, place, docs, tmp_path):
    changed = {"bands": 32, "rows": 4, "threshold": 0.65, "canonical": "as_is", "bucket": DOCUMENTS}
    output = run(place, tmp_path / "output", dedup=changed, annotate={"families": []})
    known = by_doc_id(docs, output)
    with_text = {doc_id: doc for doc_id, doc in known.items() if doc.text.strip()}
    compared = compare(with_text, bands=32, rows=4, threshold=0.65, folded=False)
    assert_equal(found_verdicts(output), verdicts(known, compared.similar, BY_SOURCE[1]))
    check_removed(output)


def test_in_spark_with_64_partitions_the_same_digests(with_hubs, place, digests, tmp_path):
    output = tmp_path / "output"
    shutil.copytree(with_hubs, output, ignore=shutil.ignore_patterns("pairs", "hubs", "verdicts"))
    many = {"conf": {"spark.sql.shuffle.partitions": "64"}}
    run(place, output, dedup={"bucket": BUCKET, **IN_SPARK}, spark=many)
    assert digest(output) == digests


def test_rows_in_another_order_the_same_digests(spark, place, docs, digests, tmp_path):
    write_documents(random.Random(4).sample(docs, len(docs)), tmp_path / "input")
    assert digest(run(tmp_path, tmp_path / "output", dedup={"bucket": BUCKET})) == digests


def test_killed_in_match_and_judge_and_started_again_in_spark_on_one_core(place, digests, tmp_path):
    output = tmp_path / "output"
    dedup, one_core = {"bucket": BUCKET, **IN_SPARK}, {"master": "local[1]"}
    config = write_config(tmp_path / "c.yaml", place / "input", dedup=dedup, annotate=LENGTH, spark=one_core)
    command = ("run", config, "--output", output, "--until", "judge")
    for stage in ("match", "judge"):
        process = start(*command)
        for line in process.stderr:
            if line.startswith(f"{stage}: at work"):
                break
        while process.poll() is None and not any(output.glob(".staging/*/*")):
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert not read_stages(output).get(stage, {}).get("finished"), f"{stage} was over too soon"
    process = start(*command)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    assert "match: up to date" in errors
    assert digest(output) == digests


def test_similarities_of_long_texts_are_estimates_that_the_run_counts(spark, tmp_path):
    builder = Builder(5)
    for _ in range(4):
        words = builder.words(builder.generator.randint(5_000, 12_000))
        for edits in (0, 30, 60, 120, 240, 480):
            builder.add(builder.edited(words, edits), spam=0)
    write_documents(builder.docs, tmp_path / "input")
    output = run(tmp_path, tmp_path / "output", annotate={"families": []})
    long = [doc for doc in builder.docs if len(shingles(doc.words)) >= minhash.SKETCH_SIZE]
    assert read_stages(output)["match"]["facts"]["estimated"] == len(long) > 20
    known, sketches = by_doc_id(builder.docs, output), Sketches(output)
    pairs = scan(output, "pairs").to_pylist()
    assert len(pairs) >= 20
    for row in pairs:
        exact = jaccard(*(shingles(known[row[side]].words) for side in "ab"))
        assert row["similarity"] == sketch_similarity((sketches, row["a"]), (sketches, row["b"]))
        error = (exact * (1 - exact) / minhash.SKETCH_SIZE) ** 0.5
        assert abs(row["similarity"] - exact) < 5 * error  # a false alarm in 1.7 million pairs
    check_removed(output)
