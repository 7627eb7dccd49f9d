"""Expressions over signals, looked up by the corpus' files, against the same values worked out by hand."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import datasets, trait_lookup, traits
from pipelines.errors import ConfigError

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def rows() -> dict[str, list[dict]]:
    """By file of corpus/, documents with what is known of them; `words` is None where nothing was measured."""
    generator = random.Random(1)
    found: dict[str, list[dict]] = {}
    for i in range(300):
        split, source = generator.choice(["train", "test"]), generator.choice(["web", "code-x"])
        row = {
            "doc_id": f"{generator.getrandbits(128):032x}",
            "source": source,
            "uri": f"https://site{i % 5}.example/{i}",
            "crawl": f"crawl {i % 3}",
            "copies": 1 + i % 4,
            "words": None if i % 11 == 0 else i,
            "code": ["eng", "deu"][i % 2],
        }
        found.setdefault(f"split={split}/source={source}/{i % 2:016x}-00000.parquet", []).append(row)
    return found


@pytest.fixture(scope="module")
def output(rows: dict[str, list[dict]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a folder") / "50% é"  # Spark writes such names as %20 and the like
    for file, documents in rows.items():
        path = folder / "corpus" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = {
            "doc_id": [row["doc_id"] for row in documents],
            "uri": [row["uri"] for row in documents],
            "text": ["text"] * len(documents),
            "meta": [[("crawl", row["crawl"])] for row in documents],
            "cluster": [row["doc_id"] for row in documents],
            "stands_for": [1] * len(documents),
            "copies": [row["copies"] for row in documents],
        }
        pq.write_table(pa.table(columns, schema=datasets.CORPUS), path)
    every = [row for documents in rows.values() for row in documents]
    measured = [row for row in every if row["words"] is not None]
    for family, name, key, some in (("quality", "words", "words", measured), ("language", "code", "code", every)):
        (folder / "signals" / family).mkdir(parents=True)
        table = pa.table({"doc_id": [row["doc_id"] for row in some], name: [row[key] for row in some]})
        pq.write_table(table, folder / "signals" / family / "a.parquet")
    return folder


EXPRESSIONS = {
    "bucket": "concat(source, '-', if(quality.words > 100, 'long', 'short'), '-x', copies, '/', meta['crawl'])",
    "language": "language.code",
    "host": "split(uri, '/')[2]",
}


def by_hand(row: dict) -> dict[str, object]:
    long = "long" if row["words"] is not None and row["words"] > 100 else "short"
    return {
        "bucket": f"{row['source']}-{long}-x{row['copies']}/{row['crawl']}",
        "language": row["code"],
        "host": row["uri"].split("/")[2],
    }


def test_tasks_look_up_what_expressions_say(spark, output, rows, tmp_path):
    folder = tmp_path / "traits"
    traits.write(traits.traits(spark, output, EXPRESSIONS), folder)
    of = trait_lookup.lookup(str(folder))
    for file, documents in rows.items():
        some = random.Random(2).sample(documents, len(documents) // 2)
        found = of(str(output / "corpus" / file), pa.array([row["doc_id"] for row in some]))
        assert found.to_pylist() == [by_hand(row) for row in some]
    with pytest.raises(KeyError, match="document zz is not in split="):
        of(str(output / "corpus" / next(iter(rows))), pa.array(["zz"]))


@pytest.mark.parametrize(("expression", "joined"), [("source", 0), ("'quality.words'", 0), ("quality.words", 1)])
def test_only_the_families_that_are_named_are_joined(spark, output, expression, joined):
    plan = traits.traits(spark, output, {"a": expression})._jdf.queryExecution().analyzed().toString()
    assert plan.count("Join") == joined


@pytest.mark.parametrize("expression", ["nofunction(source)", "source +", "count(uri)", "explode(array(1, 2))"])
def test_what_is_no_expression_of_one_document_is_refused(spark, output, expression):
    with pytest.raises(ConfigError, match="not what a document can be asked"):
        traits.traits(spark, output, {"a": expression})
