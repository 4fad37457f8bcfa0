"""From text to settings: YAML, layers of it, ``--set``, and one line for each thing that is wrong."""

import datetime
import difflib
import functools
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pydantic
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from obdistill.core.declarations import members, tag, within
from obdistill.core.errors import UserError

S = TypeVar("S", bound=pydantic.BaseModel)
Keys = tuple[str | int, ...]  # of nested mappings and lists, outermost first
MOST_VALUES = 100_000  # of a file: aliases of aliases could fill the memory
# of data that JSON cannot hold: a set, a list as a key, an alias within itself, thousands of levels
PLAIN_ERRORS = (TypeError, ValueError, RecursionError)


@dataclass(frozen=True)
class Problem:
    """What is wrong with settings.

    Attributes
    ----------
    keys : tuple of str or int
        Where.
    text : str
        What is there, and what is allowed.
    meant : str
        Key that an unknown one probably stands for; empty if there is none.
    """

    keys: Keys
    text: str
    meant: str = ""

    def __str__(self) -> str:
        path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.keys).lstrip(".")
        line = f"{path}: {self.text}" if path else self.text
        # a line stays one, whatever stands in a key
        return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)


class Refused(UserError):
    """Settings that have problems: the message has one line for each, without repetition."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(dict.fromkeys(f"{source}: {problem}" for problem in problems)))
        self.problems = problems


def parse(model: type[S], data: Mapping[str, Any], source: str, at: Keys = ()) -> S:
    """Build settings from plain data.

    Parameters
    ----------
    model : type
        The settings class.
    data : mapping
        Plain data as YAML or JSON gives it.
    source : str
        Where the data comes from (a file name or an option), for the message.
    at : tuple of str or int
        Keys that lead to the data within the source, for the message; empty if they are the whole of it.

    Returns
    -------
    Settings
        An instance of `model` with defaults filled in.

    Raises
    ------
    Refused
        With one line for each problem: source, path of the key, its value, and what is allowed.
    """
    settings, problems = check(model, data)
    if settings is None:
        raise Refused(source, [replace(problem, keys=(*at, *problem.keys)) for problem in problems])
    return settings


def overlaid(model: type[S], settings: S | None, keys: Mapping[str, Any], source: str) -> S:
    """Return settings with some keys laid over them, as functions for Python programs take both.

    Parameters
    ----------
    model : type
        The settings class.
    settings : Settings, optional
        An instance of it; its defaults if left out.
    keys : mapping
        Keys that differ, nested as in a configuration.
    source : str
        What is set, for the message.

    Raises
    ------
    Refused
        As `parse` does.
    """
    if settings is not None and not keys:
        return settings
    return parse(model, merge({} if settings is None else settings.model_dump(mode="json"), keys), source)


def check(model: type[S], data: Mapping[str, Any]) -> tuple[S | None, list[Problem]]:
    """Build settings, or list all problems of the data if there are any."""
    try:
        # JSON mode keeps strictness for numbers and text but takes lists for tuples
        return model.model_validate_json(_as_json(data)), []
    except pydantic.ValidationError as error:
        return None, _problems(model, error)
    except PLAIN_ERRORS as error:
        return None, [Problem((), f"holds a value that is not plain data ({error})")]


def _as_json(data: Any) -> str:
    def as_written(value: Any) -> str:
        if isinstance(value, datetime.date):  # YAML reads dates; no setting is one
            return value.isoformat()
        raise TypeError(f"{type(value).__name__} {value!r}")

    return json.dumps(data, default=as_written)


# ---- messages ----


def _problems(model: type[pydantic.BaseModel], error: pydantic.ValidationError) -> list[Problem]:
    found: dict[Keys, str] = {}
    meant: dict[Keys, str] = {}
    # unknown keys first: one may stand for a key that is missing
    for item in sorted(error.errors(include_url=False), key=lambda item: item["type"] != "extra_forbidden"):
        keys, declared = _follow(model, item["loc"])
        if item["type"] == "extra_forbidden":
            cls = members(_follow(model, item["loc"][:-1])[1])[0]
            found[keys], meant[keys] = _unknown(cls, str(keys[-1]))
        elif item["type"] in ("union_tag_not_found", "union_tag_invalid"):
            tags = [tag(member) for member in members(declared)]
            given = item.get("ctx", {}).get("tag")
            told = "missing" if given is None else f"{shortened(given)}: not known"
            found[(*keys, tags[0][0])] = f"{told}; allowed: {', '.join(value for _, value in tags)}"
        elif item["type"] == "missing":
            if not any(other[:-1] == keys[:-1] and key == keys[-1] for other, key in meant.items()):
                found[keys] = "missing; it has no default"
        elif item["loc"][-1:] == ("[key]",):
            found[keys] = "is not a name; a name is lower-case words and digits joined by _, as in hopper_medium"
        elif item["type"] == "too_short" and any(other[: len(keys)] == keys for other in found):
            pass  # pydantic does not count the items that it refused
        else:
            message = _message(item["msg"])
            # one line for all the forms that a value may have: none of them fits
            before = found.get(keys)
            found[keys] = f"{shortened(item['input'])}: {message}" if before is None else f"{before}, or {message}"
    return [Problem(keys, text, meant.get(keys, "")) for keys, text in found.items()]


WORDS = {
    "Value error, ": "",
    "Input should": "should",
    "a valid array": "a list",
    "an object": "a mapping",
    "a valid string": "text",
    "a valid number": "a number",
    "a valid integer": "an integer",
    "a valid boolean": "true or false",
    "Dictionary should have": "should have",
    "Tuple should have": "should have",
    "String should": "should",
    " after validation, not 0": "",
}


def _message(text: str) -> str:
    """Put a message of pydantic's into the words of YAML."""
    return functools.reduce(lambda said, word: said.replace(word, WORDS[word], 1), WORDS, text)


def _unknown(cls: Any, key: str) -> tuple[str, str]:
    """Return what to say about an unknown key, and the key of the class that it probably stands for, if any."""
    if new := cls.renamed.get(key):
        return f"unknown key; it is called {new} now", new.split(".")[0]
    allowed = sorted(cls.model_fields)
    meant = next(iter(difflib.get_close_matches(key, allowed, n=1)), "")
    hint = f" (did you mean '{meant}'?)" if meant else ""
    return f"unknown key{hint}; allowed: {', '.join(allowed)}", meant


def _follow(declared: Any, location: Keys) -> tuple[Keys, Any]:
    """Follow a location in pydantic's sense through declarations: the data's keys on the way, and what is declared."""
    keys: list[str | int] = []
    for step in location:
        options = members(declared)
        if len(options) > 1:  # the step is pydantic's name of one of them, not a key of the data
            declared = next((option for option in options if tag(option)[1] == step), None)
        elif step != "[key]":  # the name of a mapping's entry is wrong, not its value
            keys.append(step)
            declared = within(options[0], step)
    return tuple(keys), declared


def shortened(value: Any) -> str:
    """Write a value on one line of at most 80 characters."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


# ---- YAML, layers, --set ----


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML 1.2 mapping: 1e-3 is a number, 010 is ten, 1:30 is text, no key is given twice.

    Raises
    ------
    UserError
        If the file is missing, is not YAML, or does not hold a mapping.
    """
    try:
        data = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UserError(f"{path}: is not YAML ({error})") from None
    if not isinstance(data, dict):
        held = "nothing" if data is None else "a list" if isinstance(data, list) else "a single value"
        raise UserError(f"{path}: holds {held}; a mapping of keys to values is needed")
    if (size := _size(data, {})) > MOST_VALUES:
        raise UserError(f"{path}: holds {size} values with all its aliases; at most {MOST_VALUES} are read")
    try:
        plain: dict[str, Any] = json.loads(_as_json(data))
    except PLAIN_ERRORS as error:
        raise UserError(f"{path}: holds a value that is not plain data ({error})") from None
    return plain


def _size(data: Any, known: dict[int, int]) -> int:
    """Count the values in nested data; an alias counts as often as it is used, but is looked at once."""
    if id(data) not in known:
        known[id(data)] = 1  # an alias within itself ends here; JSON refuses it
        inner = data.values() if isinstance(data, Mapping) else data if isinstance(data, list) else ()
        known[id(data)] += sum(_size(value, known) for value in inner)
    return known[id(data)]


def read_yaml(text: str) -> Any:
    """Read a YAML 1.2 text as plain data.

    Raises
    ------
    ValueError
        If it is not YAML; the message is one line.
    """
    try:
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        said = str(error.problem or error.context).partition(" with value")[0]  # of a key that is given twice
        raise ValueError(f"{said}{where}") from None
    except Exception as error:  # of a tag without a value, of 2026-13-01, of thousands of brackets, ...
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None


def write_yaml(data: Mapping[str, Any]) -> str:
    """Write plain data as YAML, keys in their order."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 100
    text = io.StringIO()
    yaml.dump(data, text)
    return text.getvalue()


def merge(base: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `update` merged into it, mappings key by key; an empty mapping replaces, as a list does."""
    merged = dict(base)
    for key, value in update.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping) and value
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
            nested = read_yaml(value)
        except ValueError as error:
            raise UserError(f"--set {text!r}: the value is not YAML ({error})") from None
        for key in reversed(path.split(".")):
            nested = {key: nested}
        data = merge(data, nested)
    return data
