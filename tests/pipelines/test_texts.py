"""Texts are given to tasks by row group: none is lost, none comes twice, whatever the sizes."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import datasets, texts


def write(path: Path, values: list[str | None], row_group: int) -> str:
    """A file of documents/ with these texts."""
    rows = [
        {"doc_id": f"{path.stem}-{i}", "source": "s", "uri": "", "text": t, "meta": []} for i, t in enumerate(values)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=datasets.DOCUMENTS), path, row_group_size=row_group)
    return str(path)


def read(shared: list[list[texts.RowGroup]]) -> list[tuple[str, str, str]]:
    """(doc_id, text, part) of all that the tasks hold, in their order."""
    found = []
    transform = texts.each(shared, ["doc_id", "text"], lambda batch: iter([{"rows": batch}]))
    for written in transform(pa.record_batch({"id": list(range(len(shared)))})):
        rows = written["rows"]
        found += zip(rows["doc_id"].to_pylist(), rows["text"].to_pylist(), rows["part"].to_pylist())
    return found


@pytest.mark.parametrize("task_bytes", [1, 10_000, 10**9])
@pytest.mark.parametrize("batch_bytes", [1, 100, 10**9])
def test_every_text_once_and_the_longest_task_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task_bytes: int, batch_bytes: int
):
    monkeypatch.setattr(texts, "TASK_BYTES", task_bytes)
    monkeypatch.setattr(texts, "BATCH_BYTES", batch_bytes)
    monkeypatch.setattr(texts, "BATCH_ROWS", 3)
    values = [None if i % 5 == 0 else "x" * (i * 7 % 61) for i in range(40)]
    files = [write(tmp_path / "a.parquet", values, 4), write(tmp_path / "b.parquet", [None, None], 1)]
    files.append(write(tmp_path / "c.parquet", ["é" * 50], 1))
    shared = texts.tasks(files)
    expected = [(f"a-{i}", t, "a.parquet") for i, t in enumerate(values) if t is not None]
    assert sorted(read(shared)) == sorted([*expected, ("c-0", "é" * 50, "c.parquet")])
    sizes = [sum(pq.read_metadata(file).row_group(group).total_byte_size for file, group in task) for task in shared]
    assert sizes == sorted(sizes, reverse=True)
    for task in shared:
        assert task == sorted(task), "neighbours, in their order"


def test_batches_are_bounded_in_rows_and_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(texts, "BATCH_BYTES", 1_000)
    monkeypatch.setattr(texts, "BATCH_ROWS", 10)
    file = write(tmp_path / "a.parquet", ["x" * 30] * 25 + ["y" * 5_000] + ["z" * 400] * 5, 100)
    sizes = [[len(t) for t in batch["text"].to_pylist()] for batch in texts.batches(file, 0, ["text"])]
    assert sizes == [[30] * 10, [30] * 10, [30] * 5, [5_000], [400, 400], [400, 400], [400]]


def test_tasks_depend_on_sizes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = [write(tmp_path / f"{i}.parquet", ["text"] * 8, 2) for i in range(3)]
    size = pq.read_metadata(files[0]).row_group(0).total_byte_size
    monkeypatch.setattr(texts, "TASK_BYTES", 3 * size)
    assert [len(task) for task in texts.tasks(files)] == [3, 3, 3, 3]
    assert texts.tasks([]) == []
