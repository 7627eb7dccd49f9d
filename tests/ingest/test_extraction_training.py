"""Labels of blocks from passages, and trees as arrays."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.ingest.extraction import features, model
from pipelines.ingest.extraction.formulas import formula
from pipelines.ingest.extraction.labels import Labelled, block_labels
from pipelines.ingest.extraction.page import analyse
from pipelines.ingest.extraction.trees import Trees, probability


def test_passages_label_the_blocks_that_hold_them():
    page = analyse(
        "<p>One sack of rye.</p><p>Two  sacks\nof wheat.</p><p>Share this</p><p>Nobody said.</p><p>both parts</p>"
    )
    labels, weights = block_labels(page.blocks, ["sack of rye", "Two sacks of wheat.", "both"], ["Share this", "parts"])
    assert labels[:3].tolist() == [1, 1, 0]
    assert np.isnan(labels[3:]).all()
    assert weights.tolist() == [1, 1, 1, 0, 0]


def test_sites_are_kept_together():
    uris = [
        "https://www.mill.example/a",
        "http://news.mill.example/b",
        "hard::mill.example-grain.html",
        "https://web.archive.org/web/20120216182711/http://www.mill.example/c",
    ]
    assert {Labelled(uri, b"", [], []).site for uri in uris} == {"mill.example"}


def test_trees_are_walked_to_their_leaves():
    # x0 <= 1 ? (x1 <= 2 ? -1 : 3) : 5, and a tree that is one leaf
    inf = np.inf
    trees = Trees(
        np.array([0, 5], np.uint32),
        np.array([2, 0], np.uint32),
        np.array([0, 1, 0, 0, 0, 0], np.uint32),
        np.array([1, 2, inf, inf, inf, inf], np.float32),
        np.array([1, 3, 2, 3, 4, 5], np.uint32),
        np.array([0, 0, 5, -1, 3, 0.5], np.float32),
    )
    rows = np.array([[0, 2], [1, 3], [2, 0]], np.float32)
    score = np.log(probability(trees, rows) / (1 - probability(trees, rows)))
    assert score == pytest.approx([-0.5, 3.5, 5.5], abs=1e-3)


def test_trees_say_what_lightgbm_says():
    import lightgbm

    from pipelines.ingest.extraction.training import PARAMETERS, as_trees

    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2_000, 8)).astype(np.float32)
    labels = (rows[:, 0] * rows[:, 1] + rows[:, 2] > 0).astype(np.float32)
    booster = lightgbm.train({**PARAMETERS, "feature_fraction": 1.0}, lightgbm.Dataset(rows, labels), 30)
    trees = as_trees(booster.dump_model()["tree_info"])
    assert probability(trees, rows) == pytest.approx(booster.predict(rows), abs=1e-3)


def test_a_model_is_read_as_it_was_written(tmp_path: Path):
    shipped = model.shipped()
    model.save(tmp_path / "blocks.npz", shipped)
    for ours, theirs in zip(model.load(tmp_path / "blocks.npz")[:2], shipped[:2]):
        assert all((a == b).all() for a, b in zip(ours, theirs))


def test_a_model_of_other_features_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model.save(tmp_path / "blocks.npz", model.shipped())
    monkeypatch.setattr(features, "NAMES", features.NAMES[:-1])
    with pytest.raises(ValueError, match="train it again"):
        model.load(tmp_path / "blocks.npz")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            '<math><semantics><mi>x</mi><annotation encoding="application/x-tex">\\frac{a}{b} &lt; 1</annotation>',
            "$\\frac{a}{b} < 1$",
        ),
        ('<math alttext="{\\displaystyle x^{2}}"><mi>x</mi>', "$x^{2}$"),
        ("<math><mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mi>c</mi></mfrac>", "(a + b)/c"),
        ("<math><msqrt><mi>x</mi></msqrt><msub><mi>y</mi><mn>1</mn></msub>", "√xy_1"),
        ("<math><munderover><mo>∑</mo><mi>i</mi><mi>n</mi></munderover>", "∑_i^n"),
        ("<math></mrow></math><mfrac><mi>a", "a"),
        ("% <![CDATA[\n\\alpha  + 1 %]]>", "$\\alpha + 1$"),
        ("$E=mc^2$", "$E=mc^2$"),
        ("", ""),
    ],
)
def test_formulas(source: str, expected: str):
    assert formula(source) == expected
