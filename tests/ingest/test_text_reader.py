import gzip
import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from ingest_cases import SENTENCE, failures, gates, mutations, read_all, texts
from mutations import FILES, survives

from pipelines.ingest.books.text import read_text

BODY = "CHAPTER I.\n\n" + SENTENCE + "\n\nTHE END"
BOOK = (
    "Title: The Mill\n\n*** START OF THE PROJECT GUTENBERG EBOOK THE MILL ***\n\nProduced by Nobody\n\n\n"
    + BODY
    + "\n\n*** END OF THE PROJECT GUTENBERG EBOOK THE MILL ***\nlegal words\n"
)


@pytest.mark.parametrize(
    ("name", "opening", "closing", "facts"),
    [
        (
            "1342-0.txt",
            "PRIDE AND PREJUDICE\n\nBy Jane Austen\n\nChapter 1\n\nIt is a truth universally acknowledged",
            "her into Derbyshire, had been the means of uniting them.",
            {"title": "Pride and Prejudice", "author": "Jane Austen", "language": "English"},
        ),
        (
            "1661-8.txt",
            "THE ADVENTURES OF SHERLOCK HOLMES\n\nby\n\nSIR ARTHUR CONAN DOYLE",
            "Walsall, where I believe that she has met with considerable success.",
            {"title": "The Adventures of Sherlock Holmes", "charset": "cp1252", "charset_found": "declared"},
        ),
        (
            "2701-0.txt",
            "MOBY-DICK;\n\nor, THE WHALE.\n\nBy Herman Melville",
            "children, only found another orphan.",
            {"title": "Moby Dick; or The Whale", "author": "Herman Melville"},
        ),
    ],
)
def test_real_gutenberg_books(data: Path, name: str, opening: str, closing: str, facts: dict[str, str]):
    (row,) = read_all("text", data / "books/gutenberg" / name)
    text = row.text.decode()
    assert text.startswith(opening)
    assert text.endswith(closing)
    assert facts.items() <= row.record.meta.items()
    assert "GUTENBERG EBOOK" not in text
    assert "Gutenberg License" not in text
    assert "\r" not in text


@pytest.mark.parametrize(
    ("name", "heading", "chapters"),
    [
        ("1342-0.txt", r"^Chapter \d+$", 61),
        ("1661-8.txt", r"^(?:ADVENTURE )?[IVX]+\. (?:A|THE) [A-Z' -]+$", 12),
        ("2701-0.txt", r"^CHAPTER \d+\. ", 2 * 135),  # as many in the table of contents
    ],
)
def test_chapters_of_real_gutenberg_books(data: Path, name: str, heading: str, chapters: int):
    (text,) = texts(read_all("text", data / "books/gutenberg" / name))
    assert len(re.findall(heading, text, re.MULTILINE)) == chapters


def test_options_leave_what_they_name(data: Path):
    path = data / "books/gutenberg/1661-8.txt"
    options = {"gutenberg": False, "unwrap": False, "dehyphenate": False, "page_furniture": False}
    (row,) = read_all("text", path, **options)
    lines = path.read_bytes().decode("cp1252").splitlines()
    assert row.text.decode().split() == " ".join(lines).split()
    assert row.text.decode().startswith(
        "Project Gutenberg's The Adventures of Sherlock Holmes, by Arthur Conan Doyle\n\nThis"
    )
    assert "joined_lines" not in row.record.meta
    (row,) = read_all("text", path)
    assert int(row.record.meta["joined_lines"]) > 7_000


@pytest.mark.parametrize(
    "data",
    [
        b" " * 3_000_000,
        b"\n" * 3_000_000,
        (b"a" + b" " * 300_000 + b"\n") * 5 + b"\f",
        b"\f" * 1_000_000,
        b"word-\n" * 300_000,
        b"i\n\nii\n\niii\n\n" * 100_000,
        b"[Pg 1] " * 300_000,
        b"*** START OF THE PROJECT GUTENBERG EBOOK ***\n" + b"Produced by x\n\n" * 200_000,
        b"*** START OF THE PROJECT GUTENBERG EBOOK ***\n" + b"Transcriber's Note \n" * 100_000,
        bytes(range(128, 256)) * 10_000,
    ],
    ids=lambda data: repr(data[-16:]),
)
def test_time_is_linear_whatever_the_text(tmp_path: Path, data: bytes):
    start = time.process_time()
    assert len(list(read_text(write(tmp_path, data), "x", max_text_bytes=10_000_000))) == 1
    assert time.process_time() - start < 20


def test_latin_1_letters_of_a_real_book(data: Path):
    (text,) = texts(read_all("text", data / "books/gutenberg/1661-8.txt"))
    assert "fiancé" in text or "Café" in text or "détour" in text
    assert "\ufffd" not in text


def test_real_books_in_nine_languages(data: Path):
    for path in sorted((data / "books/eltec").rglob("*.txt.gz")):
        (text,) = texts(read_all("text", path))
        assert len(text) > 50_000


def write(tmp_path: Path, data: bytes, name: str = "x.txt") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def test_one_document_with_the_file_as_group(tmp_path: Path):
    (row,) = read_all("text", write(tmp_path, SENTENCE.encode()))
    assert (row.record.position, row.record.uri, row.record.meta["group"]) == ("", "x.txt", "x.txt")


@pytest.mark.parametrize(
    ("data", "gate"),
    [
        (b"", "no_text"),
        (b" \n\t\r\n \xef\xbb\xbf", "no_text"),
        (bytes(range(32)) * 50, "binary"),
        (b"PK\x03\x04" + bytes(5000), "binary"),
    ],
)
def test_gates(tmp_path: Path, data: bytes, gate: str):
    assert gates(read_all("text", write(tmp_path, data))) == [gate]


def test_single_nuls_are_no_reason_to_lose_a_text(tmp_path: Path):
    (text,) = texts(read_all("text", write(tmp_path, (SENTENCE + "\0" + SENTENCE).encode())))
    assert text == (SENTENCE * 2).strip()


def test_a_cut_off_file_is_a_failure(tmp_path: Path):
    data = gzip.compress(SENTENCE.encode() * 50)[:-10]
    assert failures(read_all("text", write(tmp_path, data))) == [("record", "the file ends within a compressed frame")]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_beyond_the_limit_is_a_failure(tmp_path: Path, pack):
    path = write(tmp_path, pack(bytes(50_000_000)))
    assert failures(read_all("text", path, max_text_bytes=100_000)) == [("record", "text too large")]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=mutations(gzip.compress(BOOK.encode(), mtime=0)))
def test_a_damaged_file_always_has_one_row(tmp_path: Path, data: bytes):
    assert len(read_all("text", write(tmp_path, data, "x.txt.gz"))) == 1


@pytest.mark.parametrize("seed", range(FILES))
@pytest.mark.parametrize("codec", ["utf-8", "cp1252", "utf-16-le"])
def test_fuzz(data: Path, tmp_path: Path, codec: str, seed: int):
    book = (data / "books/gutenberg/1661-8.txt").read_bytes().decode("cp1252")
    book = (book[:30_000] + book[-25_000:]).replace("I had", "I\fhad")

    def read(mutation: bytes):
        return list(read_text(write(tmp_path, mutation), "x", max_text_bytes=1_000_000))

    assert len(survives(read, book.encode(codec), seed)) == 1
