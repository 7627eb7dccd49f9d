"""URL rules against a slow version of their definition, and the traps of URLs by name."""

import ipaddress
import re
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import filters.rules
from filters.batch import TextBatch
from filters.urls import SCHEMA, Urls

DOMAINS = [
    "bad.com",
    "*.worse.co.uk",
    ".bücher.example",
    "10.0.0.1",
    "2001:DB8:0::1",
    "evil.",
    "xn--80ak6aa92e.com",
    "a.b",
]
STRICT = ["xrated", "sub-word", "плохо"]
HARD = ["Casino", "nude", "x1"]
SOFT = ["adult", "hot", "girls", "girls", "live cam"]


@pytest.fixture(scope="module")
def lists(tmp_path_factory) -> dict[str, list[Path]]:
    folder = tmp_path_factory.mktemp("lists")
    found = {}
    for name, lines in (("domains", DOMAINS), ("strict", STRICT), ("hard", HARD), ("soft", SOFT)):
        found[name] = [folder / f"{name}.txt"]
        found[name][0].write_text("# a list\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def urls(lists) -> Urls:
    return Urls(**lists)


def canonical(host: str) -> str:
    host = re.sub("[。．｡]", ".", unquote(host)).lower().strip().rstrip(".")
    try:
        return ipaddress.IPv6Address(host.strip("[]")).compressed
    except ValueError:
        pass
    try:
        return host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        return host


def word(entry: str) -> str:
    return "".join(char for char in entry.lower() if char > "\x7f" or char.isalnum())


def expected(url: str) -> dict[str, object]:
    trimmed = url
    if re.search(r"[%\[\x00-\x20\x7f]|[^\x00-\x7f]", url):
        trimmed = re.sub("[\t\n\r]", "", url).strip("".join(map(chr, range(33))))
    host = authority(trimmed).rpartition("@")[2]
    host = re.sub(r"\].*", "]", host, flags=re.DOTALL) if host.startswith("[") else re.sub(r":[0-9]*\Z", "", host)
    host = canonical(host)
    labels = host.split(".")
    suffixes = (
        {host} if labels[-1].isdigit() and labels[-1].isascii() else {".".join(labels[i:]) for i in range(len(labels))}
    )
    plain = re.sub(r"[A-Z]", lambda letter: letter[0].lower(), unquote(url).lower())
    words = [part for part in re.split(r"[^a-z0-9\x80-\U0010ffff]+", plain) if part]
    listed = {canonical(entry.removeprefix("*").removeprefix(".")) for entry in DOMAINS}
    return {
        "blocked": bool(suffixes & listed - {""}),
        "strict_words": sum(entry in "".join(words) for entry in set(map(word, STRICT))),
        "hard_words": len(set(words) & set(map(word, HARD))),
        "soft_words": len(set(words) & set(map(word, SOFT))),
    }


def authority(url: str) -> str:
    """What stands between the slashes before the host and what ends it."""
    scheme = re.match(r"[0-9A-Za-z+.\-\x80-\U0010ffff]*:(?=[/\\])", url)
    rest = url[scheme.end() :] if scheme else url
    rest = re.sub(r"\A[/\\]{2,}", "", rest)
    return re.match(r"[^/\\?#]*", rest)[0]


PIECES = [
    *(
        "http://",
        "HTTPS://",
        "//",
        "http:/",
        "http:\\\\",
        "///",
        "ftp:",
        "user:pw@",
        "@",
        ":80",
        ":",
        ":8x",
        "/",
        "\\",
        "?",
        "#",
    ),
    *(
        "bad.com",
        "BAD.COM",
        "notbad.com",
        "www.",
        "worse.co.uk",
        "co.uk",
        "bücher.example",
        "xn--bcher-kva.example",
        "BÜCHER",
    ),
    *(
        "10.0.0.1",
        "10.0.0.10",
        "1.10.0.0.1",
        "[2001:db8::1]",
        "[::1",
        "]",
        "2001:db8::1",
        "evil",
        ".",
        "..",
        "a.b",
        "a。b",
    ),
    *(
        "x-rat.ed",
        "xrated",
        "x%72ated",
        "%D0%BF%D0%9Bохо",
        "плохо",
        "sub",
        "word",
        "casino",
        "CASINO",
        "casinos",
        "nude",
        "x1",
    ),
    *(
        "adult",
        "hot",
        "girls",
        "livecam",
        "live",
        "-",
        "_",
        "=",
        "&",
        "%",
        "%2",
        "%2F",
        "%00",
        "%40",
        " ",
        "\t",
        "\n",
        "é",
        "\0",
    ),
]
addresses = st.one_of(
    st.text(max_size=30),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=2)), max_size=14).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=8).map(lambda pieces: "https://" + "".join(pieces)),
).filter(lambda url: url.count("[") == url.count("]"))  # half a bracket is no host, and parsers disagree about it


@settings(max_examples=800)
@given(st.lists(addresses, max_size=5))
def test_counts_are_those_of_the_reference(urls, addresses):
    rows = urls.measure(pa.array(addresses, pa.string()))
    assert rows.schema.equals(SCHEMA, check_metadata=True)
    assert rows.to_pylist() == [expected(address) for address in addresses]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://bad.com/", "url_domain"),
        ("HTTP://user:pw@WWW.Bad.COM.:8080?q", "url_domain"),
        ("http:\\\\bad.com\\x", "url_domain"),
        ("bad.com/x", "url_domain"),
        ("//deep.down.worse.co.uk", "url_domain"),
        ("https://b%C3%BCcher.example/", "url_domain"),
        ("https://shop.bücher。example/", "url_domain"),
        ("https://xn--bcher-kva.example", "url_domain"),
        ("https://b%61d.com", "url_domain"),
        ("http://ba\nd.com", "url_domain"),
        ("http://[2001:0db8::0001]:443/x", "url_domain"),
        ("http://10.0.0.1/", "url_domain"),
        ("http://anything.evil/", "url_domain"),
        ("http://notbad.com/", None),
        ("http://bad.com.example.org/", None),
        ("http://example.org/bad.com", None),
        ("http://bad.com@example.org/", None),
        ("http://example.org%2F@bad.com/", "url_domain"),
        ("http://example.org#@bad.com/", None),
        ("http://110.0.0.1/", None),
        ("http://7.10.0.0.1/", None),
        ("http://co.uk/", None),
        ("http://fooxr.ate-d.com/any", "url_strict"),
        ("http://example.org/%D0%9F%D0%BB%D0%BE%D1%85%D0%BE", "url_strict"),
        ("http://example.org/online-CASINO", "url_hard"),
        ("http://example.org/casinos", None),
        ("http://example.org/%63asino", "url_hard"),
        ("http://example.org/hot", None),
        ("http://example.org/hot-hot-hot", None),
        ("http://example.org/hot_girls", "url_soft"),
        ("", None),
        (None, None),
    ],
)
def test_reasons(urls, url, reason):
    assert urls.reasons(pa.array([url], pa.string())).to_pylist() == [reason]


def test_the_first_reason_counts(urls):
    found = urls.reasons(
        pa.array(["http://bad.com/casino", "http://a.org/casino/hot/girls", "http://hot-girls.org/xrated"])
    )
    assert found.to_pylist() == ["url_domain", "url_hard", "url_soft"]


def test_without_lists_nothing_is_refused():
    addresses = pa.chunked_array([["http://bad.com/casino"], ["%", "[", ""]])
    assert Urls().reasons(addresses.combine_chunks()).to_pylist() == [None] * 4
    assert Urls().measure(pa.array([], pa.string())).num_rows == 0


def test_rules_name_what_the_family_measures(urls):
    rules = yaml.safe_load(Path(filters.rules.__file__).with_name("urls.yaml").read_text(encoding="utf-8"))
    named = {name for rule in rules.values() for name in re.findall(r"url\.(\w+)", rule)}
    assert named == set(SCHEMA.names)
    batch = TextBatch(pa.array(["", ""]))
    batch.uris = pa.array(["http://bad.com", "http://good.com"])
    assert urls(batch)["blocked"].to_pylist() == [True, False]


@pytest.mark.parametrize("entry", ["bad.com/path", "two words", "http://bad.com", "*", "user@bad.com"])
def test_a_line_that_is_no_domain_is_named(tmp_path, entry):
    (tmp_path / "list.txt").write_text(f"good.com\n{entry}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"list\.txt, line 2: .* is no domain"):
        Urls(domains=[tmp_path / "list.txt"])


def test_a_list_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"cannot read the list .*missing\.txt"):
        Urls(hard=[tmp_path / "missing.txt"])


def test_endless_urls_take_linear_time(urls):
    pieces = ["a.", "@", ":1", "//", "hot", "-", "x", "\\", "%41", "é"]
    rows = urls.measure(pa.array(["http://" + piece * 200_000 for piece in pieces]))
    assert rows.num_rows == len(pieces)
