"""Settings in their fields' types: one reader for the command line, YAML, JSON and Python.

A text becomes what the type of its field says: "2024" is a name for `data` and a number for `seed`,
"False" and "no" are false, ".01" is a number, "null" is None where that is allowed. Anything else
is one line that names the setting, its value and what it must be.
"""

from __future__ import annotations

import json
from dataclasses import fields
from functools import cache
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

NULL = ("null", "~")
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def typed(name: str, kind: Any, value: Any) -> Any:
    """Return a value as one of type `kind`. name: of the setting, for the error.

    kind: bool, int, float, str, None, a Literal, tuple[..., ...] of these, or a union of them.
    Raises ValueError.
    """
    try:
        return _adapter(kind).validate_python(_read(value, kind))
    except (ValidationError, ValueError):  # of pydantic, or a whole number of 5,000 digits
        raise ValueError(f"{name} = {value!r}: must be {words(kind)}") from None


def typed_fields(settings: Any) -> None:
    """Give each field of a frozen dataclass its value in the field's type. Raises ValueError."""
    of_class: Any = type(settings)
    for name, kind in types_of(of_class).items():
        object.__setattr__(settings, name, typed(name, kind, getattr(settings, name)))


@cache
def types_of(settings: type) -> dict[str, Any]:
    """Return the type of each field of a dataclass that holds a plain setting."""
    hints = get_type_hints(settings)  # without what Annotated adds
    named = {field.name: hints[field.name] for field in fields(settings)}
    return {name: kind for name, kind in named.items() if _leaves(kind) <= {*WORDS, NoneType}}


def words(kind: Any) -> str:
    """Return in words what a value of this type must be."""
    if get_origin(kind) is Literal:
        values = ", ".join(map(str, get_args(kind)))
        return f"one of {values}" if len(get_args(kind)) > 1 else values
    if get_origin(kind) is tuple:
        return "numbers or names, with commas between them"
    parts = [words(part) for part in get_args(kind) if part is not NoneType]
    texts = parts or [WORDS[kind]]
    return ", or ".join([*texts, "null"] if NoneType in get_args(kind) else texts)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _leaves(kind: Any) -> set[Any]:
    """Return the plain types that a type is made of; of a Literal those of its values."""
    if get_origin(kind) is Literal:
        return set(map(type, get_args(kind)))
    parts = [part for part in get_args(kind) if part is not Ellipsis]
    return set[Any]().union(*map(_leaves, parts)) if parts else {kind}


def _read(value: Any, kind: Any) -> Any:
    """Return a value as pydantic is to see it: texts without quotes, lists apart, null as None."""
    parts = (kind,) if get_origin(kind) in (Literal, tuple) else get_args(kind) or (kind,)
    if NoneType in parts and (value is None or value in NULL):
        return None
    if any(get_origin(part) is tuple for part in parts):
        return _elements(value)
    if isinstance(value, str):
        return _unquoted(value)
    if isinstance(value, bool) and bool not in _leaves(kind):
        raise ValueError("true and false are no numbers")
    plain_number = isinstance(value, int) and _leaves(kind) <= {str, NoneType}
    return str(value) if plain_number else value  # YAML reads a folder called 2024 as a number


def _elements(value: Any) -> Any:
    """Return the parts of a list as they are, and those of a text such as 3,5 or [3, "5"], where
    what has quotes is a name, also "5"."""
    if not isinstance(value, str):
        return tuple(value) if isinstance(value, list | tuple) else (value,)
    if value.startswith("["):
        try:
            return tuple(json.loads(value))
        except ValueError:
            value = value.strip("[]")
    parts = [part.strip() for part in value.split(",") if part.strip()]
    return tuple(int(part) if part.isdecimal() else _unquoted(part) for part in parts)


def _unquoted(text: str) -> str:
    """Return a text in quotes without them: JSON's, or single ones as YAML has them."""
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    return text
