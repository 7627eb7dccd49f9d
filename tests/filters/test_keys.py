"""Keys and tokens: planted ones, names and hashes that must stay, and detect-secrets where it is installed."""

import base64
import json
import math
import random
import string
import sys
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters import keys
from filters.batch import TextBatch
from filters.pii import Pii

PII = Pii()


def make(size: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    """Random characters, the same in every run, with a digit in every third place."""
    drawn = random.Random(size).choices(alphabet, k=size)
    digits = [char for char in alphabet if char.isdigit()]
    return "".join(digits[i % len(digits)] if i % 3 == 1 else char for i, char in enumerate(drawn))


def jwt(header: dict[str, str]) -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, {"sub": "17"})
    ]
    return ".".join([*parts, make(43)])


UPPER = string.ascii_uppercase + string.digits
BASE32 = string.ascii_uppercase + "234567"
TOKENS = {
    "AWS": "AKIA" + make(16, BASE32),
    "GitHub": "ghp_" + make(36),
    "GitHub, fine-grained": "github_pat_" + make(22) + "_" + make(59),
    "GitLab": "glpat-" + make(20),
    "Slack": "xoxb-" + make(12, string.digits) + "-" + make(24),
    "Google": "AIza" + make(35),
    "Google's client": "GOCSPX-" + make(28),
    "Stripe": "sk_" + "live_" + make(24),
    "OpenAI": "sk-proj-" + make(48),
    "SendGrid": "SG." + make(22) + "." + make(43),
    "npm": "npm_" + make(36),
    "PyPI": "pypi-AgE" + make(60),
    "Telegram": make(10, string.digits) + ":AA" + make(33),
    "JSON Web Token": jwt({"alg": "HS256", "typ": "JWT"}),
}
ASSIGNED = {
    "Python": 'API_KEY = "{}"',
    "JSON": '"client_secret": "{}",',
    "shell": "export DB_PASSWORD={}",
    "YAML": "auth_token: {}",
    "URL": "https://api.acme.de/v1?access_token={}&page=2",
    "XML": "<password>{}</password>",
    "Go": "secretKey := `{}`",
    "Ruby": ":password => '{}'",
}
STAY = {
    "commits": 'commit = "9fceb02d0ae598e95dc970b74767f19372d61af8"\nrev: da39a3ee5e6b4b0d3255bfef95601890afd80709',
    "digests": f"sha512-{make(86)}== md5 d41d8cd98f00b204e9800998ecf8427e /blob/{make(40)}/x.py",
    "examples": f'{"AKIA"}IOSFODNN7EXAMPLE; api_key = "your-api-key-1a2b3c4d5e6f7"; token = "xxxx1a2b3c4d5e6f7g8h"',
    "UUID": 'token = "550e8400-e29b-41d4-a716-446655440000"',
    "identifiers": "access_token = request2session_token_v2; password = get_password(user1)[0]",
    "calls": "token = tokenize1string2into3parts4(text); secret: a1b2c3d4e5f6g7h8{}",
    "low entropy": 'password = "a1a1a1a1a1a1a1a1a1a1a1"; secret = "passwordpassword1"; token = "12345678123456781234"',
    "other names": f'public_id = "{make(24)}"; session = "{make(32)}"; key = "{make(20)}"',
    "words": f"The secret of the {make(20)} was: nothing. A token, {make(20)}",
    "longer": f"x{'ghp_' + make(36)} {'AKIA' + make(16, BASE32)}A AIza{make(34)}",
    "no JWT": f"eyJ{make(20)}.eyJ{make(20)}.{make(43)} {jwt({'typ': 'x'})}",
    "public keys": "-----BEGIN PUBLIC KEY-----\n" + make(64) + "\n-----END PUBLIC KEY-----",
    "a placeholder": "-----BEGIN RSA PRIVATE KEY-----\n<your key>\n-----END RSA PRIVATE KEY-----",
    "an open end": "-----BEGIN PRIVATE KEY-----\n" + make(64) + "\n and then",
}


def masked(text: str) -> list[str]:
    found = PII.masks(TextBatch(pa.array([text]))).get(0, [])
    assert all(mask.reason == "key" for mask in found)
    return [text.encode()[mask.start : mask.end].decode() for mask in found]


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
@pytest.mark.parametrize("place", ["{}", "Grüße: {}.", "x = '{}'", "中{}中", "a\n{}\nb", "?a={}&b"])
def test_a_planted_token_is_found_whole(token, place):
    assert masked(place.format(token)) == [token]


def test_a_hook_of_slack_is_found_in_its_address():
    hook = f"T{make(9, UPPER)}/B{make(9, UPPER)}/{make(24)}"
    assert masked(f"curl https://hooks.slack.com/services/{hook} -d x") == [hook]
    assert masked(f"curl https://acme.de/services/{hook} -d x") == []


@pytest.mark.parametrize("form", ASSIGNED.values(), ids=ASSIGNED)
@pytest.mark.parametrize("value", [make(20), make(40, "0123456789abcdef"), make(64)])
def test_a_random_value_under_a_telling_name_is_found(form, value):
    assert masked(f"é\n{form.format(value)}\n") == [value]


def test_a_secret_with_signs_of_base64_is_found():
    secret = make(18) + "/" + make(12) + "+" + make(8)
    assert masked(f"aws_secret_access_key={secret}") == [secret]


@pytest.mark.parametrize("text", STAY.values(), ids=STAY)
def test_what_must_stay_stays(text):
    assert masked(text) == []


@pytest.mark.parametrize("kind", ["PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\\n"])
def test_a_private_key_is_found_from_its_first_line_to_its_last(kind, newline):
    body = newline.join(["Proc-Type: 4,ENCRYPTED", "", *[make(64)] * 25, make(20) + "=="])
    block = newline.join([f"-----BEGIN {kind}-----", body, f"-----END {kind}-----"])
    assert masked(f'Schlüssel = "{block}"\n') == [block]
    assert masked(f"{block}\n--\n{block}") == [block, block]


@given(st.binary(min_size=1, max_size=60))
def test_entropy_is_shannons(value):
    shares = [value.count(byte) / len(value) for byte in set(value)]
    assert math.isclose(keys.entropy(value), sum(share * math.log2(1 / share) for share in shares), abs_tol=1e-12)


@given(st.text(alphabet="aZ09_-. ", max_size=60))
def test_random_looking_is_what_it_says(value):
    runs = "".join(char if char in "aZ09_-" else " " for char in value).split()
    changes = [
        sum(a.isalnum() and b.isalnum() and a.isdigit() != b.isdigit() for a, b in pairwise(run)) for run in runs
    ]
    expected = any(len(run) >= 16 and count >= 2 for run, count in zip(runs, changes))
    assert keys.looks_random(value.encode()) == expected


def test_the_standard_library_holds_no_keys():
    paths = sorted(Path(json.__file__).parents[1].glob("*.py"))
    assert len(paths) > 50
    batch = TextBatch(pa.array([path.read_text(encoding="utf-8", errors="replace") for path in paths]))
    counts = PII(batch)
    assert sum(counts["keys"].to_pylist()) == sum(counts["cards"].to_pylist()) == sum(counts["ibans"].to_pylist()) == 0


def test_detect_secrets_is_asked_for_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "detect_secrets", None)
    with pytest.raises(ValueError, match=r"gristmill\[secrets\]"):
        Pii(detect_secrets=True)


def test_detect_secrets_adds_what_it_knows_and_finds_it_in_suspicious_lines_alone():
    family = Pii(detect_secrets=True)
    mailchimp = make(32, "0123456789abcdef") + "-us12"
    some = [
        f"é mailchimp {mailchimp} and {mailchimp}\n\njane@acme.de",
        f"GitHub {TOKENS['GitHub']}",
        STAY["commits"],
        "password = 'hunter2'",
        "plain words",
    ]
    found = family.masks(TextBatch(pa.array(some)))
    size, first = len(mailchimp), len("é mailchimp ".encode())
    assert [(mask.start, mask.end, mask.reason) for mask in found.pop(0)][:2] == [
        (first, first + size, "key"),
        (first + size + 5, first + 2 * size + 5, "key"),
    ]
    assert [(mask.start, mask.end) for mask in found.pop(1)] == [(7, 7 + len(TOKENS["GitHub"]))]
    assert found == {}
