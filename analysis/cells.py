"""A study cell by cell."""

from __future__ import annotations

import pandas as pd

from analysis.band import Band, bands_of, retrained
from analysis.configurations import configurations
from sgu.results.schema import REFERENCES


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
