"""On a CPU what a step frees stays with the process, for the next one."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import ctypes, sys
import torch
from pretrain.device import keep_freed_memory

class Info(ctypes.Structure):  # mallinfo(3)
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]

info = ctypes.CDLL(None).mallinfo2
info.restype = Info
if sys.argv[1] == "kept":
    keep_freed_memory()
tensor = torch.empty(40 << 20, dtype=torch.uint8)
mapped = info().hblkhd  # in blocks that go back to the system when they are freed
del tensor
print(mapped, info().fordblks)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
@pytest.mark.parametrize("how", ["kept", "given back"])
def test_what_is_freed_is_kept(how):
    root = str(Path(__file__).parents[2])
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], env={"PYTHONPATH": root}, capture_output=True, text=True, check=True
    )
    mapped, free = map(int, run.stdout.split())
    assert (mapped < 40 << 20 <= free) == (how == "kept"), run.stdout
