"""A PostgreSQL server of a test's own: a new cluster in a temporary directory, with a password, ended with the test."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER, PASSWORD = "miller", "se+cret/Pass word"  # what has to be escaped in a URI
MISSING = "no PostgreSQL server is installed (Debian: apt-get install postgresql)"


def binaries() -> Path | None:
    """The folder of the newest server's programs, None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    program = shutil.which("initdb")
    return Path(program).parent if program else None


@contextmanager
def running(folder: Path) -> Iterator[int]:
    """The port of 127.0.0.1 at which a new server listens, its programs in `folder`."""
    # A server refuses to run as root, and no other user may enter what pytest makes for root.
    user = None if os.geteuid() else next(name for name in ("postgres", "nobody") if _exists(name))
    with tempfile.TemporaryDirectory(prefix="gristmill-postgres-") as place:
        cluster = Path(place) / "cluster"
        password = Path(place) / "password"
        password.write_text(PASSWORD)
        if user:
            for path in (place, password):
                shutil.chown(path, user)

        def call(program: str, *arguments: str) -> None:
            subprocess.run(
                [folder / program, "-D", cluster, *arguments],
                user=user, cwd=place, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip

        call("initdb", "-U", USER, "-E", "UTF8", "--locale=C", "-A", "scram-sha-256", "--pwfile", str(password), "-N")
        port = _free_port()
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories='{place}' -c fsync=off"
        call("pg_ctl", "start", "-w", "-t", "60", "-o", options, "-l", str(cluster / "log"))
        try:
            yield port
        finally:
            call("pg_ctl", "stop", "-w", "-m", "immediate")


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
