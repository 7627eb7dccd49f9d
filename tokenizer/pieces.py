"""Cutting a long text where no pre-token can span the cut, so that its parts encode to the same ids as the whole.

Training counts the pre-tokens of the same parts (`tokenizer.count`), so that it counts what encoding will see even
where a text offers no border.

`tokenizers` needs over 100 bytes of memory per byte of text that it holds, and Oniguruma gives up (a Rust panic) on
white space of more than ten million characters: `\\s*[\\r\\n]+` backtracks through it. Both are bounded by cutting.
"""

import re
from collections.abc import Iterator

PIECE = 1 << 18
"""Characters after which a cut is looked for."""

LONGEST = 1 << 22
"""Characters after which a text that offers no border is cut anyway."""

# Why these borders are safe under every pattern of `patterns.PATTERNS`:
# 1. No alternative matches a space after a character that is not white space, so a match always ends between the two.
#    The only lookahead, `\s+(?!\S)`, stands after white space, and the left part ends with something else.
# 2. A letter is followed in a match by letters, combining marks or an apostrophe only, so a match always ends between
#    it and a line end or these marks.
# Matching restarts at that border without looking back, so the right part is matched alike alone. U+180E is white space
# to some versions of Unicode, so it borders nothing here.
_BORDER = re.compile(r"[^\s\u180e](?= )|[A-Za-z\u3041-\u3096\u4e00-\u9fa5](?=[\n、。，])")


def pieces(text: str, piece: int = PIECE, longest: int = LONGEST) -> Iterator[str]:
    """The parts of `text`, in order; a text of up to `piece` characters comes back whole.

    Encoded one by one, the parts give the ids of the whole text, but where `longest` characters held no border at all.
    """
    start = 0
    while len(text) - start > piece:
        border = _BORDER.search(text, start + piece - 1, min(start + longest, len(text)))
        if border:
            cut = border.end()
        elif len(text) - start > longest:
            cut = start + longest
        else:
            break
        yield text[start:cut]
        start = cut
    yield text[start:] if start else text


def last_border(text: str, within: int = 1 << 14) -> int:
    """Where the text can be cut last, of its last `within` characters: no pre-token spans the place. 0: nowhere."""
    borders = _BORDER.finditer(text, max(len(text) - within, 0))
    return max((border.end() for border in borders), default=0)
