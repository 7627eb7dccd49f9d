"""What is cut of repeats: nothing vanishes everywhere, and what is left reads as text."""

import random
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from repeats_case import Doc, cluster_of, find

from filters.batch import TextBatch
from filters.edits import Edit, apply
from pipelines import datasets
from pipelines.dedup import cutting
from pipelines.dedup.cutting import SPARED
from pipelines.dedup.options import Contamination, Passages, Repeats, Units

BENCHMARK = {"path": "x", "fields": ["y"]}


def spans_of(spark, rows, docs, settings, dropped=()):
    """The rows of `cutting.spans` by document, every document in the file `f`."""
    table = pa.Table.from_pylist(rows, schema=datasets.REPEATS)
    verdicts = [(doc.id, "f", cluster_of(doc), doc.number not in dropped) for doc in docs]
    frame = spark.createDataFrame(verdicts, "doc_id string, part string, cluster string, kept boolean")
    found = defaultdict(list)
    for row in cutting.spans(spark.createDataFrame(table), frame, settings).collect():
        assert row["part"] == "f"
        found[row["doc_id"]].append(Edit(row["start"], row["end"], row["reason"]))
    return found


def rest_of(doc, found, settings):
    return apply(doc.text, cutting.edits(doc.text, found[doc.id], settings)) if doc.id in found else doc.text


@pytest.mark.spark
def test_a_line_stays_in_the_first_document_that_is_kept(spark, tmp_path):
    docs = [Doc(n, f"Share this page now\nA line of its own {n}\nAll rights are reserved") for n in range(5)]
    docs[3] = docs[3]._replace(cluster=4)
    ranked = sorted(docs, key=lambda doc: (cluster_of(doc), doc.id))
    rows = find(spark, tmp_path, docs, Repeats(lines=Units(documents=2, words=2)))
    for cut, gone in (("later", 0), ("later", 1), ("later", 3), ("later", 4), ("all", 1), ("none", 1)):
        settings = Repeats(lines=Units(cut=cut))
        dropped, kept = [doc.number for doc in ranked[:gone]], ranked[gone:]
        found = spans_of(spark, rows, docs, settings, dropped)
        whole = {doc.number for doc in kept if rest_of(doc, found, settings) == doc.text}
        first = {doc.number for doc in kept if cluster_of(doc) == cluster_of(kept[0])}
        assert whole == {"later": first, "all": set(), "none": {doc.number for doc in kept}}[cut]
        for doc in kept:
            assert doc.number in whole or rest_of(doc, found, settings) == f"A line of its own {doc.number}"
        assert not {doc.id for doc in docs if doc.number in dropped} & set(found)


def mixed(generator):
    """Texts of lines, paragraphs and runs of sentences that many have in common, cut short here and there."""
    common = [
        " ".join(f"w{generator.randrange(10_000)}" for _ in range(generator.randrange(3, 9))).capitalize() + "."
        for _ in range(60)
    ]
    docs = []
    for number in range(40):
        text = ""
        for _ in range(generator.randrange(2, 7)):
            first = generator.randrange(len(common))
            run = common[first : first + generator.randrange(1, 12)]
            text += generator.choice([" ", "\n", " "]).join(run) + generator.choice(["\n", "\n\n", "\n\n", " "])
            if generator.random() < 0.3:
                first = generator.randrange(5)
                text += f"\n\n{common[first]}\n{common[first + 1]}\n\n"
            text += generator.choice(["", f"Own words {generator.random()} here. ", f"Another line {number} alone\n"])
        cluster = generator.randrange(number) if number and generator.random() < 0.2 else None
        docs.append(Doc(number, text, cluster=cluster, group=f"site{number % 3}"))
    return docs


def words_cut(doc, edits):
    """Which words of a text the edits take, from each word's first byte to its end."""
    words = TextBatch(pa.array([doc.text])).words
    gone = np.zeros(len(doc.text.encode()), bool)
    for edit in edits:
        gone[edit.start : edit.end] = True
    spans = list(zip(words.starts.tolist(), (words.starts + words.lengths).tolist()))
    return {span: bool(gone[slice(*span)].any()) for span in spans}


def overlap(edit, start, end):
    return edit.start < end and start < edit.end


@pytest.mark.spark
def test_nothing_that_a_kept_document_had_vanishes_everywhere(spark, tmp_path):
    generator = random.Random(3)
    docs = mixed(generator)
    options = {
        "lines": Units(documents=2, words=2, scope="site", cut="later"),
        "paragraphs": Units(documents=2, words=2, cut="later"),
    }
    settings = Repeats(**options, passages=Passages(words=12, cut="later"))
    rows = find(spark, tmp_path, docs, settings)
    dropped = generator.sample(range(40), 12)
    found = spans_of(spark, rows, docs, settings, dropped)
    kept = {doc.id for doc in docs if doc.number not in dropped}
    having = {(row["kind"], row["key"]) for row in rows if row["doc_id"] in kept}
    assert {kind for kind, _ in having} == {"line", "paragraph", "passage"}
    totals = {}
    for border in ("word", "sentence", "line"):
        settings = Repeats(**options, passages=Passages(words=12, cut="later", border=border))
        gone = {doc.id: words_cut(doc, cutting.edits(doc.text, found[doc.id], settings)) for doc in docs}
        whole = {
            (row["kind"], row["key"])
            for row in rows
            if row["doc_id"] in kept
            and not any(cut for (at, _), cut in gone[row["doc_id"]].items() if row["start"] <= at < row["end"])
        }
        assert whole == having
        for doc in docs:
            check_words(gone[doc.id], found[doc.id], border)
        totals[border] = sum(sum(words.values()) for words in gone.values())
    words = sum(len(TextBatch(pa.array([doc.text])).words.starts) for doc in docs if doc.id in kept)
    assert 0.9 * words > totals["word"] > totals["sentence"] > totals["line"] > 0.1 * words


def check_words(words, spans, border):
    """What is cut is asked for and not spared; and the other way round, where a passage is cut to the word."""
    spared = [span for span in spans if span.reason == SPARED]
    for word, cut in words.items():
        asked = [span for span in spans if span.reason != SPARED and overlap(span, *word)]
        free = not any(overlap(span, *word) for span in spared)
        if cut:
            assert asked
            assert free
        elif border == "word":
            # Lines and paragraphs that a spared span touches stay whole.
            touched = [any(overlap(span, other.start, other.end) for other in spared) for span in asked]
            assert all(there or (span.reason == "passage" and not free) for there, span in zip(touched, asked))


def test_what_is_spared_stays_whole():
    text = "First line here\nSecond line here\nThird line here\n\nA paragraph of\nTwo lines\n\nEnd"
    at = {name: text.index(name) for name in ("First", "Second", "Third", "\nA", "A paragraph", "Two", "End")}
    settings = Repeats(lines=Units(cut="later"), paragraphs=Units(cut="later"), passages=Passages(cut="later"))
    spans = [
        Edit(at["First"], at["Second"], "line"),
        Edit(at["Second"], at["Third"], SPARED),
        Edit(0, at["Third"] + 15, "passage"),
        Edit(at["A paragraph"], at["End"], "paragraph"),
    ]
    assert apply(text, cutting.edits(text, spans, settings)) == "Second line here\n\nEnd"
    spans.append(Edit(at["Two"], at["Two"] + 9, SPARED))
    assert apply(text, cutting.edits(text, spans, settings)) == "Second line here\n\nA paragraph of\nTwo lines\n\nEnd"
    everywhere = settings.model_copy(update={"paragraphs": Units(cut="all"), "passages": Passages(cut="all")})
    assert apply(text, cutting.edits(text, spans, everywhere)) == "End"


@pytest.mark.parametrize(
    ("border", "rest"),
    [
        ("word", "Ours. We begin\nours "),
        ("sentence", "Ours. We begin here.\nAnd then\nours "),
        ("line", "Ours. We begin here.\nThe common part goes\nover two lines. And then\nours "),
    ],
)
def test_what_a_cut_leaves_reads_as_text(border, rest):
    text = "Ours. We begin here.\nThe common part goes\nover two lines. And then\nours again."
    spans = [
        Edit(text.index("here"), text.index("then") + 4, "passage"),
        Edit(text.index("again"), len(text), "contamination"),
    ]
    settings = Repeats(
        passages=Passages(border=border, cut="later"), contamination=Contamination(benchmarks=[BENCHMARK], action="cut")
    )
    assert apply(text, cutting.edits(text, spans, settings)) == rest.strip(" ")


def test_no_span_is_no_edit_and_empty_texts_are_no_error():
    assert cutting.edits("", [], Repeats()) == []
    assert cutting.edits("One\n\0two", [], Repeats(passages=Passages(cut="all"))) == []
