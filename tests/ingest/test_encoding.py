import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ingest.encoding import codec_of, decode

POLISH = "Zażółć gęślą jaźń. Pchnąć w tę łódź jeża lub ośm skrzyń fig. " * 20
RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. Широкая электрификация южных губерний. " * 20
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所で。" * 20


@pytest.mark.parametrize(
    ("text", "codec", "declared", "found"),
    [
        ("naïve café", "utf-8", None, "utf-8"),
        ("naïve café", "utf-8", "utf-8", "http"),
        ("naïve café", "utf-8", "iso-8859-1", "utf-8"),  # mislabelled: valid UTF-8 is UTF-8
        ("naïve “café”", "cp1252", "iso-8859-1", "http"),  # Latin-1 means Windows-1252
        (POLISH, "iso-8859-2", "iso-8859-2", "http"),
        (RUSSIAN, "koi8-r", None, "detected"),
        (RUSSIAN, "cp1251", None, "detected"),
        (JAPANESE, "shift_jis", None, "detected"),
        (JAPANESE, "euc-jp", None, "detected"),
        (JAPANESE, "iso-2022-jp", "iso-2022-jp", "http"),
        ("plain text without a mark", "utf-16-le", None, "detected"),
        ("plain text without a mark", "utf-16-be", None, "detected"),
    ],
)
def test_decode(text: str, codec: str, declared: str | None, found: str):
    decoded = decode(text.encode(codec), ("http", declared))
    assert decoded.text == text
    assert decoded.found == found


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_goes_before_all_and_is_taken_off(codec: str):
    decoded = decode("Mühle".encode(codec), ("http", "koi8-r"))
    assert (decoded.text, decoded.found) == ("Mühle", "bom")


def test_a_broken_byte_does_not_change_the_encoding_of_a_text():
    data = (RUSSIAN.encode()[:1001] + RUSSIAN.encode()) * 2
    assert decode(data, ("http", "utf-8")).text.count("булок") > 30


def test_the_order_of_declarations():
    data = "Größe und Maß".encode("cp1252")
    assert decode(data, ("http", None), ("meta", "windows-1252")).found == "meta"
    assert decode(data, ("http", "iso-8859-15"), ("meta", "windows-1252")).found == "http"
    assert decode(data, ("http", "no-such-charset"), ("meta", "windows-1252")).found == "meta"


@pytest.mark.parametrize("label", ["rot13", "base64", "idna", "zip", "unicode_escape", "", "x" * 99, "a\0b"])
def test_labels_that_are_no_encodings(label: str):
    assert codec_of(label) is None


@given(st.binary(max_size=300), st.sampled_from(["utf-8", "utf-16", "big5", "gb18030", "iso-2022-kr", "x"]))
def test_any_bytes_decode_to_text_that_encodes(data: bytes, label: str):
    decode(data, ("http", label)).text.encode()
