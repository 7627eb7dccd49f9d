"""The config's section `repeats`: what is looked for within documents, and what becomes of it. All off by default."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Cut = Literal["none", "later", "all"]
Share = Annotated[float, Field(ge=0, le=1)]


class Options(BaseModel):
    """Frozen, and refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Units(Options):
    """Lines or paragraphs that several documents have; copies of one document count once."""

    documents: int = Field(7, ge=2, description="in how many documents it occurs, at least (Llama 3: more than 6)")
    words: int = Field(3, ge=0, description="shorter ones stay")
    scope: Literal["corpus", "site"] = Field("corpus", description="counted in all documents, or within meta['group']")
    code: bool = Field(False, description="also in sources of the kind `code`")
    cut: Cut = Field(
        "none",
        description="none: only counted; later: stays in the first kept document that has it, by cluster (or doc_id); "
        "all: cut everywhere",
    )


class Passages(Options):
    """Spans of words that two or more documents have in common; copies of one document count once."""

    words: int = Field(50, ge=2, description="least length of a common span; every one of that length is found")
    code: bool = Field(False, description="also in sources of the kind `code`")
    cut: Cut = Field("none", description="as for lines")
    border: Literal["word", "sentence", "line"] = Field(
        "line", description="what a cut takes whole: word, sentence or line"
    )


class Benchmark(Options):
    """A file of benchmark items."""

    path: str = Field(description="JSON lines, plain, .gz or .zst; ~, ${VAR}, ${VAR:-default} are expanded")
    fields: list[str] = Field(
        min_length=1, description="fields to look for, each for itself; `a.b` is the field b of the object a"
    )


class Contamination(Options):
    """Benchmark items to find in the corpus."""

    benchmarks: list[Benchmark] = Field(min_length=1, description="where the items are")
    words: int = Field(13, ge=2, le=100, description="n of the n-grams that are looked for (GPT-3, GPT-4: 13)")
    shortest: int = Field(8, ge=1, description="an item of fewer than n words is looked for whole, down to this length")
    common: int = Field(100, ge=1, description="an n-gram in more documents is no evidence (copies count once)")
    gap: int = Field(13, ge=0, description="words between two matches that still make one span")
    action: Literal["report", "cut", "drop"] = Field("report", description="what becomes of the span or its document")
    share: Share = Field(0.0, description="least share of an item's n-grams in a document for the action")

    @model_validator(mode="after")
    def _shortest_is_short(self) -> Contamination:
        if self.shortest > self.words:
            raise ValueError(f"shortest is {self.shortest}, more than an n-gram's {self.words} words")
        return self


class Repeats(Options):
    """What is looked for within documents. What is absent is off."""

    lines: Units | None = Field(None, description="repeated lines")
    paragraphs: Units | None = Field(None, description="repeated paragraphs: what stands between empty lines")
    passages: Passages | None = Field(None, description="long common passages")
    contamination: Contamination | None = Field(None, description="benchmark items")
