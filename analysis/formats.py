"""Values as text, for the tables in the terminal and on the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from sgu.results.schema import METRICS

NONE = "–"
"""Stands for a missing value."""


def unit(name: str) -> str:
    """Return the unit a metric is shown in; fractions are shown in per cent."""
    return METRICS[name].unit or "%"


def arrow(name: str) -> str:
    """Return an arrow that points to better values of a metric."""
    return "↓" if METRICS[name].goal == "min" else "↑"


def better(name: str) -> str:
    """Return the direction of a metric in words."""
    return "lower is better" if METRICS[name].goal == "min" else "higher is better"


def metric_text(name: str, value: float) -> str:
    """Return a metric's value in `unit(name)`, without the unit."""
    if value is None or math.isnan(value):
        return NONE
    if METRICS[name].unit == "s":
        return f"{value:.1f}" if value < 1000 else f"{value:.0f}"
    return f"{value:.4f}" if METRICS[name].unit else f"{100 * value:.2f}"


def spread_text(name: str, mean: float, spread: float) -> tuple[str, str]:
    """Return the mean and its ± spread, which is empty if not known."""
    second = "" if math.isnan(spread) else f"±{metric_text(name, spread)}"
    return metric_text(name, mean), second


def memory_text(row: Mapping[Any, Any] | pd.Series, form: str = "{} ({} to {})") -> str:
    """Return the residual memory and its interval in per cent, from columns of
    `residual.with_verdicts`; a dash for none."""
    ends = [row[name] for name in ("residual", "residual_low", "residual_high")]
    if any(math.isnan(end) for end in ends):
        return NONE
    return form.format(*(round(100 * end) for end in ends))


def setting_text(value: object) -> str:
    """Return a setting's value as `plain_text` does, but a float without a fraction in full."""
    return plain_text(int(value) if isinstance(value, float) and value.is_integer() else value)


def plain_text(value: object) -> str:
    """Return a value with few digits; a dash for none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NONE
    if isinstance(value, float):
        return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e+")
    return str(value)
