"""Vocabularies that others published, as a tokenizer of ours: GPT-2's two files, and tiktoken's ranks."""

import base64
import binascii
import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizers

from tokenizer.vocabulary import byte_alphabet


def from_merges(vocabulary: Path, merges: Path, pattern: str) -> Tokenizer:
    """The tokenizer of vocab.json (encoder.json) and merges.txt (vocab.bpe); `pattern` is a regular expression.

    What is neither a byte nor made by a merge is a special token, `<|endoftext|>` in GPT-2's. Raises ValueError for
    files of another kind, and for a merge whose parts or whole the vocabulary lacks.
    """
    ids = _vocabulary(vocabulary)
    lines = merges.read_text("utf-8").removeprefix("\ufeff").splitlines()
    pairs = []
    for number, line in enumerate(lines, start=1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        left, space, right = line.partition(" ")
        if not space or " " in right or not {left, right, left + right} <= ids.keys():
            raise ValueError(f"{merges}, line {number}: {line[:60]!r} is no pair of tokens of {vocabulary}")
        pairs.append((left, right))
    ordinary = {*byte_alphabet(), *(left + right for left, right in pairs)}
    return _tokenizer(ids, pairs, pattern, {token: number for token, number in ids.items() if token not in ordinary})


def from_tiktoken(ranks: Path, pattern: str, special_tokens: Mapping[str, int]) -> Tokenizer:
    """The tokenizer of a file of ranks; `pattern` is a regular expression.

    A token's merge is the last one that makes it, found by merging its bytes with all tokens of lower rank. Where no
    merge makes it, it is still found when it is a pre-token, as by tiktoken. Ids that neither a rank nor a special
    token has become special tokens `<|reserved_ID|>`. Raises ValueError for a file of another kind, ranks without all
    256 bytes, special tokens whose ids are taken, and those that would be found as pre-tokens.
    """
    tokens = _ranks(ranks)
    taken = {number: token for token, number in tokens.items()}
    if clash := [token for token, number in special_tokens.items() if number in taken]:
        raise ValueError(f"the id of the special token {clash[0]!r} has a rank of its own in {ranks}")
    letters = {byte: letter for letter, byte in byte_alphabet().items()}
    spelt = {token: "".join(letters[byte] for byte in token) for token in tokens}
    pairs = []
    for token, rank in sorted(tokens.items(), key=lambda item: item[1]):
        parts = _merged(token, tokens, rank)
        if len(token) > 1 and len(parts) == 2:
            pairs.append((spelt[parts[0]], spelt[parts[1]]))
    named = {number: token for token, number in special_tokens.items()}
    size = 1 + max([*taken, *named])
    special = {named.get(number, f"<|reserved_{number}|>"): number for number in range(size) if number not in taken}
    ids = {spelt[token]: number for token, number in tokens.items()}
    return _tokenizer(ids | special, pairs, pattern, special, whole_words=len(pairs) + 256 < len(tokens))


def _tokenizer(
    ids: dict[str, int], pairs: list[tuple[str, str]], pattern: str, special: dict[str, int], whole_words: bool = False
) -> Tokenizer:
    if sorted(ids.values()) != list(range(len(ids))):
        raise ValueError(f"the ids of the vocabulary are not 0 to {len(ids) - 1}, each once")
    tokenizer = Tokenizer(BPE(ids, pairs, ignore_merges=whole_words))
    level = ByteLevel(add_prefix_space=False, use_regex=False)
    split = Split(Regex(pattern), behavior="isolated")
    tokenizer.pre_tokenizer = PreTokenizers([split, level])
    tokenizer.decoder = ByteLevelDecoder()
    if whole_words and (found := [token for token in special if len(split.pre_tokenize_str(token)) == 1]):
        raise ValueError(f"the special token {found[0]!r} would be found in texts, where it can be a word")
    by_id = sorted(special, key=special.__getitem__)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in by_id])
    tokenizer.encode_special_tokens = True
    return tokenizer


def _vocabulary(file: Path) -> dict[str, int]:
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file} is not JSON: {error}") from error
    if not isinstance(content, dict) or not all(type(number) is int for number in content.values()):
        raise ValueError(f"{file} does not map tokens to ids")
    if missing := byte_alphabet().keys() - content.keys():
        raise ValueError(f"{file} is no byte-level vocabulary: it lacks {len(missing)} of the 256 byte letters")
    return content


def _ranks(file: Path) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        if not line:
            continue
        token, _, rank = line.partition(b" ")
        try:
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"{file}, line {number}: no base64 and rank ({error})") from error
    if missing := {bytes([byte]) for byte in range(256)} - ranks.keys():
        raise ValueError(f"{file} is no byte-level vocabulary: it lacks {len(missing)} of the 256 bytes")
    if len(set(ranks.values())) != len(ranks) or min(ranks.values()) < 0:
        raise ValueError(f"{file} gives one rank to two tokens, or one below 0")
    return ranks


def _merged(token: bytes, ranks: Mapping[bytes, int], below: int) -> list[bytes]:
    """The parts of a token that are left when its bytes are merged with tokens of rank less than `below`."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 1:
        found = [(ranks.get(left + right, below), at) for at, (left, right) in enumerate(pairwise(parts))]
        rank, at = min(found)
        if rank >= below:
            break
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts
