"""The second opinion against Detoxify itself, and against transformers, on a small model that is trained here."""

import csv
import gzip
import hashlib
import json
import shutil
import socket
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from filters.assets import AssetError
from filters.batch import TextBatch
from filters.detoxify import ROWS, TOKENS, Detoxify
from filters.toxicity import STRETCH, STRETCHES, Toxicity, passages, stretches

torch = pytest.importorskip("torch", reason="the extra `detoxify` is not installed")
transformers = pytest.importorskip("transformers", reason="the extra `detoxify` is not installed")

WINDOW = 192
CLASSES = ["severe_toxic", "toxic"]
WEIGHTS = "small.ckpt"


@pytest.fixture(scope="module")
def examples(data: Path) -> list[tuple[str, bool]]:
    """Tweets, hate or offensive and neither by turns."""
    with gzip.open(data / "toxicity/labelled.csv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["dataset"] == "davidson"]
    toxic = [(row["text"], True) for row in rows if row["label"] != "neither"][::20]
    neither = [(row["text"], False) for row in rows if row["label"] == "neither"][::4]
    return [example for pair in zip(toxic, neither) for example in pair]


@pytest.fixture(scope="module")
def directory(examples: list[tuple[str, bool]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT in Detoxify's checkpoint layout, trained until its scores spread."""
    folder = tmp_path_factory.mktemp("detoxify")
    tokenizer = _tokenizer([text for text, _ in examples], folder)
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=WINDOW,
        initializer_range=0.1,  # the usual 0.02 is too little for so few dimensions to learn quickly
        num_labels=len(CLASSES),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = transformers.BertForSequenceClassification(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for start in range(0, 32 * 100, 32):
        texts, toxic = zip(*(examples[i % len(examples)] for i in range(start, start + 32)))
        inputs = tokenizer(list(texts), padding=True, truncation=True, max_length=48, return_tensors="pt")
        labels = torch.tensor([[0.0, float(label)] for label in toxic])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(**inputs).logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    config.save_pretrained(folder)
    arch = {
        "model_type": str(folder),
        "model_name": "BertForSequenceClassification",
        "tokenizer_name": "BertTokenizer",
        "num_classes": len(CLASSES),
    }
    state = {**model.state_dict(), "bert.embeddings.position_ids": torch.arange(WINDOW)[None]}
    checkpoint = {"config": {"arch": {"args": arch}, "dataset": {"args": {"classes": CLASSES}}}, "state_dict": state}
    torch.save(checkpoint, folder / WEIGHTS)
    return folder


def _tokenizer(texts: list[str], folder: Path) -> object:
    from tokenizers import BertWordPieceTokenizer

    trained = BertWordPieceTokenizer(lowercase=True)
    trained.train_from_iterator(texts, vocab_size=2000, show_progress=False)
    trained.save_model(str(folder))
    tokenizer = transformers.BertTokenizer(str(folder / "vocab.txt"), model_max_length=WINDOW)
    tokenizer.save_pretrained(folder)
    return tokenizer


@pytest.fixture(scope="module")
def texts(examples: list[tuple[str, bool]]) -> list[str]:
    """Of all lengths, longer than the window too."""
    found = [text for text, _ in examples[:300]]
    return [*found, " ".join(found[:40]), " ".join(found[40:50]), "x" * 5000, "", " ", "\0", "Straße 東京 \ud800"]


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def ours(directory: Path) -> Detoxify:
    return Detoxify(directory, digests(directory))


def one_by_one(folder: Path, texts: list[str]) -> np.ndarray:
    """Transformers' own classes, a text at a time, without padding."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.BertForSequenceClassification.from_pretrained(
        None,
        config=transformers.BertConfig.from_pretrained(folder),
        state_dict=torch.load(folder / WEIGHTS)["state_dict"],
    ).eval()
    scores = []
    for text in texts:
        text = text.replace("\ud800", "?")
        inputs = tokenizer(text, truncation=True, max_length=WINDOW, return_tensors="pt")
        with torch.no_grad():
            scores.append(torch.sigmoid(model(**inputs).logits)[0, CLASSES.index("toxic")].item())
    return np.array(scores)


def test_scores_are_those_of_transformers_one_by_one(directory: Path, ours: Detoxify, texts: list[str]) -> None:
    expected = one_by_one(directory, texts)
    assert np.ptp(expected) > 0.5, "the small model learnt nothing"
    np.testing.assert_allclose(ours(texts), expected, atol=5e-6)


def test_scores_are_those_of_detoxify(directory: Path, ours: Detoxify, texts: list[str]) -> None:
    detoxify = pytest.importorskip("detoxify", reason="Detoxify itself is not installed (`gristmill[dev]`)")
    oracle = detoxify.Detoxify(checkpoint=str(directory / WEIGHTS), huggingface_config_path=str(directory))
    clean = [text.replace("\ud800", "?") for text in texts]
    expected = [score for i in range(0, len(clean), 7) for score in oracle.predict(clean[i : i + 7])["toxicity"]]
    assert np.ptp(expected) > 0.5, "the small model learnt nothing"
    np.testing.assert_allclose(ours(texts), expected, atol=5e-6)


def test_scores_do_not_depend_on_the_batch(ours: Detoxify, texts: list[str]) -> None:
    whole = ours(texts)
    order = np.random.default_rng(1).permutation(len(texts))
    assert np.array_equal(ours([texts[i] for i in order]).round(4), whole[order].round(4))
    alone = np.array([ours([text])[0] for text in texts[-40:]])
    assert np.array_equal(alone.round(4), whole[-40:].round(4))
    assert ours([]).shape == (0,)


def test_texts_of_one_length_are_scored_together(ours: Detoxify, texts: list[str], monkeypatch) -> None:
    shapes = []
    monkeypatch.setattr(ours, "_model", _spy(ours._model, shapes))
    ours(texts)
    assert set(shapes) == {(ROWS, width) for width in range(TOKENS, WINDOW + 1, TOKENS)}
    assert len(shapes) <= len(texts) / ROWS + len(set(shapes))


def _spy(model, shapes: list[tuple[int, int]]):
    def forward(**inputs):
        shapes.append(tuple(inputs["input_ids"].shape))
        return model(**inputs)

    return forward


def test_safetensors_score_the_same(directory: Path, ours: Detoxify, texts: list[str], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    folder = shutil.copytree(directory, tmp_path / "safe")
    save_file(torch.load(folder / WEIGHTS)["state_dict"], folder / "model.safetensors")
    (folder / WEIGHTS).unlink()
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {str(i): name for i, name in enumerate(CLASSES)}
    (folder / "config.json").write_text(json.dumps(config))
    assert np.array_equal(Detoxify(folder, digests(folder))(texts), ours(texts))


def test_nothing_is_asked_of_the_network(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert Detoxify(directory, digests(directory))(["a text"]).shape == (1,)


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "tokenizer.json"])
def test_a_missing_or_altered_file_is_refused_by_name(directory: Path, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(directory, tmp_path / "altered")
    wanted = digests(folder)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(AssetError, match=rf"^toxicity\.second\.directory: \S+/{name} has SHA-256 "):
        Detoxify(folder, wanted)
    (folder / name).unlink()
    with pytest.raises(AssetError, match=rf"no readable model file at \S+/{name} "):
        Detoxify(folder, wanted)


def test_a_file_without_a_digest_is_not_read(directory: Path, tmp_path: Path, texts: list[str], ours: Detoxify) -> None:
    folder = shutil.copytree(directory, tmp_path / "more")
    (folder / "added_tokens.json").write_text('{"the": 5}')
    (folder / "special_tokens_map.json").write_text('{"cls_token": "the"}')
    assert np.array_equal(Detoxify(folder, digests(directory))(texts), ours(texts))


def test_what_is_no_model_is_refused(directory: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(directory, tmp_path / "none")
    for names in ([], ["config.json"], [WEIGHTS], ["config.json", WEIGHTS, "other.safetensors"]):
        with pytest.raises(AssetError, match=r"toxicity\.second\.digests: wanted are config\.json"):
            Detoxify(folder, dict.fromkeys(names, ""))
    checkpoint = torch.load(folder / WEIGHTS)
    for change in ("fewer", "more", "classes"):
        state, classes = dict(checkpoint["state_dict"]), list(CLASSES)
        if change == "fewer":
            del state["classifier.bias"]
        elif change == "more":
            state["stranger"] = torch.zeros(1)
        else:
            classes = ["kind", "unkind"]
        torch.save({"config": {"dataset": {"args": {"classes": classes}}}, "state_dict": state}, folder / WEIGHTS)
        reason = {"fewer": "classifier.bias", "more": "stranger", "classes": "knows no class toxicity"}[change]
        with pytest.raises(AssetError, match=reason):
            Detoxify(folder, digests(folder))


class Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_a_checkpoint_runs_no_code(directory: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(directory, tmp_path / "evil")
    torch.save({**torch.load(folder / WEIGHTS), "payload": Payload(tmp_path / "ran")}, folder / WEIGHTS)
    with pytest.raises(AssetError, match=r"no such model"):
        Detoxify(folder, digests(folder))
    assert not (tmp_path / "ran").exists()


@pytest.fixture(scope="module")
def pages(examples: list[tuple[str, bool]]) -> list[str]:
    """From a comment to a hundred on a page, toxic or not, or both."""
    sizes = [1, 2, 5, 20, 100]
    found, at = [], 0
    for size in sizes * 8:
        found.append("\n".join(text for text, _ in examples[at : at + size]))
        at += size
    return [*found, "", "...", " \n"]


def measure(family: Toxicity, texts: list[str]) -> list[dict]:
    table = family(TextBatch(pa.array(texts, pa.string())))
    assert table.schema.equals(family.schema, check_metadata=True)
    return table.to_pylist()


def test_only_the_band_is_asked(directory: Path, ours: Detoxify, pages: list[str]) -> None:
    first = measure(Toxicity(), pages)
    assert all(row["second_score"] is None for row in first)
    low, high = sorted(row["score"] for row in first)[12], 0.97
    second = {"directory": str(directory), "digests": digests(directory), "band": [low, high]}
    both = measure(Toxicity(second=second), pages)
    asked = [low <= row["score"] <= high for row in first]
    assert 5 < sum(asked) < len(pages) - 5
    assert [row["second_score"] is not None for row in both] == asked
    for page, one, two in zip(pages, first, both):
        assert {**two, "second_score": None} == one
        if two["second_score"] is not None:
            seen = stretches(page)
            expected = np.average(ours(seen), weights=[len(stretch.encode()) for stretch in seen])
            assert two["second_score"] == pytest.approx(expected, abs=5.1e-5)


def test_texts_without_words_are_never_asked(directory: Path) -> None:
    second = {"directory": directory, "digests": digests(directory), "band": [0, 1]}
    rows = measure(Toxicity(second=second), ["", "?!", " \n", "a word", "\ud800"[:0]])
    assert [row["second_score"] is None for row in rows] == [True, True, True, False, True]


@pytest.mark.parametrize("band", [[0.6, 0.4], [-0.1, 0.5], [0.5, 1.1], [float("nan"), 1]])
def test_a_band_that_is_none_is_refused(band: list[float]) -> None:
    with pytest.raises(ValueError, match=r"second\.band"):
        Toxicity(second={"directory": "nowhere", "digests": {}, "band": band})


def test_stretches() -> None:
    assert stretches("a short text") == ["a short text"]
    assert stretches("...") == []
    text = "".join(f"Sentence number {i} stands here. " for i in range(5000))
    cut, seen = list(passages(text, STRETCH)), stretches(text)
    assert len(cut) > len(seen) == STRETCHES
    assert (seen[0], seen[-1]) == (cut[0], cut[-1])
    places = np.diff([cut.index(stretch) for stretch in seen])
    assert np.ptp(places) <= 1
