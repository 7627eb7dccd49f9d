"""What accelerators can do: dense bfloat16 peaks and memory, from the vendors' data sheets.

A peak is the denominator of MFU, so a wrong one makes a wrong figure: a device that the table does not know has none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True)
class Device:
    """One accelerator: `flops` is its bfloat16 peak without sparsity, in FLOP/s, `memory` its size in bytes.

    `words` are those that a driver's name for it holds, in lower case.
    """

    name: str
    flops: float
    memory: float
    words: frozenset[str]


def _device(name: str, flops: float, gigabytes: float, words: str) -> Device:
    return Device(name, flops, gigabytes * 1e9, frozenset(words.split()))


# Where the words of several are found, the first counts: a special form stands before the general one.
DEVICES = (
    _device("GB200", 2.5e15, 186, "gb200"),
    _device("B200", 2.25e15, 180, "b200"),
    _device("H200-NVL", 835e12, 141, "h200 nvl"),
    _device("H200", 989e12, 141, "h200"),
    _device("H100-NVL", 835e12, 94, "h100 nvl"),
    _device("H100-PCIe", 756e12, 80, "h100 pcie"),
    _device("H100", 989e12, 80, "h100"),  # SXM
    _device("A100-40GB", 312e12, 40, "a100 40gb"),
    _device("A100", 312e12, 80, "a100"),
    _device("L40S", 362e12, 48, "l40s"),
    _device("L4", 121e12, 24, "l4"),
    _device("RTX-4090", 165.2e12, 24, "4090"),
    _device("RTX-3090", 71e12, 24, "3090"),
    _device("MI300X", 1.307e15, 192, "mi300x"),
)
# Words of forms and slices whose peak is not that of the full device; 10c is a virtual GPU of 10 GB.
LESS_THAN_ITS_NAME = re.compile(r"laptop|mig|d|ti|\d+[abcq]")


def device_named(name: str) -> Device:
    """The device of this name, whatever its case. Raises ValueError, with the nearest name, for one that is unknown."""
    known = {device.name.lower(): device for device in DEVICES}
    if name.lower() in known:
        return known[name.lower()]
    near = get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    names = ", ".join(device.name for device in DEVICES)
    hint = f"did you mean {known[near[0]].name}?" if near else f"known are {names}"
    raise ValueError(f"{name!r} is no known device; {hint}")


def device_of(driver_name: str) -> Device | None:
    """The device behind a driver's name such as "NVIDIA H100 80GB HBM3"; None where the table does not know it."""
    words = set(re.findall(r"[a-z0-9]+", driver_name.lower()))
    if any(LESS_THAN_ITS_NAME.fullmatch(word) for word in words):
        return None
    return next((device for device in DEVICES if device.words <= words), None)
