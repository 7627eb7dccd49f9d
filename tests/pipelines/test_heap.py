"""A worker's heap after large arrays were freed between small ones that live on."""

import subprocess
import sys

import pytest

# Freeing the first block raises glibc's threshold, so that the blocks after it lie on the heap, each below a small one.
PROGRAM = """
import sys
import numpy as np
from pathlib import Path
from pipelines.heap import give_back_large_blocks

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

if sys.argv[1] == "give back":
    give_back_large_blocks()
np.ones(24 << 20, np.uint8)
before = resident()
large, small = [], []
for _ in range(20):
    large.append(np.ones(8 << 20, np.uint8))
    small.append(np.ones(1 << 16, np.uint8))
del large
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt and /proc are Linux's")
def test_what_is_freed_goes_back_to_the_system():
    def left(how: str) -> int:
        run = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
        return int(run.stdout)

    assert left("give back") < 20 << 20
    assert left("as it is") > 100 << 20  # or the setting has become needless
