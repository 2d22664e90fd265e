"""The settings that a search varied, read from each row's exact configuration."""

from __future__ import annotations

import json

import pandas as pd


def searched(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the settings in which `rows` differ, but for the seed; a column each, in the order of
    the configuration."""
    configs = [json.loads(text) if isinstance(text, str) else {} for text in rows["config"]]
    table = pd.DataFrame(configs, index=rows.index)
    plain = [name for name in table if name != "seed" and not table[name].map(_nested).any()]
    return table[[name for name in plain if table[name].nunique() > 1]]


def names_of(settings: pd.DataFrame) -> list[str]:
    """Return the names of the columns of `searched`."""
    return [str(name) for name in settings.columns]


def _nested(value: object) -> bool:
    return isinstance(value, list | dict)
