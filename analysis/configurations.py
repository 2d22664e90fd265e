"""The cells of a study, their configurations (the seeds of each put together) and settings."""

from __future__ import annotations

import json

import pandas as pd

from sgu.results.schema import METRICS, REFERENCES, STATUSES

CONFIGURED = ("study", "cell", "trial_id")
"""Columns that identify a configuration."""


def complete(frame: pd.DataFrame, phase: str = "search") -> pd.DataFrame:
    """Return the complete rows of a phase."""
    return frame[(frame["status"] == "complete") & (frame["phase"] == phase)]


def configurations(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each configuration (study, cell, trial_id) of the search.

    Its columns are those of its first seed's row, except
    - each metric: the mean over the complete seeds that have it;
    - `<metric>_spread`: their standard deviation (n - 1), NaN for a single one;
    - `seeds`: how many are complete; `status`: complete only if every seed is;
    - `wall_seconds`, `device_seconds`: the sums over all seeds, and `started`: the first.
    A frame of configurations is returned as it is.
    """
    if "seeds" in frame:
        return frame
    rows = frame[frame["phase"] == "search"]
    rows = rows.sort_values([*CONFIGURED, "seed"], kind="stable", ignore_index=True)
    groups = rows.groupby(list(CONFIGURED), sort=False, dropna=False)
    first, number = groups.head(1).reset_index(drop=True), groups.ngroup()
    done = rows["status"] == "complete"
    measured = rows.loc[done, list(METRICS)].groupby(number[done])
    worst = rows["status"].map(STATUSES.index).groupby(number).max()
    by_number = rows.groupby(number)
    changed = {
        "status": worst.map(dict(enumerate(STATUSES))),
        "wall_seconds": by_number["wall_seconds"].sum(min_count=1),
        "device_seconds": by_number["device_seconds"].sum(min_count=1),
        "started": by_number["started"].min(),
        "seeds": done.groupby(number).sum(),
    }
    others = first.drop(columns=list(METRICS)).assign(**changed)
    spreads = measured.std(ddof=1).add_suffix("_spread")
    columns = [*frame.columns, "seeds", *spreads.columns]
    return pd.concat([others, measured.mean(), spreads], axis=1)[columns].copy()  # in few blocks


def most_seeds(frame: pd.DataFrame) -> int:
    """Return how many complete seeds the configuration with most of them has, in the search."""
    return max(complete(frame).groupby(list(CONFIGURED), dropna=False).size(), default=0)


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


def narrowed(frame: pd.DataFrame, name: str | None) -> pd.DataFrame:
    """Return the rows of a cell, or of a data set with all its cells; without a name all rows, if
    they are of one data set. Raises ValueError for a name that is neither."""
    data_sets = sorted(frame["dataset"].dropna().unique())
    if name is None and len(data_sets) == 1:
        return frame
    if name in data_sets:
        return frame[frame["dataset"] == name]
    if name in cells(frame):
        return of_cell(frame, name)
    known = ", ".join([*(data_sets if len(data_sets) > 1 else []), *cells(frame)])
    if name is None:
        raise ValueError(f"the study has {len(data_sets)} data sets: choose one by --cell: {known}")
    raise ValueError(f"--cell {name}: choose from {known}")


def searched(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the settings in which `rows` differ, but for the seed; a column each, in the order of
    the exact configurations."""
    configs = [json.loads(text) if isinstance(text, str) else {} for text in rows["config"]]
    table = pd.DataFrame(configs, index=rows.index).drop(columns="seed", errors="ignore")
    plain = [name for name in table if not table[name].map(type).isin([list, dict]).any()]
    return table[[name for name in plain if table[name].nunique() > 1]]
