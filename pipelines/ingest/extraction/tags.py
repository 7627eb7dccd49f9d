"""What is known beforehand of elements and of names in their `class`, `id` and the like, as tables for the kernels."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCK, VOID, RAW, SKIP, LINK, STYLE = 1, 2, 4, 8, 16, 32
"""An element begins a block of text; has no end tag; holds no markup; holds no text of the page; is a link or a button;
only styles its text."""

_KINDS = {
    BLOCK: "html body address article aside blockquote caption center dd details dialog dir div dl dt fieldset "
    "figcaption figure footer form frameset "
    "h1 h2 h3 h4 h5 h6 header hgroup hr legend li main menu nav ol optgroup option "
    "p pre search section summary table tbody td tfoot th thead tr ul",
    VOID: "area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr",
    RAW: "script style xmp iframe noembed noframes plaintext svg math",
    SKIP: "head template select datalist textarea canvas audio video object noscript rp rt rtc map script style iframe "
    "noembed noframes svg title progress meter",
    LINK: "a button",
    STYLE: "b big cite code em font i mark s small span strike strong sub sup tt u var kbd samp abbr q del ins dfn "
    "time label bdi bdo ruby rb data output acronym nobr colgroup annotation",
}
NAMES = ("", "?", *sorted(set(" ".join(_KINDS.values()).split())))
"""Elements by number; 0 stands for text, 1 for an element of no known name."""
ID = {name: number for number, name in enumerate(NAMES)}
FLAGS = np.array([sum(kind for kind, names in _KINDS.items() if name in names.split()) for name in NAMES], np.uint8)

TEXT, UNKNOWN = 0, 1
_NAMED = "body br dl html img li math ol pre script svg table td th tr ul"
BODY, BR, DL, HTML, IMG, LI, MATH, OL, PRE, SCRIPT, SVG, TABLE, TD, TH, TR, UL = (ID[name] for name in _NAMED.split())
_LEVELS = {f"h{level}": level for level in range(1, 7)}
HEADINGS = np.array([_LEVELS.get(name, 0) for name in NAMES], np.uint8)
"""Level of a heading, 0 for what is none."""

_FAMILIES = (
    "div section center body html ?",
    "p",
    "h1 h2 h3",
    "h4 h5 h6 summary legend caption",
    "li dd dt",
    "td th",
    "blockquote",
    "pre",
    "figcaption figure",
    "article main",
    "header hgroup",
    "footer address nav aside",
)
FAMILY = np.array(
    [next((at for at, names in enumerate(_FAMILIES) if name in names.split()), 0) for name in NAMES], np.uint8
)
"""Elements in few kinds, for the trees to tell apart."""

_ANCESTORS = "article main aside nav footer header form table li ul blockquote figure section dl details p"
ANCESTORS = tuple(_ANCESTORS.split())
"""Elements within which a block may be: how many levels up is a feature each."""
_ALIKE = {"ol": "ul", "menu": "ul", "dt": "dl", "dd": "dl", "figcaption": "figure", "summary": "details"}
INSIDE = np.array(
    [ANCESTORS.index(_ALIKE.get(name, name)) if _ALIKE.get(name, name) in ANCESTORS else -1 for name in NAMES], np.int8
)

# What authors of pages call things, in class, id, role and itemprop: English in nearly all languages' pages. A hyphen
# is the border of a word; letters on their own are found anywhere.
HINTS = {
    "article": "article story -post- -post -entry entry- -news- blog",
    "body": "body text copy prose richtext wysiwyg markdown -rte-",
    "content": "content main inhalt contenido contenu conteudo tresc -artikel -noticia",
    "title": "title headline heading titel titre -titulo",
    "lead": "lead- intro- -intro summary -deck -dek standfirst subtitle abstract description subhead -chapo lede",
    "teaser": "teaser card promo tile preview excerpt snippet",
    "comment": "comment respond disqus reply replies kommentar comentario",
    "forum": "forum thread message discuss -topic conversation answer question",
    "nav": "nav menu breadcrumb crumb -toc- pagination pager paging sitemap -tabs- -skip",
    "foot": "foot colophon copyright impressum legal imprint disclaimer contentinfo licen",
    "head": "header masthead -top- logo brand hero",
    "side": "side widget -rail complementary -right- module",
    "column": "-col- column -span -grid",
    "related": "relat recomm similar -more popular trending latest recent also- readnext -next- -prev outbrain taboola",
    "share": "share sharing social twitter facebook whatsapp pinterest addthis -like- follow",
    "ads": "-ad- -ads- -ad advert sponsor banner werbung anzeige -dfp -gpt affiliate adsense",
    "cookie": "cookie consent gdpr privacy",
    "popup": "popup modal overlay dialog lightbox notice alert toast",
    "sign": "newsletter subscri signup -sign- login register paywall -cta- donat -user account download",
    "meta": "meta byline author -date- -date -time- publish -info- credit autor posted -bio- writer",
    "tags": "-tag- -tags- categor topics keyword label taxonom rubri",
    "media": "caption image photo gallery video media slide carousel picture -bild -foto",
    "list": "list item feed index result archive",
    "form": "form search input button -btn captcha filter",
    "tools": "tool print email -rss- action rating vote stats counter language -lang translat",
    "code": "code highlight syntax source",
    "hidden": "hidden hide invisible collapse -sr- screen-reader visually noprint",
    "goods": "product price shop cart recipe ingredient instruction review faq -spec",
    "quote": "quote footnote reference citation -note -cite",
    "wrapper": "wrap container page- -page -site layout -inner -box",
    "formula": "katex-html mathjax",
    "tex": "-tex- -latex- latex-",
}
HINT = {name: number for number, name in enumerate(HINTS)}
HIDDEN, FORMULA, TEX = HINT["hidden"], HINT["formula"], HINT["tex"]
GROUPS = len(HINTS) - 2
"""How many of the hints are features; the last two are for formulas."""
_BORDER = 26


class Tables(NamedTuple):
    """`keys` uint64[512], `numbers` uint8[512]: names of elements by hash; `step` uint16[states, 27], `found`
    int64[states]: an Aho-Corasick automaton over letters and borders, with the hints found in each state as bits."""

    keys: NDArray[np.uint64]
    numbers: NDArray[np.uint8]
    step: NDArray[np.uint16]
    found: NDArray[np.int64]


@cache
def tables() -> Tables:
    """The tables that the kernels are given."""
    keys, numbers = np.zeros(512, np.uint64), np.zeros(512, np.uint8)
    for name, number in ID.items():
        if number > UNKNOWN:
            key = _hash(name)
            slot = key & 511
            while keys[slot]:
                slot = (slot + 1) & 511
            keys[slot], numbers[slot] = key, number
    return Tables(keys, numbers, *_automaton())


def _hash(name: str) -> int:
    """FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return value


def _automaton() -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Aho and Corasick 1975: for each state and letter the next state, failures resolved."""
    trie: list[dict[int, int]] = [{}]
    found = [0]
    for name, patterns in HINTS.items():
        for pattern in patterns.split():
            state = 0
            for char in pattern:
                symbol = _BORDER if char == "-" else ord(char) - ord("a")
                if symbol not in trie[state]:
                    trie[state][symbol] = len(trie)
                    trie.append({})
                    found.append(0)
                state = trie[state][symbol]
            found[state] |= 1 << HINT[name]
    step = np.zeros((len(trie), 27), np.uint16)
    failure = [0] * len(trie)
    queue = [0]
    for state in queue:
        for symbol in range(27):
            fallen = int(step[failure[state], symbol]) if state else 0
            target = trie[state].get(symbol)
            if target is None:
                step[state, symbol] = fallen
            else:
                step[state, symbol] = target
                failure[target] = fallen
                found[target] |= found[fallen]
                queue.append(target)
    return step, np.array(found, np.int64)
