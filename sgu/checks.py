"""The check of settings against their bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Bound = tuple[Callable[[Any], bool], str]  # the test of a value, and what the value must be
Bounds = Mapping[str, Bound]

POSITIVE: Bound = (lambda value: 0 < value < math.inf, "> 0")
NOT_NEGATIVE: Bound = (lambda value: 0 <= value < math.inf, ">= 0")
FRACTION: Bound = (lambda value: 0 < value < 1, "between 0 and 1")
SHARE_OR_NONE: Bound = (lambda value: 0 <= value <= 1, "0 to 1")
SHARE: Bound = (lambda value: 0 < value <= 1, "above 0 and at most 1")


def at_least(least: int) -> Bound:
    return lambda value: value >= least, f">= {least}"


def optional(least: int) -> Bound:
    return lambda value: value is None or value >= least, f">= {least}, or none"


def one_of(names: Iterable[str]) -> Bound:
    return lambda value: value in names, f"one of {', '.join(names)}"


def check(settings: Any, **bounds: Bound) -> None:
    """Raise ValueError for the first of these settings that is out of its bounds."""
    for name, (holds, rule) in bounds.items():
        if not holds(value := getattr(settings, name)):
            raise ValueError(f"{name} = {value!r}: must be {rule}")
