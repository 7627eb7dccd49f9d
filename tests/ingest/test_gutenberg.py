"""Project Gutenberg's borders, as they have been marked since 1991."""

import pytest
from ingest_cases import SENTENCE

from pipelines.ingest.books.gutenberg import without_gutenberg

BODY = "CHAPTER I.\n\n" + SENTENCE + "\n\nTHE END"
LICENSE = "\n\nUpdated editions will replace the previous one.\n"
SMALL_PRINT = "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*"
BORDERS = [
    ("*** START OF THIS PROJECT GUTENBERG EBOOK THE MILL ***", "*** END OF THIS PROJECT GUTENBERG EBOOK THE MILL ***"),
    ("*** START OF THE PROJECT GUTENBERG EBOOK THE MILL ***", "*** END OF THE PROJECT GUTENBERG EBOOK THE MILL ***"),
    ("***START OF THE PROJECT GUTENBERG EBOOK THE MILL***", "***END OF THE PROJECT GUTENBERG EBOOK THE MILL***"),
    ("*** START OF THE PROJECT GUTENBERG EBOOK 1234 ***", "*** END OF THE PROJECT GUTENBERG EBOOK 1234 ***"),
    ("*** START OF THE PROJECT GUTENBERG EBOOK, THE MILL;\nOR, THE STONES ***", "End of Project Gutenberg's The Mill"),
    ("*** START OF THIS PROJECT GUTENBERG ETEXT THE MILL ***", "End of The Project Gutenberg Etext of The Mill"),
    (SMALL_PRINT, "End of this Project Gutenberg Etext of The Mill"),
    (
        "*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.03.08.92*END*",
        "End of the Project Gutenberg EBook of The Mill",
    ),
    ("*END*THE SMALL PRINT! FOR PUBLIC DOMAIN EBOOKS*Ver.02/11/02*END*", "*** END OF THIS PROJECT GUTENBERG EBOOK"),
    ("*END*THE SMALL PRINT! FOR COMPLETE SHAKESPEARE*Ver.04.02.93*END*", "End of this Etext of The Complete Works"),
    (SMALL_PRINT, "Ende dieses Project Gutenberg Etextes Die Mühle"),
    (SMALL_PRINT, "Ende des Projekt Gutenberg EBooks Die Mühle"),
    (SMALL_PRINT, "Fin de l'EBook Project Gutenberg de Le Moulin"),
    ("*** START OF THE PROJECT GUTENBERG EBOOK LE MOULIN ***", "Fin du Projet Gutenberg Etext de Le Moulin"),
    (
        "A Project Gutenberg of Australia eBook\n\n"
        "To contact Project Gutenberg of Australia go to http://gutenberg.net.au",
        "Project Gutenberg Australia",
    ),
]
CREDITS = [
    "",
    "Produced by Many Hands and\nthe Proofreading Team\n\n\n",
    "E-text prepared by Many Hands\n\n\n"
    "Note: Project Gutenberg also has an HTML version of this\n      file. See 1-h.htm\n\n\n",
    "This etext was produced by A. Baker.\n\n\n\n",
    "Produced by A. Baker\n\n\n"
    "Transcriber's Note:\n\n  Obvious errors were corrected.\n\n  Italics are _so_.\n\n\n\n\n",
    "[Transcriber's Note: Obvious errors were corrected.\nItalics are _so_.]\n\n",
    "+-----+\n| Transcriber's Notes: |\n| one |\n+-----+\n\n",
    "TRANSCRIBER'S NOTE\n\n\n\n\n\nObvious errors were corrected.\n\n\n\n\n",
]


@pytest.mark.parametrize(("start", "end"), BORDERS)
def test_borders(start: str, end: str):
    header = (
        f"The Project Gutenberg EBook of The Mill, by A. Miller\n\nTitle: The Mill\n\nAuthor: A. Miller\n\n{start}\n\n"
    )
    body, facts = without_gutenberg(header + "Produced by Many Hands\n\n\n" + BODY + "\n\n" + end + LICENSE)
    assert body == BODY + "\n"
    assert (facts["title"], facts["author"]) == ("The Mill", "A. Miller")


@pytest.mark.parametrize("credit", CREDITS)
def test_credits_and_notes_of_transcribers(credit: str):
    start, end = BORDERS[0]
    assert without_gutenberg(f"{start}\n\n\n{credit}{BODY}\n\n{end}")[0] == BODY + "\n"


def test_small_print_behind_the_start_mark_is_header():
    text = (
        "Project Gutenberg Etext\n**START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START**\nlegal words\n"
        "*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n" + BODY
    )
    assert without_gutenberg(text)[0] == BODY + "\n"


def test_a_book_that_mentions_gutenberg_stays_whole():
    text = "Preface\n\nEnd of Project Gutenberg is what the file said.\n\n*** START OF THE PROJECT ***\n" + BODY
    assert without_gutenberg(text) == (text, {})


def test_facts_of_a_header():
    header = (
        "Title: The Mill;\n       or, The Stones\n\nAuthor: A. Miller\n\nRelease Date: May 3, 2001 [EBook #123]\n"
        "\nLanguage: English\n\n"
    )
    assert without_gutenberg(f"{header}{BORDERS[0][0]}\n\n{BODY}")[1] == {
        "title": "The Mill; or, The Stones",
        "author": "A. Miller",
        "release_date": "May 3, 2001",
        "language": "English",
    }
