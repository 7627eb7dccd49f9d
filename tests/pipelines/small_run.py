"""A small input with something of everything, and its config: what the tests of whole runs work on."""

import gzip
import io
import random
import tarfile
import zlib
from pathlib import Path

import yaml

TOPICS = [
    "river",
    "mill",
    "stone",
    "grain",
    "winter",
    "bread",
    "road",
    "market",
    "bridge",
    "garden",
    "school",
    "harbour",
]
GLUE = ["the", "of", "and", "to", "that", "with", "was", "in", "by", "from", "have", "be", "a", "for", "it"]


def prose(seed: int, sentences: int = 30) -> str:
    """English-looking text that passes Gopher's rules."""
    generator = random.Random(seed)

    def sentence() -> str:
        words = [generator.choice(GLUE if i % 2 else TOPICS) for i in range(12)]
        extra = f"{generator.choice(TOPICS)}{generator.choice('abcdefgh')}{generator.choice('klmnop')}"
        return " ".join([*words, extra]).capitalize() + "."

    return "\n".join(" ".join(sentence() for _ in range(3)) for _ in range(sentences // 3))


def record(uri: str, html: str, status: str = "200 OK", content_type: str = "text/html; charset=utf-8") -> bytes:
    body = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n\r\n".encode() + html.encode()
    head = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {uri}\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n"
        f"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{zlib.crc32(uri.encode()):012d}>\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + body + b"\r\n\r\n", mtime=0)


def page(title: str, text: str) -> str:
    paragraphs = "".join(f"<p>{line}</p>" for line in text.split("\n"))
    return (
        f"<html><head><title>{title}</title></head><body><article><h1>{title}</h1>{paragraphs}</article></body></html>"
    )


def make_input(folder: Path) -> None:
    """web/*.warc.gz, books/*.txt, code/*.tar.gz below `folder`: duplicates, gates, broken files included."""
    for name in ("web", "books", "code"):
        (folder / name).mkdir(parents=True)
    for file in range(3):
        pages = [
            record(f"https://site{i % 7}.example/{file}/{i}", page(f"Page {i}", prose(100 * file + i)))
            for i in range(20)
        ]
        pages.append(record(f"https://copy.example/{file}", page("Page 0", prose(0))))  # page 0 of file 0, thrice
        pages.append(record(f"https://short.example/{file}", page("Short", "Too short to stay.")))
        pages.append(record(f"https://gone.example/{file}", page("Gone", prose(1)), status="404 Not Found"))
        pages.append(record(f"https://image.example/{file}", "PNG", content_type="image/png"))
        spelled = prose(900 + file) + "\nA page that spells <|endoftext|> and <|bos|> out."
        pages.append(record(f"https://special.example/{file}", page("Special", spelled)))
        (folder / "web" / f"pages-{file}.warc.gz").write_bytes(b"".join(pages))
    whole = (folder / "web" / "pages-0.warc.gz").read_bytes()
    (folder / "web" / "truncated.warc.gz").write_bytes(whole[: len(whole) // 3])
    for book in range(6):
        (folder / "books" / f"book-{book}.txt").write_text("\n\n".join(prose(5_000 + 50 * book + i) for i in range(8)))
    (folder / "books" / "empty.txt").write_text("")
    with tarfile.open(folder / "code" / "package-1.0.tar.gz", "w:gz") as archive:
        for i in range(8):
            body = "".join(
                f"def function_{i}_{j}(value):\n    return value + {i * j}\n\n\n" for j in range(20)
            ).encode()
            entry = tarfile.TarInfo(f"package-1.0/module_{i}.py")
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
        entry = tarfile.TarInfo("package-1.0/logo.png")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"\x89PNG"))


def write_config(path: Path, folder: Path, **changes) -> Path:
    """A config over `make_input(folder)`."""
    content = {
        "name": "small",
        "seed": 3,
        "sources": [
            {"name": "books", "format": "text", "kind": "book", "paths": [f"{folder}/books/*.txt"]},
            {"name": "code", "format": "code", "paths": [f"{folder}/code/*"], "options": {"licences": ["any"]}},
            {"name": "web", "format": "warc", "paths": [f"{folder}/web/*.warc.gz"]},
        ],
        "annotate": {"edits": {"web": ["javascript"]}},
        "split": {"validation": 0.2, "test": 0.2},
        "tokenizer": {"vocab_size": 600},
        "pack": {"context": 64, "shard_bytes": 16_384},
        "spark": {"master": "local[2]", "memory": "1g", "conf": {"spark.sql.shuffle.partitions": "3"}},
    }
    path.write_text(yaml.safe_dump({**content, **changes}))
    return path
