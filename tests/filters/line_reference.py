"""Slow, obvious versions of the line tests and of the edits, and texts to try them on."""

import re
from collections.abc import Callable

import text_reference as reference
from hypothesis import strategies as st

from filters import codepoints

CITATION = r"\[[0-9]*\]|\[edit\]|\[citation needed\]"
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
COUNTED = [
    *("likes", "shares", "comments", "retweets", "reposts", "quotes", "bookmarks", "upvotes", "downvotes"),
    *("downloads", "views", "followers"),
]


def kind(char: str) -> int:
    return int(codepoints.table()[ord(char)]) & codepoints.CLASS_MASK


def ascii_lower(line: str) -> str:
    return re.sub("[A-Z]", lambda match: match[0].lower(), line)


def longest_word(text: str) -> int:
    apart = "".join(" " if char.isspace() or kind(char) == codepoints.SINGLE else char for char in text)
    return max(map(len, apart.split(" ")))


def end_mark(line: str) -> bool:
    line = re.sub(rf"(?:[ \t]|{CITATION})*\Z", "", line)
    return line.endswith((".", "?", "!", '"', "'")) and not line.endswith("...")


def upper(char: str) -> bool:
    return reference.fold(char) != char and kind(char) == codepoints.LETTER and char != "ς"


def counter(line: str) -> bool:
    words = reference.words(line)
    counts = re.fullmatch(rf"\W*\d[,.\d]*[kmb]?\s+(?:{'|'.join(COUNTED)})\W*", line.lower())
    return bool(counts) and words[-1].folded in COUNTED


def count(line: str) -> int:
    return len(reference.words(line))


LINES: dict[str, Callable[[str], bool]] = {
    "long_word": lambda line: longest_word(line) > 1000,
    "no_end_mark": lambda line: not end_mark(line),
    "under_5_words": lambda line: count(line) < 5,
    "under_3_words": lambda line: count(line) < 3,
    "under_2_words": lambda line: count(line) < 2,
    "no_words": lambda line: count(line) < 1,
    "javascript": lambda line: "javascript" in ascii_lower(line),
    "policy": lambda line: any(phrase in ascii_lower(line) for phrase in POLICY),
    "uppercase": lambda line: 2 * sum(map(upper, line)) > len(line),
    "numeric": lambda line: all(map(reference.number, line)),
    "counter": counter,
}
PARTS = {
    "citation": (CITATION, None),
    "items_in_cart": (r"(?i)\s?items in cart", 10),
    "read_more": (r"(?i)\s?read more(?:\.\.\.|…)?\Z", 10),
    "sign_in": (r"(?i)\Asign-in\s?", 10),
}


def edits(text: str, names: list[str]) -> list[tuple[int, int, str]]:
    """Start and end in characters, and the reason."""
    found, at = [], 0
    for raw in text.split("\n"):
        line = raw.strip()
        reasons = [name for name in names if name in LINES and line and LINES[name](line)]
        parts = []
        for name in names:
            pattern, most = PARTS.get(name, (r"(?!)", 0))
            if line and (most is None or count(line) <= most):
                parts += [(*match.span(), name) for match in re.finditer(pattern, line, re.ASCII)]
        parts.sort(key=lambda part: part[:2])
        gone = {spot for start, end, _ in parts for spot in range(start, end)}
        if parts and not "".join(char for spot, char in enumerate(line) if spot not in gone).strip():
            reasons.append(parts[0][2])
        if reasons:
            found.append((at, min(at + len(raw) + 1, len(text)), reasons[0]))
        else:
            shift = at + raw.index(line)
            for i, (start, end, name) in enumerate(parts):
                start = max([start, *(part[1] for part in parts[:i])])
                found.append((shift + start, shift + end, name))
        at += len(raw) + 1
    return found


RECIPES = {
    "c4": ["long_word", "citation", "no_end_mark", "under_5_words", "javascript", "policy"],
    "c4_paper": ["long_word", "citation", "no_end_mark", "under_3_words", "javascript", "policy"],
    "fineweb": ["long_word", "citation", "under_3_words", "javascript", "policy"],
    "refinedweb": ["uppercase", "numeric", "counter", "under_2_words", "items_in_cart", "read_more", "sign_in"],
}

PIECES = [
    *("JavaScript", "javascript", "java script", "jjavascriptt", "Terms of Use", "our Privacy Policy", "uses cookies"),
    *("use  cookies", "use cookies", "use of cookies", "\u212aookies use coo\u212aies", "Cookie Policy."),
    *("[1]", "[]", "[12", "]", "[edit]", "[Edit]", "[citation needed]", "[ 3 ]", "citation needed]", "[1a]"),
    *("3 likes", "1.2K Views", "• 3,4M shares!", "likes 3", "12", "2nd", "½", "٣", "³", "Ⅷ", "3 \u212aviews"),
    *("items in cart", "2 Items in Cart", "Read more", "read more...", "READ MORE…", "Sign-in", "sign-in ", "Sign-Int"),
    *("ALL CAPS", "Ab", "aB", "ΑΒΓ", "ας", "ΣΑΣ", "ЖЖж", "\u01c5", "𝐀", "Ⓐ", "ß", "ẞ", "İ", "ﬃ", "’"),
    *(".", "?", "!", '"', "'", "...", "…", "....", "。", "！", "．", "।", ")", "”", "»", "e.g.", "J.", "J. K.", "U.S."),
    *(
        "one",
        "two words",
        "three words here",
        "a b c d e",
        "这是一句话。",
        "コーヒー",
        "สวัสดี",
        "lorem ipsum",
        "Lorem  Ipsum",
    ),
    *(
        " ",
        " ",
        "\n",
        "\n",
        "\n\n",
        "\t",
        "\r\n",
        "\u3000",
        "\u00a0",
        "\u2028",
        "\0",
        "\x1c",
        "\u0301",
        "{",
        "LOREM IPSUM",
    ),
    *("x" * 999, "y" * 1001, "word " * 12, "-" * 1001, "中" * 1001, "\0" * 1001, "é" * 1000 + "e"),
]
texts = st.one_of(
    reference.texts,
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=12).map("\n".join),
)


def dirty(text: str) -> str:
    """A text with lines between its own that edits are made for."""
    lines = text.split("\n")
    for i, piece in enumerate(PIECES):
        lines.insert(7 * i % (len(lines) + 1), piece)
    return "\n".join(lines)
