"""A byte-level BPE in the form that tiktoken reads: a file of ranks, and a JSON of what the ranks do not say."""

import base64
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from tokenizer.files import replace_file
from tokenizer.patterns import GPT2
from tokenizer.vocabulary import is_byte_level, read_tokenizer, sha256, special_ids, tokens


def tiktoken_ranks(path: Path | str) -> dict[bytes, int]:
    """The rank of every token's bytes, which is its id.

    tiktoken merges the pair whose joint bytes have the lowest rank (openai/tiktoken, src/lib.rs, byte_pair_merge), so
    ids have to follow the merges. Raises ValueError where they do not, and for a tokenizer that does more to a text
    than split and merge it.
    """
    content = read_tokenizer(path)
    if not is_byte_level(content):
        raise ValueError(f"{path} is no byte-level BPE, and tiktoken has no other kind")
    if content.get("normalizer") is not None or any(not token["special"] for token in content["added_tokens"]):
        raise ValueError(f"{path} has a normalizer or added words, for which tiktoken has no place")
    vocabulary = content["model"]["vocab"]
    pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in content["model"]["merges"])
    ids = [vocabulary[left + right] for left, right in pairs]
    if any(later <= earlier for earlier, later in pairwise(ids)):
        raise ValueError(f"the ids of {path} do not follow its merges: tiktoken would merge in another order")
    return {token: number for number, token in enumerate(tokens(path)) if token is not None}


def split_pattern(content: dict[str, Any]) -> str:
    """The regular expression by which a tokenizer.json's content splits a text; raises ValueError for other ways."""
    outer = content["pre_tokenizer"]
    steps = outer.get("pretokenizers") or [outer]
    splits = [step for step in steps if step["type"] != "ByteLevel"]
    if steps[-1].get("use_regex") and not steps[-1]["add_prefix_space"] and not splits:
        return GPT2
    if not steps[-1].get("use_regex") and len(splits) == 1 and splits[0]["type"] == "Split":
        (split,) = splits
        if split["behavior"] == "Isolated" and not split["invert"] and "Regex" in split["pattern"]:
            return split["pattern"]["Regex"]
    raise ValueError("the texts are split by more than one regular expression, and tiktoken knows one alone")


def export_tiktoken(path: Path | str, output: Path) -> Path:
    """Write ranks to `output` (a line for each token: base64 of its bytes, a space, its rank), the rest beside it.

    Returns the JSON beside it, `output` with `.json` behind its name: `tokenizer_sha256`, the origin, and as arguments
    of `tiktoken.Encoding` `pat_str`, `special_tokens` and `explicit_n_vocab`. The ids are those of our own path where
    tiktoken's regular expressions split as Oniguruma does. Raises as `tiktoken_ranks` and `split_pattern`.
    """
    ranks = tiktoken_ranks(path)
    special = special_ids(path)
    facts = {
        "pat_str": split_pattern(read_tokenizer(path)),
        "special_tokens": special,
        "explicit_n_vocab": len(ranks) + len(special),
        "tokenizer_sha256": sha256(path),
    }
    beside = output.with_name(output.name + ".json")
    output.parent.mkdir(parents=True, exist_ok=True)
    replace_file(output, "".join(f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in ranks.items()))
    replace_file(beside, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    return beside
