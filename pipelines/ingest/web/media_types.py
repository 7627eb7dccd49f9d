"""What a body is: by the type that its header states, and by its first bytes where they say otherwise."""

from __future__ import annotations

import re

HTML = frozenset({"text/html", "application/xhtml+xml"})
BINARY = "application/octet-stream"
HEAD = 512  # bytes that are looked at
MAX_CONTROL = 0.04  # share of control characters; 0.09 of random bytes are
# Types that say nothing, or that servers send where they know nothing: what the bytes look like decides.
_UNTOLD = frozenset({"", BINARY, "binary/octet-stream", "unknown/unknown", "application/unknown", "no-type"})
_XML = frozenset({"text/xml", "application/xml"})
# The tags by which browsers know a page (WHATWG MIME Sniffing Standard, section 7.1), and files that are none.
_HTML_START = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*+(?:(?><!--.*?-->|<\?xml.*?\?>)\s*+)*+"  # atomic: otherwise many comments take for ever
    rb"<(?:!doctype\s+html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p)[\s>]",
    re.IGNORECASE | re.DOTALL,
)
_BINARY_START = (
    *(
        b"%PDF-",
        b"%!PS",
        b"{\\rtf",
        b"\xd0\xcf\x11\xe0",
        b"PK\x03\x04",
        b"\x1f\x8b",
        b"BZh",
        b"\xfd7zXZ",
        b"7z\xbc\xaf",
    ),
    *(
        b"\x28\xb5\x2f\xfd",
        b"Rar!\x1a",
        b"\x89PNG",
        b"GIF8",
        b"\xff\xd8\xff",
        b"RIFF",
        b"wOF",
        b"OggS",
        b"ID3",
        b"fLaC",
    ),
    *(b"\x1aE\xdf\xa3", b"\x7fELF"),
)
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1a]")  # 0x1b begins escape sequences of ISO 2022


def looks_like_html(body: bytes) -> bool:
    """Whether a body begins as pages do."""
    return _HTML_START.match(body[:HEAD]) is not None


def sniff(stated: str, body: bytes) -> str:
    """The MIME type of a body by what its header states, corrected where its first 512 bytes contradict it.

    Binary files are no text whatever is stated; what begins as a page is one, unless it is stated to be XML and not
    XHTML; what is stated to be nothing in particular is plain text if it holds no control characters.
    """
    head = body[:HEAD]
    if stated in _XML:
        return "application/xhtml+xml" if b"http://www.w3.org/1999/xhtml" in head else stated
    is_wide = head.startswith(_WIDE_MARKS)
    control = 0 if is_wide else len(_CONTROL.findall(head))
    if stated in HTML or stated in _UNTOLD or stated == "text/plain":
        if head.startswith(_BINARY_START) or (b"\0\0" in head and not is_wide):
            return BINARY
        if control > (0 if stated in _UNTOLD else MAX_CONTROL * len(head)) and not _is_wide_text(head):
            return BINARY
    if stated in HTML:
        return stated
    if _HTML_START.match(head):
        return "text/html"
    return "text/plain" if stated in _UNTOLD else stated


def _is_wide_text(head: bytes) -> bool:
    """UTF-16 without a mark: nearly every other byte is zero (see pipelines.ingest.encoding)."""
    return max(head[::2].count(0), head[1::2].count(0)) > 0.35 * len(head)
