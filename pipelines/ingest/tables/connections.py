"""Connections to databases through ADBC, with credentials that no message and no file of a run ever holds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
from adbc_driver_manager import Error as AdbcError

from pipelines.errors import ConfigError, GristmillError
from pipelines.source_config import expand

_POSTGRESQL = re.compile(r"postgres(?:ql)?://")
_SQLITE = re.compile(r"sqlite:(?:///)?")


class DatabaseError(GristmillError):
    """A database that does not answer, or not as it should. Its message holds nothing secret."""


def resolve(uri: str | None, uri_env: str | None) -> str:
    """The address, from the config with its variables replaced, or from an environment variable. Raises ConfigError."""
    if (uri is None) == (uri_env is None):
        raise ConfigError("options: a database needs either `uri` or `uri_env`")
    if uri_env is not None:
        if not os.environ.get(uri_env):
            raise ConfigError(f"options.uri_env: environment variable {uri_env} is not set")
        return os.environ[uri_env]
    assert uri is not None
    try:
        return expand(uri)
    except ValueError as error:
        raise ConfigError(f"options.uri: {error}") from error


def is_postgresql(uri: str) -> bool:
    """Whether an address is that of a PostgreSQL server. Any other is an SQLite file, `sqlite:///` before it or not."""
    return _POSTGRESQL.match(uri) is not None


def sqlite_file(uri: str) -> Path:
    """The file that an address names. Raises ConfigError where there is none."""
    path = Path(_SQLITE.sub("", uri, count=1)).expanduser()
    if "://" in str(uri) and not _SQLITE.match(uri):
        raise ConfigError(f"options.uri: {uri.split('://')[0]}:// is neither sqlite:/// nor postgresql://")
    if not path.is_file():
        raise ConfigError(f"options.uri: there is no file {path}")
    return path


@contextmanager
def cursor(uri: str) -> Iterator[Any]:
    """A DB-API cursor of ADBC's. Raises DatabaseError for all that the database or its driver says."""
    try:
        connection = _connect(uri)
    except AdbcError as error:
        # libpq quotes what it does not understand of an address, which may be half of a password.
        said = re.sub(r'"[^"]*"?', '"***"', str(error))
        raise DatabaseError(f"no connection to the database: {without_secrets(said, uri)}") from None
    try:
        with connection, connection.cursor() as opened:
            if is_postgresql(uri):  # how times are written must not depend on a server's settings
                for setting in ("TimeZone = 'UTC'", "DateStyle = 'ISO'", "IntervalStyle = 'iso_8601'"):
                    opened.execute(f"SET {setting}")
            yield opened
    except (AdbcError, OSError, pa.ArrowException) as error:  # the last two of a result that breaks off
        raise DatabaseError(f"the database says: {without_secrets(str(error), uri)}") from None


def without_secrets(message: str, uri: str) -> str:
    """What a driver says, less the address and its parts: user, password, host, or an SQLite file's path."""
    if is_postgresql(uri):
        secrets = {uri, *re.split(r"[/@:?&=#\[\]]+", uri)[1:]}
    else:
        secrets = {uri, str(Path(_SQLITE.sub("", uri, count=1)).absolute())}
    for secret in sorted(secrets | {unquote(secret) for secret in secrets}, key=len, reverse=True):
        message = message.replace(secret, "***") if len(secret) > 2 else message
    return " ".join(message.split())


def _connect(uri: str) -> Any:
    # Drivers are loaded where they are used: a cluster without databases needs none.
    if is_postgresql(uri):
        from adbc_driver_postgresql import dbapi

        return dbapi.connect(uri, autocommit=True)
    from adbc_driver_sqlite import dbapi as sqlite

    return sqlite.connect(f"file:{quote(str(sqlite_file(uri).absolute()))}?mode=ro", autocommit=True)
