"""Source code: directories, archives and Git repositories, with the language and the licence of each file."""

from pipelines.ingest.code.decoding import decode_code
from pipelines.ingest.code.reader import CodeSource, read_code

__all__ = ["CodeSource", "decode_code", "read_code"]
