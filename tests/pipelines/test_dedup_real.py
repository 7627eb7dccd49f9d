"""Novels that are there from two publishers: one cluster, and the program says so."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dedup_checks import check_removed

from jobs.whole import run_stages
from pipelines.datasets import scan

pytestmark = pytest.mark.spark

PROGRAM = Path(sys.executable).parent / "gristmill"
NOVELS = {
    "se-austen-pride.epub": "1342-0.txt",
    "se-doyle-sherlock.epub": "1661-8.txt",
    "se-herman-melville_moby-dick.epub": "2701-0.txt",
}


@pytest.fixture(scope="module")
def output(spark, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("novels")
    page = {
        "name": "novels",
        "sources": [
            {"name": "epub", "format": "epub", "paths": [f"{data}/books/*.epub"]},
            {"name": "gutenberg", "format": "text", "kind": "book", "paths": [f"{data}/books/gutenberg/*.txt"]},
        ],
        "annotate": {"families": []},
        "rules": {"sets": {"book": []}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(page))
    run_stages(folder / "config.yaml", str(folder / "output"), until="judge")
    return folder / "output"


def explain(output, uri):
    command = [PROGRAM, "explain", output, "--uri", uri, "--json"]
    (facts,) = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return facts


def test_the_two_sources_of_a_novel_are_one_cluster_and_no_others(output):
    documents = {row["doc_id"]: row["uri"] for row in scan(output, "documents", ["doc_id", "uri"]).to_pylist()}
    clusters = {}
    for row in scan(output, "verdicts", ["doc_id", "cluster"]).to_pylist():
        clusters.setdefault(row["cluster"], set()).add(documents[row["doc_id"]])
    found = {frozenset(books) for books in clusters.values() if len(books) > 1}
    assert found == {frozenset(pair) for pair in NOVELS.items()}
    assert check_removed(output)["removed_near"] == len(NOVELS)


@pytest.mark.parametrize(("epub", "text"), NOVELS.items())
def test_explain_says_so_of_either(output, epub, text):
    stays, goes = explain(output, epub), explain(output, text)
    assert (stays["status"], goes["status"], goes["reason"]) == ("kept", "dropped", "duplicate")
    original = goes["duplicate_of"]
    assert (original["doc_id"], original["source"], original["uri"]) == (stays["doc_id"], "epub", epub)
    assert original["similarity"] >= 0.8
    for one, other in ((stays, goes), (goes, stays)):
        (pair,) = one["pairs"]["documents"]
        assert (pair["doc_id"], pair["kind"], pair["similarity"]) == (other["doc_id"], "near", original["similarity"])
        assert one["cluster"]["size"] == 2
        assert {member["doc_id"] for member in one["cluster"]["documents"]} == {stays["doc_id"], goes["doc_id"]}
