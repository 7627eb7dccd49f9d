"""Web archives (WARC; plain, gzip, Zstandard, LZ4): one document for each response, resource and conversion record."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from fastwarc.warc import WarcRecord as HttpRecord
from pydantic import Field

from pipelines.ingest.encoding import decode
from pipelines.ingest.frames import BrokenFrame, FrameReader
from pipelines.ingest.html import main_text
from pipelines.ingest.records import Document, Failure, gated, too_large
from pipelines.ingest.source import FileSource
from pipelines.ingest.url_lists import UrlLists
from pipelines.ingest.warc_records import Damage, WarcRecord, warc_records

CANDIDATES = frozenset({"response", "resource", "conversion"})
HTML = frozenset({"text/html", "application/xhtml+xml"})
# Types that say nothing, or that servers send where they know nothing: what the bytes look like decides.
UNTOLD = frozenset({"", "application/octet-stream", "binary/octet-stream", "unknown/unknown", "application/unknown"})
HTTP_HEADERS = 64_000  # bytes that a response's headers may take beside its page
# The tags by which browsers know a page (WHATWG MIME Sniffing Standard, section 7.1), and files that are none.
_HTML_START = re.compile(
    rb"\s*+(?:(?><!--.*?-->|<\?xml.*?\?>)\s*+)*+"  # atomic: otherwise many comments take for ever
    rb"<(?:!doctype\s+html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p)[\s>]",
    re.IGNORECASE | re.DOTALL,
)
_BINARY_START = (b"%PDF-", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"PK\x03\x04", b"\x1f\x8b", b"RIFF", b"wOF", b"%!PS")
NO_LISTS = UrlLists()
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")


class WarcSource(FileSource):
    """Spark data source of web archives."""

    suffixes: ClassVar[tuple[str, ...]] = tuple(
        kind + packing for kind in (".warc", ".wet", ".arc") for packing in ("", ".gz", ".zst", ".lz4")
    )


def read_warc(
    path: Path,
    name: str,
    *,
    max_text_bytes: int,
    max_html_bytes: Annotated[int, Field(gt=0, description="bytes; a larger page is gated: `too_large`")] = 20_000_000,
    urls: Annotated[UrlLists, Field(description="lists of domains and words: such URLs are gated")] = NO_LISTS,
) -> Iterator[Document | Failure]:
    """Documents of one archive; `meta` holds host, date, record id, HTTP status, MIME type, charset and title.

    Gates: `url_domain`, `url_hard`, `url_soft`, `url_strict` (see filters.urls), `too_large` (a page of more than
    `max_html_bytes`), `http_status` (not 200), `content_type` (neither HTML nor plain text, by header and first
    bytes), `too_deep` (see pipelines.ingest.html), `no_text`. A damaged record is a failure of level record where its
    header tells that it was a candidate, else of level file; reading goes on.
    """
    if _is_arc(path):
        yield Failure("file", "", "ARC archive", "only WARC is read")
        return
    empty = True
    for record in warc_records(path, max_html_bytes + HTTP_HEADERS):
        empty = False
        if isinstance(record, Damage):
            is_candidate = record.headers.get("warc-type", "").lower() in CANDIDATES
            detail = "; ".join(part for part in (record.headers.get("warc-target-uri", ""), record.detail) if part)
            yield Failure("record" if is_candidate else "file", record.position, record.reason, detail)
        elif record.headers.get("warc-type", "").lower() in CANDIDATES:
            yield _document(record, name, max_html_bytes, max_text_bytes, urls)
    if empty:
        yield Failure("file", "", "no WARC record", "the file is empty")


WarcSource.read = staticmethod(read_warc)


def _document(
    record: WarcRecord, name: str, max_html_bytes: int, max_text_bytes: int, urls: UrlLists
) -> Document | Failure:
    uri = record.headers.get("warc-target-uri", "").strip("<>") or name
    meta = _meta(record, uri)
    position = record.position
    if urls != NO_LISTS and (gate := urls.gate(uri)):
        return gated(position, uri, gate, meta)
    if record.block is None:
        return gated(position, uri, "too_large", {**meta, "bytes": str(record.length)})
    body, charset = record.block, None
    mime, charset = _content_type(record.headers.get("content-type", ""))
    if mime == "application/http" or body.startswith(b"HTTP/"):
        try:
            status, header, body = _http(body, max_html_bytes)
        except OSError as error:
            return Failure("record", position, "broken HTTP response", f"{uri}; {error}")
        if status is None:
            return Failure("record", position, "no HTTP header", uri)
        meta["http_status"] = str(status)
        mime, charset = _content_type(header)
        if status != 200:
            return gated(position, uri, "http_status", {**meta, "mime": mime})
    meta["mime"] = mime = _sniff(mime, body)
    if len(body) > max_html_bytes:
        return gated(position, uri, "too_large", meta)
    if mime in HTML:
        return _page(position, uri, body, charset, meta)
    if mime != "text/plain":
        return gated(position, uri, "content_type", meta)
    if len(body) > max_text_bytes:
        return too_large(position, max_text_bytes)
    decoded = decode(body, ("http", charset))
    meta |= {"charset": decoded.charset, "charset_found": decoded.found}
    return Document(position, uri, decoded.text, meta)


def _page(position: str, uri: str, body: bytes, charset: str | None, meta: dict[str, str]) -> Document:
    page = main_text(body, charset)
    meta |= {"charset": page.charset, "charset_found": page.charset_found}
    if page.title:
        meta["title"] = page.title
    if page.text is None:
        return gated(position, uri, "too_deep", meta)
    return Document(position, uri, page.text, meta)


def _meta(record: WarcRecord, uri: str) -> dict[str, str]:
    try:
        host = urlsplit(uri).hostname or ""
    except ValueError:  # such as an unclosed bracket
        host = ""
    meta = {"host": host, "group": host or uri, "record_type": record.headers["warc-type"].lower()}
    for key, header in (("date", "warc-date"), ("record_id", "warc-record-id"), ("truncated", "warc-truncated")):
        if header in record.headers:
            meta[key] = record.headers[header]
    return meta


def _http(block: bytes, limit: int) -> tuple[int | None, str, bytes]:
    """Status, Content-Type and body of a response, chunks and compression undone, of at most `limit` + 1 bytes.

    A body that is not coded as its header says is given as it is: archives often undo the coding, but not the header.
    Raises OSError where a text is coded, but broken.
    """
    try:
        return _parse_http(block, "all", limit)
    except OSError:
        status, header, body = _parse_http(block, "none", limit)
        is_text = _sniff(_content_type(header)[0], body) in (*HTML, "text/plain")
        if _HTML_START.match(body[:512]) or not is_text:
            return status, header, body
        raise


def _parse_http(block: bytes, decoding: str, limit: int) -> tuple[int | None, str, bytes]:
    # FastWARC parses HTTP only within a WARC record: a minimal one.
    head = b"WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: %d"
    record = HttpRecord.from_bytes(head % len(block) + b"\r\n\r\n" + block)
    record.parse_http(auto_decode=decoding, quirks_mode=True)  # type: ignore[arg-type]
    headers = record.http_headers
    if headers is None or headers.status_code is None or record.reader is None:
        return None, "", b""
    return headers.status_code, headers.get("Content-Type") or "", record.reader.read(limit + 1)


def _content_type(header: str) -> tuple[str, str | None]:
    """MIME type in lower case, and the label of the charset."""
    mime, _, parameters = header.partition(";")
    charset = re.search(r"charset\s*=\s*[\"']?([^\s;\"']+)", parameters, re.IGNORECASE)
    return mime.strip().lower(), charset[1] if charset else None


def _sniff(mime: str, body: bytes) -> str:
    """The MIME type by header, corrected by the first bytes where they contradict it or the header says nothing."""
    head = body[:512]
    if mime in HTML or mime in UNTOLD or mime == "text/plain":
        is_wide = head.startswith(_WIDE_MARKS)
        if head.startswith(_BINARY_START) or (b"\0\0" in head and not is_wide):
            return "application/octet-stream"
        if mime not in HTML and _HTML_START.match(head):
            return "text/html"
        if mime in UNTOLD:
            control = sum(byte < 9 or 13 < byte < 27 for byte in head)
            return "application/octet-stream" if control and not is_wide else "text/plain"
    elif mime in ("text/xml", "application/xml") and b"http://www.w3.org/1999/xhtml" in head:
        return "application/xhtml+xml"
    return mime


def _is_arc(path: Path) -> bool:
    with FrameReader(path) as frames:
        try:
            return frames.read().startswith(b"filedesc://")
        except BrokenFrame:
            return False
