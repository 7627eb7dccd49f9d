"""Digests of blocks and payloads as web archives state them: `sha1:` and Base32 mostly, hexadecimal and Base64 too."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

ALGORITHMS = {
    "md5": "md5",
    "sha1": "sha1",
    "sha-1": "sha1",
    "sha256": "sha256",
    "sha-256": "sha256",
    "sha512": "sha512",
}


def matches(stated: str, readings: Iterable[bytes]) -> bool | None:
    """Whether a stated digest is that of one of these bytes; None where it is of no known algorithm or form."""
    algorithm, colon, value = stated.strip().partition(":")
    name = ALGORITHMS.get(algorithm.lower())
    if not colon or name is None:
        return None
    size = hashlib.new(name, usedforsecurity=False).digest_size
    known = _decode(value.strip(), size)
    if known is None:
        return None
    return any(hashlib.new(name, data, usedforsecurity=False).digest() == known for data in readings)


def _decode(value: str, size: int) -> bytes | None:
    """The digest of `size` bytes that a text spells, in the notation that its length tells; None if it spells none."""
    digits = value.rstrip("=")
    try:
        if len(digits) == size * 2:
            found = bytes.fromhex(digits)
        elif len(digits) == -(-size * 8 // 5):
            found = base64.b32decode(digits.upper() + "=" * (-len(digits) % 8))
        else:
            found = base64.urlsafe_b64decode(digits.replace("+", "-").replace("/", "_") + "=" * (-len(digits) % 4))
    except ValueError:
        return None
    return found if len(found) == size else None
