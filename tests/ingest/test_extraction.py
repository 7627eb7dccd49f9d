"""The default extractor, from bytes to text."""

import gzip
import json

import pytest
from mutations import FILES, mutated
from real_data import DATA, MISSING

from pipelines.ingest.extraction import model
from pipelines.ingest.extraction.extractors import Page, extractor
from pipelines.ingest.extraction.labels import pages
from pipelines.ingest.extraction.page import analyse, main_text
from pipelines.ingest.extraction.structure import structure

SENTENCES = [
    "The miller weighs every sack before the stones are set, because damp grain clogs them within the hour.",
    "Nobody in the valley remembers a winter in which the wheel stood still, except for the year of the long frost.",
    "When the river rises, two boards are taken out of the weir, and the water passes by the mill without harm.",
    "Flour that has been ground too warm smells of nuts, keeps badly, and is sold to the neighbours as feed.",
    "In the evening the dust is swept together, weighed once more, and written into the book beside the door.",
]


def page(body: str, title: str = "The mill") -> str:
    menu = "".join(f'<li><a href="/{word}">{word}</a></li>' for word in ("Home", "News", "Shop", "About", "Contact"))
    more = "".join(f'<li><a href="/{n}">Ten things you did not know, part {n}</a></li>' for n in range(6))
    return f"""<!doctype html><html lang="en"><head><title>{title}</title></head><body>
    <nav class="main-nav"><ul>{menu}</ul></nav>
    <div class="cookie-banner"><p>We use cookies. By staying you accept them.</p><button>Accept all</button></div>
    <article class="post"><h1>{title}</h1>{body}</article>
    <div class="share"><a href="#">Share on Facebook</a> <a href="#">Tweet</a></div>
    <aside class="related"><h3>Read also</h3><ul>{more}</ul></aside>
    <div id="respond"><h3>Leave a comment</h3><form><label>Name <input></label><textarea>text</textarea></form></div>
    <footer><p>© 2024 The Mill. All rights reserved. <a href="/legal">Legal notice</a></p></footer></body></html>"""


def prose(first: int = 0, last: int = len(SENTENCES)) -> str:
    return "".join(f"<p>{sentence}</p>" for sentence in SENTENCES[first:last])


def text_of(html: str | bytes) -> str:
    found = extractor("gristmill")(html.encode() if isinstance(html, str) else html, None, "")
    assert found.gate is None, found
    assert found.text is not None
    return found.text


def test_the_article_stays_and_what_is_around_it_goes():
    text = text_of(page(prose()))
    assert text.removeprefix("The mill\n\n") == "\n\n".join(SENTENCES)


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("<h2>On grinding</h2>", "\n\nOn grinding\n\n"),
        ("<ul><li>rye</li><li>wheat<ul><li>spelt</li></ul></li></ul>", "\n\n- rye\n- wheat\n  - spelt\n\n"),
        ("<ol><li>Weigh it.</li><li>Grind it.</li></ol>", "\n\n1. Weigh it.\n2. Grind it.\n\n"),
        (
            "<table><tr><th>grain</th><th>price</th></tr><tr><td>rye</td><td>12</td></tr><tr><td></td><td>13</td></tr></table>",
            "\n\ngrain | price\nrye | 12\n| 13\n\n",
        ),
        (
            "<pre>\ndef grind(grain):\n    if grain &lt; 3:\n\n        return None\n</pre>",
            "\n\ndef grind(grain):\n    if grain < 3:\n\n        return None\n\n",
        ),
        ("<pre><div>one</div><div>  two</div></pre>", "\n\none\n  two\n\n"),
        ("<p>A line<br>and another<br><br>and a paragraph.</p>", "\n\nA line\nand another\n\nand a paragraph.\n\n"),
        ("<p>a&nbsp;b &amp; c &lt;d&gt; <ruby>粉<rp>(</rp><rt>こな</rt></ruby></p>", "\n\na b & c <d> 粉\n\n"),
        ("<p>Area <math><mi>A</mi><mo>=</mo><msup><mi>r</mi><mn>2</mn></msup></math>.</p>", "\n\nArea A = r^2.\n\n"),
    ],
)
def test_what_is_within_the_text_keeps_its_form(inside: str, expected: str):
    text = text_of(page(prose(0, 3) + inside + prose(3)))
    assert expected in text
    assert text.index(SENTENCES[2]) < text.index(expected) < text.index(SENTENCES[3])


@pytest.mark.parametrize(
    "body",
    [
        "<p>short</p>",
        "just text",
        "<a href=x>one link</a>",
        "<noscript>Only here.</noscript>",
        "<nav><a href=x>a</a></nav>",
        "<table><tr><td>1</td></tr></table>",
        "<title>only a title</title><p>x",
    ],
)
def test_a_page_with_text_never_comes_out_empty(body: str):
    assert text_of(body).strip()


@pytest.mark.parametrize(
    "body", [b"", b"\0" * 99, b"<html></html>", b"<!-- x -->", b"<", b"&", b"\xff\xfe", b"<p> &nbsp; </p>"]
)
def test_a_page_without_text_is_empty(body: bytes):
    found = extractor("gristmill")(body, None, "")
    assert found.gate is None
    assert (found.text or "").strip() in ("", "<", "&", "�")


@pytest.mark.parametrize(
    "html",
    [
        "<div " * 1000 + ">text</div>",
        "<p =\"odd\" a\"b='c\"d' 'e'>text</p>",
        "<p a='x>y' b=\">\">text</p>",
        "<svg><title>no</title><p>text</p></svg>",
        "<math><mi>x<p>text</p>",
        "<script>var a = '<p>no</p>';</script><style>p > a {}</style>text",
        "<script type='math/tex'>x</script> text",
        "<table><p>text</p><tr><td>x</table>",
        "<plaintext>text",
        "<template><p>no</p></template>text",
        "<p>text" + "<b>" * 3000,
        "</div>" * 3000 + "text",
    ],
)
def test_markup_as_bad_as_it_gets(html: str):
    assert "text" in text_of(html) or "<plaintext>" in html


def test_blocks_lie_within_the_text_and_in_order():
    analysed = analyse(page(prose()))
    begin, end = analysed.blocks.begin, analysed.blocks.end
    assert (begin < end).all()
    assert (begin[1:] >= end[:-1]).all()
    assert len(analysed.features) == len(begin)


def test_facts_of_the_page():
    head = '<html lang="de-AT"><head><title> Die\n Mühle </title><meta name="author" content="A &amp; B">'
    head += '<meta property="article:published_time" content="2024-05-20T10:00:00Z"></head>'
    found = extractor("gristmill")((head + f"<body>{prose()}</body></html>").encode(), None, "")
    assert found.title == "Die Mühle"
    assert found.meta == {"language": "de-AT", "author": "A & B", "published": "2024-05-20T10:00:00Z"}
    assert (found.charset, found.charset_found) == ("utf-8", "utf-8")


def test_charset_of_a_page():
    html = '<html><head><meta charset="windows-1251"></head><body><p>{}</p></body></html>'
    data = html.format("Мельник взвешивает каждый мешок зерна. " * 9).encode("cp1251")
    extract = extractor("gristmill")
    assert (extract(data, None, "").charset, extract(data, None, "").charset_found) == ("cp1251", "meta")
    assert extract(data, "windows-1251", "").charset_found == "http"
    assert "Мельник" in (extract(data, None, "").text or "")


@pytest.mark.skipif(not (DATA / "web").exists(), reason=MISSING)
def test_pages_labelled_by_hand():
    """The shipped model has seen these pages: that it finds their passages says that nothing is broken, no more."""
    with gzip.open(DATA / "web" / "labelled.jsonl.gz", "rt", encoding="utf-8") as file:
        passages = {row["uri"]: row for row in map(json.loads, file)}
    extract, held, wrong, number = extractor("gristmill"), 0, 0, 0
    for uri, body in pages([DATA / "web" / "labelled-00.warc.gz"]):
        text = " ".join((extract(body, None, uri).text or "").split())
        assert text
        number += len(passages[uri]["with"])
        held += sum(" ".join(passage.split()) in text for passage in passages[uri]["with"])
        wrong += sum(" ".join(passage.split()) in text for passage in passages[uri]["without"])
    assert held / number > 0.95
    assert held / (held + wrong) > 0.95


@pytest.mark.skipif(not (DATA / "web").exists(), reason=MISSING)
def test_broken_pages():
    (*_, body), *_ = [
        entry for entry in pages([DATA / "web" / "labelled-01.warc.gz"]) if 30_000 < len(entry[1]) < 60_000
    ]
    extract = extractor("gristmill")
    for seed in range(FILES):
        found = extract(mutated(body, seed), None, "")
        assert isinstance(found, Page)
        assert found.text is not None


def test_the_same_page_gives_the_same_text():
    trees = model.shipped()
    analysed = analyse(page(prose()))
    places = structure(analysed.blocks, analysed.nodes)
    assert len({main_text(analyse(page(prose())), trees) for _ in range(3)}) == 1
    assert len(places.heading) == len(analysed.blocks.begin)
