"""Virtual environments of the programs that benchmarks compare with, made from benchmarks/requirements/NAME.txt."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from peers.process import Failed

REQUIREMENTS = Path(__file__).parents[1] / "requirements"


def environment(name: str, cache: Path, python: str | Path = sys.executable) -> Path:
    """The Python of the environment `name` below `cache`, installed there once for each content of its requirements.

    Raises Failed where `python` does not run or pip cannot install.
    """
    requirements = REQUIREMENTS / f"{name}.txt"
    version = _run([python, "-c", "import sys; print(sys.version)"], "python")
    digest = hashlib.sha256(requirements.read_bytes() + version.encode()).hexdigest()[:12]
    folder = cache / f"{name}-{digest}"
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run([python, "-m", "venv", folder], "venv")
        _run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", "-r", requirements], "pip")
        (folder / "done").touch()
    return folder / "bin" / "python"


def python312() -> Path:
    """A Python 3.12 that runs: from the path, or one of pyenv's. Raises Failed where there is none."""
    found: list[str | Path | None] = [
        shutil.which("python3.12"),
        *sorted(Path.home().glob(".pyenv/versions/3.12*/bin/python3.12")),
    ]
    for python in found:
        if python and subprocess.run([python, "--version"], capture_output=True, check=False).returncode == 0:
            return Path(python)
    raise Failed("no Python 3.12 on the path")


def versions(python: Path, names: list[str]) -> dict[str, str]:
    """Versions of Python and of packages, as that Python sees them."""
    code = "import sys, platform; from importlib.metadata import version; print(platform.python_version())\n"
    lines = _run([python, "-c", code + "for name in sys.argv[1:]: print(version(name))", *names], "python").split()
    return dict(zip(["python", *names], lines))


def _run(command: list[str | Path], what: str) -> str:
    # What this process was started with, such as a PYTHONPATH, is not the environment's.
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        raise Failed(f"{what}: {''.join(done.stderr.strip().splitlines()[-1:])}")
    return done.stdout
