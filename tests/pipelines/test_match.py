"""Matching on Spark: planted duplicates are found, what is found is similar, and nothing depends on the layout."""

import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters import content, minhash
from filters.batch import TextBatch
from pipelines import datasets
from pipelines.annotate import _sketch
from pipelines.config import Dedup
from pipelines.dedup import in_memory
from pipelines.dedup.compared import frame
from pipelines.dedup.match import write_pairs
from pipelines.dedup.places import Place

pytestmark = pytest.mark.spark

WORDS = [f"word{i}" for i in range(3_000)]


def shingles(text):
    words = text.split()
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


def jaccard(a, b):
    return len(shingles(a) & shingles(b)) / len(shingles(a) | shingles(b))


def corpus(seed=0, originals=120):
    """Texts, each with copies of which ever more words are replaced."""
    generator = random.Random(seed)
    texts = []
    for _ in range(originals):
        words = generator.choices(WORDS, k=generator.randint(80, 300))
        texts.append(" ".join(words))
        for share in (0.0, 0.01, 0.03, 0.06):
            copy = [generator.choice(WORDS) if generator.random() < share else word for word in words]
            texts.append(" ".join(copy))
    texts += ["too short", "too short", "", "also short"]
    return texts


def sketches_of(texts, ids):
    batch = TextBatch(pa.array(texts, pa.string()))
    hashes = content.content_hash(batch, canonical="folded").cast(pa.binary())
    return pa.table([pa.array(ids), hashes, *_sketch(batch, 5)], schema=datasets.SKETCHES)


def match(spark, table, partitions, folder, **settings):
    """The pairs as sorted tuples, and what `write_pairs` says: of Spark's tasks and of one process, which are equal."""
    (folder / "sketches").mkdir(parents=True)
    for i in range(partitions):
        part = table.take(pa.array(range(i, len(table), partitions), pa.int64()))
        pq.write_table(part, folder / "sketches" / f"{i}.parquet")
    places, found = [Place(None, folder)], []
    for name in ("tasks", "process"):
        output, work = folder / name, folder / f"{name}-work"
        work.mkdir()
        if name == "tasks":
            facts = write_pairs(frame(spark, places, "global", None), Dedup(**settings), output, work)
        else:
            facts = in_memory.write_pairs(places, None, Dedup(**settings), output, work)
        rows = pq.read_table(output / "pairs", partitioning=None).to_pylist()
        hubs = pq.read_table(output / "hubs").to_pylist() if facts["hubs"] else []
        assert all(row["index"] is None for row in rows + hubs)
        settled = sorted((row["key"], row["doc_id"], row["settled"]) for row in hubs)
        found.append((sorted((row["a"], row["b"], row["similarity"], row["kind"]) for row in rows), facts, settled))
    assert found[0] == found[1]
    return found[0][:2]


@pytest.fixture(scope="module")
def texts():
    return corpus()


@pytest.fixture(scope="module")
def ids(texts):
    return [random.Random(i).randbytes(16).hex() for i in range(len(texts))]


@pytest.fixture(scope="module")
def pairs(spark, texts, ids, tmp_path_factory):
    found, facts = match(spark, sketches_of(texts, ids), 3, tmp_path_factory.mktemp("matched"))
    assert facts == {"hubs": 0, "passes": 0, "left_over": 0}
    return found


def test_exact_pairs_are_the_classes_of_equal_text(pairs, texts, ids):
    by_text = {}
    for doc_id, text in zip(ids, texts):
        by_text.setdefault(text, []).append(doc_id)
    expected = {(min(same), doc_id) for same in by_text.values() for doc_id in same if doc_id != min(same)}
    assert {(a, b) for a, b, similarity, kind in pairs if kind == "exact"} == expected
    assert all(similarity == 1.0 for _, _, similarity, kind in pairs if kind == "exact")


def test_near_pairs_have_the_similarity_that_they_claim(pairs, texts, ids):
    text_of = dict(zip(ids, texts))
    near = [pair for pair in pairs if pair[3] == "near"]
    assert near
    for a, b, similarity, _ in near:
        assert a < b
        assert similarity >= 0.8
        assert similarity == pytest.approx(jaccard(text_of[a], text_of[b]))


def test_recall_of_what_is_similar_enough(pairs, texts, ids):
    found = {(a, b) for a, b, *_ in pairs}
    represented = {b: a for a, b, _, kind in pairs if kind == "exact"}
    wanted = set()
    for start in range(0, len(texts) - 4, 5):
        family = {represented.get(ids[i], ids[i]): texts[i] for i in range(start, start + 5)}
        for a in family:
            for b in family:
                if a < b and jaccard(family[a], family[b]) >= 0.8:
                    wanted.add((a, b))
    assert len(wanted) > 100
    assert len(wanted & found) / len(wanted) >= 0.99


def test_layout_and_order_make_no_difference(spark, pairs, texts, ids, tmp_path):
    order = np.random.default_rng(3).permutation(len(texts))
    shuffled = sketches_of([texts[i] for i in order], [ids[i] for i in order])
    assert match(spark, shuffled, 7, tmp_path)[0] == pairs


@pytest.mark.parametrize("mode", ["signature", "none"])
def test_other_evidence_is_the_signature_s_estimate(spark, pairs, texts, ids, tmp_path, mode):
    table = sketches_of(texts, ids)
    found, _ = match(spark, table, 3, tmp_path, verify=mode)
    values = {
        row["doc_id"]: np.frombuffer(row["signature"], np.uint32) for row in table.to_pylist() if row["signature"]
    }
    near = {(a, b): similarity for a, b, similarity, kind in found if kind == "near"}
    for (a, b), similarity in near.items():
        assert similarity == (values[a] == values[b]).mean()
    assert (min(near.values()) >= 0.8) == (mode == "signature")
    if mode == "none":  # every candidate is a pair, so all that the sketches verified are among them
        assert {(a, b) for a, b, _, kind in pairs if kind == "near"} < set(near)


TEMPLATES = 10


def hub(size=400, seed=1):
    """Near-copies of ten templates that share so much that one band's bucket holds all of them, in random order."""
    generator = random.Random(seed)
    common = generator.choices(WORDS, k=300)
    own = [generator.choices(WORDS, k=100) for _ in range(TEMPLATES)]
    texts = []
    for i in range(size):
        words = [*common, *own[i % TEMPLATES]]
        words[generator.randrange(len(words))] = f"unique{i}"
        texts.append(" ".join(words))
    return texts, [generator.randbytes(16).hex() for _ in texts]


def test_hubs_find_every_template_at_a_few_pairs_a_document(spark, tmp_path):
    texts, ids = hub()
    text_of, template = dict(zip(ids, texts)), {doc_id: i % TEMPLATES for i, doc_id in enumerate(ids)}
    assert jaccard(texts[0], texts[1]) < 0.7 < 0.9 < jaccard(texts[0], texts[TEMPLATES])
    found, facts = match(spark, sketches_of(texts, ids), 3, tmp_path / "one", bucket=30, bands=6, rows=3)
    assert facts["hubs"] > 0
    assert facts["left_over"] == 0
    assert len({(a, b) for a, b, *_ in found}) == len(found)
    for a, b, similarity, kind in found:
        assert a < b
        assert kind == "near"
        assert template[a] == template[b]
        assert similarity == pytest.approx(jaccard(text_of[a], text_of[b]))
    followers = {b for _, b, *_ in found}
    assert len(set(ids) - followers) == TEMPLATES  # of each template only the first has no similar one before it
    assert len(found) < 10 * len(ids)  # all pairs of equal templates would be twenty a document
    order = np.random.default_rng(4).permutation(len(texts))
    shuffled = sketches_of([texts[i] for i in order], [ids[i] for i in order])
    assert match(spark, shuffled, 7, tmp_path / "two", bucket=30, bands=6, rows=3) == (found, facts)


def test_documents_too_short_for_a_shingle_match_exactly_only(pairs, texts, ids):
    short = {doc_id for doc_id, text in zip(ids, texts) if len(text.split()) < 5}
    assert {kind for a, b, _, kind in pairs if a in short or b in short} == {"exact"}


def test_the_signature_is_datasketch_s():
    from datasketch import MinHash

    batch = TextBatch(pa.array([" ".join(WORDS[:40])]))
    ours = minhash.signatures(batch)[0]
    theirs = MinHash(num_perm=128, scheme="affine32", hashfunc=minhash.shingle_hash)
    hashes = batch.words.hashes
    for i in range(len(hashes) - 4):
        theirs.update(hashes[i : i + 5].astype("<u8").tobytes())
    assert ours.tolist() == theirs.hashvalues.tolist()


def test_a_run_without_a_text_has_no_pairs(spark, tmp_path):
    assert match(spark, sketches_of([], []), 1, tmp_path) == ([], {"hubs": 0, "passes": 0, "left_over": 0})
