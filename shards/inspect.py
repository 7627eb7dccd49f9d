"""The facts of a shard set, per split and bucket: sizes, how long its documents are, what packing did to them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from shards.format import kind_name
from shards.inspect_corpus import Origin
from shards.packing_report import PackingReport, add_up, report
from shards.pieces import as_layout, pieces_by_row
from shards.read import ShardFile, ShardSet
from shards.show import printable

MOST_LANGUAGES = 20
MOST_COLUMNS = 8


@dataclass
class BucketFacts:
    """What the files of one bucket of one split hold.

    `files` to `documents` are what the manifest says; `pieces` (by kind), `lengths` and `packing` what the pieces in
    the files say. `lengths` counts documents by their tokens: key k stands for 2^k to 2^(k+1) - 1 tokens.
    """

    split: str
    bucket: str
    files: int = 0
    rows: int = 0
    tokens: int = 0
    padding: int = 0
    bytes: int = 0
    documents: int = 0
    pieces: dict[str, int] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)
    packing: PackingReport = field(default_factory=PackingReport)

    @property
    def padding_share(self) -> float:
        """Padding among all places of all rows, 0 to 1."""
        return self.padding / max(1, self.tokens + self.padding)

    @property
    def tokens_per_document(self) -> float:
        """Mean number of tokens of a document."""
        return self.tokens / max(1, self.documents)

    def add(self, file: ShardFile) -> None:
        """Count a file in; reads its pieces, not its tokens."""
        entry = file.entry
        self.files += 1
        self.rows += entry.rows
        self.tokens += entry.tokens
        self.padding += entry.padding
        self.bytes += entry.bytes
        self.documents += entry.documents
        layout = as_layout(file.shared.width, entry.rows, *pieces_by_row(file))
        self.packing = add_up([self.packing, report(layout)])
        kinds, counts = np.unique(layout.kind, return_counts=True)
        _add(self.pieces, map(kind_name, kinds.tolist()), counts.tolist())
        lengths = np.zeros(layout.document.max(initial=-1) + 1, np.int64)
        np.add.at(lengths, layout.document, layout.length)
        powers, counts = np.unique(np.frexp(lengths)[1] - 1, return_counts=True)
        _add(self.lengths, powers.tolist(), counts.tolist())


def inspect(shards: ShardSet) -> list[BucketFacts]:
    """The facts of every split and bucket, sorted by both; a split without files has none.

    Reads all pieces. Raises ShardError for a damaged file.
    """
    facts: dict[tuple[str, str], BucketFacts] = {}
    for split in shards.manifest.splits:
        for file in shards.split(split).files:
            key = (split, file.entry.bucket)
            facts.setdefault(key, BucketFacts(*key)).add(file)
    return [facts[key] for key in sorted(facts)]


def as_json(shards: ShardSet, facts: list[BucketFacts], origins: list[Origin] | None) -> dict[str, object]:
    """The facts as a JSON object: the header, the totals of each split, one object a bucket, and the origins."""
    return {
        "directory": str(Path(shards.directory)),
        "header": shards.header.model_dump(),
        "splits": {name: totals.model_dump() for name, totals in shards.manifest.splits.items()},
        "buckets": [
            {
                **asdict(fact),
                "padding_share": fact.padding_share,
                "tokens_per_document": fact.tokens_per_document,
                "lengths": {str(2**power): count for power, count in sorted(fact.lengths.items())},
                "packing": {
                    **fact.packing.model_dump(mode="json", exclude={"dropped"}),
                    "context_lost_share": fact.packing.context_lost_share,
                },
            }
            for fact in facts
        ],
        "origins": None if origins is None else [asdict(origin) for origin in origins],
    }


def as_tables(shards: ShardSet, facts: list[BucketFacts], origins: list[Origin] | None) -> list[RenderableType]:
    """The facts as Rich tables: what the set is, what is in it, how it is packed, how long its documents are."""
    header = shards.header
    names = ("context", "vocabulary", "token ids", "packing", "adds", "tokenizer")
    about = Table(*names, title=Text(printable(str(shards.directory))), box=box.SIMPLE)
    adds = [name for name, added in (("bos", header.adds_bos), ("eos", header.adds_eos)) if added]
    about.add_row(
        f"{header.context_length:,}",
        f"{header.vocabulary_size:,}",
        str(header.dtype),
        header.packing,
        ", ".join(adds) or "nothing",
        header.tokenizer_sha256[:12],
    )
    sizes = _table(
        "Contents", ("split", "bucket"), ("files", "rows", "tokens", "documents", "tokens/document", "bytes")
    )
    packing = _table(
        "Packing",
        ("split", "bucket"),
        ("padding", "documents/row", "cut documents", "cuts", "truncated", "context lost", "pieces"),
    )
    for fact in facts:
        where = (_cell(fact.split), _cell(fact.bucket))
        numbers = (fact.files, fact.rows, fact.tokens, fact.documents, round(fact.tokens_per_document), fact.bytes)
        sizes.add_row(*where, *(f"{number:,}" for number in numbers))
        packing.add_row(*where, *_packing_cells(fact))
    return [about, sizes, packing, _length_table(facts), *_origin_tables(origins)]


def _packing_cells(fact: BucketFacts) -> list[str]:
    packed = fact.packing
    in_rows = sum(count * rows for count, rows in packed.documents_per_row.items())
    return [
        f"{fact.padding_share:.3%}",
        f"{in_rows / max(1, packed.rows):.2f}",
        f"{packed.cut_documents:,}",
        f"{packed.cuts:,}",
        f"{packed.truncated_documents:,}",
        f"{packed.context_lost_share:.2%}",
        ", ".join(f"{count:,} {kind}" for kind, count in fact.pieces.items()),
    ]


def _length_table(facts: list[BucketFacts]) -> Table:
    """Documents by length, a row per power of two, a column per split and bucket; per split where these are many."""
    table = _table("Documents by length", ("tokens from",), ())
    columns: dict[str, dict[int, int]] = {}
    for fact in facts:
        name = f"{fact.split} {fact.bucket}" if len(facts) <= MOST_COLUMNS else fact.split
        _add(columns.setdefault(name, {}), fact.lengths.keys(), fact.lengths.values())
    for name in columns:
        table.add_column(_cell(name), justify="right")
    powers = {power for lengths in columns.values() for power in lengths}
    for power in range(min(powers, default=0), max(powers, default=-1) + 1):
        table.add_row(f"{2**power:,}", *(f"{lengths.get(power, 0):,}" for lengths in columns.values()))
    return table


def _origin_tables(origins: list[Origin] | None) -> list[RenderableType]:
    """Documents and tokens by source and by language."""
    if origins is None:
        return [Text("Sources and languages: there is no corpus beside the shards that would tell them.")]
    tables: list[RenderableType] = []
    for title, by in (("Sources", lambda row: row.source), ("Languages", lambda row: row.language)):
        sums: dict[tuple[str, str], list[int]] = {}
        for row in origins:
            pair = sums.setdefault((row.split, by(row) or "not known"), [0, 0])
            pair[0] += row.documents
            pair[1] += row.tokens
        table = _table(title, ("split", title.lower()[:-1]), ("documents", "tokens"))
        rows = sorted(sums.items(), key=lambda item: (item[0][0], -item[1][1], item[0][1]))
        for (split, name), (documents, tokens) in rows[:MOST_LANGUAGES]:
            table.add_row(_cell(split), _cell(name), f"{documents:,}", f"{tokens:,}")
        tables.append(table)
        if len(rows) > MOST_LANGUAGES:
            tables.append(Text(f"and {len(rows) - MOST_LANGUAGES} more, with --json"))
    return tables


def _table(title: str, names: Iterable[str], numbers: Iterable[str]) -> Table:
    table = Table(*names, title=title, box=box.SIMPLE, padding=(0, 1, 0, 0))
    for number in numbers:
        table.add_column(number, justify="right")
    return table


def _cell(text: str) -> Text:
    """A name from a manifest, which could hold anything."""
    return Text(printable(text))


def _add(sums: dict, keys: Iterable, counts: Iterable[int]) -> None:
    for key, count in zip(keys, counts):
        sums[key] = sums.get(key, 0) + count
