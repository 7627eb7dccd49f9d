"""Advertising against slow versions of the signals' definitions, its rules, and what it makes of news and novels."""

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

from filters import advertising_phrases as phrases
from filters.advertising import SCHEMA, Advertising
from filters.batch import TextBatch

SHOP = """Order your new garden chair today: free shipping on all orders, money back guarantee!
Oak chair, in stock: $49.99   Add to cart
Pine table, in stock: €129,00   Add to cart
Call us: 800-555-0199, Tel. +44 20 7946 0958, sales@chairs.example or www.chairs.example"""
NEWS = """The company said on Monday that it had sold its business for $2.2 million, after months of talks.
Its shares rose by 3% to $26.20, and analysts expect them to rise further. "We are pleased," said its director, who
had joined in 2012. Read more at https://news.example/business/2012-11-10."""


@cache
def calls() -> dict[str, list[tuple[str, ...]]]:
    """By their first word; of calls that begin alike, the shortest counts."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for call in sorted({tuple(word.folded for word in reference.words(call)) for call in phrases.CALLS}, key=len):
        found.setdefault(call[0], []).append(call)
    return found


@cache
def folded(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(reference.words(word)[0].folded for word in words)


class Reading:
    """The words of a text with what stands before and behind them."""

    def __init__(self, text: str) -> None:
        self.text, self.words, self.starts = text, reference.words(text), []
        data = text.encode()
        for word in self.words:
            self.starts.append(len(data[: word.start].decode()))

    def before(self, at: int) -> str:
        return self.text[: self.starts[at]]

    def behind(self, at: int) -> str:
        return self.text[self.starts[at] + len(self.words[at].text) :]

    def gap(self, at: int) -> str:
        """What stands between a word and the one before it."""
        return self.text[self.starts[at - 1] + len(self.words[at - 1].text) : self.starts[at]]

    def follows(self, at: int) -> bool:
        return len(self.gap(at).encode()) <= 2 and "\n" not in self.gap(at)

    def is_in(self, at: int, names: tuple[str, ...]) -> bool:
        return 0 <= at < len(self.words) and self.words[at].folded in folded(names)

    def call(self, at: int) -> int:
        for call in calls().get(self.words[at].folded, []):
            found = tuple(word.folded for word in self.words[at : at + len(call)])
            if found == call and all(map(self.follows, range(at + 1, at + len(call)))):
                return len(call)
        return 0

    def is_number(self, at: int) -> bool:
        word = self.words[at].text
        return word[0] in "0123456789" and not any(map(reference.letter, word))

    def is_price(self, at: int) -> bool:
        sign, last = "[$£¥\u20a0-\u20bf]", len(self.words) - 1
        priced = re.search(f"{sign} ?\\Z", self.before(at)) or re.match(f" ?{sign}", self.behind(at))
        priced = priced or (self.is_in(at + 1, phrases.CURRENCIES) and at < last and self.gap(at + 1) in ("", " "))
        priced = priced or (self.is_in(at - 1, phrases.CURRENCIES) and self.gap(at) in ("", " "))
        return bool(priced) and not self.is_in(at + 1, phrases.MAGNITUDES)

    def telephone(self, at: int) -> int:
        run = [at]
        while run[-1] + 1 < len(self.words) and self.is_number(run[-1] + 1) and self.follows(run[-1] + 1):
            run.append(run[-1] + 1)
        sizes = [len(self.words[number].text) for number in run]
        led = self.before(at).endswith(("+", "(")) or self.is_in(at - 1, phrases.TELEPHONES)
        return len(run) if sizes == [3, 3, 4] or (led and sum(sizes) >= 7) else 0

    def is_mail(self, at: int) -> bool:
        return at + 1 < len(self.words) and self.gap(at + 1) == "@"

    def is_link(self, at: int) -> bool:
        word = self.words[at].folded
        if word in ("http", "https"):
            return self.behind(at).startswith("://")
        if word == "www":
            return self.behind(at).startswith(".")
        return self.is_in(at, phrases.DOMAINS) and at > 0 and self.gap(at) == "."


def marks(text: str) -> dict[str, int]:
    reading = Reading(text)
    counts = dict.fromkeys(("calls", "prices", "contacts", "links"), 0)
    at = address = 0
    number = -2
    while at < len(reading.words):
        size = 1
        if reading.starts[at] < address:
            pass
        elif reading.is_mail(at) or reading.is_link(at):
            counts["contacts" if reading.is_mail(at) else "links"] += 1
            behind = reading.behind(at)
            address = len(text) - len(behind) + len(re.match("[\x21-\x7f]*", behind)[0])
        elif reading.is_number(at):
            begins = number != at - 1 or not reading.follows(at)
            numbers = reading.telephone(at) if begins else 0
            counts["contacts" if numbers else "prices"] += bool(numbers) or reading.is_price(at)
            size = max(numbers, 1)
            number = at + size - 1
        elif reading.call(at):
            size = reading.call(at)
            counts["calls"] += 1
        at += size
    return counts


def expected(text: str) -> dict[str, float]:
    words, counts = reference.words(text), marks(text)
    long = [at for at, word in enumerate(words) if len(word.text) >= 4 and any(map(reference.letter, word.text))]
    echoes = [at for at in long if words[at].folded in {word.folded for word in words[max(at - 12, 0) : at]}]
    score = 20 * np.sqrt(counts["calls"] * sum(counts.values())) / (len(words) + 100)
    shares = {"score": min(score, 1.0)}
    shares |= {name: count / max(len(words), 1) for name, count in counts.items()}
    shares["stuffing"] = len(echoes) / max(len(long), 1)
    return {name: float(np.round(share, 4)) for name, share in shares.items()}


def check(texts: list[str]) -> None:
    rows = Advertising()(TextBatch(pa.array(texts, pa.string())))
    assert rows.schema.equals(SCHEMA, check_metadata=True)
    for text, row in zip(texts, rows.to_pylist(), strict=True):
        assert row == expected(text), text[:200]


PIECES = [
    *(
        "buy now",
        "BUY\nNOW",
        "buy  now",
        "add to cart",
        "add to",
        "cart",
        "in stock",
        "加入购物车",
        "加入",
        "zzgl. Versand",
        "купить",
    ),
    *(
        "$",
        "$5",
        "5 €",
        "€ 5",
        "£3.50",
        "₹",
        "5 EUR",
        "eur 7",
        "100元",
        "5 million",
        "$ 5 million",
        "$10",
        "¢5",
        "5€",
        "$a5",
    ),
    *(
        "555 123 4567",
        "(555) 123-4567",
        "+44 20 7946 0958",
        "Tel. 1234567",
        "call 123 45 67",
        "2012-11-10",
        "123 456 7890 1",
    ),
    *(
        "a@b.com",
        "@",
        "john.doe@mail.example",
        "http://",
        "https://a.b/c",
        "www.x.y",
        "www",
        "site.com",
        "a.b.co.uk",
        ".de",
    ),
    *("cheap", "cheap cheap", "word", "word", "other", "the", "ten words that are all not the same as before"),
]
texts = st.one_of(
    reference.texts,
    st.lists(st.one_of(st.sampled_from(PIECES), st.sampled_from(" \n.-,")), max_size=40).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join),
    st.lists(st.sampled_from("0123 456-789+$€()@."), max_size=40).map("".join),
)


@settings(max_examples=300)
@given(st.lists(texts, max_size=4))
def test_signals_are_those_of_the_reference(batch):
    check(batch)


def test_signals_of_real_texts_are_those_of_the_reference(data: Path):
    check([text[:1500] for text in reference.real_texts(data)])


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("Add to cart, BUY NOW. Jetzt kaufen! В корзину. 加入购物车", (5, 0, 0, 0)),
        ("Buy\nnow or add it to the cart", (0, 0, 0, 0)),
        ("$5, 5$, € 4,80, 12.50 zł, EUR 7, £3 and 100元", (0, 7, 0, 0)),
        ("$5 million, 18 Mio. €, 5 apples, $ a 5", (0, 0, 0, 0)),
        ("(555) 123-4567 or +49 30 1234567, Tel.: 0123 456789", (0, 0, 3, 0)),
        ("On 2012-11-10 at 10 20 30 40, version 1234567", (0, 0, 0, 0)),
        ("mail john.doe@mail.example.com or me@example.org", (0, 0, 2, 0)),
        ("https://example.com/buy-now?x=$5 www.example.org/a.com example.net and com", (0, 0, 0, 3)),
    ],
)
def test_marks_are_counted_as_a_reader_counts(text, counts):
    words = len(reference.words(text))
    row = Advertising()(TextBatch(pa.array([text]))).to_pylist()[0]
    assert tuple(round(row[name] * words) for name in ("calls", "prices", "contacts", "links")) == counts


def drops(text: str) -> set[str]:
    return fired("advertising", measure(TextBatch(pa.array([text])), [Advertising()])[0])


def test_a_shop_is_advertising_and_news_of_money_are_not():
    assert drops(SHOP) == {"advertising"}
    assert drops(NEWS * 3) == set()
    assert drops("Buy now!") == set()
    assert drops("\n".join(f"site{i}.com cheap www.page{i}.net" for i in range(50))) == {"link_farm"}


def test_no_novel_is_dropped(data: Path):
    paths = sorted((data / "books" / "eltec").glob("*/*.txt.gz"))
    batch = TextBatch(pa.array([gzip.decompress(path.read_bytes()).decode() for path in paths]))
    for path, row in zip(paths, measure(batch, [Advertising()]), strict=True):
        assert fired("advertising", row) == set(), path.name


def test_empty_texts_hold_nothing():
    assert not any(any(row.values()) for row in Advertising()(TextBatch(pa.array(["", " \n\t", "...!"]))).to_pylist())
    assert Advertising()(TextBatch(pa.array([], pa.string()))).num_rows == 0


@pytest.mark.parametrize("piece", ["1 ", "1", "a@", "www.", "http://", "$1", "buy now ", "word ", "中", "(1)-"])
def test_endless_texts_take_linear_time(piece):
    call, seconds = Advertising(), []
    for size in (200_000, 2_000_000):
        batch = TextBatch(pa.array([piece * (size // len(piece))]))
        started = time.perf_counter()
        call(batch)
        seconds.append(time.perf_counter() - started)
    assert seconds[1] < 60 * seconds[0] + 1


def test_every_signal_says_what_it_is():
    assert all(len(field.metadata[b"doc"]) > 20 and not field.nullable for field in SCHEMA)
