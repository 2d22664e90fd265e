"""What a search varied, read from each row's exact configuration; a study cell by cell."""

from __future__ import annotations

import json

import pandas as pd


def searched(rows: pd.DataFrame) -> pd.DataFrame:
    """The settings in which `rows` differ, a column each, in the order of the configuration; the
    seed is none of them."""
    configs = [json.loads(text) if isinstance(text, str) else {} for text in rows["config"]]
    table = pd.DataFrame(configs, index=rows.index)
    plain = [n for n in table if n != "seed" and not table[n].map(_nested).any()]
    return table[[name for name in plain if table[name].nunique() > 1]]


def names_of(settings: pd.DataFrame) -> list[str]:
    """The names of the columns that `searched` has found."""
    return [str(name) for name in settings.columns]


def _nested(value: object) -> bool:
    return isinstance(value, list | dict)
