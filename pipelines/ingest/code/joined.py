"""The files of a tree as one document, in an order in which what a file imports comes before it."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.ingest.code.imports import dependency_order
from pipelines.ingest.code.licence_names import joined
from pipelines.ingest.records import Document, Failure


def joined_tree(records: Iterator[Document | Failure], name: str, limit: int) -> Iterator[Document | Failure]:
    """The documents of a tree as one, each below a line `==> path <==`; what has no text passes as it is.

    A tree of more than `limit` bytes of text is several documents, each of files that are neighbours in the tree.
    """
    held: dict[str, Document] = {}
    size = part = 0
    for record in records:
        if isinstance(record, Failure) or record.text is None:
            yield record
            continue
        more = len(record.text.encode("utf-8", "surrogatepass")) + len(record.position.encode("utf-8", "replace")) + 16
        if held and size + more > limit:
            part += 1
            yield _one(list(held.values()), name, part)
            held, size = {}, 0
        held[record.position] = record
        size += more
    if held:
        yield _one(list(held.values()), name, part + 1)


def _one(documents: list[Document], name: str, part: int) -> Document:
    by_path = {document.meta["path"]: document for document in documents}
    texts = {path: (document.meta["language"], document.text or "") for path, document in by_path.items()}
    order = dependency_order(texts)
    sizes: dict[str, int] = {}
    for language, text in texts.values():
        sizes[language] = sizes.get(language, 0) + len(text)
    first = documents[0].meta
    kept = ("repository", "group", "revision")
    meta = {key: value for key, value in first.items() if key in kept}
    meta |= {
        "language": min(sizes, key=lambda language: (-sizes[language], language)),
        "licence": joined("AND", sorted({document.meta["licence"] for document in documents})),
        "files": str(len(order)),
    }
    text = "\n".join(f"==> {path} <==\n{texts[path][1]}" for path in order)
    # No path of a tree begins with a colon, so none is this position.
    return Document(f":{part}", name, text, meta)
