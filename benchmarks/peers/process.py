"""A command on given cores, with the time and the memory of all its processes, as /proc tells them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

INTERVAL = 0.5  # seconds between two looks
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measured:
    """What a command took."""

    seconds: float  # wall clock, from start to end
    cpu_seconds: float  # of all processes, as last seen: work of the last INTERVAL before an end is missing
    peak_mb: float  # of the sum over all processes of PSS (memory, what is shared being divided among its users)


class Failed(Exception):
    """A command ended with another status than 0, or ran past its limit."""


def measured(
    command: Sequence[str | Path],
    log: Path,
    cores: int,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    limit: float = 3600,
) -> Measured:
    """Run a command to its end; what it prints is the file `log`.

    It is held to the first `cores` of the CPUs that this process may use. Raises Failed, with the end of the log,
    where the command fails or takes longer than `limit` seconds.
    """
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    cpu: dict[int, float] = {}
    peak = highest = 0
    with log.open("wb") as output:
        started = time.perf_counter()
        # A session of its own, by which processes are found whose parent has ended.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, allowed),
        )
        try:
            while not _ended(process):
                members = _members(process.pid)
                cpu |= members
                resident = sum(map(_resident, members))
                if resident > 1.01 * highest:  # the kernel walks through all pages to tell PSS: only at a new high
                    highest, peak = resident, max(peak, sum(map(_proportional, members)))
                if time.perf_counter() - started > limit:
                    raise Failed(f"not done after {limit:.0f} s")
            seconds = time.perf_counter() - started
        finally:
            for pid in _members(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        end = log.read_bytes().decode(errors="replace").strip().splitlines()[-1:]
        raise Failed(f"status {process.returncode}: {''.join(end)[:300]}")
    return Measured(round(seconds, 1), round(sum(cpu.values()), 1), round(peak / 1000, 1))


def cpu_seconds(root: int) -> float:
    """CPU seconds of a process, of what else is in its session, and of their descendants that live."""
    return sum(_members(root).values())


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it ends within INTERVAL."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(INTERVAL)
    return process.returncode is not None


def _members(root: int) -> dict[int, float]:
    """CPU seconds of each living process of the root's session, and of each of their descendants."""
    found: dict[int, tuple[int, int, float]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_bytes().rpartition(b") ")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            found[int(entry.name)] = (int(fields[1]), int(fields[3]), (int(fields[11]) + int(fields[12])) / _TICK)
    members = {pid for pid, (_, session, _) in found.items() if session == root or pid == root}
    while more := {pid for pid, (parent, _, _) in found.items() if parent in members} - members:
        members |= more
    return {pid: found[pid][2] for pid in members if pid in found}


def _resident(pid: int) -> int:
    """RSS in pages, what is shared being counted for each; 0 for a process that has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    except OSError:
        return 0


def _proportional(pid: int) -> int:
    """PSS in kB; 0 for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(b"Pss:")), 0)
