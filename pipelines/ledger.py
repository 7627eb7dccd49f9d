"""What is finished: stages.json, the lock on the output directory, and the commit of half-written work.

A stage consists of chunks. A chunk's files are written under .staging/, renamed into their datasets, and then entered
in stages.json, which is itself replaced by a rename. A file that stages.json does not list was left by a run that was
killed: the stage removes it before it writes. So a run can be killed at any moment, and a reader of stages.json never
sees half a chunk.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipelines.errors import ConfigError, GristmillError
from shards.atomic import finish_replacing

# In the order in which they run, with the folders of the output directory that each one owns.
STAGES: dict[str, tuple[str, ...]] = {
    "ingest": ("documents", "errors"),
    "annotate": ("signals", "edits", "sketches"),
    "match": ("pairs", "hubs", "repeats", "benchmarks"),
    "judge": ("verdicts",),
    "corpus": ("corpus",),
    "tokenizer": ("tokenizer", "pretokens"),
    "pack": ("shards", "tokens"),
    "pretrain": ("runs",),
    "report": ("report",),
}
FORMAT = 1

Stages = dict[str, dict[str, Any]]  # the entries of stages.json, by name


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON, 32 hex digits of it."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Ledger:
    """The state of one output directory. Use as a context manager: it holds the directory's lock."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = output / "stages.json"
        self.stages: Stages = {}

    def __enter__(self) -> Ledger:
        try:
            self.output.mkdir(parents=True, exist_ok=True)
            # The lock belongs to the open file, so it is gone with the process, however that ends.
            self._lock = os.open(self.output / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise ConfigError(f"cannot write to the output directory {self.output}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise GristmillError(f"another run is at work in {self.output}") from error
        finish_replacing(self.output)  # of a removal that was killed half-way
        self.stages = read_stages(self.output)
        shutil.rmtree(self.output / ".staging", ignore_errors=True)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.output / ".staging", ignore_errors=True)
        os.close(self._lock)

    def save(self) -> None:
        """Replace stages.json as a whole."""
        write_text(self.path, self.page(self.stages))

    @staticmethod
    def page(stages: Stages) -> str:
        """The content of stages.json."""
        return json.dumps({"format": FORMAT, "stages": stages}, indent=1, sort_keys=True)

    def stage(self, name: str, *, inputs: Any, config: Any, code: Any) -> Stage:
        """A stage with the fingerprints of what it reads, its part of the config and the versions of its code."""
        return Stage(self, name, {"inputs": digest(inputs), "config": digest(config), "code": digest(code)})

    def forget_after(self, name: str) -> None:
        """Mark every later stage as unfinished: what it was made from is about to change."""
        order = list(STAGES)
        for later in order[order.index(name) + 1 :]:
            if later in self.stages:
                self.stages[later]["finished"] = False


class Stage:
    """One stage of a run: which of its chunks are done, and how further ones are committed."""

    def __init__(self, ledger: Ledger, name: str, prints: dict[str, str]) -> None:
        self.ledger, self.name, self.prints = ledger, name, prints
        self.output = ledger.output
        self.started = time.monotonic()

    @property
    def fingerprint(self) -> str:
        """Digest of all that the stage's result depends on."""
        return digest(self.prints)

    @property
    def entry(self) -> dict[str, Any]:
        """The stage's lines in stages.json."""
        return self.ledger.stages.get(self.name, {})

    @property
    def facts(self) -> dict[str, Any]:
        """What the finished stage has to say of itself."""
        facts: dict[str, Any] = self.entry.get("facts", {})
        return facts

    def is_fresh(self) -> bool:
        """Whether the stage is finished, from the same inputs, config and code, and its files are still there."""
        same = self.entry.get("finished") and self.entry.get("fingerprint") == self.fingerprint
        return bool(same) and all(self._is_whole(chunk) for chunk in self.entry["chunks"].values())

    def begin(self, keys: Iterable[str] | None = None, folders: tuple[str, ...] = ()) -> list[str]:
        """Open the stage for writing in its folders, or in `folders`. Returns the keys of the chunks still to do.

        A chunk's key is a digest of all that it is made from, so chunks of an earlier run that have the same key are
        kept; all others, and files that no chunk lists, are removed.
        """
        keys = [self.fingerprint] if keys is None else list(keys)
        self.ledger.forget_after(self.name)
        done = self.entry.get("chunks", {}) if self.entry.get("format") == FORMAT else {}
        kept = {key: done[key] for key in keys if key in done and self._is_whole(done[key])}
        self.ledger.stages[self.name] = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "prints": self.prints,
            "finished": False,
            "chunks": kept,
        }
        self.ledger.save()
        listed = {name for chunk in kept.values() for name in chunk["files"]}
        for folder in folders or STAGES[self.name]:
            for path in sorted(p for p in (self.output / folder).rglob("*") if not p.is_dir()):
                if path.relative_to(self.output).as_posix() not in listed:
                    path.unlink()
                    remove_empty_folders(path, self.output)
        return [key for key in keys if key not in kept]

    def staging(self) -> Path:
        """A new directory to write a chunk under: its layout below is that of the output directory."""
        path = self.output / ".staging" / f"{self.name}-{uuid.uuid4().hex}"
        path.mkdir(parents=True)
        return path

    def commit(self, key: str, staging: Path, facts: dict[str, Any] | None = None) -> None:
        """Move a chunk's files into their datasets and enter it in stages.json."""
        files = {}
        for path in sorted(p for p in staging.rglob("*") if p.is_file()):
            name = path.relative_to(staging).as_posix()
            target = self.output / name
            target.parent.mkdir(parents=True, exist_ok=True)
            files[name] = path.stat().st_size
            path.replace(target)
        shutil.rmtree(staging)
        self.ledger.stages[self.name]["chunks"][key] = {"files": files, "facts": facts or {}}
        self.ledger.save()

    def drop(self, keys: list[str]) -> None:
        """Remove chunks that only led to others, and their files."""
        chunks = self.ledger.stages[self.name]["chunks"]
        dropped = [chunks.pop(key) for key in keys if key in chunks]
        self.ledger.save()
        for chunk in dropped:
            for name in chunk["files"]:
                (self.output / name).unlink(missing_ok=True)
                remove_empty_folders(self.output / name, self.output)

    def finish(self, facts: dict[str, Any] | None = None) -> None:
        """Enter the stage as finished."""
        entry = self.ledger.stages[self.name]
        entry["facts"] = facts or {}
        entry["seconds"] = round(time.monotonic() - self.started, 1)
        entry["finished"] = True
        self.ledger.save()

    def chunk_facts(self) -> list[dict[str, Any]]:
        """The facts of all chunks, in the order of their keys."""
        return [chunk["facts"] for _, chunk in sorted(self.entry.get("chunks", {}).items())]

    def _is_whole(self, chunk: dict[str, Any]) -> bool:
        def size(name: str) -> int:
            try:
                return (self.output / name).stat().st_size
            except OSError:
                return -1

        return all(size(name) == expected for name, expected in chunk["files"].items())


def read_stages(output: Path) -> Stages:
    """The stages of stages.json, or none where there is no such file. Raises GristmillError where it is damaged."""
    path = output / "stages.json"
    if not path.exists():
        return {}
    try:
        page = json.loads(path.read_text(encoding="utf-8"))
        stages: Stages = page["stages"] if page["format"] == FORMAT else {}
    except (ValueError, KeyError, TypeError) as error:
        raise GristmillError(f"{path} is damaged ({error}); remove it to start again") from error
    return stages


def remove_empty_folders(path: Path, top: Path) -> None:
    """Remove the folders above a removed file, up to `top`, that nothing is left in."""
    for folder in path.parents:
        if folder == top or any(folder.iterdir()):
            return
        folder.rmdir()


def write_text(path: Path, text: str) -> None:
    """Replace a file as a whole: a reader sees the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
