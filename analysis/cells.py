"""The cells of a study, with the references and the null band of each."""

from __future__ import annotations

import pandas as pd

from analysis.band import Band, bands_of, retrained
from analysis.configurations import configurations
from sgu.results.schema import REFERENCES


def cells(frame: pd.DataFrame) -> list[str]:
    """Return the names of the cells that a study searched."""
    searched = (frame["phase"] == "search") & ~frame["method"].isin(REFERENCES)
    return sorted(frame.loc[searched, "cell"].dropna().unique())


def of_cell(frame: pd.DataFrame, cell: str) -> pd.DataFrame:
    """Return the searched rows of a cell, and those of its data set's references."""
    rows = frame[frame["phase"] == "search"]
    inside = rows["cell"] == cell
    data_sets = rows.loc[inside, "dataset"].unique()
    return rows[inside | (rows["method"].isin(REFERENCES) & rows["dataset"].isin(data_sets))]


def null_band(frame: pd.DataFrame) -> dict[str, Band]:
    """Return the band of each metric, from the retrained models in `frame`, for a mean over as many
    seeds as its trials have."""
    seeds = configurations(frame)["seeds"].max()
    return bands_of(retrained(frame), int(seeds) or 1)
