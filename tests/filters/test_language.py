import gzip
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fasttext.FastText import _FastText
from hypothesis import given
from hypothesis import strategies as st

from filters.batch import TextBatch
from filters.language import MODEL, SAMPLE, Language, code, sample
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


def test_no_texts_and_empty_texts(language: Language) -> None:
    assert measure(language, []) == []
    nothing = {"code": "und", "score": 0.0, "label": "", "script": "Zyyy"}
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
        ("cmn_Hani", "cmn"),
        ("", "und"),
    ],
)
def test_codes_of_labels(label: str, expected: str) -> None:
    assert code(label) == expected


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
