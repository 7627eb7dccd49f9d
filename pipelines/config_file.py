"""Config pages on disk: read, validate, explain what is wrong, and write the reference page of all keys."""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

from pipelines.errors import ConfigError
from pipelines.source_config import nearest

M = TypeVar("M", bound=BaseModel)


def load(path: str | Path, model: type[M]) -> M:
    """Read and validate a YAML page.

    Raises ConfigError with the key's path, what is wrong and, for an unknown key, the nearest valid one.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read config {path}: {error}") from error
    try:
        page = yaml.load(text, Loader=_UniqueKeys)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(page, dict):
        raise ConfigError(f"{path}: a config is a mapping of keys to values")
    try:
        return model.model_validate(page)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in explain(error, model))) from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


class _UniqueKeys(yaml.SafeLoader):
    """YAML lets the last of two equal keys win in silence; a config must not."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]  # type: ignore[no-untyped-call]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} occurs twice", node.start_mark)
        return super().construct_mapping(node, deep)


def explain(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """A line for each problem: the key's path, what is wrong and, for an unknown key, the nearest valid one."""
    lines = []
    for problem in error.errors():
        path = [part for part in problem["loc"] if part != "[key]"]
        where = ".".join(map(str, path)) or "the page"
        if problem["type"] == "extra_forbidden":
            owner = _model_at(model, list(path[:-1]))
            hint = nearest(str(path[-1]), owner.model_fields) if owner else ""
            lines.append(f"{where}: unknown key; {hint}")
        elif problem["type"] == "missing":
            lines.append(f"{where}: this key is required")
        else:
            lines.append(f"{where}: {problem['msg'].removeprefix('Value error, ')} (given: {problem['input']!r:.120})")
    return lines


def _model_at(model: type[BaseModel], path: list[Any]) -> type[BaseModel] | None:
    """The model that the keys at `path` belong to."""
    for part in path:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        inner = _models_in(field.annotation) if field else []
        if not inner:
            return None
        model = inner[0]
    return model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in typing.get_args(annotation) for found in _models_in(inner)]


def reference(model: type[BaseModel]) -> str:
    """The reference page of all keys, in Markdown: key, type, default, meaning."""
    lines = ["# The config, key by key", "", "Generated from the models by `gristmill config reference`.", ""]
    return "\n".join(lines + tables("page", model))


def tables(title: str, model: type[BaseModel]) -> list[str]:
    """The lines of a table of a model's keys, and of the tables of the models in it."""
    lines = [f"## {title}", "", (model.__doc__ or "").strip().split("\n")[0], ""]
    lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
    nested = []
    for key, field in model.model_fields.items():
        inner = _models_in(field.annotation)
        if inner:
            nested.append((f"{title}.{key}" if title != "page" else key, inner[0]))
        meaning = field.description or (f"see `{nested[-1][0]}`" if inner else "")
        default = "required" if field.is_required() else _default(field.get_default(call_default_factory=True))
        lines.append(f"| `{key}` | {_type(field.annotation)} | {default} | {meaning} |")
    lines.append("")
    for name, inner_model in nested:
        lines += tables(name, inner_model)
    return lines


def _default(value: Any) -> str:
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return ""
    return f"`{yaml.safe_dump(value, default_flow_style=True, width=10_000).strip().removesuffix('...').strip()}`"


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(inner) for inner in arguments)
    if origin in (list, tuple):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"mapping of {_type(arguments[0])} to {_type(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return {"str": "text", "int": "integer", "float": "number", "bool": "yes or no", "NoneType": "nothing"}.get(
        getattr(annotation, "__name__", ""), "any"
    )
