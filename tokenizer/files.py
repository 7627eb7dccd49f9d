"""Files that are seen whole or not at all."""

from pathlib import Path


def replace_file(file: Path, content: str) -> None:
    """Write a text file whole or not at all, in UTF-8, line ends as they are."""
    part = file.with_name(file.name + ".part")
    part.write_text(content, encoding="utf-8", newline="\n")
    part.replace(file)
