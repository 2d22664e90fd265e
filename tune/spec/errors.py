"""Errors of a specification in one line: the key, its value, and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError


class SpecError(ValueError):
    """A specification that cannot be used; one line that names the key and what is allowed."""


def check_known(section: str, keys: Iterable[Any], allowed: Iterable[str]) -> None:
    """Raise ValueError for a key that is not allowed, and suggest the nearest one."""
    names = sorted(allowed)
    for key in keys:
        if key not in names:
            name = f"{section}.{key}" if section else key
            near = difflib.get_close_matches(str(key), names, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ValueError(f"unknown key {name}: {hint}allowed: {', '.join(names)}")


def last_line(error: object, default: str) -> str:
    """Return the last line of an error that says something; the default if there is none."""
    lines = [line.strip() for line in str(error or "").splitlines() if line.strip(" .")]
    return lines[-1] if lines else default


def one_line(error: Exception) -> str:
    """Return an error, also one of pydantic's, as "key = value: what it must be"."""
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    first, *more = error.errors()
    where = ".".join(str(part) for part in first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    value = "" if first["type"] in ("value_error", "missing") else f" = {first['input']!r}"
    rest = f" (and {len(more)} more)" if more else ""
    return f"{where}{value}: {text}{rest}" if where else f"{text}{rest}"
