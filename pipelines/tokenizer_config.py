"""The config's section `tokenizer`: what the vocabulary is learnt from, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from pipelines.source_config import LanguageCode, Model, Name, nearest
from tokenizer.patterns import PATTERNS
from tokenizer.vocabulary import SPECIAL_TOKENS, reserved

DECIMALS = 4
Token = Annotated[str, Field(min_length=1, max_length=128)]


def _has_few_decimals(value: float) -> float:
    if round(value, DECIMALS) != value:
        raise ValueError(f"a factor has at most {DECIMALS} decimals, so that counts stay exact")
    return value


Factor = Annotated[float, Field(gt=0, le=1000), AfterValidator(_has_few_decimals)]


class Weights(Model):
    """How often a text counts: the product of its source's and its language's factor, 1 where there is none."""

    sources: dict[Name, Factor] = Field({}, description="factors by source")
    languages: dict[LanguageCode, Factor] = Field(
        {}, description="factors by language: ISO 639-3 codes, `und` where none was found"
    )


class Tokenizer(Model):
    """A vocabulary learnt from the counts of pre-tokens in the whole training split."""

    vocab_size: int = Field(32_768, ge=260, le=2**24, description="entries, special tokens and 256 bytes included")
    pattern: str = Field("cl100k", description=f"how text is split before merging: {', '.join(PATTERNS)}")
    sample_bytes: int | None = Field(
        None, gt=0, description="about so many bytes of text to learn from, chosen by a hash of their ids; null: all"
    )
    weights: Weights = Field(Weights(), description="how often a text counts, by source and language")
    min_count: int | None = Field(
        None,
        ge=1,
        description="pre-tokens that count less are left out; null: the least with which 20 million are kept at most",
    )
    min_frequency: int = Field(2, ge=0, description="pairs that count less are not merged")
    tie_break: Literal["huggingface", "greater_bytes"] = Field(
        "huggingface",
        description="which of equally frequent pairs is merged first: that with the smaller ids, as Hugging Face's "
        "trainer does, or that with the greater byte strings",
    )
    model: Literal["bpe", "wordpiece", "unigram"] = Field(
        "bpe",
        description="all over bytes; wordpiece and unigram are learnt by Hugging Face's trainers, from `sample_bytes` "
        "of text (100 MB by default) without weights; unigram's breaks ties at random: runs differ in a few pieces",
    )
    special_tokens: list[Token] = Field(
        [], max_length=1000, description="your own, beside those for the end and beginning of documents and padding"
    )
    reserved: int = Field(0, ge=0, le=1000, description="special tokens `<|reserved_0|>` and on, for later use")
    pad_to_multiple_of: int | None = Field(
        None, ge=1, le=4096, description="reserved special tokens are added until this divides the vocabulary's size"
    )

    @field_validator("pattern")
    @classmethod
    def _pattern_is_known(cls, value: str) -> str:
        if value not in PATTERNS:
            raise ValueError(f"no pattern is named {value!r}; {nearest(value, PATTERNS)}")
        return value

    def all_special_tokens(self) -> list[str]:
        """The special tokens by id: those that documents need, your own, the reserved ones."""
        return [*SPECIAL_TOKENS, *self.special_tokens, *reserved(range(self.reserved))]

    @model_validator(mode="after")
    def _fits_together(self) -> Tokenizer:
        names = self.all_special_tokens()
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"special_tokens: {twice[0]!r} is there already, twice it would be one token")
        needed = len(names) + (512 if self.model == "wordpiece" else 256)
        if self.vocab_size < needed + 1:
            raise ValueError(f"vocab_size: special tokens and bytes alone are {needed} entries")
        if self.model != "bpe" and (self.weights != Weights() or self.min_count is not None):
            raise ValueError(
                f"model: {self.model} is learnt from texts, for which `weights` and `min_count` have no use"
            )
        return self
