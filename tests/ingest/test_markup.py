"""Pages that would stall a parser are told from those that only look so."""

import time

import pytest

from pipelines.ingest.books.markup import MAX_DEPTH, is_too_costly
from pipelines.ingest.books.xhtml import xhtml_text

MANY = 100_000


@pytest.mark.parametrize(
    "html",
    [
        "<DIV class='a'>" * (MAX_DEPTH + 1),
        "</div>" * MAX_DEPTH + "<div>" * (MAX_DEPTH + 1),
        "<section><ul>" * MANY,
        "<span>" * MANY,
        # End tags that a parser does not see, or that reach no element of their name.
        "<div><!--</div>-->" * MANY,
        "<div><a title='</div>'>" * MANY,
        "<div><script></div></script>" * MANY,
        "<span><div></span>" * MANY,
        # A comment that is over sooner than it seems.
        "<!-->" + "<div>" * MANY,
        "<!-- --!>" + "<div>" * MANY,
        # End tags that pass by many elements.
        "<q><div>" + "<span>" * 4_000 + "</q>" * MANY,
        # Formatting that is opened again in every paragraph.
        "".join(f"<p><b a={i}>x" for i in range(2_000)),
        "".join(f"<font a={i}>" for i in range(MANY)),
    ],
)
def test_what_would_stall_a_parser_is_seen_at_once(html: str):
    start = time.process_time()
    assert is_too_costly(html)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "html",
    [
        "<div></div>" * 2 * MAX_DEPTH,
        "<p>" * MANY,
        "<table>" + "<tr><td>x" * MANY + "</table>",
        "<ul>" + "<li><a href='x'>x" * MANY + "</ul>",
        "<div><span>x</div>" * MANY,
        "<p><font size=2>x" * MANY,
        "<p><b>x</b> <i>y</i></p>" * MANY,
        "<br><img src=x>" * MANY,
        "1 < 2 " * MANY,
    ],
)
def test_long_and_careless_pages_are_read(html: str):
    assert not is_too_costly(html)


@pytest.mark.parametrize("html", ["<a '", '<a "', "<a ", "<!x", "</ ", "<!--", "<script", "<"])
def test_tags_that_do_not_end_take_no_time(html: str):
    start = time.process_time()
    is_too_costly(html * MANY)
    assert time.process_time() - start < 2


def test_a_deep_chapter_is_given_up():
    with pytest.raises(ValueError, match="too deeply"):
        xhtml_text(b"<html><body>" + b"<div>" * MANY + b"deep")


def test_empty_elements_of_xhtml_are_not_nested():
    assert xhtml_text(b"<html><body><p>text" + b"<span id='a'/>" * MANY + b"</p></body></html>") == "text"
