"""HTTP responses as archives keep them: status, type, and the body, its chunks and compression undone within bounds."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

import brotli
import zstandard

from pipelines.ingest.web.media_types import BINARY, HTML, looks_like_html, sniff

MAX_CODINGS = 4  # one upon another
_HEADER_BYTES = 64_000
_STATUS = re.compile(rb"HTTP/\d+(?:\.\d+)?[ \t]+(\d{3})(?!\d)")
_HEADER_END = re.compile(rb"\n\r*\n")
_FIELD = re.compile(
    rb"^(content-type|content-encoding|transfer-encoding)[ \t]*:([^\r\n]*(?:\r?\n[ \t]+[^\r\n]+)*)", re.I | re.M
)
_CHUNK = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_ZSTD_INPUT = 512  # bytes at a time: 4 of them may hold 128 KiB


class BrokenBody(Exception):
    """A body is coded as its header says, but cannot be decoded; the message says how."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response: status code, Content-Type ("" where it is not said), and the body as it was `stored`.

    `body` is decoded, of at most one byte more than the limit; `dechunked` is between the two: without chunks, but
    compressed. `ends_early` names the coding that ends before its end mark.
    """

    status: int
    content_type: str
    stored: bytes
    dechunked: bytes
    body: bytes
    ends_early: str = ""


def parse_response(block: bytes, limit: int) -> Response | None:
    """A block as a response, its body of at most `limit` + 1 bytes; None where it does not begin with a status line.

    A body that is not coded as its header says is given as it is: archives often undo the coding, but not the header.
    One that ends too early is given as far as it goes. Raises BrokenBody where what is a text is coded, but damaged.
    """
    status = _STATUS.match(block)
    if status is None:
        return None
    end = _HEADER_END.search(block, 0, _HEADER_BYTES)
    fields: dict[bytes, str] = {}
    for found in _FIELD.finditer(block, 0, end.end() if end else _HEADER_BYTES):
        fields.setdefault(found[1].lower(), " ".join(found[2].decode("latin-1").split()))
    mime = fields.get(b"content-type", "")
    stored = block[end.end() :] if end else b""
    dechunked, early = stored, ""
    if "chunked" in fields.get(b"transfer-encoding", "").lower():
        dechunked, early = _dechunk(stored)
    codings = [name.strip().lower() for name in fields.get(b"content-encoding", "").split(",")]
    body, early = _decode(dechunked, codings, limit, mime, early)
    return Response(int(status[1]), mime, stored, dechunked, body[: limit + 1], early)


def _dechunk(data: bytes) -> tuple[bytes, str]:
    """The chunks of RFC 9112 (7.1) joined, and `chunked` where the last is missing; data without chunks as they are."""
    parts: list[bytes] = []
    at = 0
    while chunk := _CHUNK.match(data, at):
        size = int(chunk[1], 16)
        if size == 0:
            return b"".join(parts), ""
        at = chunk.end() + size
        parts.append(data[chunk.end() : at])
        at += 2 if data.startswith(b"\r\n", at) else data.startswith(b"\n", at)
        if at >= len(data):
            return b"".join(parts), "chunked"
    if not parts or looks_like_html(data):
        return data, ""
    raise BrokenBody(f"chunked: no chunk begins at byte {at} of the body")


def _decode(data: bytes, codings: list[str], limit: int, mime: str, early: str) -> tuple[bytes, str]:
    known = [name for name in reversed(codings) if name in _DECODERS]
    if len(known) > MAX_CODINGS:
        raise BrokenBody(f"{len(known)} codings one upon another")
    for name in known:
        try:
            decoded, is_whole = _DECODERS[name](data, limit)
        except (zlib.error, brotli.error, zstandard.ZstdError) as error:
            if sniff("", data) != BINARY or mime.partition(";")[0].strip().lower() not in (*HTML, "text/plain"):
                return data, early
            raise BrokenBody(f"{name}: {error}") from None
        data, early = decoded, early if is_whole else name
    return data, early


def _gzip(data: bytes, limit: int) -> tuple[bytes, bool]:
    """All members; bytes that do not begin as gzip are none."""
    if not data.startswith(b"\x1f\x8b"):
        return data, True
    parts: list[bytes] = []
    left = limit + 1
    while left > 0 and data.startswith(b"\x1f\x8b"):
        decoder = zlib.decompressobj(wbits=31)
        parts.append(decoder.decompress(data, left))
        left -= len(parts[-1])
        if not decoder.eof:
            return b"".join(parts), left <= 0
        data = decoder.unused_data
    return b"".join(parts), True


def _deflate(data: bytes, limit: int) -> tuple[bytes, bool]:
    """Deflate with zlib's header, or without, as some servers send it."""
    decoder = zlib.decompressobj()
    try:
        result = decoder.decompress(data, limit + 1)
    except zlib.error:
        decoder = zlib.decompressobj(wbits=-15)
        result = decoder.decompress(data, limit + 1)
    return result, decoder.eof or len(result) > limit


def _brotli(data: bytes, limit: int) -> tuple[bytes, bool]:
    decoder = brotli.Decompressor()
    parts = [decoder.process(data, output_buffer_limit=limit + 1)]
    size = len(parts[0])
    while size <= limit and not decoder.is_finished() and not decoder.can_accept_more_data():
        parts.append(decoder.process(b"", output_buffer_limit=limit + 1 - size))
        size += len(parts[-1])
    return b"".join(parts), decoder.is_finished() or size > limit


def _zstd(data: bytes, limit: int) -> tuple[bytes, bool]:
    decoder = zstandard.ZstdDecompressor().decompressobj()
    parts: list[bytes] = []
    size = 0
    for at in range(0, len(data), _ZSTD_INPUT):
        parts.append(decoder.decompress(data[at : at + _ZSTD_INPUT]))
        size += len(parts[-1])
        if decoder.eof or size > limit:
            return b"".join(parts), True
    return b"".join(parts), False


_DECODERS = {"gzip": _gzip, "x-gzip": _gzip, "deflate": _deflate, "br": _brotli, "zstd": _zstd}
