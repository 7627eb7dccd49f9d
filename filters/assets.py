"""Model files: found in the package or where the user says, and checked against a digest before anything loads them."""

import hashlib
from pathlib import Path


class AssetError(Exception):
    """A model file is missing or is not the file that was asked for; the message names the option that sets it."""


def asset(option: str, path: Path, sha256: str | None) -> Path:
    """Check a model file and return its path. Nothing is ever downloaded.

    Args:
        option: The option (the key in the config) that names this file; errors point to it.
        path: Where the file lies.
        sha256: The file's SHA-256 in hexadecimal digits; None accepts any content, for a file that the user
            named without a digest.

    Raises:
        AssetError: The file is missing or unreadable, or its digest is another one.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AssetError(f"{option}: no readable model file at {path} ({error.strerror}); set {option}") from error
    if sha256 is not None and found != sha256.lower():
        raise AssetError(
            f"{option}: {path} has SHA-256 {found}, not {sha256.lower()}; restore the file or set {option}"
        )
    return path
