"""Our reading of fastText's models against fastText itself."""

from __future__ import annotations

import random
from pathlib import Path

import fasttext
import numpy as np
import pytest
from fasttext.FastText import _FastText
from hypothesis import given
from hypothesis import strategies as st

from filters import fasttext_file
from filters.fasttext_kernel import Engine
from filters.fasttext_model import FastTextModel
from filters.language import MODEL as LANGUAGES
from filters.learned_training import zeroed_memory
from filters.toxicity import MODEL as TOXICITY

WORDS = ["mill", "grain", "stone", "über", "größe", "水車", "река", "a", "ab", "__label__", "<b>", "</s>", "don't"]
SHAPES = {  # of models: every loss, with and without n-grams of letters and of words, quantised in all ways
    "softmax": {"loss": "softmax", "minn": 2, "maxn": 4, "wordNgrams": 2},
    "hierarchical": {"loss": "hs", "minn": 1, "maxn": 3},
    "negative": {"loss": "ns"},
    "one_vs_all": {"loss": "ova", "minn": 3, "maxn": 6, "wordNgrams": 3},
    "no_ngrams": {"loss": "softmax", "bucket": 0},
    "quantised": {"loss": "softmax", "minn": 2, "maxn": 4, "quantise": {}},
    "pruned": {"loss": "hs", "minn": 2, "maxn": 4, "wordNgrams": 2, "quantise": {"cutoff": 500, "qnorm": True}},
    "output_too": {"labels": 300, "loss": "softmax", "minn": 2, "maxn": 4, "quantise": {"qout": True, "qnorm": True}},
}


def lines(count: int, labels: int = 8) -> list[str]:
    """Texts whose labels have letters of their own, in hundreds of words."""
    generator = random.Random(1)
    found = []
    for i in range(count):
        label = i % labels
        own = [
            "".join(generator.choices("abcdefgh"[label % 8 :] + "äж水", k=generator.randint(1, 6))) for _ in range(6)
        ]
        found.append(f"__label__{label} " + " ".join(generator.choices(WORDS[:9], k=6) + own))
    return found


@pytest.fixture(scope="module", params=[*SHAPES, "languages", "toxicity"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's file: one that was trained here, or one of the package's."""
    if request.param in ("languages", "toxicity"):
        return LANGUAGES if request.param == "languages" else TOXICITY
    folder = tmp_path_factory.mktemp("fasttext")
    shape = dict(SHAPES[request.param])
    quantise = shape.pop("quantise", None)
    (folder / "lines").write_text("\n".join(lines(600, shape.pop("labels", 8))) + "\n", encoding="utf-8")
    settings = {"dim": 10, "epoch": 3, "bucket": 2000, "thread": 1, "seed": 1, "verbose": 0, **shape}
    with zeroed_memory():
        model = fasttext.train_supervised(str(folder / "lines"), **settings)
    if quantise is not None:
        model.quantize(str(folder / "lines"), verbose=0, **quantise)
    model.save_model(str(folder / "model"))
    return folder / "model"


def expected(raw: _FastText, text: bytes) -> dict[str, float]:
    """What fastText says of a line: it ends one at a line feed, and at the word `</s>`."""
    separators = bytes(0x20 if byte in b"\0\t\n\v\f\r" else byte for byte in range(256))
    words = [word for word in text.translate(separators).split(b" ") if word != b"</s>"]
    found = raw.f.predict(b" ".join(words) + b"\n", len(raw.get_labels()), 0.0, "strict")
    return {label.removeprefix("__label__"): probability for probability, label in found}


def test_probabilities_are_fasttext_s(path: Path) -> None:
    raw, model = _FastText(model_path=str(path)), FastTextModel(path)
    assert model.labels == [label.removeprefix("__label__") for label in raw.get_labels()]

    @given(st.lists(st.lists(st.one_of(st.sampled_from(WORDS), st.text())).map(" ".join), min_size=1, max_size=8))
    def compare(texts: list[str]) -> None:
        data = [text.encode("utf-8", "surrogatepass") for text in texts]
        for text, row in zip(data, model.probabilities(data)):
            own = dict(zip(model.labels, row))
            for label, probability in expected(raw, text).items():
                if probability < 2e-5:  # at fastText's least, where a last bit decides whether a label is named
                    continue
                assert own[label] == pytest.approx(min(probability, 1.0), abs=3e-6), (text, label)

    compare()


def test_a_text_s_probabilities_do_not_depend_on_the_others(path: Path) -> None:
    engine = Engine(fasttext_file.read(path))
    texts = [line.encode() for line in lines(300)] + [b"", b" \n", b"x" * 5000]
    together = engine.probabilities(texts)
    assert np.array_equal(together, np.vstack([engine.probabilities([text]) for text in texts]))
    assert np.array_equal(together[::-1], engine.probabilities(texts[::-1]))


def test_any_bytes_are_read(path: Path) -> None:
    model, generator = FastTextModel(path), random.Random(3)
    texts = [generator.randbytes(generator.randrange(300)) for _ in range(200)]
    assert np.isfinite(model.probabilities(texts)).all()


@pytest.mark.parametrize("keep", [0, 3, 8, 50, 200, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_off_is_none(path: Path, keep: float, tmp_path: Path) -> None:
    data = path.read_bytes()
    (tmp_path / "cut").write_bytes(data[: int(keep * len(data)) if 0 < keep < 1 else int(keep)])
    with pytest.raises(ValueError, match="cut"):
        fasttext_file.read(tmp_path / "cut")


def test_vectors_without_labels_are_no_classifier(tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("\n".join(lines(600)), encoding="utf-8")
    settings = {"dim": 4, "epoch": 1, "bucket": 100, "thread": 1, "minCount": 1, "verbose": 0}
    with zeroed_memory():
        model = fasttext.train_unsupervised(str(tmp_path / "lines"), **settings)
    model.save_model(str(tmp_path / "vectors"))
    with pytest.raises(ValueError, match="none that was trained with labels"):
        fasttext_file.read(tmp_path / "vectors")


@pytest.mark.parametrize("place", [0, 8])  # of its arguments: the width of vectors, the number of n-grams
def test_a_file_that_contradicts_itself_is_refused(path: Path, place: int, tmp_path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = 8 + 4 * place  # behind magic number and version
    value = int.from_bytes(data[at : at + 4], "little")
    is_pruned = len(fasttext_file.read(path).kept) > 0  # then fewer n-grams than it names are wrong, else more
    changed = value // 2 if place == 8 and is_pruned else 2 * value + 1000
    data[at : at + 4] = changed.to_bytes(4, "little")
    (tmp_path / "odd").write_bytes(data)
    with pytest.raises(ValueError, match="odd"):
        fasttext_file.read(tmp_path / "odd")
