"""Characters that show nothing: which belong to a script's spelling, and which are left over from pages and programs.

Kept where they are part of what is written:

    U+200C, U+200D   joiners: beside a character of a script that joins letters or stacks them (Arabic, Hebrew points,
                     Devanagari, Telugu, Khmer, ...: Unicode Standard, chapters 9, 12, 16, 23.2); U+200D also between
                     emoji
    U+200B           zero width space: beside a character of a script of South East Asia, where it separates words
    U+180E           Mongolian vowel separator: behind a Mongolian letter
    tags             behind the black flag, as in the flag of Wales
    U+200E, U+200F, U+061C, U+202A to U+202C, U+2066 to U+2069
                     direction: in a line that holds a right-to-left letter; in any other they have nothing to order

Elsewhere they go, and with them everywhere: the soft hyphen U+00AD, the word joiner U+2060, invisible operators
(U+2061 to U+2064), deprecated format characters (U+206A to U+206F), marks of annotations and embedded objects (U+FFF9
to U+FFFC), and the overrides U+202D and U+202E, which show letters in another order than they are read in.

Variation selectors, U+034F and Hangul fillers stay: they change what is shown, or stand for a letter.
"""

from __future__ import annotations

import re

_MONGOLIAN = "\u1800-\u18aa"
_JOINING = (
    "\u0590-\u061b\u061d-\u0dff\u0f00-\u109f\u1700-\u180d\u180f-\u1cff\ua800-\uabff\ufb1d-\ufdff\ufe70-\ufefc"
    "\U00010a00-\U00011fff\U0001e900-\U0001e95f"
)
# Thai to Myanmar, Khmer, Tai, Lanna, Balinese, Batak, Javanese, Cham, Ahom: no spaces between words.
_UNSPACED = (
    "\u0e00-\u109f\u1780-\u17ff\u1950-\u19ff\u1a00-\u1aaf\u1b00-\u1b7f\u1bc0-\u1bff\ua980-\ua9ff\uaa00-\uaadf"
    "\U00011700-\U0001174f"
)
_EMOJI = "\u2190-\u21ff\u2300-\u27bf\u2900-\u297f\u2b00-\u2bff\ufe0f\U0001f000-\U0001faff\U000e007f"

DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What `without_directions` looks at."""
_ALWAYS = frozenset(map(chr, {0xAD, *range(0x2060, 0x2065), *range(0x206A, 0x2070), *range(0xFFF9, 0xFFFD)}))
_BY_SCRIPT = frozenset("\u180e\u200b\u200c\u200d")
_TAGS = frozenset(map(chr, range(0xE0000, 0xE0080)))
ZERO_WIDTH = _ALWAYS | _BY_SCRIPT | _TAGS
"""What `without_zero_width` looks at."""
PRIVATE = ((0xE000, 0xF8FF), (0xF0000, 0xFFFFD), (0x100000, 0x10FFFD))
"""The private-use characters: first and last of each range."""

# One class first, so that the search is quick; the conditions look back over the character found.
_USELESS = re.compile(
    "[\u180e\u200b-\u200d](?:"
    f"(?<=\u200c)(?<![{_JOINING}]\u200c)(?![{_JOINING}])"
    f"|(?<=\u200d)(?<![{_JOINING}]\u200d)(?![{_JOINING}])(?:(?<![{_EMOJI}]\u200d)|(?![{_EMOJI}]))"
    f"|(?<=\u200b)(?<![{_UNSPACED}]\u200b)(?![{_UNSPACED}])"
    f"|(?<=\u180e)(?<![{_MONGOLIAN}]\u180e))"
)
_FLAGS_AND_TAGS = re.compile("(\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f)|[\U000e0000-\U000e007f]")
_PRIVATE = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in PRIVATE) + "]")
_DIRECTION = re.compile(f"[{''.join(sorted(DIRECTIONS))}]")
_OVERRIDE = re.compile("[\u202d\u202e]")
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u061b\u061d-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)

# Fonts of the 1990s kept the positions of Thai signs, and two letters without their lower parts, in private use;
# HarfBuzz (hb-ot-shaper-thai.cc) lists them.
_THAI = str.maketrans(dict(zip(map(chr, range(0xF700, 0xF71B)), "ฐิีึื่้๊๋์่้๊๋์ญัํ็่้๊๋์ฺุู")))
_THAI_FONTS = re.compile("(?<=[\u0e00-\u0e7f])[\uf700-\uf71a]+")


def without_private_use(text: str) -> tuple[str, int]:
    """The text without private-use characters, and how many it held: nothing but a font says what they are.

    Those that old Thai fonts use become, behind a Thai character, the signs that they stand for.
    """
    count = len(_PRIVATE.findall(text))
    return _PRIVATE.sub("", _THAI_FONTS.sub(lambda match: match[0].translate(_THAI), text)), count


def without_directions(text: str) -> tuple[str, int]:
    """The text without directional characters that order nothing in their line (lines end at LF), and their count."""
    lines = text.split("\n")
    kept = "\n".join([(_OVERRIDE if _RIGHT_TO_LEFT.search(line) else _DIRECTION).sub("", line) for line in lines])
    return kept, len(text) - len(kept)


def without_zero_width(text: str, found: frozenset[str]) -> tuple[str, int]:
    """The text without the zero-width characters that no script beside them asks for, and their count.

    `found`: those of `ZERO_WIDTH` that the text holds.
    """
    size = len(text)
    for char in found & _ALWAYS:
        text = text.replace(char, "")
    if found & _BY_SCRIPT:
        text = _USELESS.sub("", text)
    if found & _TAGS:
        text = _FLAGS_AND_TAGS.sub(r"\1", text)
    return text, size - len(text)
