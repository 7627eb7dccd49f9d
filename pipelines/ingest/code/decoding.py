"""Bytes of source code to text: what a file says of its encoding, UTF-8, or Latin-1."""

from __future__ import annotations

import re

from pipelines.ingest.encoding import MARKS, codec_of

# A comment in the first two lines that names the encoding (PEP 263); Emacs and Vim read the same.
_COOKIE = re.compile(rb"\A(?:[^\n]*\n)?[ \t\f]*(?:#|;|//|/\*)[^\n]*?coding[:=][ \t]*([-\w.]+)")


def decode_code(data: bytes) -> tuple[str, str, str] | None:
    """Text, encoding and what told it (bom, cookie, utf-8, fallback), or None for binary data.

    Line ends and all else stay as they are. Bytes that are neither UTF-8 nor what a coding cookie names are read as
    Latin-1, which maps every byte.
    """
    for mark, charset in MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(charset, "replace"), charset, "bom"
    if b"\0" in data:
        return None
    cookie = _COOKIE.match(data)
    codec = codec_of(cookie[1].decode("ascii", "replace")) if cookie else None
    attempts = [(codec, "cookie")] if codec else []
    for charset, found in (*attempts, ("utf-8", "utf-8")):
        try:
            return data.decode(charset), charset, found
        except UnicodeError:
            continue
    return data.decode("latin-1"), "latin-1", "fallback"
