"""The script that a text is mostly written in."""

from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Unicode's blocks of the scripts in living use, first to last character, by ISO 15924 code; of the Latin blocks the
# letters alone.
_BLOCKS = """
    Latn 41-5A 61-7A AA-AA BA-BA C0-D6 D8-F6 F8-2AF 1D00-1D25 1D2C-1D5C 1D62-1D65 1D6B-1DBF 1E00-1EFF 2C60-2C7F
         A722-A7FF AB30-AB64 FB00-FB06 FF21-FF3A FF41-FF5A
    Grek 370-373 376-377 37A-37F 386-386 388-3E1 1F00-1FFF
    Cyrl 400-52F 1C80-1C8F 2DE0-2DFF A640-A69F
    Armn 530-58F FB13-FB17
    Hebr 590-5FF FB1D-FB4F
    Arab 600-6FF 750-77F 870-8FF FB50-FDCF FDF0-FDFF FE70-FEFC
    Syrc 700-74F 860-86F
    Thaa 780-7BF
    Nkoo 7C0-7FF
    Deva 900-97F A8E0-A8FF
    Beng 980-9FF
    Guru A00-A7F
    Gujr A80-AFF
    Orya B00-B7F
    Taml B80-BFF
    Telu C00-C7F
    Knda C80-CFF
    Mlym D00-D7F
    Sinh D80-DFF
    Thai E00-E7F
    Laoo E80-EFF
    Tibt F00-FFF
    Mymr 1000-109F A9E0-A9FF AA60-AA7F
    Geor 10A0-10FF 1C90-1CBF 2D00-2D2F
    Ethi 1200-139F 2D80-2DDF AB00-AB2F
    Cher 13A0-13FF AB70-ABBF
    Cans 1400-167F 18B0-18FF
    Tglg 1700-171F
    Khmr 1780-17FF 19E0-19FF
    Mong 1800-18AF
    Limb 1900-194F
    Bali 1B00-1B7F
    Sund 1B80-1BBF
    Lepc 1C00-1C4F
    Olck 1C50-1C7F
    Tfng 2D30-2D7F
    Yiii A000-A4CF
    Lisu A4D0-A4FF
    Vaii A500-A63F
    Java A980-A9DF
    Mtei AAE0-AAFF ABC0-ABFF
    Hang 1100-11FF 3130-318F A960-A97F AC00-D7FF FFA0-FFDC
    Bopo 3100-312F 31A0-31BF
    Adlm 1E900-1E95F
    Hani 2E80-2FDF 3005-3007 3400-4DBF 4E00-9FFF F900-FAFF 20000-323AF
    Jpan 3041-309F 30A1-30FA 30FC-30FF 31F0-31FF FF66-FF9F
"""
SCRIPTS = ["Zyyy", *(word for word in _BLOCKS.split() if "-" not in word)]
"""The ISO 15924 codes that `dominant_scripts` counts in; `Zyyy` (undetermined) where there is no letter."""

_HANI, _JPAN = SCRIPTS.index("Hani"), SCRIPTS.index("Jpan")
_KANA_SHARE = 0.05


def dominant_scripts(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The most frequent script among the letters of each text, as uint8[n] of indices into `SCRIPTS`.

    Args:
        data: uint8, UTF-8.
        offsets: int64[n + 1]; text i is `data[offsets[i]:offsets[i + 1]]`.

    Letters are the characters of a script's blocks, with their vowel signs and digits. Japanese is written in three
    scripts, so where kana make up more than a twentieth of kana and Han, Han counts as Japanese (`Jpan`). Of equally
    frequent scripts the first in `SCRIPTS` is meant.
    """
    return _dominant(data, offsets, _table(), len(SCRIPTS))


@cache
def _table() -> NDArray[np.uint8]:
    table = np.zeros(0x110000, np.uint8)
    script = 0
    for word in _BLOCKS.split():
        if "-" not in word:
            script = SCRIPTS.index(word)
        else:
            first, last = word.split("-")
            table[int(first, 16) : int(last, 16) + 1] = script
    return table


@njit(cache=True, nogil=True)
def _dominant(data, offsets, table, scripts):  # type: ignore[no-untyped-def]
    found = np.zeros(len(offsets) - 1, np.uint8)
    for text in range(len(found)):
        counts = np.zeros(scripts, np.int64)
        at, end = offsets[text], offsets[text + 1]
        while at < end:
            byte = np.int64(data[at])
            width = 1 if byte < 0xC0 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            code = byte if width == 1 else byte & (0xFF >> (width + 1))
            for following in range(at + 1, min(at + width, end)):
                code = code << 6 | np.int64(data[following]) & 0x3F
            counts[table[code] if code < 0x110000 else 0] += 1
            at += width
        counts[0] = 0
        if counts[_JPAN] > _KANA_SHARE * (counts[_HANI] + counts[_JPAN]):
            counts[_JPAN] += counts[_HANI]
            counts[_HANI] = 0
        found[text] = np.argmax(counts)
    return found
