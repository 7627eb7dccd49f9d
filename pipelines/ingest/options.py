"""The options of a reader: the keyword arguments of its `read`, checked and explained by a model of its signature.

A meaning stands in the signature: `Annotated[int, Field(description="...")]`, or a model's own field descriptions.
"""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from pipelines.config_file import explain, tables
from pipelines.errors import ConfigError

# Arguments of `read` that are no options of a format: what the config says for all sources, and the task's own.
NO_OPTIONS = frozenset({"max_text_bytes", "span", "wanted"})


@lru_cache
def options_model(read: Callable[..., Any]) -> type[BaseModel]:
    """A model of the options of `read`, their types and defaults; one without annotation may be anything."""
    try:
        hints = typing.get_type_hints(read, include_extras=True)
    except NameError:  # an annotation by a name that only type checkers import
        hints = {}
    _path, _name, *others = inspect.signature(read).parameters.values()
    parameters = [p for p in others if p.name not in NO_OPTIONS]
    fields: dict[str, Any] = {
        p.name: (hints.get(p.name, Any), ... if p.default is p.empty else p.default)
        for p in parameters
        if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
    }
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    config = ConfigDict(extra="allow" if takes_any else "forbid", arbitrary_types_allowed=True)
    return create_model("Options", __config__=config, __doc__=read.__doc__, **fields)


def parse(read: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments that `options` mean: checked as JSON, for in that form they travel to Spark's tasks.

    Raises ConfigError, naming each option that is wrong, and of an unknown one the nearest valid.
    """
    model = options_model(read)
    if options and not model.model_fields and model.model_config["extra"] == "forbid":
        raise ConfigError(f"{', '.join(options)}: this format has no options")
    try:
        parsed = model.model_validate_json(json.dumps(options), strict=True)
    except ValidationError as error:
        raise ConfigError("; ".join(explain(error, model))) from error
    except TypeError as error:  # of dumps
        raise ConfigError(f"options are text, numbers, lists and mappings: {error}") from error
    return {name: getattr(parsed, name) for name in parsed.model_fields_set}


def reference(readers: Mapping[str, Callable[..., Any]]) -> str:
    """The section of the reference page on the options of formats, by format, in Markdown."""
    models = {format: options_model(read) for format, read in readers.items()}
    without = ", ".join(f"`{format}`" for format, model in models.items() if not model.model_fields)
    lines = [
        "# Options of the formats",
        "",
        f"The keys of a source's `options`; these formats have none: {without}.",
        "",
    ]
    for format, model in models.items():
        lines += tables(format, model) if model.model_fields else []
    return "\n".join(lines)
