"""The reader of source code: one document for each file of a directory, archive or Git repository, or for each tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from pipelines.ingest.code import containers, notebooks, repositories
from pipelines.ingest.code.beside import licences_beside, packaging_beside
from pipelines.ingest.code.containers import DAMAGE, Entry, Refused, explain
from pipelines.ingest.code.decoding import decode_code
from pipelines.ingest.code.discovery import discover
from pipelines.ingest.code.joined import joined_tree
from pipelines.ingest.code.languages import language_of
from pipelines.ingest.code.licence_names import allowed
from pipelines.ingest.code.licences import MOST_BYTES, Licences, is_evidence
from pipelines.ingest.code.marks import marks
from pipelines.ingest.files import InputFile
from pipelines.ingest.records import Document, Failure, gated, too_large
from pipelines.ingest.source import FileSource

if TYPE_CHECKING:
    from pipelines.source_config import Source

_LARGE_FILE = b"version https://git-lfs.github.com/spec/v1\n"  # what Git LFS leaves in a large file's place
_LARGE_FILE_BYTES = 1024  # a pointer has fewer (git-lfs, docs/spec.md)

Record = Document | Failure


class CodeSource(FileSource):
    """Spark data source of source code. All files of a directory are candidates; a Git repository is one "file"."""

    normalize: ClassVar[None] = None
    directories: ClassVar[bool] = True

    @classmethod
    def discover(cls, source: Source) -> tuple[str, list[InputFile]]:
        """The root and the files of a source, Git repositories among them; see `discovery`."""
        return discover(source, super().discover)


def read_code(
    path: Path,
    name: str,
    *,
    max_text_bytes: int,
    wanted: Callable[[str], bool] | None = None,
    revision: Annotated[
        str, Field(description="the commit of Git repositories that is read: a branch, a tag, a hash, HEAD~2")
    ] = "HEAD",
    licences: Annotated[
        tuple[str, ...],
        Field(
            description="licences that are let through: SPDX identifiers, `permissive` for the permissive ones,"
            " `unknown` where none was found, `any` for all; others have the gate `licence`"
        ),
    ] = ("permissive",),
    documents: Annotated[
        Literal["files", "repository"],
        Field(
            description="whether a file is a document, or all files of an archive or a Git repository are one, in an"
            " order in which what a file imports comes before it"
        ),
    ] = "files",
) -> Iterator[Record]:
    """Documents of one archive or Git repository (its files), or of one file that is neither.

    `meta`: language, licence (an SPDX expression, or unknown) and licence_from (header, or the file that told it), path
    (within the tree), repository and group (the archive, the repository, or the file's topmost directory), revision,
    charset; `vendored`, `generated`, `minified`, `data`, `notebook` are "true" where they hold. Gates: `licence` (not
    in the list), `file_type` (no known language), `binary`, `link` (within the tree), `submodule`, `lfs_pointer`. Links
    and names that lead out of the tree, special files and encrypted entries are failures and never followed; so is a
    file longer than `max_text_bytes`.
    """
    files = _Reader(name, max_text_bytes, licences, wanted if documents == "files" else None)
    entries: Callable[[], Iterator[Entry]]
    if isinstance(path, Path) and path.is_dir():
        entries = lambda: repositories.entries(path, revision)  # noqa: E731
    elif containers.is_archive(path.name):
        entries = lambda: containers.entries(path, max_text_bytes)  # noqa: E731
    else:
        inner = name.partition("/")[2]
        evidence = licences_beside(path, name) if isinstance(path, Path) else Licences([])
        yield files.read(_plain(path, name), "", name, inner or name, name.partition("/")[0], evidence)
        return
    records = files.tree(entries, packaging_beside(path) if isinstance(path, Path) else [])
    yield from records if documents == "files" else joined_tree(records, name, max_text_bytes)


CodeSource.read = staticmethod(read_code)


class _Reader:
    """Reads the entries of one tree, or one file."""

    def __init__(self, name: str, limit: int, licences: tuple[str, ...], wanted: Callable[[str], bool] | None) -> None:
        self.name, self.limit, self.licences, self.wanted = name, limit, licences, wanted

    def tree(self, entries: Callable[[], Iterator[Entry]], evidence: list[tuple[str, str]]) -> Iterator[Record]:
        """All entries, after a first walk that reads what tells their licences. Damage ends the tree with a failure."""
        found = list(evidence)
        with suppress(*DAMAGE):  # the second walk comes to the same place, and says so
            found += [(entry.name, text) for entry in entries() if (text := self._evidence(entry)) is not None]
        licences = Licences(found)
        seen: dict[str, int] = {}
        try:
            for entry in entries():
                seen[entry.name] = times = seen.get(entry.name, 0) + 1
                # An archive may hold a name twice: the second is another record. No entry that is read has a name
                # with a colon in front, so none has this position as its name.
                position = entry.name if times == 1 else f"{times}:{entry.name}"
                if self.wanted is None or self.wanted(position):
                    yield self.read(entry, position, f"{self.name}!/{entry.name}", entry.name, self.name, licences)
        except DAMAGE as error:
            yield Failure("file", "", "damaged or refused tree", explain(error))
            return
        if not seen:
            yield Failure("file", "", "empty tree", "no files")

    def _evidence(self, entry: Entry) -> str | None:
        if entry.refused or entry.gate or entry.size > MOST_BYTES or not is_evidence(entry.name):
            return None
        try:
            decoded = decode_code(entry.read(MOST_BYTES))
        except DAMAGE:
            return None
        return decoded[0] if decoded else None

    def read(self, entry: Entry, position: str, uri: str, path: str, repository: str, licences: Licences) -> Record:
        """One entry as a document, gated or not, or a failure."""
        if entry.refused:
            return Failure("record", position, entry.refused, " ".join(filter(None, (uri, entry.detail))))
        meta = {"path": path, "repository": repository, "group": repository}
        if entry.revision:
            meta["revision"] = entry.revision
        if entry.gate:
            return gated(position, uri, entry.gate, meta)
        if entry.size > self.limit:
            return too_large(position, self.limit)
        try:
            data = entry.read(self.limit + 1)
        except Refused:
            raise  # it is about the whole tree
        except DAMAGE as error:
            return Failure("record", position, "unreadable entry", explain(error))
        if len(data) > self.limit:
            return too_large(position, self.limit)
        if len(data) < _LARGE_FILE_BYTES and data.startswith(_LARGE_FILE):
            return gated(position, uri, "lfs_pointer", meta)
        decoded = decode_code(data)
        if decoded is None:
            return gated(position, uri, "binary", meta)
        text, charset, found = decoded
        return self._document(position, uri, text, {**meta, "charset": charset, "charset_found": found}, licences)

    def _document(self, position: str, uri: str, text: str, meta: dict[str, str], licences: Licences) -> Record:
        path = meta["path"]
        language = language_of(path, text)
        if language is None:
            return gated(position, uri, "file_type", meta)
        licence = licences.of(path, text)
        meta = {**meta, "language": language, "licence": licence.expression}
        if licence.told_by:
            meta["licence_from"] = licence.told_by
        meta |= marks(path, language, text)
        if not allowed(licence.expression, self.licences):
            return gated(position, uri, "licence", meta)
        if language == "Jupyter Notebook":
            try:
                text, language = notebooks.script(text)
            except ValueError as error:
                return Failure("record", position, "unreadable notebook", str(error))
            meta = {**meta, "language": language, "notebook": "true"}
            meta.pop("data", None)
        return Document(position, uri, text, meta)


def _plain(path: Path, name: str) -> Entry:
    with path.open("rb") as file:
        size = file.seek(0, 2)

    def read(most: int) -> bytes:
        with path.open("rb") as file:
            return file.read(most)

    return Entry(name, size, read)
