import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from ingest_cases import SENTENCE, failures, gates, mutations, read_all, texts

from pipelines.ingest.text import without_gutenberg

BODY = "CHAPTER I.\n\n" + SENTENCE + "\n\nTHE END"
LICENSE = "\n\nUpdated editions will replace the previous one.\n"
# The borders of Project Gutenberg's books, as they have been marked since 1991.
BORDERS = [
    ("*** START OF THIS PROJECT GUTENBERG EBOOK THE MILL ***", "*** END OF THIS PROJECT GUTENBERG EBOOK THE MILL ***"),
    ("*** START OF THE PROJECT GUTENBERG EBOOK THE MILL ***", "*** END OF THE PROJECT GUTENBERG EBOOK THE MILL ***"),
    ("***START OF THE PROJECT GUTENBERG EBOOK THE MILL***", "***END OF THE PROJECT GUTENBERG EBOOK THE MILL***"),
    ("*** START OF THE PROJECT GUTENBERG EBOOK, THE MILL;\nOR, THE STONES ***", "End of Project Gutenberg's The Mill"),
    ("*** START OF THIS PROJECT GUTENBERG ETEXT THE MILL ***", "End of The Project Gutenberg Etext of The Mill"),
    (
        "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*",
        "End of this Project Gutenberg Etext of The Mill",
    ),
    (
        "*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.03.08.92*END*",
        "End of the Project Gutenberg EBook of The Mill",
    ),
    ("*END*THE SMALL PRINT! FOR PUBLIC DOMAIN EBOOKS*Ver.02/11/02*END*", "*** END OF THIS PROJECT GUTENBERG EBOOK"),
]


@pytest.mark.parametrize(("start", "end"), BORDERS)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_gutenberg_borders(start: str, end: str, newline: str):
    header = (
        f"The Project Gutenberg EBook of The Mill, by A. Miller\n\nTitle: The Mill\n\nAuthor: A. Miller\n\n{start}\n\n"
    )
    credit = "Produced by Many Hands and\nthe Proofreading Team\n\n\n"
    text = (header + credit + BODY + "\n\n" + end + LICENSE).replace("\n", newline)
    body, facts = without_gutenberg(text)
    assert body == BODY + "\n"
    assert (facts["title"], facts["author"]) == ("The Mill", "A. Miller")


def test_small_print_behind_the_start_mark_is_header():
    text = (
        "Project Gutenberg Etext\n**START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START**\nlegal words\n"
        "*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n" + BODY
    )
    assert without_gutenberg(text)[0] == BODY + "\n"


def test_a_book_that_mentions_gutenberg_stays_whole():
    text = "Preface\n\nEnd of Project Gutenberg is what the file said.\n\n*** START OF THE PROJECT ***\n" + BODY
    assert without_gutenberg(text) == (text, {})


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
@given(data=mutations(gzip.compress(("Title: x\n" + BORDERS[0][0] + BODY + BORDERS[0][1]).encode(), mtime=0)))
def test_a_damaged_file_always_has_one_row(tmp_path: Path, data: bytes):
    assert len(read_all("text", write(tmp_path, data, "x.txt.gz"))) == 1
