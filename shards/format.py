"""What a shard file is: its Arrow schema, the header in its metadata, and the kinds of pieces.

A shard is an Arrow IPC file, uncompressed, that anyone opens with pyarrow alone:

    tokens  fixed_size_list<uint16 or uint32>[L + 1]: L inputs and, shifted by one, L targets; rows do not overlap
    pieces  list<struct<document: binary(16), cluster: binary(16), kind: uint8, offset: uint32, start: uint32,
            length: uint32>>: which document each stretch of the row came from, sorted by start

The schema metadata holds one key per field of `Header`, each under `PREFIX`, each value JSON; there is no key
`fill_in_the_middle` where no document was made so.
"""

import json
from typing import Annotated, Final, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

FORMAT_VERSION: Final = 1
PREFIX: Final = "gristmill."
ID_BYTES: Final = 16
UINT16_VOCABULARY: Final = 1 << 16  # the largest vocabulary whose ids fit into uint16

# Kinds of pieces. A document that lies in a row undivided is WHOLE; cut documents are PIECEs. A document whose middle
# comes last is in pieces of its own kind, three a unit: see shards/fill_in_the_middle.py.
WHOLE: Final = 0
PIECE: Final = 1
FILL_IN_THE_MIDDLE: Final = 2
KIND_NAMES: Final = {WHOLE: "whole", PIECE: "piece", FILL_IN_THE_MIDDLE: "fill_in_the_middle"}

PIECE_STRUCT: Final = pa.struct(
    [
        pa.field("document", pa.binary(ID_BYTES), nullable=False),
        pa.field("cluster", pa.binary(ID_BYTES), nullable=False),
        pa.field("kind", pa.uint8(), nullable=False),
        pa.field("offset", pa.uint32(), nullable=False),  # in the document's tokens
        pa.field("start", pa.uint32(), nullable=False),  # in the row
        pa.field("length", pa.uint32(), nullable=False),
    ]
)
PIECE_DTYPE: Final = np.dtype(
    [
        ("document", "V16"),
        ("cluster", "V16"),
        ("kind", "u1"),
        ("offset", "u4"),
        ("start", "u4"),
        ("length", "u4"),
    ]
)

Name = Annotated[str, StringConstraints(min_length=1)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ShardError(ValueError):
    """A shard set that cannot be trusted: names the file and what is wrong with it."""

    def __init__(self, file: str, what: str) -> None:
        super().__init__(f"{file}: {what}")
        self.file = file
        self.what = what


class Model(BaseModel):
    """Frozen, strict about types, and deaf to no key."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class FillInTheMiddle(Model):
    """Which documents have their middle last: the share of those asked for, and of these the share in SPM order.

    `prefix`, `middle` and `suffix` name the special tokens that the three pieces of a unit begin with.
    """

    rate: Annotated[float, Field(ge=0, le=1)]
    spm_rate: Annotated[float, Field(ge=0, le=1)]
    prefix: str
    middle: str
    suffix: str


class SetHeader(Model):
    """What all files of a shard set have in common.

    `tokenizer_sha256` is that of the file tokenizer.json. `special_ids` maps every special token of the tokenizer to
    its id; `bos`, `eos` and `padding` name three of them. Padding is nobody's but padding's; `bos` and `eos` may be the
    same token. `adds_bos` and `adds_eos` are the document policy: every document begins, ends with that token.
    """

    format_version: int = FORMAT_VERSION
    tokenizer_sha256: Sha256
    vocabulary_size: Annotated[int, Field(ge=1, le=1 << 32)]
    context_length: Annotated[int, Field(ge=1, lt=1 << 31)]
    special_ids: dict[str, Annotated[int, Field(ge=0)]]
    bos: str | None
    eos: str | None
    padding: str
    adds_bos: bool
    adds_eos: bool
    packing: Literal["concatenate", "best_fit", "one_per_row"]
    fill_in_the_middle: FillInTheMiddle | None = Field(None, exclude_if=lambda value: value is None)
    config_hash: Name

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.format_version != FORMAT_VERSION:
            raise ValueError(f"format_version: {self.format_version}; this reader knows {FORMAT_VERSION}")
        ids = self.special_ids
        if len(set(ids.values())) != len(ids):
            raise ValueError("special_ids: two special tokens share an id")
        if any(i >= self.vocabulary_size for i in ids.values()):
            raise ValueError(f"special_ids: an id lies outside the vocabulary of {self.vocabulary_size}")
        for role, token in (("bos", self.bos), ("eos", self.eos), ("padding", self.padding)):
            if token is not None and token not in ids:
                raise ValueError(f"{role}: {token!r} is not among special_ids")
        if self.padding in (self.bos, self.eos):
            raise ValueError("padding: must be a token of its own, neither bos nor eos")
        if (self.adds_bos and self.bos is None) or (self.adds_eos and self.eos is None):
            raise ValueError("adds_bos, adds_eos: need the token that they add")
        return self

    @model_validator(mode="after")
    def _units_are_possible(self) -> Self:
        if self.fill_in_the_middle is None:
            return self
        if self.packing == "concatenate":
            raise ValueError("fill_in_the_middle: concatenate would cut its units")
        asked = (self.fill_in_the_middle.prefix, self.fill_in_the_middle.middle, self.fill_in_the_middle.suffix)
        for token in asked:
            if token not in self.special_ids:
                raise ValueError(f"fill_in_the_middle: {token!r} is not among special_ids")
        if len({*asked, self.bos, self.eos, self.padding}) < 3 + len({self.bos, self.eos, self.padding}):
            raise ValueError("fill_in_the_middle: its three tokens must be its own")
        return self

    @property
    def width(self) -> int:
        """Tokens in a row: the context and the one token that the last position predicts."""
        return self.context_length + 1

    @property
    def dtype(self) -> np.dtype[np.uint16 | np.uint32]:
        """The narrower of uint16 and uint32 that holds every id."""
        return np.dtype(np.uint16) if self.vocabulary_size <= UINT16_VOCABULARY else np.dtype(np.uint32)

    @property
    def truncates(self) -> bool:
        """Whether the end of a document longer than a row is dropped."""
        return self.packing == "one_per_row"

    @property
    def row_bytes(self) -> int:
        """Bytes that the tokens of a row take up."""
        return self.width * self.dtype.itemsize

    @property
    def bos_id(self) -> int | None:
        """Id of the beginning-of-document token, None where there is none."""
        return None if self.bos is None else self.special_ids[self.bos]

    @property
    def eos_id(self) -> int | None:
        """Id of the end-of-document token, None where there is none."""
        return None if self.eos is None else self.special_ids[self.eos]

    @property
    def padding_id(self) -> int:
        """Id that fills what no document fills."""
        return self.special_ids[self.padding]

    @property
    def sentinel_ids(self) -> tuple[int, int, int] | None:
        """Ids that the prefix, the middle and the suffix of a unit begin with, None where there are no units."""
        policy, ids = self.fill_in_the_middle, self.special_ids
        return None if policy is None else (ids[policy.prefix], ids[policy.middle], ids[policy.suffix])


class Header(SetHeader):
    """What one file says about itself: the set's header, and the file's split and bucket."""

    split: Name
    bucket: Name

    def shared(self) -> SetHeader:
        """The part that all files of the set share."""
        return SetHeader(**self.model_dump(exclude={"split", "bucket"}))

    def to_arrow(self) -> pa.Schema:
        """The Arrow schema of a file with this header, metadata included."""
        values = self.model_dump()
        metadata = {PREFIX + key: json.dumps(values[key], sort_keys=True) for key in sorted(values)}
        tokens = pa.list_(pa.field("item", pa.from_numpy_dtype(self.dtype), nullable=False), self.width)
        pieces = pa.list_(pa.field("item", PIECE_STRUCT, nullable=False))
        fields = [pa.field("tokens", tokens, nullable=False), pa.field("pieces", pieces, nullable=False)]
        return pa.schema(fields, metadata=metadata)

    @classmethod
    def from_arrow(cls, schema: pa.Schema, file: str) -> Self:
        """Read the header of `file` back from its schema.

        Raises ShardError where the metadata is missing, damaged or contradicted by the columns.
        """
        found = {key.decode("utf-8", "replace"): value for key, value in (schema.metadata or {}).items()}
        ours = {key.removeprefix(PREFIX): value for key, value in found.items() if key.startswith(PREFIX)}
        if not ours:
            raise ShardError(file, f"not a shard: its schema has no metadata under {PREFIX}*")
        try:
            header = cls(**{key: json.loads(value) for key, value in ours.items()})
        except ValidationError as error:
            raise ShardError(file, f"header: {first_error(error)}") from None
        except ValueError as error:  # of JSON or UTF-8
            raise ShardError(file, f"header: not readable: {error}") from None
        if not schema.equals(header.to_arrow(), check_metadata=False):
            raise ShardError(file, "its columns are not those that its header describes")
        return header


def first_error(error: ValidationError) -> str:
    """One line for a person: where the first error of a validation lies, and what it is."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    what = first["msg"].removeprefix("Value error, ")
    return f"{where}: {what}" if where else what


def kind_name(kind: int) -> str:
    """What a kind of pieces is called; `unknown` for a number that is none."""
    return KIND_NAMES.get(kind, "unknown")
