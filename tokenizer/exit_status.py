"""How the commands of `gristmill tokenizer` end when something is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def exit_status() -> Iterator[None]:
    """Turn a missing file into exit status 2 and an unreadable one into 1, each with its one sentence."""
    try:
        yield
    except FileNotFoundError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    except (ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
