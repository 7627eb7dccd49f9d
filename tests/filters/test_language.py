import gzip
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from fasttext.FastText import _FastText
from hypothesis import given
from hypothesis import strategies as st

from filters.assets import AssetError
from filters.batch import TextBatch
from filters.language import MODEL, SAMPLE, Language, sample
from filters.language_codes import UNDETERMINED, code, nearest, tag
from filters.learned_training import zeroed_memory
from filters.scripts import SCRIPTS, dominant_scripts

TEXTS = {
    ("eng", "Latn", "en"): "It was the best of times, it was the worst of times.",
    ("fra", "Latn", "fr"): "Longtemps, je me suis couché de bonne heure.",
    ("rus", "Cyrl", "ru"): "Все счастливые семьи похожи друг на друга.",
    ("jpn", "Jpan", "ja"): "国境の長いトンネルを抜けると雪国であった。",
    ("zho", "Hani", "zh"): "学而时习之，不亦说乎？有朋自远方来，不亦乐乎？",
    ("kor", "Hang", "ko"): "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    ("tha", "Thai", "th"): "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกัน",
    ("fas", "Arab", "fa"): "تمام افراد بشر آزاد به دنیا می‌آیند و از لحاظ حیثیت و حقوق با هم برابرند.",
    ("nob", "Latn", "no"): "Alle mennesker er født frie og med samme menneskeverd og menneskerettigheter.",
    ("und", "Zyyy", ""): "12:30 — 3.14 … 😀",
}


@pytest.fixture(scope="module")
def language() -> Language:
    return Language()


def measure(language: Language, texts: list[str]) -> list[dict]:
    table = language(TextBatch(pa.array(texts, pa.string())))
    assert table.schema.equals(language.schema, check_metadata=True)
    return table.to_pylist()


def test_languages_and_scripts(language: Language) -> None:
    for (expected, script, label), row in zip(TEXTS, measure(language, list(TEXTS.values()))):
        assert (row["code"], row["script"], row["label"]) == (expected, script, label)
        assert row["score"] == (round(row["score"], 4) if label else 0)
        assert row["tag"] == f"{expected}_{script}"


def test_no_texts_and_empty_texts(language: Language) -> None:
    assert measure(language, []) == []
    nothing = {"code": "und", "score": 0.0, "label": "", "tag": "und_Zyyy", "script": "Zyyy"}
    nothing |= {"second": "und", "second_score": 0.0, "scores": [], "stop_words": 0}
    assert measure(language, ["", "\n\0"]) == [nothing, nothing]


def test_a_slice_of_an_array_is_measured_as_such(language: Language) -> None:
    texts = pa.array(list(TEXTS.values()), pa.large_string())
    part = language(TextBatch(texts.slice(2, 3)))
    assert part.to_pylist() == language(TextBatch(texts)).to_pylist()[2:5]


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("en", "eng"),
        ("ceb", "ceb"),
        ("als", "gsw"),
        ("no", "nob"),
        ("eng_Latn", "eng"),
        ("", "und"),
        ("qq", "und"),
        ("toxic", "und"),
        ("und_Kana", "und"),
    ],
)
def test_codes_of_labels(label: str, expected: str) -> None:
    assert code(label) == expected


@pytest.mark.parametrize(
    ("expected", "labels"),
    [
        ("zho", ["zh", "cmn_Hani", "zho_Hans", "zho_Hant", "cmn_Hans"]),
        ("ara", ["ar", "arb_Arab", "ara_Arab"]),
        ("fas", ["fa", "pes_Arab", "fas_Arab"]),
        ("sqi", ["sq", "als_Latn", "sqi_Latn"]),
        ("est", ["et", "ekk_Latn", "est_Latn"]),
        ("lav", ["lv", "lvs_Latn"]),
        ("msa", ["ms", "zsm_Latn"]),
        ("nob", ["no", "nb", "nob_Latn", "nor_Latn"]),
        ("tgl", ["tl", "fil_Latn", "tgl_Latn"]),
        ("uzb", ["uz", "uzn_Cyrl", "uzn_Latn"]),
        ("swa", ["sw", "swh_Latn"]),
        ("yue", ["yue", "yue_Hant", "yue_Hani"]),
        ("ary", ["ary_Arab"]),
    ],
)
def test_the_same_code_whatever_the_model(expected: str, labels: list[str]) -> None:
    assert {code(label) for label in labels} == {expected}


@pytest.mark.parametrize(
    ("label", "script", "expected"),
    [
        ("en", "Latn", "eng_Latn"),
        ("en", "Cyrl", "eng_Cyrl"),
        ("srp_Cyrl", "Latn", "srp_Cyrl"),
        ("zho_Hant", "Hani", "zho_Hani"),
        ("zh", "Hani", "zho_Hani"),
        ("jpn_Jpan", "Hani", "jpn_Jpan"),
        ("kor_Kore", "Hang", "kor_Hang"),
        ("", "Zyyy", "und_Zyyy"),
    ],
)
def test_tags_of_labels(label: str, script: str, expected: str) -> None:
    assert tag(label, script) == expected


@pytest.mark.parametrize(
    ("word", "expected"), [("en", "eng"), ("ger", "deu"), ("cmn", "zho"), ("EN", "eng"), ("frn", "fra")]
)
def test_what_is_meant_by_a_word_that_is_no_code(word: str, expected: str) -> None:
    assert nearest(word, {"eng", "deu", "zho", "fra"}) == expected


def trained(folder: Path, labels: dict[str, str]) -> Path:
    """A fastText model that tells a few words apart."""
    lines = [f"__label__{label} {words}\n" for label, words in labels.items()]
    (folder / "train.txt").write_text("".join(lines * 50), encoding="utf-8")
    path = folder / "model.bin"
    with zeroed_memory():
        model = fasttext.train_supervised(str(folder / "train.txt"), epoch=20, lr=0.2, dim=8, thread=1, verbose=0)
    model.save_model(str(path))
    return path


def test_any_model_by_path(tmp_path: Path) -> None:
    labels = {"zho_Hans": "alpha beta", "zho_Hant": "alpha gamma", "eng_Latn": "delta", "arb_Arab": "epsilon"}
    found = Language(model=trained(tmp_path, labels), k=4)
    assert found.labels == set(labels)
    assert found.codes == {"zho", "eng", "ara"}
    [row] = measure(found, ["alpha"])
    assert (row["code"], row["tag"], row["script"]) == ("zho", "zho_Hani", "Latn")
    assert row["second"] in {"eng", "ara"}
    assert dict(row["scores"])["zho"] == row["score"]  # of the two labels of Chinese the better one
    assert len(row["scores"]) == 3


def test_a_model_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"language\.model.*toxic"):
        Language(model=trained(tmp_path, {"toxic": "bad", "toxic2": "good"}))


def test_at_least_one_label_is_kept() -> None:
    with pytest.raises(ValueError, match="k is 0"):
        Language(k=0)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_best_labels_are_the_raw_model_s(k: int) -> None:
    raw = _FastText(model_path=str(MODEL))
    for text, row in zip(TEXTS.values(), measure(Language(k=k), list(TEXTS.values()))):
        labels, scores = raw.predict(text, k=k) if row["label"] else ((), ())
        codes = [code(label.removeprefix("__label__")) for label in labels]
        assert row["scores"] == [(c, pytest.approx(min(s, 1), abs=5e-5)) for c, s in zip(codes, scores)]
        second = row["scores"][1] if len(row["scores"]) > 1 else (UNDETERMINED, 0.0)
        assert (row["second"], row["second_score"]) == second
        assert (row["code"], row["score"]) == (row["scores"][0] if row["scores"] else (UNDETERMINED, 0.0))


def test_every_label_of_the_model_gets_three_letters() -> None:
    labels = [label.removeprefix("__label__") for label in _FastText(model_path=str(MODEL)).get_labels()]
    codes = Counter(map(code, labels))
    assert all(len(c) == 3 and c.isascii() for c in codes)
    assert codes.most_common(1)[0][1] == 1, "two labels share a code"


@given(st.text(), st.integers(1, 2000))
def test_sample_keeps_short_texts_and_cuts_long_ones_between_characters(text: str, times: int) -> None:
    data = (text * times).encode()
    piece = sample(memoryview(data))
    piece.decode()
    if len(data) <= 3 * SAMPLE:
        assert piece == data
    else:
        assert 3 * SAMPLE - 6 * 3 <= len(piece) <= 3 * SAMPLE + 2
        assert data.startswith(piece[: SAMPLE - 3])
        assert data.endswith(piece[-SAMPLE + 3 :])


def test_a_long_text_is_heard_in_its_middle_and_at_its_end(language: Language) -> None:
    english, french = TEXTS["eng", "Latn", "en"] + "\n", TEXTS["fra", "Latn", "fr"] + "\n"
    [row] = measure(language, [english * 60 + french * 2000])
    assert row["code"] == "fra"


def scripts_of(text: str) -> str:
    """The obvious version of the kernel: the script by the first word of a character's name."""
    names = {"LATIN": "Latn", "CYRILLIC": "Cyrl", "GREEK": "Grek", "HANGUL": "Hang", "CJK": "Hani", "THAI": "Thai"}
    names |= {"HIRAGANA": "Jpan", "KATAKANA": "Jpan", "HEBREW": "Hebr", "ARABIC": "Arab", "GEORGIAN": "Geor"}
    names |= {"DEVANAGARI": "Deva", "TAMIL": "Taml", "ETHIOPIC": "Ethi", "KHMER": "Khmr", "ARMENIAN": "Armn"}
    counts = Counter(names.get(unicodedata.name(c, "").split(" ")[0]) for c in text if c.isalpha())
    del counts[None]
    if counts["Jpan"] > 0.05 * (counts["Hani"] + counts["Jpan"]):
        counts["Jpan"] += counts.pop("Hani", 0)
    return min(counts, key=lambda s: (-counts[s], SCRIPTS.index(s))) if counts.total() else "Zyyy"


@given(st.lists(st.text(st.sampled_from("aé ßжΩ가字漢かカไא1ա.中アبგकத😀ክខ\0\n"))))
def test_scripts_agree_with_the_names_of_characters(texts: list[str]) -> None:
    batch = TextBatch(pa.array(texts, pa.string()))
    found = [SCRIPTS[i] for i in dominant_scripts(batch.data, batch.offsets)]
    assert found == [scripts_of(text) for text in texts]


def test_broken_utf8_does_not_lead_the_kernel_astray() -> None:
    data = np.frombuffer(b"\xff\xff\xffabc\xf4\xbf\xbf\xbf\xe3\x81", np.uint8)
    assert SCRIPTS[dominant_scripts(data, np.array([0, len(data)]))[0]] == "Latn"
    assert len(dominant_scripts(data[:0], np.array([0]))) == 0


def test_as_good_as_the_raw_model_on_sentences_in_75_languages(language: Language, data: Path) -> None:
    with gzip.open(data / "language" / "sentences.tsv.gz", "rt", encoding="utf-8", newline="\n") as lines:
        names, sentences = zip(*(line.rstrip("\n").split("\t", 1) for line in lines))
    raw = _FastText(model_path=str(MODEL))
    right: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for name, sentence, row in zip(names, sentences, measure(language, list(sentences))):
        label = raw.predict(sentence.replace("\n", " "))[0][0].removeprefix("__label__")
        right[name].append((row["code"] == code(name), code(label) == code(name)))
    for name, pairs in right.items():
        ours, theirs = np.mean(pairs, axis=0)
        assert ours >= theirs, name
    assert np.mean([ours for pairs in right.values() for ours, _ in pairs]) > 0.79
