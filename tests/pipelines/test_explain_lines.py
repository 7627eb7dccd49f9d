"""Lines of a text that something objects to are marked, wherever in the text they are."""

from pipelines.explain_lines import CHANGED, CUT, FOUND, as_lines, marked_lines

TEXT = "Ein schöner Satz.\nAccept cookies\n\nWrite to a@b.de now\nEin schöner Satz.\n" + "filler\n" * 200 + "the end"


def span(part: str, mark: str, reason: str) -> dict[str, object]:
    start = len(TEXT[: TEXT.index(part)].encode())
    return {"start": start, "end": start + len(part.encode()), "mark": mark, "reason": reason}


def test_marks_and_reasons():
    spans = [
        span("Accept cookies\n", CUT, "policy"),
        span("a@b.de", CHANGED, "email"),
        span("a@b.de now", FOUND, "line: 3 documents"),
        span("the end", FOUND, "passage: 2 documents"),
    ]
    lines = marked_lines(TEXT, spans, 30)
    assert [(line["number"], line["mark"], line["reasons"]) for line in lines][:6] == [
        (1, " ", []),
        (2, CUT, ["policy"]),
        (4, CHANGED, ["email", "line: 3 documents"]),
        (5, FOUND, ["as line 1"]),
        (7, FOUND, ["as line 6"]),
        (8, FOUND, ["as line 6"]),
    ]
    assert len(lines) < 70
    printed = as_lines(lines)
    assert printed[:4] == [
        "    | Ein schöner Satz.",
        "  - | Accept cookies   <- policy",
        "    ...",
        "  * | Write to a@b.de now   <- email, line: 3 documents",
    ]


def test_a_span_that_ends_where_a_line_begins_is_not_about_it():
    lines = marked_lines("one\ntwo", [{"start": 0, "end": 4, "mark": CUT, "reason": "x"}], 100)
    assert [line["mark"] for line in lines] == [CUT, " "]


def test_long_lines_and_control_characters_are_cut_and_masked():
    (line,) = marked_lines("a\x1b" + "b" * 10_000, [], 10)
    assert line["text"] == "a\ufffd" + "b" * 198 + "…"
