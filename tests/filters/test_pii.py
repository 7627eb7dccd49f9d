"""Personal data: planted values at exact offsets, what must stay, and the search against the exact checks alone."""

import gzip
import ipaddress
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
import text_reference as reference
from hypothesis import example, given
from hypothesis import strategies as st

from filters import keys, pii_checks, pii_phones
from filters.batch import TextBatch
from filters.pii import KINDS, Mask, Pii, resolve

PII = Pii()
FINDERS = [
    ("key", keys.tokens),
    ("key", keys.blocks),
    ("email", pii_checks.emails),
    ("iban", pii_checks.ibans),
    ("card", pii_checks.cards),
    ("ipv6", pii_checks.ipv6),
    ("ipv4", pii_checks.ipv4),
    ("phone", pii_phones.phones),
]
TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
PLANTED = [
    *(
        ("email", value)
        for value in ["jane.doe+x@mail.acme.co.uk", "зоя@почта.рф", "éric@müller.de", "a_b-c%d@x.museum"]
    ),
    *(("ipv4", value) for value in ["91.198.174.192", "203.0.114.7", "5.45.7.9", "172.32.1.1"]),
    *(("ipv6", value) for value in ["2a02:ec80:300:ed1a::1", "2001:470:1f0b:0:0:0:0:2", "2606:2800:220:1:248:1893::"]),
    *(("phone", value) for value in ["+49 (0)30 2265509", "+442079460958", "(+48) 22 525 80 00", "(212) 736-5000"]),
    *(("phone", value) for value in ["212-736-5000", "01 42 68 53 00", "020 7946 0958", "030/2265509", "01632 960960"]),
    *(
        ("card", value)
        for value in ["4539578763621486", "4539 5787 6362 1486", "3714-496353-98431", "5555555555554444"]
    ),
    *(("iban", value) for value in ["DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19", "NO93 8601 1117 947"]),
    ("key", TOKEN),
]
STAY = {
    "versions": "v8.4.7.11, version 12.34.56.78, Firefox/12.0.3.11, linux-2.6.32.5, foo==1.22.33.44, ^12.3.4.5",
    "more versions": '"version": "12.3.4.5", 1.2.3.4.5, 1.2.3.4, 18.0.0.1, 12.3.4.5-rc1, 12.3.4.5.tar.gz, § 12.3.4.15',
    "private addresses": "10.1.2.3 172.16.5.4 192.168.178.21 127.0.0.1 169.254.10.20 100.64.3.4 0.0.0.0 255.255.255.0",
    "documentation": "192.0.2.17 198.51.100.23 203.0.113.99 2001:db8::17 2001:db8:85a3:0:0:8a2e:370:7334",
    "private IPv6": "::1 fe80::1ff:fe23:4567:890a fd12:3456:789a::1 ff02::fb std::abs ab::cd 3dfx::x",
    "resolvers": "8.8.8.8, 1.1.1.1, 9.9.9.9, 208.67.222.222, 2001:4860:4860::8888, 2606:4700:4700::1111",
    "not addresses": "256.1.1.1 91.198.174.192.5 01.02.03.04 2012:10:12 10:11:12 12:34:56:78:9a:bc 300.300.300.300",
    "examples": "jane@example.com, x@mail.example.org, root@some.test, a@b.invalid, git@github.com:a/b.git",
    "not e-mail": "logo@2x.png @user me@home foo@bar @app.route a @ b.de x@y. name@ a@@b.de .@b.de react@18.2.0 p@q.r",
    "ISBN": "ISBN 978-3-16-148410-0, ISBN-10: 0-306-40615-2, ISBN 0345339703, ISBN: 03-4533-9703",
    "DOI": "doi:10.1016/0022-2836(81)90087-5, https://doi.org/10.1000/182, PMID 12345678, arXiv:2112.11446",
    "dates": "tel. 12.10.2012, 2012-10-12 10:11, 12.10.2012, 10/12/2012, 2010-2012, 20121012101112, phone: 2007-2008",
    "order numbers": "order 212-736-5000, Order No: 4539578763621486, invoice #030/2265509, Ref. 01632 960960",
    "numbers": "1,234,567,890.12 3.14159265358979 4539578763621487 6073641856.9 +6073641856.9 1 000 000 000",
    "arithmetic": "x+4930226550 = 4-930226550; a[+1] 200-300 5e+1234567890",
    "fiction": "(212) 555-0123, 212-555-0199, +1 212 555 0142",
    "commits": "commit 9fceb02d0ae598e95dc970b74767f19372d61af8, sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "UUIDs": "550e8400-e29b-41d4-a716-446655440000, token: 550e8400-e29b-41d4-a716-446655440000",
    "bad check digits": "DE88370400440532013000, GB28 NWBK 6016 1331 9268 19, XX89370400440532013000",
    "placeholders": "<EMAIL> <IP_ADDRESS> <PHONE> <CARD> <IBAN> <KEY> tel: <PHONE> token=<KEY>",
}


def search(texts: list[str]) -> list[list[Mask]]:
    found = PII.masks(TextBatch(pa.array(texts, pa.string())))
    return [found.get(i, []) for i in range(len(texts))]


def expected(text: str) -> list[Mask]:
    data = text.encode()
    return resolve({(kind, start, end) for kind, find in FINDERS for start, end in find(data)})


def apply(text: str, masks: list[Mask]) -> str:
    data = text.encode()
    for mask in reversed(masks):
        data = data[: mask.start] + mask.replacement.encode() + data[mask.end :]
    return data.decode()


PIECES = [value for _, value in PLANTED] + [
    *(
        "<EMAIL>",
        "<PHONE>",
        "<IP_ADDRESS>",
        "<CARD>",
        "tel: ",
        "Fax.",
        "电话：",
        "version ",
        "server ",
        "ISBN ",
        "order ",
    ),
    *(
        "password = '",
        "token=",
        "'",
        '"',
        "+",
        "+1 ",
        "0",
        "7",
        "12",
        "345",
        "(0)",
        "(",
        ")",
        "/",
        ".",
        "..",
        "-",
        ":",
        "::",
    ),
    *(
        "@",
        "a",
        "Z",
        "é",
        "я",
        "\u00a0",
        "\u2013",
        "中文",
        " ",
        " ",
        "\n",
        "_",
        "<",
        ">",
        "\0",
        "=",
        "2001:",
        "AB12",
        "eyJ",
    ),
    *("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ"),
]
texts = st.one_of(
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=25).map("".join),
    st.lists(st.sampled_from([*"0123456789+-./() \n:@a"]), max_size=60).map("".join),
    reference.texts,
)


@given(st.lists(texts, max_size=4))
def test_the_search_finds_what_the_checks_find_in_the_whole_text(some):
    assert search(some) == [expected(text) for text in some]


def test_the_search_finds_in_real_texts_what_the_checks_find_in_the_whole_text(data: Path):
    some = reference.real_texts(data)
    for i, text in enumerate(some[:]):  # the rare values, too
        at = len(text) // 2
        some.append(f"{text[:at]} {PLANTED[i % len(PLANTED)][1]} {text[at:]}")
    found = search(some)
    assert found == [expected(text) for text in some]
    assert {mask.reason for masks in found for mask in masks} == set(KINDS)


@given(
    st.sampled_from(PLANTED),
    st.text(max_size=20),
    st.sampled_from(["", " ", "\n", "> ", "“", "(", "中", "。", ": ", "\u3000", "🙂"]),
    st.sampled_from(["", " ", "\n", ", ", "”", ")", "。", ";", "🙂", ". "]),
    st.text(max_size=20),
)
@example(("ipv4", "91.198.174.192"), "é", " ", ".", "")
def test_a_planted_value_is_found_at_its_bytes(planted, before, left, right, after):
    kind, value = planted
    # What stands further off is kept apart, because a word there may say what the number is.
    text = f"{before}\n ~ {left}{value}{right} ~ \n{after}"
    start = len(f"{before}\n ~ {left}".encode())
    (found,) = search([text])
    assert [mask for mask in found if mask.start < start + len(value.encode()) and start < mask.end] == [
        Mask(start, start + len(value.encode()), kind, pii_checks.PLACEHOLDERS[kind])
    ]


@pytest.mark.parametrize("text", STAY.values(), ids=STAY)
def test_what_must_stay_stays(text):
    assert search([text]) == [[]]


@given(texts)
@example("a@b.de+49 30 2265509")
@example("1 020 7946 0958 01 42 68 53 00")
def test_masked_text_gives_nothing_new(text):
    (found,) = search([text])
    assert search([apply(text, found)]) == [[]]


def test_masked_real_text_gives_nothing_new(data: Path):
    some = reference.real_texts(data)
    masked = [apply(text, masks) for text, masks in zip(some, search(some))]
    assert masked != some
    assert not any(search(masked))


def test_a_value_has_one_placeholder_in_any_order_batch_and_slice():
    some = ["mail a@b.de or c@d.fr", "", "call +49 30 2265509", "c@d.fr"]
    found = search(some)
    assert search(some[::-1]) == found[::-1]
    sliced = pa.array(["x@y.de" * 3, *some, "+49 30 2265509"]).slice(1, len(some))
    masks = PII.masks(TextBatch(sliced))
    assert [masks.get(i, []) for i in range(len(some))] == found
    assert apply(some[0], found[0]) == "mail <EMAIL> or <EMAIL>"


def test_signals_count_what_is_masked():
    text = "\n".join(value for _, value in PLANTED)
    batch = TextBatch(pa.array([text, "", "a@b.de"]))
    rows = PII(batch).to_pylist()
    assert rows[0] == {"emails": 4, "ipv4": 4, "ipv6": 3, "phones": 9, "cards": 4, "ibans": 3, "keys": 1}
    assert sum(rows[1].values()) == 0
    assert sum(rows[2].values()) == rows[2]["emails"] == 1
    assert PII.masks(batch) is PII.masks(batch)


def test_findings_that_overlap_are_one_of_the_first_kind():
    assert resolve([("phone", 0, 9), ("email", 5, 12), ("ipv4", 12, 20), ("key", 3, 6), ("phone", 30, 31)]) == [
        Mask(0, 12, "key", "<KEY>"),
        Mask(12, 20, "ipv4", "<IP_ADDRESS>"),
        Mask(30, 31, "phone", "<PHONE>"),
    ]
    (found,) = search([f"{TOKEN}@acme.de"])
    assert [(mask.start, mask.end, mask.reason) for mask in found] == [(0, len(TOKEN) + 8, "key")]


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 50), st.integers(1, 9)), max_size=30))
def test_masks_cover_exactly_the_bytes_that_were_found(spans):
    found = [(kind, start, start + length) for kind, start, length in spans]
    masks = resolve(found)
    assert all(left.end <= right.start for left, right in pairwise(masks))
    covered = {byte for mask in masks for byte in range(mask.start, mask.end)}
    assert covered == {byte for _, start, end in found for byte in range(start, end)}
    for mask in masks:
        kinds = [kind for kind, start, end in found if mask.start <= start and end <= mask.end]
        assert mask.reason == min(kinds, key=KINDS.index)


def test_a_range_and_an_address_in_a_sentence_are_found_whole():
    text = "From 91.198.174.1-91.198.174.9 to http://91.198.174.192/x, [91.198.174.3]:80 and 91.198.174.4."
    (found,) = search([text])
    assert apply(text, found).count("<IP_ADDRESS>") == 5
    assert [mask.replacement for mask in search(["dns 5.9.1.7, 5.9.1.7"])[0]] == ["<IP_ADDRESS>"]


@pytest.mark.parametrize(
    "digits", ["4000000000000", "520000000000000", "34000000000000", "622126000000000", "3528000000000"]
)
def test_only_the_right_check_digit_makes_a_card(digits):
    found = [digit for digit in "0123456789" if list(pii_checks.cards((digits + digit).encode()))]
    assert found == [digit for digit in "0123456789" if slow_luhn(digits + digit)][: len(found)]
    assert len(found) == (len(digits) + 1 in (13, 15, 16))


def slow_luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


@given(st.sampled_from(sorted(pii_checks.IBAN_LENGTHS)), st.data())
def test_every_country_has_ibans_of_its_length_alone(country, draw):
    length = pii_checks.IBAN_LENGTHS[country]
    body = draw.draw(st.text("0123456789", min_size=length - 4, max_size=length - 4))
    spelled = "".join(str(ord(char) - 55) if char.isalpha() else char for char in f"{body}{country}00")
    iban = f"{country}{98 - int(spelled) % 97:02}{body}"
    printed = " ".join(iban[i : i + 4] for i in range(0, length, 4))
    assert list(pii_checks.ibans(f"IBAN {iban}, BIC".encode())) == [(5, 5 + length)]
    assert list(pii_checks.ibans(f"({printed})".encode())) == [(1, 1 + len(printed))]
    assert not list(pii_checks.ibans(f"{iban}0".encode()))


@given(st.integers(0, 2**32 - 1))
def test_an_address_is_masked_only_if_it_is_public(number):
    address = ipaddress.IPv4Address(number)
    (found,) = search([f"from {address}"])
    assert len(found) == (address.is_global and not address.is_multicast and address not in pii_checks.POPULAR)


def test_endless_lines_and_hostile_rows_take_linear_time():
    some = [
        "a@" * 200_000,
        "1.2.3.4." * 50_000,
        "+1 " * 100_000,
        "2001:" * 50_000,
        "a1" * 300_000,
        "-----BEGIN" * 20_000,
    ]
    some += [
        "AB12" * 100_000,
        "token=" * 60_000,
        "(" * 300_000 + "1234567",
        "0 " * 200_000,
        "eyJ0" * 100_000,
        "@." * 200_000,
    ]
    found = search(some)
    assert all(not masks for text, masks in zip(some, found) if text[0] not in "1+0")


def test_novels_hold_no_personal_data(data: Path):
    novels = [gzip.decompress(path.read_bytes()).decode() for path in sorted((data / "books/eltec").glob("*/*.txt.gz"))]
    assert len(novels) >= 20
    assert search(novels) == [[]] * len(novels)


def test_every_signal_says_what_it_is():
    assert all(len(field.metadata[b"doc"]) > 20 and not field.nullable for field in Pii.schema)
