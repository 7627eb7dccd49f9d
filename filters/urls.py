"""Rules on URLs, after RefinedWeb: lists of domains and of words, which a user names. None is shipped.

Penedo et al. 2023, arXiv 2306.01116, appendix G.1, as datatrove's URLFilter has it: a blocked domain; a strict word
anywhere in the URL, even in pieces (`x-rat.ed`); a hard word standing for itself; two soft words. Differences: the URL
is lower-cased before words are looked up (datatrove looks up words of lower-case lists in the URL as it is written), a
listed domain blocks all below it, and percent-escapes are undone.

A host is compared without user, port, brackets and trailing dots, in lower case, its percent-escapes undone and other
scripts in Punycode (IDNA 2003, as Python's codec); each of its suffixes is looked up, so no list of public suffixes is
needed. An IPv4 or IPv6 address is looked up whole. A word is a run of ASCII letters and digits and all characters
beyond ASCII; list entries are reduced to such (`sugar-baby` is the word `sugarbaby`).
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.batch import TextBatch
from filters.family import signal
from filters.segment import Bytes, Ints
from filters.url_scan import hash_backwards, hash_forwards, host_span, scan, table

SOFT_WORDS = 2
"""Soft words that make a URL bad (RefinedWeb)."""

SCHEMA = pa.schema(
    [
        signal("blocked", pa.bool_(), "Whether the URL's host or a domain above it is in the lists of domains."),
        signal("strict_words", pa.int64(), "How many different strict words its letters and digits hold, joined."),
        signal("hard_words", pa.int64(), "How many different hard words are words of the URL."),
        signal("soft_words", pa.int64(), "How many different soft words are words of the URL."),
    ]
)

_ODD = r"[%\[\x00-\x20\x7f]|[^\x00-\x7f]"
"""What Python reads: escapes, IPv6, white space, other scripts. All other URLs are read by the kernel alone."""

_PLAIN_DOMAIN = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")


class Urls:
    """The family `url`, and the gate before extraction.

    `domains`, `strict`, `hard`, `soft`: paths of text files in UTF-8, one entry a line; empty lines and lines that
    begin with `#` are skipped. A domain may be written `example.com`, `*.example.com` or `.example.com`. Raises
    ValueError for a file that cannot be read and for a domain that is none.
    """

    name: ClassVar[str] = "url"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = SCHEMA

    def __init__(
        self,
        *,
        domains: Iterable[str | Path] = (),
        strict: Iterable[str | Path] = (),
        hard: Iterable[str | Path] = (),
        soft: Iterable[str | Path] = (),
    ) -> None:
        self._domains = table(hash_backwards(*_bytes([_domain(*entry) for entry in _entries(domains)])))
        lists = [sorted({_word(line) for _, line in _entries(paths)} - {""}) for paths in (strict, hard, soft)]
        self._strict, self._hard, self._soft = [table(hash_forwards(*_bytes(words))) for words in lists]
        self._strict_sizes = np.unique([len(word.encode()) for word in lists[0]]).astype(np.int64)

    def __call__(self, batch: TextBatch) -> pa.RecordBatch:
        """One row per text, of the batch's `uris`; without these, of empty URLs."""
        return self.measure(pa.nulls(len(batch), pa.string()) if batch.uris is None else batch.uris)

    def measure(self, urls: pa.StringArray) -> pa.RecordBatch:
        """One row per URL under `schema`; a null is an empty URL."""
        urls = pc.fill_null(urls, "").cast(pa.large_string())
        odd = np.asarray(pc.indices_nonzero(pc.match_substring_regex(urls, _ODD)), np.int64)
        numbers = np.full(len(urls), -1)
        numbers[odd] = np.arange(len(odd))
        written = urls.take(pa.array(odd)).to_pylist()
        hosts = _bytes([_host_of(url) for url in written])
        if len(odd):
            plain = pa.array([unquote(url).lower() for url in written], pa.large_string())
            urls = pc.replace_with_mask(urls, pa.array(numbers >= 0), plain)
        batch = TextBatch(urls)
        words = self._strict, self._strict_sizes, self._hard, self._soft
        counts = scan(batch.data, batch.offsets, numbers, hosts[0], hosts[1], self._domains, words)
        columns = [pa.array(counts[:, 0] > 0), *(pa.array(counts[:, i]) for i in range(1, 4))]
        return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)

    def reasons(self, urls: pa.StringArray) -> pa.StringArray:
        """Why each URL is refused: the first of url_domain, url_hard, url_soft and url_strict; null where it is not."""
        found = self.measure(urls)
        conditions = [
            found["blocked"],
            pc.greater(found["hard_words"], 0),
            pc.greater_equal(found["soft_words"], SOFT_WORDS),
            pc.greater(found["strict_words"], 0),
        ]
        names = ["url_domain", "url_hard", "url_soft", "url_strict"]
        return pc.case_when(pc.make_struct(*conditions, field_names=names), *names, pa.scalar(None, pa.string()))


def _entries(paths: Iterable[str | Path]) -> Iterator[tuple[str, str]]:
    """Where each entry stands, and the entry."""
    for path in paths:
        try:
            with Path(path).open(encoding="utf-8-sig") as file:
                for number, line in enumerate(file, 1):
                    if line.strip() and not line.startswith("#"):
                        yield f"{path}, line {number}", line.strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"cannot read the list {path}: {error}") from error


def _domain(where: str, entry: str) -> str:
    if _PLAIN_DOMAIN.fullmatch(entry):
        return entry  # nearly all of a list of millions
    domain = _host(entry.removeprefix("*").removeprefix("."))
    if not domain or re.search(r"[\s/@?#*]", domain):
        raise ValueError(f"{where}: {entry!r} is no domain")
    return domain


def _word(entry: str) -> str:
    return re.sub(r"[\x00-\x7f]", lambda sign: sign[0] if sign[0].isalnum() else "", entry.lower())


def _host_of(url: str) -> str:
    url = re.sub(r"[\t\n\r]", "", url).strip("".join(map(chr, range(0x21))))  # as browsers do
    data = url.encode()
    start, stop = host_span(np.frombuffer(data, np.uint8), 0, len(data))
    return _host(data[start:stop].decode())


def _host(host: str) -> str:
    """A host in the form in which hosts are compared."""
    host = re.sub("[\u3002\uff0e\uff61]", ".", unquote(host)).lower().strip().rstrip(".")
    if host.startswith("[") or host.count(":") > 1:
        try:
            return ipaddress.IPv6Address(host.strip("[]")).compressed
        except ValueError:
            return host
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:  # a label that is empty or too long
        return host


def _bytes(texts: list[str]) -> tuple[Bytes, Ints]:
    batch = TextBatch(pa.array(texts, pa.large_string()))
    return batch.data, batch.offsets
