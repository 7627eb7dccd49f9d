"""The models of a config's sources: where text comes from and how it is read; and what all models share."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from filters import language_codes

Kind = Literal["web", "book", "code", "text"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]


def _language_code(value: str) -> str:
    if not re.fullmatch("[a-z]{3}", value):
        raise ValueError(f"{value!r} is no ISO 639-3 code; did you mean {language_codes.nearest(value)!r}?")
    return value


LanguageCode = Annotated[str, AfterValidator(_language_code)]

KIND_OF_FORMAT: dict[str, Kind] = {
    "warc": "web",
    "epub": "book",
    "fb2": "book",
    "tei": "book",
    "html_book": "book",
    "code": "code",
}


class Model(BaseModel):
    """Frozen, and refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Normalize(Model):
    """How the text of a source is normalized: see filters/normalize.py."""

    form: Literal["NFC", "NFKC"] = Field("NFC", description="normalization form; NFKC undoes what only looks different")
    mojibake: bool = Field(True, description="repair lines that were read in the wrong encoding")
    private_use: bool = Field(True, description="remove private-use characters")
    directions: bool = Field(True, description="remove directional characters from lines without right-to-left letters")
    zero_width: bool = Field(True, description="remove zero-width characters where no script asks for them")
    punctuation: bool = Field(False, description="quotation marks, dashes and ellipses in ASCII")
    accents: bool = Field(False, description="remove marks from Latin and Greek letters: é becomes e")
    lower: bool = Field(False, description="lower case")


class Source(Model):
    """One place that text comes from."""

    name: Name = Field(description="the source's name: part of every document's id, a folder in corpus/")
    format: str = Field(
        description="warc, text, epub, fb2, tei, html_book, code, jsonl, csv, parquet, arrow, dialogue, database, or "
        "`module:Class` of a reader of your own"
    )
    paths: list[Annotated[str, Field(min_length=1)]] = Field(
        min_length=1,
        description="files, directories or globs, from the working directory, or URLs (s3://, gs://, webhdfs://, "
        "http://, ...); of a database its tables; ~, ${VAR}, ${VAR:-default} are expanded",
    )
    root: str | None = Field(None, description="ids use paths relative to this; by default the patterns' common parent")
    kind: Kind | None = Field(None, description="which rule sets apply; by default what the format suggests")
    rules: list[str] | None = Field(None, description="rule sets of this source, instead of those of its kind")
    edits: list[str] | None = Field(None, description="line edits of this source, instead of those of its kind")
    masks: list[str] | None = Field(None, description="personal data to mask in this source, instead of its kind's")
    normalize: Normalize | None = Field(None, description="how text is normalized; of source code only its encoding is")
    options: dict[str, Any] = Field({}, description="options of the format's reader, for example a table's columns")
    storage: dict[str, Any] = Field(
        {},
        description="what fsspec needs for paths like s3://bucket/folder: an endpoint, credentials; ${VAR} is expanded",
    )
    sample: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="share of the records to take, chosen by a hash of their ids and the seed"
    )
    limit: Annotated[int, Field(gt=0)] | None = Field(
        None, description="records to take, the first in order of files; they are read by one task"
    )
    required: Annotated[int, Field(ge=0)] = Field(0, description="with fewer documents that have a text, the run fails")

    @field_validator("format")
    @classmethod
    def _format_is_known(cls, value: str) -> str:
        if ":" not in value and value not in FORMATS:
            raise ValueError(f"unknown format {value!r}; {nearest(value, FORMATS)}")
        return value

    @field_validator("paths")
    @classmethod
    def _expand(cls, value: list[str]) -> list[str]:
        return [expand(path) for path in value]

    @field_validator("storage")
    @classmethod
    def _expand_storage(cls, value: dict[str, Any]) -> dict[str, Any]:
        expanded: dict[str, Any] = _substituted(value)
        return expanded

    @model_validator(mode="after")
    def _code_stays_as_it_is(self) -> Source:
        if self.normalize is not None and self.resolved_kind == "code":
            raise ValueError("normalize: source code is not normalized")
        return self

    @property
    def resolved_kind(self) -> Kind:
        """The kind given, or the one that the format suggests."""
        return self.kind or KIND_OF_FORMAT.get(self.format, "text")


FORMATS = (
    *("warc", "text", "epub", "fb2", "tei", "html_book", "code"),
    *("jsonl", "csv", "parquet", "arrow", "dialogue", "database"),
)


def expand(path: str) -> str:
    """Replace `~`, ${VAR} and ${VAR:-default} in a path or URL; raises like `substitute`."""
    path = substitute(path)
    return path if "://" in path else str(Path(path).expanduser())


def substitute(text: str) -> str:
    """Replace ${VAR} and ${VAR:-default}. Raises ValueError where VAR is unset and has no default."""

    def value(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        if os.environ.get(name):
            return os.environ[name]
        if default is None:
            raise ValueError(f"environment variable {name} is not set")
        return default

    return re.sub(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}", value, text)


def _substituted(value: Any) -> Any:
    """`substitute` in all texts of nested mappings and lists."""
    if isinstance(value, dict):
        return {key: _substituted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_substituted(item) for item in value]
    return substitute(value) if isinstance(value, str) else value


def nearest(word: str, valid: Any) -> str:
    """A hint for a message: the valid word that is most like `word`."""
    close = get_close_matches(word, [str(v) for v in valid], n=1, cutoff=0.4)
    return f"did you mean {close[0]!r}?" if close else f"valid are: {', '.join(sorted(map(str, valid)))}"
