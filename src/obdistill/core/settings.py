"""Strict settings: every key is declared once, with its type, range, default and meaning."""

import difflib
import json
import re
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml
from pydantic_core import core_schema

from obdistill.core.errors import UserError

NAME = "[a-z][a-z0-9]*(_[a-z0-9]+)*"  # of tasks, collections and protocols: folders, and wildcards of the workflow
BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}  # of a JSON schema


class Settings(pydantic.BaseModel):
    """Base of all settings: immutable, no unknown keys, no silent conversion of types."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class OneOf:
    """Annotates a text that must be one of a registry's names: ``Annotated[str, OneOf(names)]``."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: pydantic.GetCoreSchemaHandler) -> Any:
        return core_schema.literal_schema(list(self.names))


S = TypeVar("S", bound=pydantic.BaseModel)


def parse(model: type[S], data: Mapping[str, Any], source: str, at: str = "") -> S:
    """Build settings from plain data.

    Parameters
    ----------
    model : type
        The settings class.
    data : mapping
        Plain data as YAML or JSON gives it.
    source : str
        Where the data comes from (a file name or an option), for the message.
    at : str
        Path of the data within the source, for the message; empty if they are the whole of it.

    Returns
    -------
    Settings
        An instance of `model` with defaults filled in.

    Raises
    ------
    UserError
        With one line per message: source, path of the key, its value, and what is allowed.
    """
    try:
        # JSON mode keeps strictness for numbers and text but takes lists for tuples
        return model.model_validate_json(json.dumps(data))
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        text = _explain(model, data, first)
        if at:
            text = f"{at}.{text}".replace(".the whole:", ":", 1)
        raise UserError(f"{source}: {text}".replace("\n", "\\n")) from None
    except (TypeError, ValueError, RecursionError) as error:  # dates; a YAML alias within itself; thousands of levels
        raise UserError(f"{source}: holds a value that is not plain data ({error})") from None


def _explain(model: type[pydantic.BaseModel], data: Any, error: Any) -> str:
    """Turn one pydantic error into "path: value: what is allowed"."""
    keys: list[str | int] = []
    here = data
    for key in error["loc"]:
        # tagged unions put the name of the variant into the location: it is not a key of the data
        if isinstance(here, Mapping) and key not in here and error["type"] not in ("missing", "extra_forbidden"):
            continue
        if isinstance(here, Mapping) and key not in here and key != error["loc"][-1]:
            continue
        keys.append(key)
        here = here[key] if isinstance(here, (Mapping, list)) and _has(here, key) else None
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".") or "the whole"
    if error["type"] == "extra_forbidden":
        allowed = sorted(_field_names(model, error["loc"][:-1]))
        close = difflib.get_close_matches(str(error["loc"][-1]), allowed, n=1)
        hint = f" (did you mean '{close[0]}'?)" if close else ""
        return f"{path}: unknown key{hint}; allowed: {', '.join(allowed)}"
    if error["type"] == "missing":
        return f"{path}: missing; it has no default"
    if error["type"] in ("union_tag_not_found", "union_tag_invalid"):
        tag = error["ctx"]["discriminator"].strip("'")
        tags = ", ".join(str(_tag(cls)[1]) for cls in _variants(model, error["loc"]))
        given = f"{_short(here[tag])}: not known" if isinstance(here, Mapping) and tag in here else "missing"
        return f"{'.'.join(str(key) for key in [*keys, tag])}: {given}; allowed: {tags}"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ").replace("\n", " ")
    if error["type"] == "float_type" and re.fullmatch(r"[+-]?\d+e[+-]?\d+", str(error["input"])):
        message += f"; to YAML this is text: write {float(error['input']):.1e}"
    return f"{path}: {_short(error['input'])}: {message}"


def _has(container: Any, key: Any) -> bool:
    return key in container if isinstance(container, Mapping) else isinstance(key, int) and key < len(container)


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


def _field_names(annotation: Any, location: Iterable[str | int]) -> set[str]:
    """Collect the field names of every settings class that `location` can lead to."""
    return {name for cls in _variants(annotation, location) for name in cls.model_fields}


def _variants(annotation: Any, location: Iterable[str | int]) -> list[type[pydantic.BaseModel]]:
    """List the settings classes that `location` can lead to."""
    found = _classes(annotation)
    for key in location:
        # a key of a mapping, an index of a list or the tag of a union stays on the same classes
        following = [
            inner
            for cls in found
            if key in cls.model_fields
            for inner in _classes(cls.model_fields[str(key)].annotation)
        ]
        found = following or found
        found = [cls for cls in found if _tag(cls)[1] == key] or found
    return found


def _tag(cls: type[pydantic.BaseModel]) -> tuple[str, Any]:
    """Return name and value of a variant's first Literal field, its tag in a tagged union, or ("", None)."""
    for name, field in cls.model_fields.items():
        options = typing.get_args(field.annotation)
        if typing.get_origin(field.annotation) is typing.Literal and len(options) == 1:
            return name, options[0]
    return "", None


def _classes(annotation: Any) -> list[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.RootModel):
        return _classes(annotation.model_fields["root"].annotation)
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [cls for part in getattr(annotation, "__args__", ()) for cls in _classes(part)]


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Plain YAML in which no mapping names a key twice: YAML itself would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        names = [key.value for key, _ in node.value]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"found the key {twice[0]!r} twice", node.start_mark)
        return super().construct_mapping(node, deep)


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises
    ------
    UserError
        If the file is missing, is not YAML, or does not hold a mapping.
    """
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a SafeLoader
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: bytes that are no text, 2026-13-01
        raise UserError(f"{path}: is not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(data, dict):
        raise UserError(f"{path}: holds {type(data).__name__}; a mapping of keys to values is needed")
    return data


def merge(base: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `update` laid over it, mappings merged key by key."""
    merged = dict(base)
    for key, value in update.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Turn ``a.b=1`` texts into nested data; values are YAML.

    Raises
    ------
    UserError
        If a text has no ``=`` or its value is not YAML.
    """
    data: dict[str, Any] = {}
    for text in texts:
        path, separator, value = text.partition("=")
        if not separator or not path:
            raise UserError(f"--set {text!r}: write key=value, e.g. --set steps=300")
        try:
            nested: Any = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError, RecursionError):
            raise UserError(f"--set {text!r}: the value is not YAML") from None
        for key in reversed(path.split(".")):
            nested = {key: nested}
        data = merge(data, nested)
    return data


def describe(model: type[pydantic.BaseModel], prefix: str = "") -> list[str]:
    """List a settings class, one line per key: path, default, what is allowed, meaning; of a union every variant."""
    if issubclass(model, pydantic.RootModel):
        return _describe_any(_classes(model), prefix)
    lines = []
    schemas = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        nested = _classes(field.annotation)
        if nested:
            lines += _describe_any(nested, f"{prefix}{name}.")
        else:
            default = (
                "required" if field.is_required() else f"default {_short(field.get_default(call_default_factory=True))}"
            )
            facts = "; ".join([default, *_allowed(schemas[name])])
            lines.append(f"{prefix}{name}  ({facts})  {field.description or ''}".rstrip())
    return lines


def _allowed(schema: Mapping[str, Any]) -> Iterator[str]:
    """Say which values a key's JSON schema allows, where it is more than a type."""
    for part in [schema, *schema.get("anyOf", ()), schema.get("items", {})]:
        if "enum" in part:
            yield f"one of {', '.join(part['enum'])}"
        yield from (f"{sign} {part[bound]}" for bound, sign in BOUNDS.items() if bound in part)


def _describe_any(classes: Sequence[type[pydantic.BaseModel]], prefix: str) -> list[str]:
    if len(classes) == 1:
        return describe(classes[0], prefix)
    lines = []
    for cls in classes:
        name, value = _tag(cls)
        lines.append(f"with {prefix}{name}={value}:")
        lines += [line for line in describe(cls, prefix) if not line.startswith(f"{prefix}{name} ")]
    return lines
