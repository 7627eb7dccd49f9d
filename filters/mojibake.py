"""Repair of mojibake: text whose bytes were read in another encoding than they were written in ("FÃ¼r" for "Für").

The repair itself is ftfy's (`ftfy.fix_encoding`), with all that it does about encodings and nothing else: a line is
read again as UTF-8 where that is possible throughout; else single sequences are; what has lost a byte becomes U+FFFD;
C1 controls become the characters that Windows-1252 has in their place, as in web browsers. Quotes, ligatures, entities
and the width of letters stay.

ftfy's own test takes 0.25 µs a character, so only lines are shown to it that hold a suspicious place: a `HIT`, or a
`LEAD` with a `TRAIL` behind it (`WIDE_LEAD`: with two), of which a few characters around are bad by that test.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator, Sequence

# The encodings that ftfy undoes: what UTF-8 is most often mistaken for.
_ENCODINGS = (
    *("latin-1", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1257"),
    *("iso-8859-2", "mac-roman", "cp437"),
)
_LINE_ENDS = "\n\r\x0b\x0c\u2028\u2029"
_LINE_END = re.compile(f"[{_LINE_ENDS}]")
_LINE = re.compile(f"[^{_LINE_ENDS}]+")
_BEFORE, _BEHIND = 2, 5  # characters around a suspicious place that ftfy's test is asked about
LONGEST_LINE = 1_000_000
"""Characters; a longer line is left as it is: ftfy goes no further in one piece either."""


def _read_as(first: int, last: int) -> frozenset[str]:
    """What the bytes from `first` to `last` are in the encodings, apart from ASCII."""
    data = bytes(range(first, last + 1))
    return frozenset("".join(codecs.decode(data, name, "ignore") for name in _ENCODINGS))


LEAD = _read_as(0xC2, 0xDF) - frozenset("“”‘’‹›«»–—…€\xa0")
"""What a first byte of two looks like in the wrong encoding: Ã, Ð, В, ... Of MacRoman's, the common signs are not
suspicious."""
WIDE_LEAD = _read_as(0xE0, 0xF4)
"""The same for a first byte of three or four: â, р, ..."""
TRAIL = _read_as(0x80, 0xBF) | {"\ufffd"}
"""What a byte that goes on with a sequence looks like: ©, ™, or U+FFFD where it was lost."""
HIT = frozenset(map(chr, range(0x80, 0xA0))) - {"\x85"} | {"Ã", "Â"}
"""Suspicious by themselves: C1 controls, and the two letters whose second byte is often a lost space. NEL (U+0085) is
not: by itself it is a line end."""


def repair(text: str, suspects: Sequence[int], *, give_up: bool = False) -> tuple[str, int]:
    """The text with its lines repaired, and how many characters of them were replaced.

    Args:
        text: any text without surrogates; lines end at LF, CR, VT, FF, U+2028 and U+2029.
        suspects: ascending positions of suspicious places in it.
        give_up: a line that would be repaired loses all characters beyond ASCII instead.

    A line with nothing suspicious, or of more than `LONGEST_LINE` characters, stays as it is.
    """
    from ftfy.badness import is_bad  # takes a tenth of a second, and few texts need it

    parts: list[str] = []
    done = replaced = 0
    for first, last in _together(suspects):
        if last <= done or not is_bad(text[max(first, done) : last]):
            continue
        start = max(done, 1 + max(text.rfind(char, done, first + 1) for char in _LINE_ENDS))
        end = found.start() if (found := _LINE_END.search(text, last - 1)) else len(text)
        for line in _LINE.findall(text[start:end]):
            at = text.index(line, start)
            fixed = _fix(line) if len(line) <= LONGEST_LINE else line
            if fixed != line:
                fixed = line.encode("ascii", "ignore").decode() if give_up else fixed
                replaced += (Counter(line) - Counter(fixed)).total()
            parts += [text[done:at], fixed]
            done = start = at + len(line)
    return "".join(parts) + text[done:], replaced


def _together(suspects: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last position (exclusive) of the surroundings of suspicious places, those that overlap as one."""
    first, last = 0, -1
    for at in suspects:
        if at - _BEFORE > last >= 0:
            yield first, last
            last = -1
        first, last = first if last >= 0 else max(at - _BEFORE, 0), at + _BEHIND
    if last >= 0:
        yield first, last


def _fix(line: str) -> str:
    import ftfy

    return ftfy.fix_encoding(line, ftfy.TextFixerConfig(explain=False))
