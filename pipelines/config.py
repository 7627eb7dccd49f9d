"""The models of a run's config: one YAML page, validated before anything is read or started.

Every model refuses unknown keys. `load` turns what Pydantic finds into messages that name the key's path and the
nearest valid key. The pages' `pretrain` section is added by `jobs.config`, because pipelines know nothing of training.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from pipelines.dedup.curve import bands_and_rows
from pipelines.dedup.options import Repeats
from pipelines.errors import ConfigError
from pipelines.pack_config import Pack
from pipelines.source_config import Kind, LanguageCode, Model, Name, Source, nearest
from pipelines.tokenizer_config import Tokenizer
from tokenizer.vocabulary import FILL_IN_THE_MIDDLE

Share = Annotated[float, Field(ge=0, le=1)]


class Language(Model):
    """The language rule: it runs before duplicates are matched."""

    keep: list[LanguageCode] = Field([], description="ISO 639-3 codes to keep; empty keeps all")
    min_score: Share = Field(0.0, description="least score of the identified language")
    min_scores: dict[LanguageCode, Share] = Field(
        {}, description="least scores of single languages, by ISO 639-3 code, before those of the other keys"
    )
    min_scores_from: str | None = Field(
        None,
        description="a table of least scores, before that of min_score: a name in filters/rules (fineweb2, which is "
        "for the model GlotLID v3 alone) or a CSV file",
    )
    kinds: list[Kind] = Field(["web", "text"], description="kinds of source that the rule is asked of")

    @model_validator(mode="after")
    def _scored_languages_are_kept(self) -> Language:
        for code in self.min_scores if self.keep else ():
            if code not in self.keep:
                raise ValueError(f"min_scores has a score for {code!r}, but keep leaves {code!r} out")
        return self


class Annotate(Model):
    """What is measured on each document."""

    families: list[str] = Field(
        ["language", "quality", "repetition", "toxicity"],
        description="signal families by name, or `module:Class` of one of your own",
    )
    options: dict[str, dict[str, Any]] = Field({}, description="keyword arguments of a family, by its name")
    edits: dict[Kind, list[str]] = Field({}, description="line edits by kind of source: see filters/edits.py")
    masks: dict[Kind, list[str]] = Field(
        {},
        description="personal data that placeholders replace, by kind of source: key, email, iban, card, ipv6, ipv4, "
        "phone",
    )


class Dedup(Model):
    """How documents are compared, and who of two duplicates stays."""

    scope: str = Field(
        "global",
        min_length=1,
        description="who is compared with each other: `global`, `source`, or documents with the same value of a Spark "
        "SQL expression over source, uri and meta, such as meta['crawl']",
    )
    indexes: dict[Name, str] = Field(
        {},
        description="output directories of finished runs by a name: what they hold is dropped here; they do not change",
    )
    ngram: int = Field(5, ge=1, le=100, description="words in a shingle (characters where a script has no spaces)")
    bands: int = Field(21, ge=1, description="bands of the signature; bands x rows <= 128")
    rows: int = Field(6, ge=1, description="rows of a band")
    target: Share | None = Field(
        None,
        description="similarity from which on a pair is compared with a probability of 0.99 or more; without it the "
        "threshold. Bands and rows are derived from it where neither is given",
    )
    threshold: Share = Field(0.8, description="least Jaccard similarity of two duplicates' shingle sketches")
    canonical: Literal["folded", "as_is"] = Field(
        "folded",
        description="form that the content hash is taken of: the text as it is, or its words, without case, "
        "punctuation and white space",
    )
    bucket: int = Field(64, ge=2, description="documents of a bucket that are all compared with each other")
    verify: Literal["sketch", "signature", "none"] = Field(
        "sketch", description="what candidates are held to: shingle sketches, the signature's estimate, or nothing"
    )
    choice: Literal["greedy", "transitive"] = Field(
        "greedy", description="greedy: similar to one that stays; transitive: one of each connected component stays"
    )
    rehydrate: Literal["none", "fineweb2"] = Field(
        "none",
        description="the column `copies` in corpus/: how often a document is worth repeating, by the number that it "
        "stands for; fineweb2: FineWeb-2's table",
    )
    in_memory_documents: int = Field(
        2_000_000,
        ge=0,
        description="up to so many documents are compared in one process, more of them in Spark's tasks",
    )
    in_memory_pairs: int = Field(5_000_000, ge=0, description="with more pairs, the choice is made in Spark's tasks")
    keep_order: list[str] = Field(
        ["source_priority"],
        description="who comes first: Spark SQL sort expressions over signals, `source_priority` (the sources' order), "
        "`uri` and `meta`; then the smaller doc_id",
    )

    @model_validator(mode="before")
    @classmethod
    def _derive_bands(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "bands" in data or "rows" in data:
            return data
        target = data.get("target", data.get("threshold"))
        if not isinstance(target, int | float) or not 0 <= target <= 1:
            return data  # absent, or what Pydantic will refuse
        return data | dict(zip(("bands", "rows"), bands_and_rows(target)))

    @model_validator(mode="after")
    def _bands_are_given_once(self) -> Dedup:
        if self.target is not None and (self.bands, self.rows) != bands_and_rows(self.target):
            raise ValueError("give either a target, or bands and rows")
        if self.indexes and self.choice == "transitive":
            raise ValueError(
                "indexes go with the greedy choice only: a transitive one would change what the earlier runs kept"
            )
        return self

    @model_validator(mode="after")
    def _signature_is_long_enough(self) -> Dedup:
        if self.bands * self.rows > 128:
            raise ValueError(f"bands x rows is {self.bands * self.rows}, but a signature has 128 values")
        return self


class Override(Model):
    """Another predicate for one rule, everywhere or for some sources and languages."""

    rule: str = Field(description="full name, SET.RULE")
    predicate: str | None = Field(description="Spark SQL over signals, true = drop; null switches the rule off")
    sources: list[str] = Field([], description="only these sources; empty = all")
    languages: list[LanguageCode] = Field([], description="only documents in these languages (ISO 639-3); empty = all")


class Rules(Model):
    """Which rules judge which documents."""

    sets: dict[Kind, list[str]] = Field(
        {
            "web": ["gopher_quality", "gopher_repetition", "toxicity"],
            "book": ["book"],
            "code": ["code"],
            "text": ["gopher_repetition", "toxicity"],
        },
        description="rule sets by kind of source: names in filters/rules, or paths of YAML files",
    )
    overrides: list[Override] = Field([], description="changes to single rules; the last that applies wins")
    order: Literal["rules_first", "duplicates_first"] = Field(
        "rules_first", description="rules_first: a document that a rule drops frees its duplicates"
    )


class Split(Model):
    """Shares of groups (host, book, repository) that are held out."""

    validation: Share = Field(0.02, description="share of groups in the validation split")
    test: Share = Field(0.02, description="share of groups in the test split")


class Spark(Model):
    """How Spark is started when it is not started by spark-submit."""

    master: str = Field("local[*]", description="Spark master URL")
    memory: str = Field("4g", pattern=r"^[1-9]\d*[kmgt]$", description="memory of the driver's JVM")
    conf: dict[str, str] = Field({}, description="further Spark settings")


class Config(Model):
    """A run from sources to shards."""

    name: Name = Field(description="name of the corpus and of the model run")
    output: str | None = Field(None, description="directory of the run; --output takes precedence")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of every hash that orders or splits")
    sources: list[Source] = Field(min_length=1, description="where text comes from")
    max_text_bytes: int = Field(128_000_000, gt=0, lt=2**30, description="bytes; a longer text is an error row")
    chunk_bytes: int = Field(2_000_000_000, gt=0, description="bytes of input that are committed together")
    language: Language = Language()
    annotate: Annotate = Annotate()
    dedup: Dedup = Dedup()
    repeats: Repeats = Repeats()
    rules: Rules = Rules()
    removals: list[str] = Field(
        [],
        description="documents to leave out: output directories that documents were removed from, their `removed/` "
        "folders, files of these, or text files of doc_ids; what was removed from this run's own stays out anyway",
    )
    split: Split = Split()
    tokenizer: Tokenizer = Tokenizer()
    pack: Pack = Pack()
    spark: Spark = Spark()

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, value: list[Source]) -> list[Source]:
        names = [source.name for source in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two sources are named {twice[0]!r}")
        return value

    @model_validator(mode="after")
    def _named_sources_exist(self) -> Config:
        names = [source.name for source in self.sources]
        for key, used in (
            ("tokenizer.weights.sources", list(self.tokenizer.weights.sources)),
            ("pack.fill_in_the_middle.sources", getattr(self.pack.fill_in_the_middle, "sources", [])),
            *((f"rules.overrides.{i}.sources", o.sources) for i, o in enumerate(self.rules.overrides)),
        ):
            for name in used:
                if name not in names:
                    raise ConfigError(f"{key}: no source is named {name!r}; {nearest(name, names)}")
        if set(self.tokenizer.weights.languages) - {"und"} and "language" not in self.annotate.families:
            raise ConfigError("tokenizer.weights.languages: annotate.families has no `language`, so no text has one")
        for token in FILL_IN_THE_MIDDLE if self.pack.fill_in_the_middle else ():
            if token not in self.tokenizer.special_tokens:
                raise ConfigError(f"pack.fill_in_the_middle: tokenizer.special_tokens lacks {token!r}")
        if self.split.validation + self.split.test >= 1:
            raise ConfigError("split: validation and test leave nothing to train on")
        return self
