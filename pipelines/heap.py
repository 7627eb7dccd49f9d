"""How a worker's heap is kept from growing with the number of batches that it has seen."""

import ctypes
from functools import lru_cache

# malloc.h of glibc: the parameters' numbers. LARGE: bytes from which on a block is given back when it is freed.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
LARGE = 1 << 17


@lru_cache(maxsize=1)
def give_back_large_blocks() -> None:
    """Make malloc return every block of 128 KiB or more to the system as soon as it is freed, as it does at first.

    By default glibc raises that size to 32 MiB as blocks are freed (mallopt(3), M_MMAP_THRESHOLD): arrays of a batch
    then leave holes between smaller ones that live on, and a worker's memory creeps up over its first dozen batches.
    Does nothing where the C library has no mallopt, or where mimalloc stands in for malloc (pipelines/allocator.py).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_TRIM_THRESHOLD, LARGE)
