"""Strings on which two readings of one tokenizer.json come apart first."""

import random
from itertools import islice
from typing import Any

_FRAGMENTS = [
    *(
        "a",
        "Z",
        "word",
        "the",
        "1",
        "12345",
        " ",
        "  ",
        "\n",
        "\n\n",
        "\r\n",
        "\r",
        "\t",
        "-",
        ".",
        "/",
        "_",
        "'",
        "\0",
    ),
    *("'s", "'S", "'ll", "'LL", "'Ve", "'\u017f", "\u212a", "\u0130", "\u1e9e", "\ufb01"),
    # Digits and numbers, marks, joiners, controls, white space to some.
    *("\u0663", "\u00b2", "\u2167", "\u0968\u0969\u096a\u096b", "e\u0301", "\u0e31", "\u0345", "\u200d", "\u200b"),
    *("\u180e", "\x85", "\xa0", "\u2028", "\u3000", "\ufeff", "\x0b", "\x0c", "\x1c", "\x1f", "\x7f", "\ufffd"),
    *("\u00e9", "\u01c5", "\u02b0", "\u3002", "\u4e2d", "\u306e", "\U0001f469\u200d\U0001f467", "\U0010ffff", "\ue000"),
    # Letters that came with Unicode 11, 12, 13, 14, 15, 15.1, 16, 17, and one that is not assigned.
    *(
        "\u0560",
        "\u0e86",
        "\U00030000",
        "\u0870",
        "\U00031350",
        "\U0002ebf0",
        "\u1c89",
        "\u088f",
        "\U000323b0",
        "\u0378",
    ),
]


def hostile_texts(content: dict[str, Any]) -> list[str]:
    """Some thousand short strings for the tokenizer of a tokenizer.json's content, the same at every call.

    They spell its added tokens, mix characters that implementations class differently with tokens of its own, and hold
    long runs. A split that comes out differently shows in the ids only where a merge reaches across it, hence tokens
    of the vocabulary that join a mark and a letter.
    """
    added = [token["content"] for token in content["added_tokens"]][:64]
    joined = [
        token for token in content["model"]["vocab"] if len(token) > 1 and token[0] in ".-_(/" and token[1:].isalpha()
    ]
    joined = [token for token in islice(joined, 200) if token.isascii()][:8]
    pick = random.Random(0)
    fragments = [*_FRAGMENTS, *added[:8], *joined]
    mixed = ["".join(pick.choices(fragments, k=pick.randint(1, 24))) for _ in range(600)]
    bordered = [
        text
        for mark in _FRAGMENTS
        for token in [*joined, "'s", " a", "1"]
        for text in (mark + token, f"a{mark}{token}")
    ]
    runs = [fragment * 400 for fragment in (*" \n\t\r\0a1.'é中", "\r\n", "ab", " a", "\u200d", "\U0001f468")]
    around = [text for token in added for text in (token, token + token, f"a{token}b", f" {token} ", f"\n{token}\n")]
    return ["", *around, *mixed, *bordered, *runs]
