import re

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from filters.edits import EDITS, POLICY_PHRASES, LineEdits, apply

words = st.sampled_from(["JavaScript", "über", "our Privacy Policy", "---", "•", "text", "日本", "\x00", "***", " "])
texts = st.lists(st.lists(words, max_size=4).map(" ".join), max_size=8).map("\n".join)


def goes(line: str) -> bool:
    low = line.lower()
    no_words = bool(line.strip()) and not re.search(r"\w", line)
    return "javascript" in low or any(phrase in low for phrase in POLICY_PHRASES) or no_words


@given(st.lists(texts, max_size=4))
def test_edits_cut_the_lines_that_the_definition_names(batch):
    found = LineEdits(list(EDITS)).find(pa.array(batch, pa.string()))
    for i, text in enumerate(batch):
        expected = "\n".join(line for line in text.split("\n") if not goes(line)).strip("\n")
        assert apply(text, found.get(i, [])) == expected


def test_spans_are_bytes_and_name_their_reason():
    text = "größe\nPlease enable JavaScript\nend"
    (edit,) = LineEdits(["javascript", "policy"]).find(pa.array([text]))[0]
    assert text.encode()[edit.start : edit.end] == b"Please enable JavaScript\n"
    assert edit.reason == "javascript"
