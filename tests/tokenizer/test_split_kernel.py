"""The split kernel against the regular expressions themselves, as `tokenizers` reads them."""

import gzip
import random
import sysconfig
from functools import lru_cache
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

from tokenizer.character_classes import LETTER, NUMBER, OTHER, SPACE, ask, character_classes, packed
from tokenizer.patterns import PATTERNS
from tokenizer.pieces import pieces
from tokenizer.split_kernel import KERNELS, buffers, split

DIFFERENT = ["gpt2", "cl100k", "digits1", "digits2", "o200k"]  # cl100k, llama3 and digits3 are one pattern


@lru_cache
def reference(pattern):
    return Split(Regex(PATTERNS[pattern]), behavior="isolated")


def by_regex(text, pattern):
    return [part for part, _ in reference(pattern).pre_tokenize_str(text)]


def assert_same(text, patterns=DIFFERENT):
    for pattern in patterns:
        assert split(text, pattern) == by_regex(text, pattern), pattern


def test_every_pattern_has_a_kernel():
    assert set(KERNELS) == set(PATTERNS)
    assert {PATTERNS[name] for name in DIFFERENT} == set(PATTERNS.values())
    for one in PATTERNS:
        for other in PATTERNS:
            assert (PATTERNS[one] == PATTERNS[other]) == (KERNELS[one] == KERNELS[other])


def test_the_table_is_what_tokenizers_says_of_all_code_points():
    asked = ask()
    assert len(asked) == 0x110000
    assert np.array_equal(character_classes(), asked)
    assert np.array_equal(np.load(Path("tokenizer/character_classes.npy")), packed(asked))
    kinds = asked & (LETTER | NUMBER | SPACE | OTHER)
    assert (np.bitwise_count(kinds) == 1).all()


@pytest.mark.parametrize("pattern", ["gpt2", "cl100k", "o200k"])
def test_all_letters_after_an_apostrophe(pattern):
    # What Oniguruma takes for the same letter: U+017F is an s, U+212A a k, and no ligature is two letters. No character
    # beyond these two planes has a case.
    characters = [chr(point) for point in range(0x20000) if not 0xD800 <= point < 0xE000 and chr(point).isalpha()]
    characters = [c for c in characters if not "\u3400" <= c < "\ua000" and not "\uac00" <= c < "\ud7a4"]
    for form in ("x'{}", "x'{}e", "'r{} ", "'l{}x"):
        assert_same("".join(map(form.format, characters)), [pattern])


tricky = (
    "aAzZsStTdDmMrReEvVlLkK''''\u017f\u212a  \n\n\r\t\u3000\u00a0\u180e\u0085中ǅʰ\u0301\u0301//1٣½!?.-😀\u200dñÑ\x00"
)


@settings(max_examples=500)
@given(st.text() | st.text(tricky, max_size=30) | st.text(st.sampled_from("aA中'\u0301 s\n"), max_size=30))
def test_any_string(text):
    assert_same(text)


def test_many_random_strings():
    generator = random.Random(3)
    for _ in range(1_000):
        assert_same("".join(generator.choices(tricky, k=generator.randint(1, 40))))


@pytest.mark.parametrize(
    "unit", [" ", "\n", " \n", "a", "A", "中", "\u0301", "A\u0301A", "'", "'s", "1", "!", "/", "\t "]
)
def test_long_runs(unit):
    # The whole run, and the run before each kind of character.
    for after in ("", "x", "X", " x", "1", "!", "\n", "'s", "\u0301"):
        assert_same(unit * 3_000 + after)


def test_endless_lines_take_linear_time():
    # Ten million characters, where Oniguruma gives up: any second look at a whole run would not end in a test's time.
    length = 10_000_001
    for pattern in DIFFERENT:
        assert split(" " * length + "x", pattern) == [" " * (length - 1), " x"]
        assert split("A" * length, pattern) == ["A" * length]
        assert len(split("中A" * (length // 2) + "A", pattern)) == (2 if pattern == "o200k" else 1)


def test_real_texts(data):
    with gzip.open(data / "language" / "sentences.tsv.gz", "rt", encoding="utf-8") as lines:
        assert_same("".join(line for number, line in enumerate(lines) if number % 5 == 0))  # of 75 languages
    for book in sorted((data / "books" / "eltec").rglob("*.txt.gz"))[::6]:
        assert_same(gzip.decompress(book.read_bytes()).decode()[:100_000])
    assert_same((data / "books" / "gutenberg" / "1661-8.txt").read_bytes().decode("latin-1")[:100_000])


def test_source_code():
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    assert files
    for file in files[:30]:
        assert_same(file.read_text(encoding="utf-8", errors="replace"), ["gpt2", "cl100k", "o200k"])


def test_tiktoken_splits_o200k_alike():
    # The form that the authors wrote, read by another engine; only characters that both versions of Unicode know.
    regex = pytest.importorskip("regex")
    engine = regex.compile(PATTERNS["o200k"])
    generator = random.Random(5)
    for _ in range(1_000):
        text = "".join(generator.choices(tricky.replace("\u180e", ""), k=30))
        assert split(text, "o200k") == engine.findall(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("XMLHttpRequest", ["XMLHttp", "Request"]),
        ("don't DON'T", ["don't", " DON'T"]),
        ("naïve中文ABC", ["naïve中文", "ABC"]),
        ("a//b/\n/c", ["a", "//", "b", "/\n/", "c"]),
        ("e\u0301A\u0301B", ["e\u0301", "A\u0301", "B"]),
    ],
)
def test_o200k_by_example(text, parts):
    assert split(text, "o200k") == by_regex(text, "o200k") == parts


@given(st.text(tricky, max_size=60), st.integers(1, 12))
def test_cutting_into_pieces_moves_no_border(text, size):
    for pattern in DIFFERENT:
        whole = split(text, pattern)
        borders = set(accumulate(len(part) for part in whole))
        cut = list(pieces(text, size, 1 << 22))
        assert [part for piece in cut for part in split(piece, pattern)] == whole
        assert set(accumulate(map(len, cut))) <= borders | {0}


def test_what_is_not_utf8_stays_within_the_text():
    generator = np.random.default_rng(1)
    from tokenizer.split_kernel import _ends

    for number in set(KERNELS.values()):
        for size in (1, 2, 3, 50, 1000):
            data = generator.integers(0, 256, size).astype(np.uint8)
            ends = _ends(data, character_classes(), number)
            assert ends[-1] == size
            assert (np.diff(ends, prepend=0) > 0).all()


def test_buffers_of_slices_and_nulls():
    for kind in (pa.string(), pa.large_string(), pa.binary()):
        data, offsets = buffers(pa.array(["ab", "ö", "", "cde"]).cast(kind).slice(1, 3))
        assert [bytes(data[a:b]).decode() for a, b in pairwise(offsets)] == ["ö", "", "cde"]
    assert buffers(pa.array([], pa.string()))[1].tolist() == [0]
    with pytest.raises(ValueError, match="1 of 2 texts are null"):
        buffers(pa.array(["a", None]))
    with pytest.raises(ValueError, match="there are: gpt2"):
        split("a", "gpt5")
