"""Reading texts for the command line: plain files, JSON Lines, Parquet."""

import io
import json
from codecs import getincrementaldecoder
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tokenizer.pieces import LONGEST, last_border

PLAIN_CHUNK = 1 << 20


def read_texts(file: Path, column: str = "text") -> Iterator[str]:
    """The texts of one file, by its suffix.

    `.parquet` and `.jsonl` (or `.ndjson`; also `.gz`, `.zst`, `.bz2`, `.lz4`) give their `column`, nulls left out;
    anything else is plain text, given in parts of about a megabyte, cut where no pre-token spans the place. What is not
    UTF-8 becomes U+FFFD.
    Raises ValueError that names the place where a file is not what its suffix says.
    """
    suffixes = [suffix.lower() for suffix in file.suffixes]
    try:
        if ".parquet" in suffixes[-1:]:
            yield from _parquet(file, column)
        elif {".jsonl", ".ndjson"} & set(suffixes[-2:]):
            yield from _json_lines(file, column)
        else:
            yield from _plain(file)
    except OSError as error:  # what unpacks a file does not say which
        raise error if str(file) in str(error) else ValueError(f"{file} cannot be read: {error}") from error


def _parquet(file: Path, column: str) -> Iterator[str]:
    try:
        with pq.ParquetFile(file) as parquet:
            if column not in parquet.schema_arrow.names:
                raise ValueError(f"{file} has no column {column!r}; it has: {', '.join(parquet.schema_arrow.names)}")
            for batch in parquet.iter_batches(batch_size=1024, columns=[column]):
                yield from (text for text in batch.column(0).cast(pa.large_string()).to_pylist() if text is not None)
    except pa.ArrowException as error:
        raise ValueError(f"{file} cannot be read as Parquet: {error}") from error


def _json_lines(file: Path, column: str) -> Iterator[str]:
    with pa.input_stream(str(file), compression="detect") as stream:
        for number, line in enumerate(io.BufferedReader(stream), start=1):
            if not line.strip():
                continue
            try:
                text = json.loads(line.decode("utf-8", "replace"))[column]
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise ValueError(f"{file}, line {number}: no JSON object with a {column!r} ({error})") from error
            if text is not None:
                if not isinstance(text, str):
                    raise ValueError(f"{file}, line {number}: {column!r} is {type(text).__name__}, not text")
                # JSON can spell unpaired surrogates, which no UTF-8 holds.
                yield text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _plain(file: Path) -> Iterator[str]:
    decoder, rest = getincrementaldecoder("utf-8")("replace"), ""
    with pa.input_stream(str(file), compression="detect") as stream:
        while block := stream.read(PLAIN_CHUNK):
            rest += decoder.decode(block)
            if len(rest) < PLAIN_CHUNK:
                continue
            cut = last_border(rest) or (len(rest) if len(rest) >= LONGEST else 0)
            if cut:
                yield rest[:cut]
                rest = rest[cut:]
    if rest := rest + decoder.decode(b"", final=True):
        yield rest
