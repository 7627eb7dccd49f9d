"""The SQL of a table that is read in ranges of a key, for SQLite and PostgreSQL.

Every value is asked for as text, as the database writes it, and null as the empty text: SQLite's driver takes the type
of a column from its first rows, and would not read a text after as many nulls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.ingest.files import Span

LEAST, MOST = -(2**63), 2**63  # a range that begins or ends here is open; the first one holds the rows without a key
SAMPLE = 1_000  # rows whose texts are measured to estimate the size of a table


@dataclass(frozen=True, slots=True)
class Table:
    """A table, or a query in its place."""

    source: str  # SQL that can follow FROM
    key: str
    text: str
    postgresql: bool

    @classmethod
    def of(cls, name: str, query: str | None, key: str, text: str, postgresql: bool) -> Table:
        """The table of a name (`schema.table`; as it is written where it is quoted), or the rows of a query."""
        source = f"({query.strip().rstrip(';')}\n) AS gristmill_rows" if query else quoted_name(name)
        return cls(source, key, text, postgresql)

    def no_rows(self) -> str:
        """A query that says no more than the columns."""
        return f"SELECT * FROM {self.source} LIMIT 0"

    def facts(self) -> str:
        """Number of rows, least and greatest key as texts, whether the keys are integers."""
        least, greatest = self._end("ASC"), self._end("DESC")
        ends = f"COALESCE(CAST({least} AS TEXT), ''), COALESCE(CAST({greatest} AS TEXT), '')"
        if self.postgresql:
            integers = f"CAST(pg_typeof({least}) AS TEXT) IN ('smallint', 'integer', 'bigint')"
        else:
            integers = f"typeof({least}) = 'integer' AND typeof({greatest}) = 'integer'"
        return f"SELECT (SELECT COUNT(*) FROM {self.source}), {ends}, {integers}"

    def mean_bytes(self) -> str:
        """Mean size of the first texts in bytes."""
        first = f"SELECT {self._octets()} AS octets FROM {self.source} ORDER BY {quoted(self.key)} LIMIT {SAMPLE}"
        return f"SELECT CAST(COALESCE(AVG(octets), 0) AS DOUBLE PRECISION) FROM ({first}) AS gristmill_sizes"

    def borders(self, parts: int) -> str:
        """The least key of each of so many parts of equally many rows."""
        key = quoted(self.key)
        tiles = f"SELECT {key} AS k, NTILE({parts}) OVER (ORDER BY {key}) AS tile FROM {self.source}"
        return f"SELECT MIN(k) FROM ({tiles} WHERE {key} IS NOT NULL) AS gristmill_tiles GROUP BY tile ORDER BY 1"

    def rows(self, columns: Sequence[str], limit: int, span: Span | None) -> str:
        """Size of the text in bytes, the text where that is not above `limit`, then `columns`, in order of the key."""
        text = f"CASE WHEN {self._octets()} > {limit} THEN '' ELSE COALESCE(CAST({quoted(self.text)} AS TEXT), '') END"
        values = ", ".join(f"COALESCE(CAST({self._scalar(name)} AS TEXT), '')" for name in columns)
        where = _range(quoted(self.key), span)
        return f"SELECT {self._octets()}, {text}, {values} FROM {self.source}{where} ORDER BY {quoted(self.key)}"

    def _octets(self) -> str:
        name = quoted(self.text)
        size = f"octet_length(CAST({name} AS TEXT))" if self.postgresql else f"length(CAST({name} AS BLOB))"
        return f"COALESCE({size}, 0)"

    def _scalar(self, name: str) -> str:
        # In SQLite any column may hold a blob.
        return (
            quoted(name)
            if self.postgresql
            else f"CASE typeof({quoted(name)}) WHEN 'blob' THEN NULL ELSE {quoted(name)} END"
        )

    def _end(self, order: str) -> str:
        key = quoted(self.key)
        return f"(SELECT {key} FROM {self.source} WHERE {key} IS NOT NULL ORDER BY {key} {order} LIMIT 1)"


def quoted(name: str) -> str:
    """An identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def quoted_name(name: str) -> str:
    """A table's name with its schema's; one that holds a quotation mark is quoted already."""
    return name if '"' in name else ".".join(quoted(part) for part in name.split("."))


def _range(key: str, span: Span | None) -> str:
    begin, end = span or (LEAST, MOST)
    conditions = [f"{key} >= {begin}"] if begin > LEAST else []
    if end < MOST:
        conditions.append(f"{key} < {end}" if conditions else f"({key} < {end} OR {key} IS NULL)")
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
