import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from filters import toxicity, toxicity_card
from filters.batch import TextBatch
from filters.fasttext_model import FastTextModel
from filters.ranking import average_precision, roc_auc
from filters.toxicity import MODEL, MODEL_SHA256, PASSAGE, THRESHOLD, Toxicity, features, passages, scores
from filters.toxicity_training import PARAMETERS, Example, read_book, read_examples, read_pages, training_lines

KIND = "The ferry leaves at nine, and the island's two bakeries are open until the evening. "
UNKIND = "you stupid worthless piece of shit, shut up you fucking idiot, everyone hates you bitch. "


@pytest.fixture(scope="module")
def family() -> Toxicity:
    return Toxicity()


@pytest.fixture(scope="module")
def examples(data: Path) -> list[Example]:
    return read_examples(data)


def measure(family: Toxicity, texts: list[str]) -> list[dict]:
    table = family(TextBatch(pa.array(texts, pa.string())))
    assert table.schema.equals(family.schema, check_metadata=True)
    return table.to_pylist()


@given(st.text(st.sampled_from("ab. \né"), max_size=3 * PASSAGE) | st.text(), st.integers(1, 50))
def test_passages_are_the_text(text: str, times: int) -> None:
    cut = list(passages(text * times))
    assert "".join(cut) == text * times
    assert all(0 < len(passage) <= PASSAGE for passage in cut)
    assert all(len(passage) >= PASSAGE // 2 for passage in cut[:-1])


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("x" * 300 + "\n" + "y. " * 200, "x" * 300 + "\n"),
        ("x" * 300 + ". " + "y " * 200, "x" * 300 + ". "),
        ("x" * 300 + " " + "y" * 400, "x" * 300 + " "),
        ("x" * 100 + "\n" + "y" * 600, "x" * 100 + "\n" + "y" * 399),
    ],
)
def test_passages_end_at_lines_then_sentences_then_words(text: str, first: str) -> None:
    assert next(passages(text)) == first


def test_features_see_words_not_punctuation_or_case() -> None:
    assert features("You’re A “FOOL”, F*ck-up!\0\n") == "you're a “fool”  f*ck up   ".encode()
    assert features("ÄÖ\ud800") == "äö ".encode()


def test_nothing_to_score(family: Toxicity) -> None:
    nothing = {"score": 0.0, "worst": 0.0, "share": 0.0, "second_score": None}
    assert measure(family, ["", " \n", "?!", "." * 2000]) == [nothing] * 4
    assert measure(family, []) == []


def test_the_signals_follow_from_the_passages(family: Toxicity) -> None:
    text = KIND * 20 + "\n" + UNKIND * 8 + "\n" + KIND * 3
    model = FastTextModel(MODEL)
    words = [features(passage) for passage in passages(text)]
    found, sizes = scores(model, words), np.array([len(w) for w in words])
    assert 0 < (found > THRESHOLD).sum() < len(found)
    [row] = measure(family, [text])
    assert row["score"] == round(np.average(found, weights=sizes), 4)
    assert row["worst"] == round(found.max(), 4)
    assert row["share"] == round(np.average(found > THRESHOLD, weights=sizes), 4)


def test_one_line_does_not_make_a_book_toxic(family: Toxicity) -> None:
    kind, unkind, book = measure(family, [KIND * 6, UNKIND * 6, KIND * 2000 + UNKIND * 6 + KIND * 2000])
    assert kind["worst"] < THRESHOLD < unkind["score"]
    assert book["score"] < 0.5 * THRESHOLD
    assert book["worst"] > THRESHOLD
    assert 0 < book["share"] < 0.01


def test_the_default_rule_asks_for_the_score_and_trusts_the_second() -> None:
    rules = yaml.safe_load((Path(toxicity.__file__).parent / "rules/toxicity.yaml").read_text())
    assert rules == {"toxic": f"coalesce(toxicity.second_score, toxicity.score) > {THRESHOLD}"}


def test_the_card_is_of_the_model_that_ships() -> None:
    assert MODEL_SHA256 in MODEL.with_suffix(".md").read_text()
    assert MODEL.stat().st_size <= 3_500_000


scored = st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.5, 0.5001, 1.0])), min_size=2, max_size=40)


@given(scored.filter(lambda rows: len({positive for positive, _ in rows}) == 2))
def test_ranking_measures_agree_with_their_definitions(rows: list[tuple[bool, float]]) -> None:
    positive, scores = np.array([p for p, _ in rows]), np.array([s for _, s in rows])
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[positive] for b in scores[~positive]]
    assert roc_auc(positive, scores) == pytest.approx(sum(pairs) / len(pairs))
    precision = [positive[scores >= s].mean() for s in scores[positive]]
    assert average_precision(positive, scores) == pytest.approx(sum(precision) / len(precision))


def test_training_lines_balance_and_hold_back() -> None:
    rare = [Example("davidson", f"rude {i}", True, "hate", f"rude {i}") for i in range(40)]
    often = [Example("davidson", f"mild {i}", False, "neither", f"mild {i}") for i in range(100)]
    divided = [Example("civil_comments", f"minded {i}", False, "divided", f"minded {i}") for i in range(9)]
    lines = training_lines([*rare, *often, *divided])
    assert lines == training_lines([*divided, *often, *rare])
    shown = [(b"__label__toxic " if e.toxic else b"__label__clean ") + e.text.encode() for e in [*rare, *often]]
    assert set(lines) == {line for line, e in zip(shown, [*rare, *often]) if not e.held_back}
    assert 0.8 < sum(line.startswith(b"__label__toxic") for line in lines) / (len(lines) / 2) < 1.2


@pytest.mark.skipif(sys.platform != "linux", reason="training asks glibc for clean memory")
def test_validation_trains_without_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PARAMETERS, "bucket", 20_000)
    details = {"davidson": ("hate", "neither"), "civil_comments": ("unanimous", "unanimous")}
    examples = [
        Example(
            dataset, f"{word} {i} {dataset}", word == "vile", details.get(dataset, ("", ""))[word == "kind"], f"{i}"
        )
        for dataset in toxicity_card.DATASETS
        for word in ("vile", "kind")
        for i in range(200)
    ] + [Example(name, f"kind {i}", False, "", f"{i}") for name in ("books", "pages", "sentences") for i in range(99)]
    shown = []
    real = toxicity_card.train
    monkeypatch.setattr(toxicity_card, "train", lambda some, path: real(shown.extend(some) or shown, path))
    lines = toxicity_card.validate(examples)
    assert {example.fold for example in shown} == {0, 2, 3, 4}
    names = [name for name, _, _ in toxicity_card.READINGS]
    assert lines[: len(names)] == [f"{name}: ROC AUC 1.000" for name in names]
    assert lines[len(names) :] == [f"{name}: 0.00% flagged" for name in ("books", "pages", "sentences")]


@pytest.mark.parametrize(
    ("sentence", "group"),
    [
        ("Ling is a rotten latino", "latino"),
        ("We are an awful african american", "african american"),
        ("Being old is nasty.", "old"),
        ("i hate sikh", "sikh"),
    ],
)
def test_the_card_finds_the_group_of_a_template(sentence: str, group: str) -> None:
    assert toxicity_card.GROUP.fullmatch(sentence)[1] == group


@pytest.mark.skipif(sys.platform != "linux", reason="training asks glibc for clean memory")
def test_training_gives_the_same_file_in_another_process(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from filters.toxicity_training import PARAMETERS, Example, train
PARAMETERS["bucket"] = 20_000
# What was freed is handed out again: what it held must not find its way into the model.
waste = [b"\\xff" * 50_000 for _ in range(int(sys.argv[2]))]
kept_at_the_end_of_the_heap = b"\\xff" * 50_000
del waste
words = ["apple", "berry", "cider", "damson", "elder", "fig", "grape", "hazel"]
texts = [f"{a} {b} {c}" for a in words for b in words for c in words]
train([Example("pages", t, "fig" in t, "", t) for t in texts], Path(sys.argv[1]))
"""
    made = []
    for name, waste in (("a", "0"), ("b", "400")):
        path = tmp_path / f"{name}.ftz"
        subprocess.run([sys.executable, "-c", script, str(path), waste], check=True)
        made.append(path.read_bytes())
    assert made[0] == made[1]
    model = FastTextModel(path)
    assert scores(model, [b"fig apple"]) > 0.5 > scores(model, [b"berry apple"])


def test_ranks_what_was_held_back(examples: list[Example]) -> None:
    model = FastTextModel(MODEL)
    sets: dict[str, list[tuple[bool, float]]] = defaultdict(list)
    for example in examples:
        if example.held_back:
            sets[example.dataset].append((example.toxic, scores(model, [features(example.text)])[0]))
    # About 0.02 below the card, so that a worse model fails and another build of fastText does not.
    least = {"davidson": 0.955, "civil_comments": 0.63, "toxigen": 0.88, "templates": 0.94, "germeval2018": 0.815}
    for dataset, bound in least.items():
        positive, found = map(np.array, zip(*sets[dataset]))
        assert roc_auc(positive, found) > bound, dataset
    for dataset in ("books", "pages", "sentences"):
        assert np.mean([s > THRESHOLD for _, s in sets[dataset]]) < 0.005, dataset


def test_flags_no_book_and_few_pages(family: Toxicity, data: Path) -> None:
    books = [read_book(path) for path in sorted(data.glob("books/**/*.*")) if path.is_file()]
    assert len(books) == 34
    assert max(row["score"] for row in measure(family, books)) <= THRESHOLD
    model = FastTextModel(MODEL)
    cut = [features(passage) for book in books for passage in passages(book)]
    assert np.mean(scores(model, [words for words in cut if not words.isspace()]) > THRESHOLD) < 0.005
    pages = [row["score"] for row in measure(family, [text for _, text in read_pages(data)])]
    assert np.mean(np.array(pages) > THRESHOLD) < 0.002


def test_no_text_is_on_both_sides(examples: list[Example]) -> None:
    trained = {line.partition(b" ")[2] for line in training_lines(examples)}
    held_back = {features(e.text) for e in examples if e.held_back and e.toxic and len(e.text) > 40}
    assert len(held_back & trained) < 0.001 * len(held_back)


def test_flags_whole_pages_of_unkind_comments(family: Toxicity, examples: list[Example]) -> None:
    held_back = [e for e in examples if e.held_back and e.dataset == "davidson"]
    for toxic, least, most in ((True, 0.95, 1.0), (False, 0.0, 0.05)):
        comments = [e.text for e in held_back if e.toxic is toxic]
        pages = ["\n".join(comments[i : i + 20]) for i in range(0, len(comments), 20)]
        assert least <= np.mean([row["score"] > THRESHOLD for row in measure(family, pages)]) <= most
