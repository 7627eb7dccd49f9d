"""The config's section `pack`: how tokens become rows of shards."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipelines.source_config import Kind, Model, Source

Share = Annotated[float, Field(ge=0, le=1)]


class FillInTheMiddle(Model):
    """Which documents are written with their middle last, so that a model learns to infill (arXiv:2207.14255).

    `tokenizer.special_tokens` has to name <|fim_prefix|>, <|fim_middle|> and <|fim_suffix|>. The defaults are those of
    SantaCoder and StarCoder (arXiv:2301.03988, arXiv:2305.06161).
    """

    sources: list[str] = Field([], description="whose documents; empty: all sources of `kinds`")
    kinds: list[Kind] = Field(["code"], description="kinds of source, where no sources are named")
    rate: Share = Field(0.5, description="share of those documents")
    spm_rate: Share = Field(
        0.5, description="of these, the share with the suffix before the prefix; the others have the prefix first"
    )

    def sources_of(self, sources: list[Source]) -> list[str]:
        """Of these sources, the names of those that are asked for."""
        return [s.name for s in sources if (s.name in self.sources if self.sources else s.resolved_kind in self.kinds)]


class Pack(Model):
    """How tokens become rows of shards."""

    context: int = Field(1024, ge=8, le=2**24, description="L: a row holds L + 1 tokens")
    policy: Literal["concatenate", "best_fit", "one_per_row"] = Field(
        "concatenate",
        description="documents end to end, cut at row ends; none cut that fits in a row; each in a row of its own, "
        "its end dropped where it is longer",
    )
    shard_bytes: int = Field(100_000_000, ge=4096, description="size of a shard file to aim at")
    bucket: str = Field(
        "source",
        description="Spark SQL over source, uri, meta, stands_for, copies and signals, with at most 1,000 values: "
        "shards are kept apart by it",
    )
    engine: Literal["auto", "reference", "fastokens", "gigatoken"] = Field(
        "auto",
        description="what encodes: `tokenizers`, a faster engine for as long as it is seen to give the same ids, or "
        "the first of these that is installed; the shards are the same bytes with any",
    )
    fill_in_the_middle: FillInTheMiddle | None = Field(
        None, description="which documents have their middle last, so that a model learns to infill; by default none"
    )

    @model_validator(mode="after")
    def _units_stay_whole(self) -> Pack:
        if self.fill_in_the_middle is not None and self.policy == "concatenate":
            raise ValueError(
                "fill_in_the_middle needs `policy: best_fit` or `one_per_row`: concatenate would cut units"
            )
        return self
