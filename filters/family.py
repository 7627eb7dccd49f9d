"""What a family of signals is: named, versioned measurements of texts with a fixed Arrow schema."""

from typing import Protocol

import pyarrow as pa

from filters.batch import TextBatch


class Family(Protocol):
    """A family of signals, built once per worker process with its keyword options.

    `name` is the dataset's name under `signals/` and the prefix in rules (`quality.words`). `version` goes up whenever
    the definition of a signal changes. `schema` holds one field per signal, without `doc_id`; each field's metadata
    says under `b"doc"` what is measured, in which unit and by whose definition.
    """

    @property
    def name(self) -> str:
        """The family's name."""

    @property
    def version(self) -> int:
        """The version of the family's definitions."""

    @property
    def schema(self) -> pa.Schema:
        """One documented field per signal."""

    def __call__(self, batch: TextBatch) -> pa.RecordBatch:
        """Measure every text: one row per text of the batch, in its order, under `schema`."""


def signal(name: str, dtype: pa.DataType, doc: str) -> pa.Field:
    """A field of a family's schema that carries its definition, never null."""
    return pa.field(name, dtype, nullable=False, metadata={"doc": " ".join(doc.split())})
