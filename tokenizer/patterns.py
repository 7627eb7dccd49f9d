"""The published pre-tokenization patterns: how a text is split before any merge is applied.

All are written in the form that Oniguruma, the engine inside `tokenizers`, reads as their authors meant them. The
possessive form in which newer releases of tiktoken write cl100k does not survive there: `\\p{N}{1,3}+` is possessive to
tiktoken but "groups of three, repeated" to Oniguruma, and no longer splits 1234567.
"""

# openai/gpt-2, src/encoder.py; r50k_base and p50k_base in tiktoken_ext/openai_public.py are the same.
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


# openai/tiktoken, tiktoken_ext/openai_public.py, o200k_base. M is in both classes of letters, and outside L: a mark
# may also be the character before a word.
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
O200K = "|".join(
    [
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTION}?",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTION}?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)


def _digits_in_groups_of(most: int) -> str:
    """The cl100k pattern with numbers cut, from the left, into groups of up to `most` digits."""
    return (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,"
        + str(most)
        + r"}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


PATTERNS = {
    "gpt2": GPT2,
    # openai/tiktoken, tiktoken_ext/openai_public.py, cl100k_base (the GPT-4 tokenizer).
    "cl100k": _digits_in_groups_of(3),
    # meta-llama/llama3, llama/tokenizer.py, pat_str: letter for letter the pattern of cl100k.
    "llama3": _digits_in_groups_of(3),
    # The GPT-4o tokenizer: words end where a small letter is followed by a capital.
    "o200k": O200K,
    "digits3": _digits_in_groups_of(3),
    # karpathy/nanochat, nanochat/tokenizer.py, writes {1,2}: fewer tokens spent on numbers in small vocabularies.
    "digits2": _digits_in_groups_of(2),
    # Single digits, as in Llama 1 and 2 (Touvron et al. 2023, section 2.1: "split all numbers into individual digits").
    "digits1": _digits_in_groups_of(1),
}


def check_pattern(name: str) -> None:
    """Raise ValueError, which lists the names there are, where no pattern is called `name`."""
    if name not in PATTERNS:
        raise ValueError(f"no split pattern is called {name!r}; there are: {', '.join(PATTERNS)}")


def pattern_by_name(name: str) -> str:
    """The regular expression called `name`; raises as `check_pattern`."""
    check_pattern(name)
    return PATTERNS[name]
