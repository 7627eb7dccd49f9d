"""The small files that learned families read: Arrow tables, no pickle, with the segmentation that they were made by."""

from hashlib import sha256 as sha256_of
from pathlib import Path

import pyarrow as pa

from filters import segment
from filters.assets import AssetError, asset

_FORMAT, _SEGMENT = "gristmill", "segment"


def save(path: Path, kind: str, columns: dict[str, pa.Array], schema: pa.Schema, facts: dict[str, str]) -> str:
    """Write a table of this kind to `path`; its SHA-256.

    The same columns and facts give the same bytes under the same version of pyarrow.
    """
    metadata = {**facts, _FORMAT: kind, _SEGMENT: segment.VERSION}
    table = pa.table(columns, schema=schema.with_metadata(metadata))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    content = sink.getvalue().to_pybytes()
    path.write_bytes(content)
    return sha256_of(content).hexdigest()


def load(option: str, path: Path | str | None, sha256: str | None, kind: str, schema: pa.Schema) -> pa.Table:
    """The table of this kind and schema in a file; what was given as facts is in the schema's metadata.

    Raises:
        AssetError: No file is given, or it is missing, altered, of another kind or of another segmentation.
    """
    if path is None:
        raise AssetError(f"{option} is not set; make the file with `gristmill quality {kind}` and name it")
    checked = asset(option, Path(path), sha256)
    try:
        table = pa.ipc.open_file(pa.BufferReader(checked.read_bytes())).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise AssetError(f"{option}: {path} is no file of `gristmill quality {kind}` ({error})") from error
    metadata = {name.decode("utf-8", "replace"): value for name, value in (table.schema.metadata or {}).items()}
    is_whole = table.schema.equals(schema) and not any(column.null_count for column in table.columns)
    if metadata.get(_FORMAT) != kind.encode() or not is_whole:
        raise AssetError(f"{option}: {path} is no file of `gristmill quality {kind}`")
    if metadata.get(_SEGMENT) != segment.VERSION.encode():
        made_by = metadata.get(_SEGMENT, b"").decode("utf-8", "replace")
        raise AssetError(f"{option}: {path} was made by segmentation {made_by}, not {segment.VERSION}: make it again")
    return table
