"""A token traced through a run: from its row to the record of an archive that it was read from, and to its text."""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from pathlib import Path

from pipelines.errors import ConfigError
from pipelines.lookup import Row, rows_where
from shards import read
from shards.trace import TEXT, Traced, document_tokens, span
from shards.trace import trace as trace_in_shards
from tokenizer.vocabulary import sha256, tokens

AROUND = 80  # characters of text on each side


class Tracer:
    """Traces tokens of one shard set, in a run's output directory or alone. Raises ShardError where it is damaged."""

    def __init__(self, directory: Path) -> None:
        nested = directory / "shards"
        self.shards = read.open(nested if nested.is_dir() else directory)
        self.output = self.shards.directory.absolute().parent

    def trace(self, split: str, row: int, position: int) -> Row:
        """What is known of token `position` in row `row` of a split.

        The fields of `shards.trace.Traced`; then, of a document's token in a run: source, uri, archive (the file,
        relative to its source's root), record (its position in that: byte offset, row, line or name; None where the
        file is the record), meta; and of a text token `text`: characters `first` to `end` of the corpus text,
        first_byte, end_byte, and what is `before`, in the `token` and `after`. `missing` says what could not be told.

        Raises ConfigError for a split, row or position that is not there, ShardError for a damaged file.
        """
        try:
            found = trace_in_shards(self.shards, split, row, position)
        except (KeyError, IndexError) as error:
            raise ConfigError(f"{self.shards.directory}: {error.args[0]}") from error
        facts: Row = {**asdict(found), "missing": []}
        if found.document is None:
            return facts
        corpus = self.output / "corpus" / f"split={split}"
        files = sorted(str(path) for path in corpus.rglob("*.parquet"))
        document = _document(files, found.document)
        if document is None:
            where = f"{corpus} does not hold the document" if files else f"there is no {corpus}"
            facts["missing"].append(f"source, record and text: {where}")
            return facts
        facts |= {name: document[name] for name in ("source", "uri", "archive", "record", "meta")}
        if found.role == TEXT:
            self._add_text(facts, found, document["text"])
        return facts

    def _add_text(self, facts: Row, found: Traced, text: str) -> None:
        if isinstance(self._spelling, str):
            facts["missing"].append(f"text: {self._spelling}")
            return
        assert found.document is not None
        assert found.offset is not None
        own = document_tokens(self.shards.split(found.split).locate(found.row)[0], found.document)
        place = span(own, found.offset, self._spelling, text)
        if place is None:
            facts["missing"].append("text: the document's tokens are not those of its text in corpus/")
            return
        facts["text"] = {
            **asdict(place),
            "before": text[max(0, place.first - AROUND) : place.first],
            "token": text[place.characters],
            "after": text[place.end : place.end + AROUND],
        }

    @cached_property
    def _spelling(self) -> list[bytes | None] | str:
        """The bytes of every token, or why they are not known."""
        file = self.output / "tokenizer" / "tokenizer.json"
        if not file.is_file() or sha256(file) != self.shards.header.tokenizer_sha256:
            return f"{file} is not the tokenizer that made these shards"
        try:
            return tokens(file)
        except ValueError as error:
            return str(error)


def _document(files: list[str], doc_id: str) -> Row | None:
    """The row of corpus/ with this id: of row groups without it only the ids are read."""
    for file in files:
        for row in rows_where([file], "doc_id", [doc_id]):
            meta = dict(row["meta"] or [])
            source = next(part for part in Path(file).parts if part.startswith("source=")).removeprefix("source=")
            place = {"source": source, "archive": meta.get("file"), "record": meta.get("position")}
            return {**row, **place, "meta": meta}
    return None


def as_text(facts: Row) -> str:
    """What `gristmill shards trace` prints."""
    head = f"{facts['split']} row {facts['row']} position {facts['position']}"
    lines = [f"{head}  ({facts['file']}, row {facts['row_in_file']}): token {facts['token']}, {facts['role']}"]
    names = ("special", "document", "kind", "offset", "source", "uri", "archive", "record")
    lines += [f"  {name:<9} {facts[name]}" for name in names if facts.get(name) is not None]
    lines += [f"  {name:<9} {value}" for name, value in sorted(facts.get("meta", {}).items()) if name == "record_id"]
    lines += [f"  missing   {what}" for what in facts["missing"]]
    if text := facts.get("text"):
        lines.append(f"  text      characters {text['first']:,} to {text['end']:,}")
        lines.append(f"{text['before']}⟦{text['token']}⟧{text['after']}")
    return "\n".join(lines)
