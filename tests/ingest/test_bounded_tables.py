"""Records of 2 GB, in files that are small on disk: what is read of them is bounded by the longest text allowed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

ENDLESS = 2_000_000_000
LIMIT = 32_000_000
MARGIN = 120_000_000  # bytes beside a few copies of the longest text
# Reads a file in a process of its own and says what it found, and how much its memory grew.
SCRIPT = """
import json, resource, sys
from pathlib import Path
from pipelines.ingest.source import reader_class
from pipelines.ingest.records import Document
reader, path = reader_class(sys.argv[1]), Path(sys.argv[2])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before, found = peak(), []
for record in reader.read(path, path.name, max_text_bytes=int(sys.argv[3])):
    found.append(record.text if isinstance(record, Document) else record.reason)
print(json.dumps([found, peak() - before]))
"""


def write(path: Path, head: bytes, tail: bytes) -> None:
    """`head`, 2 GB of zeros, `tail`: with holes, or compressed."""
    if path.suffix != ".zst":
        with path.open("wb") as file:
            file.write(head)
            file.seek(ENDLESS, 1)
            file.write(tail)
        return
    piece = bytes(10_000_000)
    with path.open("wb") as file, zstandard.ZstdCompressor(level=1).stream_writer(file) as writer:
        writer.write(head)
        for _ in range(ENDLESS // len(piece)):
            writer.write(piece)
        writer.write(tail)


@pytest.mark.parametrize(
    ("format", "name", "head", "tail"),
    [
        ("jsonl", "x.jsonl", b'{"text": "a"}\n{"text": "', b'"}\n{"text": "b"}\n'),
        ("jsonl", "x.jsonl.zst", b'{"text": "a"}\n{"text": "', b'"}\n{"text": "b"}\n'),
        ("jsonl", "x.json.zst", b'[{"text": "a"},\n{"text": "', b'"},\n{"text": "b"}]'),
        ("csv", "x.csv.zst", b'text,n\na,1\n"', b'",2\nb,3\n'),
    ],
)
def test_a_record_of_2_gb_is_passed_over(tmp_path: Path, format: str, name: str, head: bytes, tail: bytes):
    path = tmp_path / name
    write(path, head, tail)
    command = [sys.executable, "-c", SCRIPT, format, str(path), str(LIMIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    path.unlink()
    found, grown = json.loads(done.stdout)
    assert found == ["a", "text too large", "b"]
    assert grown < 4 * LIMIT + MARGIN
