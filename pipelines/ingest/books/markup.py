"""Whether an HTML parser would choke on a page: its time and memory are not linear in all pages' length.

Parsers look through the open elements at every tag, so that deep nesting takes quadratic time (with Resiliparse 2.0.1
half a second at 5,000 nested <div>, minutes at 100,000). And they open formatting elements that were not closed again
in every block that follows (WHATWG HTML, "reconstruct the active formatting elements"): `<p><b a=1>x<p><b a=2>x...`
makes gigabytes of 50 kilobytes. Here tags are followed as the standard does, as far as these two costs go.
"""

from __future__ import annotations

import re

MAX_DEPTH = 5_000  # open elements
MAX_REOPENED = 1_000_000  # elements that are opened again, 370 bytes of memory each (Resiliparse 2.0.1)
MAX_PASSED = 10_000_000  # open elements that end tags pass by on the way to the one that they close

_STYLED = re.compile(r"<(?:b|big|code|em|font|i|s|small|strike|strong|tt|u)\b", re.IGNORECASE)  # links do not nest
_KINDS = {
    "formatting": "a b big code em font i nobr s small strike strong tt u",
    "void": "area base br col embed hr img input link meta param source track wbr",
    "inline": "span abbr acronym bdi bdo cite del dfn ins kbd label mark q ruby samp sub sup time var",
    # Their end may be left out, so that many open ones in a row are not nested.
    "endless": "body caption colgroup dd dt head html li optgroup option p rp rt tbody td tfoot th thead tr",
    "scope": "applet button marquee object svg math table template",
}
_KIND = {name: kind for kind, names in _KINDS.items() for name in names.split()}  # of all others: block
_TAG = re.compile(
    r"<!--(?:-?>|.*?(?:--!?>|\Z))"  # comments, and what parsers take for one
    r"|<(?:[!?]|/[^a-z>])[^>]*(?:>|\Z)"
    r"|<(script|style|textarea|title|xmp|iframe|noembed|noframes)\b.*?(?:</\1\b|\Z)"  # no tag counts in these
    r"""|<(/?)([a-z][^\s/>]*)((?:[^>"']|"[^"]*(?:"|\Z)|'[^']*(?:'|\Z))*+)(?:>|\Z)""",  # \Z: never the same way twice
    re.IGNORECASE | re.DOTALL,
)


def is_too_costly(html: str) -> bool:
    """Whether a parser would open more than MAX_DEPTH, open again MAX_REOPENED or pass by MAX_PASSED elements."""
    tags = html.count("<")
    # Most pages have too few tags. Only where tags are many are those counted that may be opened again.
    if tags <= MAX_DEPTH and (tags * tags <= MAX_REOPENED or tags * len(_STYLED.findall(html)) <= MAX_REOPENED):
        return False
    return _follow(html)


def _follow(html: str) -> bool:
    opened: list[str] = []  # elements that must be closed, outermost first
    active: dict[str, list[str]] = {}  # formatting elements that are not closed, by name, with their attributes
    held = reopened = passed = 0  # how many those are, and how many of them blocks have opened again
    for match in _TAG.finditer(html):
        name = (match[3] or "").lower()
        kind = _KIND.get(name, "block")
        if not name or kind == "void":
            continue
        if kind == "formatting":
            alike = active.setdefault(name, [])
            if match[2]:
                held -= bool(alike)
                del alike[-1:]
            # Links do not nest, and of equal elements parsers keep three.
            elif not (name in ("a", "nobr") and alike) and alike[-64:].count(match[4]) < 3:
                alike.append(match[4])
                held += 1
        else:
            reopened += held if kind != "inline" or match[2] else 0
            if match[2]:
                passed += _close(opened, name)
            elif kind != "endless":
                opened.append(name)
        if len(opened) + held > MAX_DEPTH or reopened > MAX_REOPENED or passed > MAX_PASSED:
            return True
    return False


def _close(opened: list[str], name: str) -> int:
    """Close the innermost element of that name with all within it, unless a border lies between.

    Returns how many elements were looked at.
    """
    kind = _KIND.get(name)
    for passed, candidate in enumerate(reversed(opened), start=1):
        if candidate == name:
            del opened[-passed:]
            return passed
        # An inline element's end does not reach over a block, nor any element's over a table or an object.
        border = _KIND.get(candidate)
        if border == "scope" or (border is None and kind == "inline"):
            return passed
    return len(opened)
