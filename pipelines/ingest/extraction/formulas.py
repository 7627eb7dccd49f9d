"""Formulas as text: their TeX between dollars where the page has it, else MathML written in one line."""

from __future__ import annotations

import re
from html import unescape

_TEX = re.compile(r"<annotation\b[^>]*\btex\b[^>]*>(.*?)</annotation", re.IGNORECASE | re.DOTALL)
_ALTTEXT = re.compile(r"""<math\b[^>]*?\salttext="([^"]*)\"""", re.IGNORECASE)
_STYLE = re.compile(r"\A\s*\{?\\(?:displaystyle|textstyle|scriptstyle)\b\s*(.*?)\}?\s*\Z", re.DOTALL)
_CDATA = re.compile(r"%\s*<!\[CDATA\[|%\s*\]\]>")
_PIECE = re.compile(r"<(/?)(?:\w+:)?(\w+)[^>]*?(/?)>|([^<]+)")
_UNREAD = frozenset({"annotation", "annotation-xml"})
# What becomes of an element's children, by number.
_TEMPLATES = {
    "mfrac": "{0}/{1}",
    "msup": "{0}^{1}",
    "msub": "{0}_{1}",
    "msubsup": "{0}_{1}^{2}",
    "munder": "{0}_{1}",
    "mover": "{0}^{1}",
    "munderover": "{0}_{1}^{2}",
    "mroot": "root({1}, {0})",
}
_SPACED = re.compile(r"[=<>≤≥≠≈≡∼→←↔⇒⇔∈∉⊂⊆∪∩+−±×⋅∧∨]")


def formula(source: str) -> str:
    """A formula's text. `source` is a <math> element (its end tag may be missing), or TeX as in <script> or `alt`."""
    if not source.startswith("<math"):
        return _dollars(_CDATA.sub("", unescape(source)))
    if annotation := _TEX.search(source):
        return _dollars(unescape(annotation[1]))
    written = _linear(source)
    if alternative := _ALTTEXT.match(source):
        text = unescape(alternative[1]).strip()
        # LaTeXML and MediaWiki put TeX there, others words.
        if "\\" in text or not written:
            return _dollars(text) if "\\" in text else text
    return written


def _dollars(tex: str) -> str:
    tex = tex.strip().strip("$").strip()
    if styled := _STYLE.match(tex):
        is_whole = tex.startswith("{") == tex.endswith("}")
        tex = styled[1].strip() if is_whole else tex
    return f"${' '.join(tex.split())}$" if tex else ""


def _linear(source: str) -> str:
    """MathML in one line: `(a+b)/c`, `x^2`, `√(x)`; rows of tables separated by semicolons."""
    stack: list[tuple[str, list[str]]] = [("math", [])]
    for match in _PIECE.finditer(source):
        closes, name, empty, text = match.groups()
        if text is not None:
            if text.strip():
                stack[-1][1].append(unescape(text).strip())
        elif not closes:
            stack.append((name.lower(), []))
            if empty:
                _reduce(stack)
        elif len(stack) > 1:
            _reduce(stack)
    while len(stack) > 1:
        _reduce(stack)
    return " ".join("".join(stack[0][1]).split())


def _reduce(stack: list[tuple[str, list[str]]]) -> None:
    """What is innermost has ended: its text is a child of what it is in."""
    name, parts = stack.pop()
    if name in _UNREAD:
        return
    template = _TEMPLATES.get(name)
    if template and len(parts) >= template.count("{"):
        text = template.format(*(_grouped(part) for part in parts))
    elif name == "msqrt":
        text = f"√{_grouped(''.join(parts))}"
    elif name == "mtr":
        text = ", ".join(parts)
    elif name == "mtable":
        text = "; ".join(parts)
    elif name == "mo" and parts and _SPACED.fullmatch(parts[0]):
        text = f" {parts[0]} "
    elif name == "mspace":
        text = " "
    else:
        text = "".join(parts)
    stack[-1][1].append(text)


def _grouped(text: str) -> str:
    text = text.strip()
    return text if len(text) < 2 or text.isalnum() else f"({text})"
