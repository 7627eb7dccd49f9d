"""Pages that hang, swell or crash an extractor, and the process that they end."""

import os
import signal
import sys
import time

import pytest

from pipelines.errors import ConfigError
from pipelines.ingest.web import html
from pipelines.ingest.web.html import SMALL_BYTES, Extractor

SENTENCE = "The miller weighs every sack before the stones are set, because damp grain clogs them within the hour. "
PAGE = f"<html><head><title>Mill</title></head><body><p>{SENTENCE * 3}</p></body></html>".encode()
LARGE = PAGE + b" " * SMALL_BYTES


@pytest.mark.parametrize("name", ["gristmill", "fast"])
def test_large_and_small_pages(name):
    extract = Extractor(name)
    assert extract(PAGE).text == extract(LARGE).text
    assert (extract(LARGE).text or "").strip() == (SENTENCE * 3).strip()
    assert extract(LARGE).title == "Mill"


def test_a_page_that_takes_too_long_is_given_up_and_the_next_one_is_read():
    extract = Extractor(seconds=0.5)
    slow = b"<p " + b" ".join(b"a%d" % n for n in range(150_000)) + b">x"
    start = time.monotonic()
    assert extract(slow).gate == "too_slow"
    assert time.monotonic() - start < 30
    assert extract(LARGE).title == "Mill"


def test_a_page_that_takes_too_much_memory():
    extract = Extractor(megabytes=200)
    swollen = b"".join(b"<p><b a=%d>x" % n for n in range(6_000))
    assert extract(swollen).gate in ("too_large_in_memory", "crashed", "not_extracted")
    assert extract(LARGE).title == "Mill"


def test_what_ends_the_process_is_told():
    extract = Extractor()
    extract(LARGE)
    (child,) = [child for key, child in html._running.items() if key == extract._key]
    os.kill(child._process.pid, signal.SIGSEGV)
    assert extract(LARGE).gate == "crashed"
    assert extract(LARGE).text


@pytest.mark.parametrize(
    ("page", "gate"),
    [
        (b"<div>" * 1_000_000 + b"text", "too_deep"),
        (b"<article>" * 100_000 + b"text", "too_deep"),
        (b"<p>" * 1_000_000 + b"text", None),
        (b"<td>" * 1_000_000 + b"text", None),
        (b"<p>text " + b"word " * 10_000_000, None),
        (b"\0" * 1_000_000 + b"text", None),
        (b"<li>text</li>" * 200_000, None),
        (b"<!--" * 500_000 + b"text", None),
    ],
    ids=["divs", "articles", "p", "td", "50 MB", "NUL", "items", "comments"],
)
def test_hostile_pages(page: bytes, gate: str | None):
    found = Extractor()(page)
    assert found.gate == gate
    if gate is None and not page.startswith(b"<!--"):
        assert "text" in (found.text or "")


def test_a_million_attributes():
    page = b"<p " + b" ".join(b"a%d=1" % n for n in range(1_000_000)) + b">text"
    assert Extractor(seconds=2)(page).gate == "too_slow"


def test_trafilatura_that_is_not_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    with pytest.raises(ConfigError, match=r"gristmill\[trafilatura\]"):
        Extractor("trafilatura")


def test_trafilatura():
    found = Extractor("trafilatura")(PAGE, None, "http://a.example/")
    assert SENTENCE.strip() in (found.text or "")
