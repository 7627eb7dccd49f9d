"""Keys and tokens: formats that services publish, private keys, JSON Web Tokens, and random values under telling names.

Everything but a private key's block is random-looking: it holds a run of 16 or more of [A-Za-z0-9_-] in which letters
and digits stand side by side twice or more. A compiled pass finds these runs (`filters.pii_candidates`), and only the
lines around them are looked at here. Optionally the plugins of detect-secrets (the extra `secrets`) see them, too.
"""

import base64
import binascii
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from filters.pii_candidates import ALTERNATIONS, RUN
from filters.pii_checks import Span

_ALTERNATION = re.compile(rb"(?<=[A-Za-z])\d|(?<=\d)[A-Za-z]")
_RUNS = re.compile(rb"[A-Za-z0-9_-]{%d,}" % RUN)
_LONG_WORDS = re.compile(rb"[A-Za-z0-9]{12,}")

# What services say of their keys; detect-secrets and gitleaks use the same prefixes and lengths.
FORMATS: dict[str, bytes] = {
    "AWS access key ID": rb"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",
    "GitHub": rb"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
    "GitLab": rb"gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent|oas)-[A-Za-z0-9_-]{20,255}",
    "Slack": rb"xox[abeoprs]-[A-Za-z0-9-]{20,255}|xapp-[A-Za-z0-9-]{20,255}",
    "Google": rb"AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{28}|ya29\.[A-Za-z0-9_-]{20,400}",
    "Stripe": rb"[sr]k_(?:live|test)_[A-Za-z0-9]{16,255}|whsec_[A-Za-z0-9]{24,255}",
    "OpenAI, Anthropic": rb"sk-(?:proj-|svcacct-|ant-)?[A-Za-z0-9_-]{40,255}",
    "SendGrid": rb"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
    "npm": rb"npm_[A-Za-z0-9]{36}",
    "PyPI": rb"pypi-AgE[A-Za-z0-9_-]{50,400}",
    "Telegram": rb"\d{8,10}:AA[A-Za-z0-9_-]{33}",
}
_FORMATS = re.compile(
    rb"(?<![A-Za-z0-9_-])(?:" + b"|".join(FORMATS.values()) + rb")(?![A-Za-z0-9_-])"
    rb"|(?<=hooks\.slack\.com/services/)T[A-Z0-9]{6,12}/B[A-Z0-9]{6,12}/[A-Za-z0-9]{20,30}(?![A-Za-z0-9_-])"
)
_JWT = re.compile(
    rb"(?<![A-Za-z0-9_-])(eyJ[A-Za-z0-9_-]{10,400})\.eyJ[A-Za-z0-9_-]{4,1800}\.[A-Za-z0-9_-]{0,1000}(?![A-Za-z0-9_-])"
)
# A private key: RFC 7468, RFC 4880's armour, OpenSSH's form. In source code its lines may be joined by '\n' in letters.
_BLOCK = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-(?!----)){1,16384}"
    rb"-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
)
BLOCK_AHEAD = 16_640
"""Bytes of a block, at most."""
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{32,}")

# Names and operators as in gitleaks' rule generic-api-key, narrowed to names that mean nothing but a secret.
_ASSIGNED = re.compile(
    rb"(?i:secret|passw(?:or)?d|passwd|pwd|credential|token"
    rb"|(?:api|access|auth|private|encryption|signing|account|service|client|master)[_-]?key)"
    rb"[A-Za-z0-9_.-]{0,20}['\"`)\]]{0,2}[ \t]{0,3}(?::=|=>|={1,3}|:{1,2}|>)[ \t]{0,3}(?P<quote>['\"`]?)"
    rb"(?P<value>[A-Za-z0-9+/_.~=-]{16,200})(?P=quote)(?![A-Za-z0-9+/_.~=(\[{-])"
)
_UUID = re.compile(rb"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EXAMPLE = re.compile(rb"(?i)example|your[_-]|placeholder|xxxx|1234567890|abcdefgh|integrity")
ENTROPY = 3.5
"""Bits per character from which on a value under a telling name counts (gitleaks, generic-api-key)."""


def tokens(text: bytes) -> Iterator[Span]:
    """Spans of keys and tokens but private keys; they may overlap."""
    for match in _FORMATS.finditer(text):
        if looks_random(match[0]) and not match[0].endswith(b"EXAMPLE"):
            yield match.span()
    for match in _JWT.finditer(text):
        if looks_random(match[0]) and _is_jose_header(match[1]):
            yield match.span()
    for match in _ASSIGNED.finditer(text):
        value = match["value"]
        if looks_random(value) and is_secret(value, quoted=bool(match["quote"])):
            yield match.span("value")


def blocks(text: bytes) -> Iterator[Span]:
    """Spans of private keys, first and last line included; a block without 32 characters of base64 in a row stays."""
    for match in _BLOCK.finditer(text):
        if _BASE64.search(match[0]):
            yield match.span()


def looks_random(value: bytes) -> bool:
    """Whether a run of 16 or more of [A-Za-z0-9_-] has two or more changes between a letter and a digit next to it."""
    return any(len(_ALTERNATION.findall(run)) >= ALTERNATIONS for run in _RUNS.findall(value))


def is_secret(value: bytes, *, quoted: bool) -> bool:
    """Whether a value is random enough: entropy, digits among the letters of one word; no UUID, no example.

    Without quotes it may be a name in a program (to2words), so it takes one more digit among letters.
    """
    if _UUID.fullmatch(value) or _EXAMPLE.search(value) or entropy(value) < ENTROPY:
        return False
    least = ALTERNATIONS if quoted else ALTERNATIONS + 1
    return any(len(_ALTERNATION.findall(word)) >= least for word in _LONG_WORDS.findall(value))


def entropy(value: bytes) -> float:
    """Shannon entropy of a value's bytes, in bits per byte."""
    return -sum(count / len(value) * math.log2(count / len(value)) for count in Counter(value).values())


def _is_jose_header(part: bytes) -> bool:
    """Whether base64url of a JSON object that names an algorithm (RFC 7515, section 4.1.1)."""
    try:
        header = json.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in header


class DetectSecrets:
    """The plugins of detect-secrets that know a service's format; nothing is verified over the network.

    Plugins that go by names (KeywordDetector), by entropy alone (which flags hashes of commits) or by addresses are
    left out: names and entropy together are looked at by `tokens`, addresses by `filters.pii_checks`.
    """

    def __init__(self) -> None:
        """Raises ValueError where detect-secrets is not installed."""
        try:
            from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
            from detect_secrets.plugins.base import RegexBasedDetector
        except ImportError as error:
            raise ValueError("detect_secrets needs the package detect-secrets: install gristmill[secrets]") from error
        left_out = {"IPPublicDetector", "PrivateKeyDetector", "BasicAuthDetector"}
        classes: list[Any] = sorted(get_mapping_from_secret_type_to_class().values(), key=lambda cls: cls.__name__)
        chosen = [cls for cls in classes if issubclass(cls, RegexBasedDetector) and cls.__name__ not in left_out]
        self._plugins = [cls() for cls in chosen]

    def __call__(self, text: bytes) -> Iterator[Span]:
        """Spans of all that a plugin finds in a line or a part of one; they may overlap."""
        line = text.decode("latin-1")  # one character per byte
        for plugin in self._plugins:
            for secret in plugin.analyze_line(filename="", line=line):
                value = secret.secret_value
                at = line.find(value) if value else -1
                while at >= 0:
                    if looks_random(value.encode("latin-1")):
                        yield at, at + len(value)
                    at = line.find(value, at + len(value))
