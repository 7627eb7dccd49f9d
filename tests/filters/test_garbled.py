"""Garbled text against slow versions of the signals' definitions, its rules, its table, and what it finds in books."""

import gzip
import re
import time
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import text_reference as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_reading import fired, measure

from filters import codepoints
from filters.batch import TextBatch
from filters.garbled import SCHEMA, Garbled
from filters.garbled_letters import build, letters, read_sentences
from filters.garbled_mojibake import AMBIGUOUS, ENDING
from filters.normalize import Normalizer, normalize

SOUND = """Late in the afternoon the ferry came in, and the people of the town had gone down to meet it - all of them.
"They said that she'd write," Anna told her brother (the younger one); "but you know her!" L'été fut chaud…"""
PRIME, MASK = 0x9E3779B97F4A7C15, 2**64 - 1


def kinds(text: str) -> str:
    """One letter per character: L, S (a letter that is a word), E (a mark), N, a space, or x."""
    names = {codepoints.LETTER: "L", codepoints.SINGLE: "S", codepoints.EXTEND: "E", codepoints.NUMBER: "N"}
    names[codepoints.SPACE] = " "
    return "".join(names.get(int(codepoints.table()[ord(char)]) & codepoints.CLASS_MASK, "x") for char in text)


def is_capital(char: str) -> bool:
    return reference.letter(char) and reference.fold(char) != char


def is_small(char: str) -> bool:
    return ord(char) < 0x590 and kinds(char) == "L" and not is_capital(char)


def byte(char: str) -> bytes:
    for encoding in ("cp1252", "latin-1"):
        try:
            return char.encode(encoding)
        except UnicodeEncodeError:
            pass
    return b""


def suspect(token: str, at: int) -> int:
    """How many characters the suspect has that begins at `at`; 0 for none."""
    for size in (2, 3, 4):
        coded = [byte(char) for char in token[at : at + size]]
        if len(coded) == size and all(coded):
            try:
                if len(b"".join(coded).decode()) == 1:
                    return size
            except UnicodeDecodeError:
                pass
    return 0


def is_mojibake(token: str) -> bool:
    at, end = 0, -1  # of the last suspect
    while at < len(token):
        size = suspect(token, at)
        lead, rest = token[at], token[at + 1 : at + size]
        if size:
            clear = any(char not in AMBIGUOUS for char in rest)
            behind_small = at > 0 and kinds(token[at - 1]) == "L" and not is_capital(token[at - 1])
            if clear or at == end or (is_capital(lead) and behind_small) or (lead in "ÃÂ" and rest[0] not in ENDING):
                return True
            at = end = at + size
        else:
            at += 1
    return "â€" in token or "â\x80" in token


def is_unseen(trigram: str) -> bool:
    key = sum(ord(char) << 21 * place for place, char in enumerate(reversed(trigram)))
    spot = ((key << 1) * PRIME & MASK) >> 44
    return not letters().seen[spot >> 3] >> (spot & 7) & 1


def is_implausible(word: str) -> bool:
    if not all(letters().known[ord(char) >> 7] for char in word):
        return False
    only = [char for char in word if kinds(char) == "L"]
    if len(only) <= 4 and all(map(is_capital, only)):
        return False
    framed = "\0" + reference.fold(word) + "\0"
    unseen = [is_unseen(framed[i : i + 3]) for i in range(len(word))]
    return (sum(unseen) >= 2 and 2 * sum(unseen) >= len(unseen)) or len(only) > 40


def words(token: str) -> list[str]:
    token = token.replace("\xad", "")
    return [token[match.start() : match.end()] for match in re.finditer("L[LE]*", kinds(token))]


@cache
def damages(token: str) -> frozenset[str]:
    found = set()
    bare = "".join(char for char, kind in zip(token, kinds(token)) if kind != "E")
    signs = "".join("a" if kind in "LNS" else char for char, kind in zip(bare, kinds(bare)))
    if not re.search(r"a[/@_=#%&<>()\[\]{}+$*.:]a", signs):
        small = "".join("a" if is_small(char) else "1" if kinds(char) == "N" else char for char in bare)
        small = re.sub(r"[^a1^~|!;?]", " ", small)
        if re.search(r"a[1^~|!;?]+a", small):
            found.add("mixed")
        if any(map(is_implausible, words(token))):
            found.add("implausible")
    if "\ufffd" in token:
        found.add("replaced")
    if is_mojibake(token):
        found.add("mojibake")
    return frozenset(found)


def spaced(tokens: list[str]) -> set[int]:
    runs: list[list[int]] = [[]]
    for at, token in enumerate(tokens):
        codes = [ord(token[0]) for token in tokens[max(at - 2, 0) : at + 1]]
        lone = [re.fullmatch("LE*", kinds(token)) for token in tokens[max(at - 2, 0) : at + 1]]
        if not lone[-1] or (all(lone) and codes == [*range(codes[0], codes[0] + 3)]):
            runs.append([])
        else:
            runs[-1].append(at)
    return {at for run in runs if len(run) >= 5 for at in run}


def expected(text: str) -> dict[str, float]:
    spans = [match.span() for match in re.finditer("SE*|[^ S]+", kinds(text))]
    tokens = [text[start:end] for start, end in spans]
    found = [set(damages(token)) for token in tokens]
    for at in spaced(tokens):
        found[at].add("spaced")
    for mark in re.finditer("锟斤拷", text):
        for at, (start, end) in enumerate(spans):
            if start < mark.end() and mark.start() < end:
                found[at].add("replaced")
    shares = {"score": sum(map(bool, found))}
    shares |= {part: sum(part in damage for damage in found) for part in SCHEMA.names[1:-1]}
    rounded = {name: float(np.round(count / max(len(tokens), 1), 4)) for name, count in shares.items()}
    return {**rounded, "damaged": shares["score"]}


def check(texts: list[str]) -> None:
    rows = Garbled()(TextBatch(pa.array(texts, pa.string())))
    assert rows.schema.equals(SCHEMA, check_metadata=True)
    for text, row in zip(texts, rows.to_pylist(), strict=True):
        assert row == expected(text), text[:200]


def misread(text: str, encoding: str = "cp1252") -> str:
    return text.encode().decode(encoding, "replace")


PIECES = [
    *(
        "Ã©",
        "â€™",
        "â€",
        "â\x80\x99",
        "É”",
        "É®",
        "ß\xad",
        "Ãª",
        "Ã”",
        "Â£",
        "Å¡",
        "aÅ¡",
        "ðŸ˜€",
        "í\xa0",
        "à\x80\x80",
        "ï¿½",
    ),
    *(
        "\ufffd",
        "锟斤拷",
        "锟",
        "斤拷",
        "w0rd",
        "wh!ch",
        "a1",
        "!b",
        "x;y",
        "a.b",
        "a/b",
        "A B C D E",
        "T i t l e",
        "x y",
    ),
    *(
        "qzx",
        "QZX",
        "QZXW",
        "xqzjk",
        "zxqv" * 11,
        "the",
        "and",
        "été",
        "слово",
        "ѝїґ",
        "ኣማርኛ",
        "한국어",
        "e\u0301",
        "\u0301",
        "\xad",
    ),
]
texts = st.one_of(
    reference.texts,
    st.lists(st.one_of(st.sampled_from(PIECES), st.sampled_from(" \n.'-"), st.text(max_size=2)), max_size=40).map(
        "".join
    ),
    st.lists(st.sampled_from("abcdeXY \u0301\u0e01é1!"), max_size=60).map("".join),
    st.text(st.characters(min_codepoint=0x80, max_codepoint=0xFF), max_size=30),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "replace").decode("cp1252", "replace")),
)


@settings(max_examples=300)
@given(st.lists(texts, max_size=4))
def test_signals_are_those_of_the_reference(batch):
    check([text.encode("utf-8", "replace").decode() for text in batch])


def test_signals_of_real_texts_are_those_of_the_reference(data: Path):
    found = [text[:2500] for text in reference.real_texts(data)]
    check(found)
    check([normalize(misread(text)) for text in found[::3]])
    check([" ".join(text[:1000]) for text in found[::5]])


def scores(text: str) -> dict[str, float]:
    return Garbled()(TextBatch(pa.array([text]))).to_pylist()[0]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("L\ufffd\ufffdt\ufffd \ufffdtait d\ufffdj\ufffd chaud", "replaced"),
        ("锟斤拷锟斤拷你好", "replaced"),
        (misread("Élève à l’école, où l’été est très chaud: “déjà vu”."), "mojibake"),
        (
            Normalizer(mojibake=False)(misread("Élève à l’école, où l’été est très chaud.", "latin-1"))[0],
            "mojibake",
        ),
        (misread("Příliš žluťoučký kůň úpěl ďábelské ódy"), "mojibake"),
        (misread("Съешь же ещё этих мягких французских булок"), "mojibake"),
        (misread("日本語の文字化け"), "mojibake"),
        ("Съешь же ещё этих мягких французских булок".encode("cp1251").decode("cp1252"), "implausible"),
        ("Съешь же ещё этих мягких французских булок".encode("koi8-r").decode("cp1251"), "implausible"),
        ("Tне реорlе wеnt dоwn tо mееt іt", "implausible"),  # Cyrillic letters within
        ("fgkjhrt wqzxcv bnmqwrt zxqpl kjhgfd", "implausible"),
        ("Tbe pe0ple w!th h1m wh!ch c4me d0wn", "mixed"),
        ("T h e  T i t l e  o f  a  B o o k", "spaced"),
    ],
)
def test_damage_is_found_by_its_kind(text, part):
    found = scores(text)
    assert found[part] > 0.25
    assert found["score"] >= found[part]
    assert "mostly_garbled" in fired("garbled", measure(TextBatch(pa.array([text])), [Garbled()])[0])


@pytest.mark.parametrize(
    "text",
    [
        SOUND,
        "CAFÉ® OLÉ” ‘ÚŽASNÉ’ Fuß\xadball JOSÉ’s «À l’été»… MANHÃ” AMANHÃ…",
        "https://example.com/a1b2c3?x=y;z user@example.org path/to/w0rd x=1;y=2 f(x1y)",
        "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z",
        "QPR, SXSW and the NFL; GmbH, H2O, MP3s, 3D, 20th, 1990s",
        "这是一个关于小镇的故事。 สวัสดีชาวโลก 안녕하세요 2012년12월",
        "",
        " \n\t",
    ],
)
def test_sound_text_scores_nothing(text):
    assert not any(scores(text).values())


def test_the_table_is_what_its_maker_makes(data: Path):
    made = build(read_sentences(data / "language" / "sentences.tsv.gz"))
    assert np.array_equal(made.seen, letters().seen)
    assert np.array_equal(made.known, letters().known)


def test_no_novel_is_dropped(data: Path):
    paths = sorted((data / "books" / "eltec").glob("*/*.txt.gz"))
    batch = TextBatch(pa.array([normalize(gzip.decompress(path.read_bytes()).decode()) for path in paths]))
    for path, row in zip(paths, measure(batch, [Garbled()]), strict=True):
        assert fired("garbled", row) == set(), path.name


@pytest.mark.parametrize("piece", ["x", "Ã", "Ã©", "x!", "x ", "\ufffd", "锟斤拷", "\u0301", "é.", "中"])
def test_endless_tokens_take_linear_time(piece):
    call, seconds = Garbled(), []
    for size in (200_000, 2_000_000):
        batch = TextBatch(pa.array([piece * (size // len(piece))]))
        started = time.perf_counter()
        call(batch)
        seconds.append(time.perf_counter() - started)
    assert seconds[1] < 60 * seconds[0] + 1


def test_every_signal_says_what_it_is():
    assert all(len(field.metadata[b"doc"]) > 20 and not field.nullable for field in SCHEMA)
