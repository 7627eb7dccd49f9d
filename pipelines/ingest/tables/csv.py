"""CSV and TSV: one document a row."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from pipelines.ingest.frames import BrokenFrame
from pipelines.ingest.records import Document, Failure
from pipelines.ingest.source import FileSource
from pipelines.ingest.tables.columns import DEFAULT_COLUMNS, Columns, to_document, with_unique_ids
from pipelines.ingest.tables.csv_rows import BROKEN_BYTE, Layout, numbered_rows
from pipelines.ingest.tables.packed import pieces, with_packings, without_packing


class CsvSource(FileSource):
    """Spark data source of CSV and TSV."""

    suffixes: ClassVar[tuple[str, ...]] = with_packings(".csv", ".tsv", ".tab")


def _text_encoding(name: str) -> str:
    try:
        "".encode(name)  # refuses codecs that are none of text, such as hex
        codecs.getincrementaldecoder(name)
    except LookupError as error:
        raise ValueError(f"{error}") from None
    return name


Character = Annotated[str, Field(pattern=r"^[^\r\n]$")]
Encoding = Annotated[str, AfterValidator(_text_encoding)]


def read_csv(
    path: Path,
    name: str,
    *,
    max_text_bytes: int,
    delimiter: Annotated[
        Character | None, Field(description="between fields; by default a tab in .tsv and .tab files, else a comma")
    ] = None,
    quote: Annotated[
        Character | None, Field(description="around fields that hold a delimiter or a line end; null for none")
    ] = '"',
    header: Annotated[
        list[str] | None, Field(description="names of the columns, of a file that has none in its first row")
    ] = None,
    encoding: Annotated[Encoding, Field(description="by its name in Python; a byte order mark is left out")] = "utf-8",
    columns: Columns = DEFAULT_COLUMNS,
) -> Iterator[Document | Failure]:
    """Documents of one file, by row; a row's position is the line, from 1, on which it begins. All values are text.

    A row that is quoted wrongly, has another number of fields than the header, is longer than `max_text_bytes`
    characters, or holds bytes that mean nothing in `encoding` is a failure; the next line is read as a row. So is a
    row whose id another one has before it. Empty lines are no rows.
    """
    if delimiter is None:
        delimiter = "\t" if without_packing(name).endswith((".tsv", ".tab")) else ","
    layout = Layout(delimiter, quote)
    text = _decoded(pieces(path), encoding)
    return with_unique_ids(_documents(text, name, layout, header, columns, max_text_bytes), columns)


CsvSource.read = staticmethod(read_csv)


def _documents(
    text: Iterable[str], name: str, layout: Layout, header: list[str] | None, columns: Columns, limit: int
) -> Iterator[Document | Failure]:
    line = 0
    try:
        for line, row in numbered_rows(text, layout, limit, len(header) if header else None):
            if isinstance(row, Failure):
                yield row
            elif header is None:
                header = row
                if problem := _problem(header, columns):
                    yield Failure("file", "", *problem)
                    return
            else:
                yield to_document(dict(zip(header, row, strict=True)), columns, line, name)
    except BrokenFrame as broken:
        yield Failure("file", str(line + 1), broken.reason, f"the rows from here on are lost; {broken}")


def _problem(header: list[str], columns: Columns) -> tuple[str, str] | None:
    if missing := sorted(columns.wanted() - {*header}):
        return "missing column", ", ".join(missing)
    if twice := sorted({name for name in header if header.count(name) > 1}):
        return "two columns have one name", ", ".join(twice)
    return None


def _decoded(pieces: Iterable[bytes], encoding: str) -> Iterator[str]:
    """The text in pieces, a BROKEN_BYTE for each stretch of bytes that means nothing."""
    decoder = codecs.getincrementaldecoder(encoding)("gristmill.broken_byte")
    begun = False
    for piece in pieces:
        text = decoder.decode(piece)
        if text:
            yield text if begun else text.removeprefix("\ufeff")
            begun = True
    yield decoder.decode(b"", final=True)


def _mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return BROKEN_BYTE, error.end


codecs.register_error("gristmill.broken_byte", _mark)
