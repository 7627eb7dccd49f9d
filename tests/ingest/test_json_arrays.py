import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest_cases import failures, read_all, texts

from pipelines.ingest.tables.json_arrays import elements

RECORDS = [{"text": f'a "quoted\\" [bracket] {{brace}}, {i}\\', "n": [i, {"x": "]"}]} for i in range(20)]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


@given(st.lists(values, max_size=6), st.integers(1, 9), st.sampled_from([None, 1]), st.booleans())
def test_elements_are_those_of_the_array(array: list, size: int, indent: int | None, ascii: bool):
    data = json.dumps(array, indent=indent, ensure_ascii=ascii).encode("utf-8", "surrogatepass")
    found = list(elements(cut(data, size), 1_000_000))
    assert [json.loads(element.decode("utf-8", "surrogatepass")) for element in found if element] == array


@given(st.binary(max_size=60), st.integers(1, 9), st.integers(0, 20))
def test_whatever_stands_there_comes_to_an_end_and_is_cut_alike(data: bytes, size: int, limit: int):
    results = []
    for pieces in (cut(b"[" + data, size), [b"[" + data]):
        found: list = []
        try:
            found.extend(elements(pieces, limit))
        except EOFError as error:
            found.append(str(error))
        results.append(found)
    assert results[0] == results[1]


def test_an_element_that_is_too_long_is_passed_over_in_pieces():
    data = json.dumps(["a", "b" * 500, {"c": ["d"] * 400}, "e"]).encode()
    assert list(elements(cut(data, 7), 100)) == [b'"a"', None, None, b' "e"']


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_file_that_is_an_array(tmp_path: Path, indent: int | None):
    path = tmp_path / "x.json"
    path.write_bytes(b"\xef\xbb\xbf\n" + json.dumps(RECORDS, indent=indent).encode())
    result = read_all("jsonl", path)
    assert texts(result) == [record["text"] for record in RECORDS]
    assert [row.record.position for row in result] == [str(i) for i in range(1, 21)]


def test_a_json_file_of_lines(tmp_path: Path):
    path = tmp_path / "x.json"
    path.write_text("\n".join(map(json.dumps, RECORDS)))
    assert texts(read_all("jsonl", path)) == [record["text"] for record in RECORDS]


@pytest.mark.parametrize(
    ("data", "found", "expected"),
    [
        (b'[{"text": "a"}, {"text": 1}, {"text": "b"}]', ["a", "b"], [("record", "text is not a string")]),
        (b'[{"text": "a"}, 7, {"text" "c"}, {"text": "b"}]', ["a", "b"], ["not a JSON object", "broken JSON"]),
        (b'[{"text": "a"}, {"text": "b"}', ["a", "b"], ["the file ends within an array"]),
        (b'[{"text": "a"}, ', ["a"], ["the file ends within an array"]),
        (b'[{"text": "a"}, {"te', ["a"], ["broken JSON", "the file ends within an array"]),
        (b'[{"text": "a"}] and more', ["a"], ["broken JSON"]),
        (b"[]", [], ["no records"]),
    ],
)
def test_broken_arrays(tmp_path: Path, data: bytes, found: list[str], expected: list):
    path = tmp_path / "x.json"
    path.write_bytes(data)
    result = read_all("jsonl", path)
    assert texts(result) == found
    told = failures(result)
    assert (told if isinstance(expected[0], tuple) else [reason for _, reason in told]) == expected
