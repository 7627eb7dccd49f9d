"""Web archives (WARC and ARC; plain, gzip, Zstandard, LZ4): a document for each record that is or could be a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from pipelines.ingest.encoding import decode
from pipelines.ingest.records import Document, Failure, gated, too_large
from pipelines.ingest.source import FileSource
from pipelines.ingest.web import html
from pipelines.ingest.web.digests import matches
from pipelines.ingest.web.html import Extractor
from pipelines.ingest.web.http_response import BrokenBody, Response, parse_response
from pipelines.ingest.web.media_types import HTML, sniff
from pipelines.ingest.web.url_lists import UrlLists
from pipelines.ingest.web.warc_records import Archive, Damage, WarcRecord

CANDIDATES = frozenset({"response", "resource", "conversion", "revisit"})
KNOWN = CANDIDATES | {"warcinfo", "request", "metadata", "continuation"}
HTTP_HEADERS = 64_000  # bytes that a response's headers may take beside its page
MISMATCH = "digest mismatch"
NO_LISTS = UrlLists()
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([^\s;\"']+)", re.IGNORECASE)
_META = {
    "date": "warc-date",
    "record_id": "warc-record-id",
    "truncated": "warc-truncated",
    "segment": "warc-segment-number",
    "payload_digest": "warc-payload-digest",
}
_META_OF_REVISITS = {
    "refers_to": "warc-refers-to",
    "refers_to_uri": "warc-refers-to-target-uri",
    "refers_to_date": "warc-refers-to-date",
    "profile": "warc-profile",
}


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
    extractor: Annotated[
        html.Name, AfterValidator(html.installed), Field(description="what finds the main text of a page")
    ] = "gristmill",
    seconds: Annotated[float, Field(gt=0, description="for one page; what takes longer is given up")] = html.SECONDS,
    check_digests: Annotated[bool, Field(description="whether records must have the digests that they state")] = True,
    span: tuple[int, int] | None = None,
    wanted: Callable[[str], bool] | None = None,
) -> Iterator[Document | Failure]:
    """Documents of one archive; `meta` holds host, date, record id, HTTP status, MIME type, charset and title.

    Gates: `revisit` (a page that had not changed: `meta` says of which record), `url_domain`, `url_hard`, `url_soft`,
    `url_strict` (see filters.urls), `too_large` (a page of more than `max_html_bytes`), `http_status` (not 200),
    `content_type` (neither HTML nor plain text, by header and first bytes), those of the extractor, `no_text`. A
    damaged record is a failure of level record where its header tells that it was a candidate, else of level file;
    reading goes on. A file with damage, or the span of it that is read, has one more row, of level file, that says
    how many records and bytes were read and lost.
    """
    pages = _Pages(name, max_text_bytes, max_html_bytes, urls, _extractor(extractor, seconds), check_digests)
    account = _Account()
    with Archive(path, max_html_bytes + HTTP_HEADERS, span) as archive:
        for record in archive:
            account.add(record)
            if isinstance(record, Damage):
                yield _failure(record)
            elif _kind(record) not in KNOWN:
                yield Failure("record", record.position, "unknown WARC-Type", _kind(record))
            elif _kind(record) in CANDIDATES and (wanted is None or wanted(record.position)):
                document = pages.document(record)
                if isinstance(document, Failure) and document.reason == MISMATCH:
                    account.lose(record)
                yield document
        if account.damaged:
            place = f"{span[0]}-{span[1]}" if span else ""
            yield Failure("file", place, "damaged archive", account.told(archive.bytes_passed()))
    if not account.records and not account.damaged and (span is None or span[0] == 0):
        yield Failure("file", "", "no WARC record", "the file is empty")


WarcSource.read = staticmethod(read_warc)


@cache
def _extractor(name: html.Name, seconds: float) -> Extractor:
    """One for all files of a task: to make it takes longer than to read a page."""
    return Extractor(name, seconds=seconds)


@dataclass(slots=True)
class _Account:
    """What was read of an archive, and what was lost."""

    records: int = 0
    damaged: bool = False
    records_lost: int = 0
    lost: int = 0  # bytes of the file
    lost_within: int = 0  # decompressed bytes of frames that are whole

    def add(self, found: WarcRecord | Damage) -> None:
        if isinstance(found, WarcRecord):
            self.records += 1
            return
        self.damaged = True
        self.records_lost += found.is_record
        self.lost += found.lost
        self.lost_within += found.lost_within

    def lose(self, record: WarcRecord) -> None:
        """A record that was added is not what it should be."""
        self.damaged = True
        self.records -= 1
        self.records_lost += 1
        self.lost_within += record.length

    def told(self, passed: int) -> str:
        """In words, for `passed` bytes of the file that were gone through."""
        within = f", {self.lost_within} bytes within records or frames" if self.lost_within else ""
        read = f"{_count(self.records, 'record')} and {_count(passed - self.lost, 'byte')} read"
        return f"{read}, {_count(self.records_lost, 'record')} and {_count(self.lost, 'byte')} lost{within}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


@dataclass(frozen=True, slots=True)
class _Pages:
    """How records become documents."""

    name: str
    max_text_bytes: int
    max_html_bytes: int
    urls: UrlLists
    extractor: Extractor
    check_digests: bool

    def document(self, record: WarcRecord) -> Document | Failure:
        """The document of a candidate; what stops it before its text is made comes first."""
        uri = record.headers.get("warc-target-uri", "").strip("<>") or self.name
        meta, position = _meta(record, uri), record.position
        if meta["record_type"] == "revisit":
            return gated(position, uri, "revisit", meta)
        if self.urls != NO_LISTS and (gate := self.urls.gate(uri)):
            return gated(position, uri, gate, meta)
        if record.block is None:
            return gated(position, uri, "too_large", {**meta, "bytes": str(record.length)})
        stated = record.headers.get("content-type", "")
        response = None
        try:
            if record.block.startswith(b"HTTP/") or _mime(stated) == "application/http":
                response = parse_response(record.block, self.max_html_bytes)
                if response is None:
                    return Failure("record", position, "no HTTP header", uri)
        except BrokenBody as error:
            return Failure("record", position, "broken HTTP response", f"{uri}; {error}")
        if self.check_digests and (which := _wrong_digest(record, response)):
            return Failure("record", position, MISMATCH, f"{uri}; {which}")
        return self._of_body(position, uri, meta, record.block, stated, response)

    def _of_body(
        self, position: str, uri: str, meta: dict[str, str], body: bytes, stated: str, response: Response | None
    ) -> Document | Failure:
        if response:
            body, stated = response.body, response.content_type
            meta["http_status"] = str(response.status)
            if response.ends_early:
                meta.setdefault("truncated", response.ends_early)
            if response.status != 200:
                return gated(position, uri, "http_status", {**meta, "mime": _mime(stated)})
        meta["mime"] = mime = sniff(_mime(stated), body)
        if len(body) > self.max_html_bytes:
            return gated(position, uri, "too_large", meta)
        label = _CHARSET.search(stated)
        charset = label[1] if label else None
        if mime in HTML:
            return self._page(position, uri, body, charset, meta)
        if mime != "text/plain":
            return gated(position, uri, "content_type", meta)
        if len(body) > self.max_text_bytes:
            return too_large(position, self.max_text_bytes)
        decoded = decode(body, ("http", charset))
        meta |= {"charset": decoded.charset, "charset_found": decoded.found}
        return Document(position, uri, decoded.text, meta)

    def _page(self, position: str, uri: str, body: bytes, charset: str | None, meta: dict[str, str]) -> Document:
        page = self.extractor(body, charset, uri)
        meta |= {"charset": page.charset, "charset_found": page.charset_found, **page.meta}
        if page.title:
            meta["title"] = page.title
        if page.text is None:
            return gated(position, uri, page.gate or "no_text", meta)
        return Document(position, uri, page.text, meta)


def _kind(found: WarcRecord | Damage) -> str:
    return found.headers.get("warc-type", "").lower()


def _failure(damage: Damage) -> Failure:
    detail = "; ".join(part for part in (damage.headers.get("warc-target-uri", ""), damage.detail) if part)
    return Failure("record" if _kind(damage) in CANDIDATES else "file", damage.position, damage.reason, detail)


def _wrong_digest(record: WarcRecord, response: Response | None) -> str | None:
    """Which digest is not that of the record. Where the block's is right, so is what it holds.

    Of payloads, writers have made digests of the body as it was sent, without its chunks, and decoded, and of the whole
    block. A truncated or segmented record may state that of the whole page.
    """
    assert record.block is not None
    right = matches(record.headers.get("warc-block-digest", ""), [record.block])
    if right is False:
        return "WARC-Block-Digest"
    stated = record.headers.get("warc-payload-digest", "")
    if right or not stated or "warc-truncated" in record.headers or "warc-segment-number" in record.headers:
        return None
    readings = [response.stored, response.dechunked, response.body] if response else []
    readings.append(record.block)
    return "WARC-Payload-Digest" if matches(stated, readings) is False else None


def _meta(record: WarcRecord, uri: str) -> dict[str, str]:
    headers = record.headers
    try:
        host = urlsplit(uri).hostname or ""
    except ValueError:  # such as an unclosed bracket
        host = ""
    meta = {"host": host, "group": host or uri, "record_type": headers["warc-type"].lower()}
    named = _META | _META_OF_REVISITS if meta["record_type"] == "revisit" else _META
    return meta | {
        key: headers[header].strip("<>") if key == "refers_to_uri" else headers[header]
        for key, header in named.items()
        if header in headers
    }


def _mime(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
