import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ingest.encoding import codec_of, decode

POLISH = "Zażółć gęślą jaźń. Pchnąć w tę łódź jeża lub ośm skrzyń fig. " * 20
RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. Широкая электрификация южных губерний. " * 20
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所で。" * 20
CHINESE = "磨坊主人在石磨开始转动之前称量每一袋谷物，并把重量写在一本书里。从来没有人从头读过这本书。" * 20
KOREAN = "방앗간 주인은 돌이 돌기 시작하기 전에 곡식 자루의 무게를 달아 책에 적는다. 아무도 그 책을 읽지 않았다. " * 20


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


@pytest.mark.parametrize("at", [0, 70_000, 199_999])
@pytest.mark.parametrize("declared", [None, "utf-8", "iso-8859-1"])
def test_one_bad_byte_in_a_long_book(at: int, declared: str | None):
    book = (POLISH * 200).encode()[:200_000]
    decoded = decode(book[:at] + b"\xff" + book[at:], ("http", declared))
    assert decoded.charset == "utf-8"
    assert decoded.text.count("łódź") >= 1_500
    assert decoded.text.count("\ufffd") <= 3


def test_a_long_book_is_detected_by_samples_and_decoded_whole():
    plain = "The miller weighs every sack of grain before the stones begin to turn.\n" * 10_000
    book = plain + RUSSIAN.replace(". ", ".\n") + plain
    decoded = decode(book.encode("koi8-r"))
    assert (decoded.text, decoded.charset, decoded.found) == (book, "koi8-r", "detected")


@pytest.mark.parametrize("codec", ["shift_jis", "gb18030", "euc-kr", "cp1251"])
def test_an_endless_line(codec: str):
    text = {"shift_jis": JAPANESE, "euc-kr": KOREAN, "cp1251": RUSSIAN}.get(codec, CHINESE) * 1_000
    assert decode(text.encode(codec)).text == text


@pytest.mark.parametrize("codec", ["shift_jis", "gb18030", "cp1251", "euc-kr"])
def test_a_bad_byte_in_another_encoding(codec: str):
    text = {"shift_jis": JAPANESE, "euc-kr": KOREAN, "cp1251": RUSSIAN}.get(codec, CHINESE) + "\n"
    data = text.encode(codec) * 50
    decoded = decode(data + b"\xff\n" + data)
    assert decoded.text.count(text[:10]) >= 50
    assert decoded.text.count("\ufffd") <= 1


@pytest.mark.parametrize(
    "data",
    [
        b"The miller\0 weighs every sack of grain, and writes its weight.\n" * 50,
        "Die Mühle\0 mahlt langsam, größer wird sie nicht.\n".encode("cp1252") * 50,
        "Мельник\0 взвешивает зерно.\n".encode() * 50,
        b"name\0value\0other\0thing\0" * 50,
    ],
)
def test_stray_zero_bytes_are_no_sign_of_utf_16(data: bytes):
    assert not decode(data).charset.startswith("utf-16")


@pytest.mark.parametrize(
    "text", [CHINESE, JAPANESE, KOREAN, RUSSIAN, "ἐν ἀρχῇ ἦν ὁ λόγος\n" * 9, "घर में कोई नहीं है।\n" * 9]
)
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_encodings_without_a_mark(text: str, codec: str):
    text = text.replace("。", "。\n")
    decoded = decode(text.encode(codec))
    assert (decoded.text, decoded.charset, decoded.found) == (text, codec, "detected")


@pytest.mark.parametrize(
    ("label", "text"), [("shift_jis", "①髙橋"), ("gb2312", "镕"), ("euc-kr", "똠방각하"), ("big5", "香港嘅")]
)
def test_labels_mean_what_browsers_take_them_for(label: str, text: str):
    data = text.encode({"shift_jis": "cp932", "gb2312": "gbk", "euc-kr": "cp949", "big5": "big5hkscs"}[label])
    decoded = decode(data, ("http", label))
    assert (decoded.text, decoded.found) == (text, "http")


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
