"""Documents on disk as a run has them, and what is found in them."""

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from filters.batch import TextBatch
from pipelines import corpus, datasets
from pipelines.dedup import repeats


class Doc(NamedTuple):
    number: int
    text: str
    source: str = "web"
    cluster: int | None = None
    group: str = ""

    @property
    def id(self) -> str:
        return f"{self.number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}"


def cluster_of(doc: Doc) -> str:
    return Doc(doc.number if doc.cluster is None else doc.cluster, "").id


def find(spark, folder: Path, docs: list[Doc], settings, files: int = 2, code=(), left_out=()) -> list[dict]:
    """The rows of repeats/, sorted. The documents lie in `files` files, in the given order."""
    (folder / "documents").mkdir(parents=True)
    members = []
    for file in range(files):
        mine = docs[file::files]
        columns = [
            [doc.id for doc in mine],
            [doc.source for doc in mine],
            [f"https://{doc.number}.example/" for doc in mine],
            [doc.text for doc in mine],
            [[("group", doc.group)] if doc.group else [] for doc in mine],
        ]
        table = pa.table([pa.array(c, f.type) for c, f in zip(columns, datasets.DOCUMENTS)], schema=datasets.DOCUMENTS)
        pq.write_table(table, folder / "documents" / f"part-{file}.parquet", row_group_size=7)
        members += [
            {"part": f"part-{file}.parquet", "doc_id": doc.id, "cluster": cluster_of(doc)}
            for doc in mine
            if doc.number not in left_out
        ]
    pq.write_table(pa.Table.from_pylist(members), folder / "members.parquet")
    documents = corpus.documents(spark, datasets.files(folder, "documents"))
    repeats.write(documents, folder / "members.parquet", folder / "scratch", settings, list(code), folder)
    rows = datasets.scan(folder, "repeats").select(datasets.REPEATS.names).to_pylist()
    return sorted(rows, key=lambda row: tuple(map(str, row.values())))


def paired(keys, units) -> None:
    """Check that two keys are equal just where what they stand for is."""
    assert len(set(zip(keys, units))) == len(set(keys)) == len(set(units))


def folded_words(text: str) -> list[tuple[str, int, int]]:
    """(folded word, first byte, end)."""
    words, data = TextBatch(pa.array([text])).words, text.encode()
    spans = zip(words.starts.tolist(), (words.starts + words.lengths).tolist())
    return [(data[start:end].decode().casefold(), start, end) for start, end in spans]
