"""The check of settings against their bounds."""

from __future__ import annotations

from typing import Any


def check(settings: Any, **rules: tuple[bool, str]) -> None:
    """Raise ValueError for the first field whose rule (holds, what it must be) does not hold."""
    for name, (holds, rule) in rules.items():
        if not holds:
            raise ValueError(f"{name} = {getattr(settings, name)!r}: must be {rule}")
