"""What a search varied, read from each row's exact configuration; a study cell by cell."""

from __future__ import annotations

import json

import pandas as pd

from analysis.band import Band, bands_of, retrained
from analysis.schema import REFERENCES
from analysis.seeds import configurations


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


def cells(frame: pd.DataFrame) -> list[str]:
    """The cells that a study searched, by name."""
    searched = (frame["phase"] == "search") & ~frame["method"].isin(REFERENCES)
    return sorted(frame.loc[searched, "cell"].dropna().unique())


def of_cell(frame: pd.DataFrame, cell: str) -> pd.DataFrame:
    """What was searched in a cell, and the references of its data set."""
    rows = frame[frame["phase"] == "search"]
    own = rows["cell"] == cell
    data_sets = rows.loc[own, "dataset"].unique()
    return rows[own | (rows["method"].isin(REFERENCES) & rows["dataset"].isin(data_sets))]


def null_band(frame: pd.DataFrame) -> dict[str, Band]:
    """The band of each metric, of the retrained models in `frame`, for the seeds of its trials."""
    seeds = configurations(frame)["seeds"].max()
    return bands_of(retrained(frame), int(seeds) or 1)


def _nested(value: object) -> bool:
    return isinstance(value, list | dict)
