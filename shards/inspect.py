"""The facts of a shard set, per split and bucket: sizes, padding, pieces and cuts, how long its documents are."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from rich import box
from rich.console import RenderableType
from rich.table import Table

from shards.format import id_pairs
from shards.read import ShardFile, ShardSet


@dataclass
class BucketFacts:
    """What the files of one bucket of one split hold; all counts.

    `cut_documents` are those in more than one piece. `lengths` counts documents by their tokens: key k stands for 2^k
    to 2^(k+1) - 1 tokens.
    """

    split: str
    bucket: str
    files: int = 0
    rows: int = 0
    tokens: int = 0
    padding: int = 0
    bytes: int = 0
    documents: int = 0
    pieces: int = 0
    cut_documents: int = 0
    lengths: dict[int, int] = field(default_factory=dict)

    @property
    def padding_share(self) -> float:
        """Padding among all places of all rows, 0 to 1."""
        return self.padding / max(1, self.tokens + self.padding)

    @property
    def pieces_per_row(self) -> float:
        """Mean number of pieces in a row."""
        return self.pieces / max(1, self.rows)

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
        pieces = file.all_pieces()
        halves = id_pairs(pieces["document"])
        by_document = np.lexsort((halves[:, 1], halves[:, 0]))
        halves = halves[by_document]
        begins = np.flatnonzero(np.append(True, (halves[1:] != halves[:-1]).any(axis=1))[: len(halves)])
        self.pieces += len(pieces)
        self.cut_documents += int(np.count_nonzero(np.diff(begins, append=len(pieces)) > 1))
        if len(pieces):
            lengths = np.add.reduceat(pieces["length"][by_document].astype(np.int64), begins)
            powers, counts = np.unique(np.frexp(lengths)[1] - 1, return_counts=True)
            for power, count in zip(powers.tolist(), counts.tolist()):
                self.lengths[power] = self.lengths.get(power, 0) + count


def inspect(shards: ShardSet) -> list[BucketFacts]:
    """The facts of every split and bucket, sorted by both; a split without files has none. Reads all pieces."""
    facts: dict[tuple[str, str], BucketFacts] = {}
    for split in shards.manifest.splits:
        for file in shards.split(split).files:
            key = (split, file.entry.bucket)
            facts.setdefault(key, BucketFacts(*key)).add(file)
    return [facts[key] for key in sorted(facts)]


def as_json(shards: ShardSet, facts: list[BucketFacts]) -> dict[str, object]:
    """The facts as a JSON object: the header, the totals of each split, and one object a bucket."""
    return {
        "directory": str(Path(shards.directory)),
        "header": shards.header.model_dump(),
        "splits": {name: totals.model_dump() for name, totals in shards.manifest.splits.items()},
        "buckets": [
            {
                **asdict(fact),
                "padding_share": fact.padding_share,
                "pieces_per_row": fact.pieces_per_row,
                "tokens_per_document": fact.tokens_per_document,
                "lengths": {str(2**power): count for power, count in sorted(fact.lengths.items())},
            }
            for fact in facts
        ],
    }


def as_tables(shards: ShardSet, facts: list[BucketFacts]) -> list[RenderableType]:
    """The facts as Rich tables: what the set is, what is in it, how long its documents are."""
    header = shards.header
    about = Table(
        "context",
        "vocabulary",
        "token ids",
        "packing",
        "adds",
        "tokenizer",
        title=str(shards.directory),
        box=box.SIMPLE,
    )
    adds = [name for name, added in (("bos", header.adds_bos), ("eos", header.adds_eos)) if added]
    about.add_row(
        f"{header.context_length:,}",
        f"{header.vocabulary_size:,}",
        str(header.dtype),
        header.packing,
        ", ".join(adds) or "nothing",
        header.tokenizer_sha256[:12],
    )
    names = ("files", "rows", "tokens", "padding", "documents", "pieces/row", "cut")
    sizes = Table("split", "bucket", title="Contents", box=box.SIMPLE, padding=0)
    for name in names:
        sizes.add_column(name, justify="right")
    for fact in facts:
        sizes.add_row(
            fact.split,
            fact.bucket,
            f"{fact.files:,}",
            f"{fact.rows:,}",
            f"{fact.tokens:,}",
            f"{fact.padding_share:.2%}",
            f"{fact.documents:,}",
            f"{fact.pieces_per_row:.2f}",
            f"{fact.cut_documents:,}",
        )
    return [about, sizes, _length_table(facts)]


def _length_table(facts: list[BucketFacts]) -> Table:
    """Documents by length, a row per power of two, a column per split and bucket."""
    table = Table("tokens from", title="Documents by length", box=box.SIMPLE)
    for fact in facts:
        table.add_column(f"{fact.split} {fact.bucket}", justify="right")
    powers = {power for fact in facts for power in fact.lengths}
    for power in range(min(powers, default=0), max(powers, default=-1) + 1):
        table.add_row(f"{2**power:,}", *(f"{fact.lengths.get(power, 0):,}" for fact in facts))
    return table
