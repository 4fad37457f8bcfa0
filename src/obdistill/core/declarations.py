"""What settings classes declare, as data: for messages, for ``--help`` and for the reference of the configuration."""

import json
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pydantic
from pydantic.fields import FieldInfo

BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}  # of a JSON schema
TYPES = {"boolean": "true or false", "string": "text", "object": "mapping"}


def members(declared: Any) -> list[Any]:
    """List what a value may be: the members of a union without None, else the one type."""
    if isinstance(declared, type) and issubclass(declared, pydantic.RootModel):
        return members(declared.model_fields["root"].annotation)
    match typing.get_origin(declared):
        case typing.Annotated:
            return members(typing.get_args(declared)[0])
        case types.UnionType | typing.Union:
            parts = (part for part in typing.get_args(declared) if part is not types.NoneType)
            return [member for part in parts for member in members(part)]
    return [declared]


def tag(declared: Any) -> tuple[str, str]:
    """Return key and value that tell a settings class from the others of a union, two empty texts if it has none."""
    if is_settings(declared):
        for name, field in declared.model_fields.items():
            values = typing.get_args(field.annotation)
            if typing.get_origin(field.annotation) is Literal and len(values) == 1:
                return name, values[0]
    return "", ""


def within(declared: Any, key: str | int) -> Any:
    """Return what is declared for a key of a mapping, a list or a settings class, None if nothing is."""
    if is_settings(declared):
        field = declared.model_fields.get(str(key))
        return field.annotation if field else None
    parts = typing.get_args(declared)
    return (parts[-1] if typing.get_origin(declared) is dict else parts[0]) if parts else None


def is_settings(declared: Any) -> bool:
    """Return whether it is a settings class."""
    return isinstance(declared, type) and issubclass(declared, pydantic.BaseModel)


@dataclass(frozen=True)
class Key:
    """A key that may be set.

    Attributes
    ----------
    path : str
        Its path; ``<name>`` stands for a name that is chosen freely, ``[]`` for an entry of a list.
    default : str
        As JSON; ``required`` if there is none, empty if it is a section.
    allowed : str
        Type and range.
    meaning : str
        What it means.
    condition : str
        What it takes for the key to exist, e.g. ``source=minari``; empty for most.
    """

    path: str
    default: str
    allowed: str
    meaning: str
    condition: str = ""


def keys(declared: Any, prefix: str = "", condition: str = "") -> Iterator[Key]:
    """List the keys of a settings class and of those within it, in the order of declaration."""
    options = members(declared)
    for cls in options:
        name, value = tag(cls)
        here = f"{name}={value}" if len(options) > 1 else condition
        schemas = cls.model_json_schema()["properties"]
        for key, field in cls.model_fields.items():
            path, inner = _section(f"{prefix}{key}", field.annotation)
            default = "" if inner and isinstance(field.default, pydantic.BaseModel) else _default(field)
            yield Key(path, default, "" if inner else _allowed(schemas[key]), field.description or "", here)
            if inner:
                yield from keys(inner, f"{path}.", here)


def _section(path: str, declared: Any) -> tuple[str, Any]:
    """Return path and declaration of the settings that a key holds; the latter is None if it holds a plain value."""
    options = members(declared)
    if all(map(is_settings, options)):
        return path, declared
    inner = within(options[0], 0) if typing.get_origin(options[0]) in (dict, tuple) else None
    if inner is None or not all(map(is_settings, members(inner))):
        return path, None
    return path + (".<name>" if typing.get_origin(options[0]) is dict else "[]"), inner


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return json.dumps(field.get_default(call_default_factory=True), default=str)


def _allowed(schema: Mapping[str, Any]) -> str:
    """Say in words which values a JSON schema allows."""
    if "anyOf" in schema:
        return " or ".join(_allowed(part) for part in schema["anyOf"])
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    if "const" in schema:
        return str(schema["const"])
    if "prefixItems" in schema:
        return f"[{', '.join(_allowed(part) for part in schema['prefixItems'])}]"
    if "items" in schema:
        return f"list of {_allowed(schema['items'])}"
    kind = str(schema.get("type", ""))
    bounds = [f"{sign} {schema[bound]}" for bound, sign in BOUNDS.items() if bound in schema]
    return " ".join([TYPES.get(kind, kind), *bounds])


def describe(model: type[pydantic.BaseModel]) -> list[str]:
    """List a settings class for ``--help``, one line per key: path, default, what is allowed, meaning."""
    lines, condition = [], ""
    for key in keys(model):
        if key.condition != condition:
            condition = key.condition
            lines.append(f"with {condition}:" if condition else "always:")
        facts = [f"default {key.default}" if key.default not in ("", "required") else key.default, key.allowed]
        told = "; ".join(filter(None, facts))
        lines.append(f"{key.path}  ({told})  {key.meaning}" if told else f"{key.path}  {key.meaning}")
    return [line.rstrip() for line in lines]
