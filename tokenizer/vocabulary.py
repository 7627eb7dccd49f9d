"""What a saved tokenizer says about its tokens, read from tokenizer.json alone."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

END_OF_TEXT = "<|endoftext|>"
BEGIN_OF_TEXT = "<|bos|>"
PADDING = "<|padding|>"
SPECIAL_TOKENS = (END_OF_TEXT, BEGIN_OF_TEXT, PADDING)
"""End of a document, beginning of a document, padding: the first ids, in this order."""

FILL_IN_THE_MIDDLE = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")
"""What the pieces of a document with its middle last begin with, where `special_tokens` asks for them (the spelling of
Qwen2.5-Coder)."""

CONTINUES = "‿"
"""What a WordPiece token begins with that is not the first of its pre-token."""


def reserved(numbers: Iterable[int]) -> Iterator[str]:
    """Special tokens for later use, by their numbers."""
    return (f"<|reserved_{number}|>" for number in numbers)


def tokenizer_file(path: Path | str) -> Path:
    """The tokenizer.json that `path` is or holds; raises FileNotFoundError."""
    path = Path(path)
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"there is no tokenizer at {file}")
    return file


def read_tokenizer(path: Path | str) -> dict[str, Any]:
    """The parsed tokenizer.json; raises ValueError that names the file when it is none."""
    file = tokenizer_file(path)
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file} is not JSON: {error}") from error
    if not isinstance(content, dict) or "model" not in content:
        raise ValueError(f"{file} is not a tokenizer.json: it has no model")
    return content


def sha256(path: Path | str) -> str:
    """SHA-256 of tokenizer.json, in hex: the tokenizer's identity in every shard."""
    return hashlib.sha256(tokenizer_file(path).read_bytes()).hexdigest()


def special_ids(path: Path | str) -> dict[str, int]:
    """Ids of the special tokens by their spelling."""
    return {token["content"]: token["id"] for token in read_tokenizer(path)["added_tokens"] if token["special"]}


def is_byte_level(content: dict[str, Any]) -> bool:
    """Whether a tokenizer.json's content is a BPE over bytes: all texts are words of the 256 byte letters to it."""
    outer = content.get("pre_tokenizer") or {}
    steps = outer.get("pretokenizers") or [outer]
    return content["model"].get("type") == "BPE" and steps[-1].get("type") == "ByteLevel"


def byte_alphabet() -> dict[str, int]:
    """The byte that each of the 256 characters of a byte-level vocabulary stands for.

    Printable Latin-1 stands for itself, the other 68 bytes for U+0100 and on, in order (openai/gpt-2, src/encoder.py,
    bytes_to_unicode).
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = sorted(set(range(256)) - set(printable))
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


def tokens(path: Path | str) -> list[bytes | None]:
    """The bytes of every token by id, special tokens and unused ids None.

    Read through the byte alphabet: many tokens are not UTF-8 on their own, and decoding them to str would change their
    bytes. Raises ValueError when the vocabulary is not byte-level, of BPE or of `models`.
    """
    content = read_tokenizer(path)
    ids, added = _spellings(content, path), content["added_tokens"]
    alphabet = byte_alphabet()
    table: list[bytes | None] = [None] * (max([*ids.values(), *(token["id"] for token in added)]) + 1)
    ids_added = {token["id"] for token in added}
    for token, index in ids.items():
        if index in ids_added:
            continue
        try:
            table[index] = bytes([alphabet[letter] for letter in token.removeprefix(CONTINUES)])
        except KeyError as error:
            raise ValueError(
                f"token {index} of {path} holds {error}, which is no letter of the byte alphabet"
            ) from None
    for token in added:
        table[token["id"]] = None if token["special"] else token["content"].encode()
    return table


def _spellings(content: dict[str, Any], path: Path | str) -> dict[str, int]:
    """The ids of a model's tokens by spelling; raises ValueError for a kind of model that is never byte-level."""
    model = content["model"]
    if model.get("type") in ("BPE", "WordPiece"):
        return model["vocab"]
    if model.get("type") == "Unigram":
        return {token: number for number, (token, _) in enumerate(model["vocab"])}
    raise ValueError(f"{path} holds a {model.get('type')} model, not a byte-level BPE, WordPiece or Unigram")


def token_bytes(path: Path | str) -> npt.NDArray[np.int32]:
    """Length in bytes of every token: int32[vocabulary size], 0 for special tokens and unused ids.

    Summed over the ids of a text it is the length of the text in UTF-8, which makes a loss per token comparable between
    tokenizers as bits per byte.
    """
    return np.array([len(token or b"") for token in tokens(path)], dtype=np.int32)
