"""The base of all settings classes: every key is declared once, with its type, range, default and meaning."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pydantic
from pydantic_core import core_schema

NAME = "[a-z][a-z0-9]*(_[a-z0-9]+)*"  # of tasks, collections and protocols: folders, and wildcards of the workflow


class Settings(pydantic.BaseModel):
    """Base of all settings: immutable, no unknown keys, no silent conversion of types.

    Attributes
    ----------
    renamed : mapping
        Keys of earlier versions -> what they are called now; the message about such a key names the new one.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    renamed: ClassVar[Mapping[str, str]] = {}


@dataclass(frozen=True)
class OneOf:
    """Annotates a text that must be one of a registry's names: ``Annotated[str, OneOf(names)]``."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: pydantic.GetCoreSchemaHandler) -> Any:
        return core_schema.literal_schema(list(self.names))


@dataclass(frozen=True)
class ChangesOf:
    """Annotates keys of other settings that differ; they are checked where they are merged into these."""

    settings: type[Settings]

    def __get_pydantic_json_schema__(self, schema: Any, handler: pydantic.GetJsonSchemaHandler) -> Any:
        return handler(self.settings.__pydantic_core_schema__)
