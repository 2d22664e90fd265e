"""Null bands from a study's rows; `sgu.results.null_band` has the mathematics."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from analysis.configurations import complete, most_seeds
from sgu.results.null_band import ASPECTS, MEMORY, Band, band
from sgu.results.schema import METRICS

SHARED = ("dataset", "model", "scenario", "forget_fraction", "requests")
"""Columns that configurations must share to compare."""

TASK = ("study", *SHARED)
"""Columns that retrained models must share with a configuration to be its null."""

BANDED = tuple(name for name in ASPECTS if name in METRICS)
"""Metrics of a row that have a band."""

COLUMNS = ("mean", "sd", "low", "high", "models", "seeds")


def null_bands(frame: pd.DataFrame, seeds: int = 1) -> pd.DataFrame:
    """Return the band of each metric in each task of `frame`: where the mean over `seeds` seeds of
    a retrained model lies.

    Columns: those of `TASK`, metric, mean, sd, low, high, models (retrained ones) and seeds (that
    they have). A metric that fewer than two of them have has no row.

    Raises:
        ValueError: no metric of any task has two retrained models.
    """
    records = [
        [*task, name, *(getattr(band, column) for column in COLUMNS)]
        for task, rows in _by_task(_complete(frame)).items()
        for name, band in bands_of(rows, seeds).items()
    ]
    if not records:
        raise ValueError(
            "a null band takes 2 or more retrained models of one data set, and there are fewer: "
            "run the study with oracles: 3, or with several seeds"
        )
    return pd.DataFrame(records, columns=[*TASK, "metric", *COLUMNS])


def bands_of(rows: pd.DataFrame, seeds: int = 1) -> dict[str, Band]:
    """Return the bands by metric, from the rows of one task's retrained models."""
    known = {name: rows[["seed", name]].dropna() for name in BANDED}
    return {
        name: band(name, values[name], values["seed"], seeds)
        for name, values in known.items()
        if len(values) >= 2
    }


def null_band(frame: pd.DataFrame) -> dict[str, Band]:
    """Return the band of each metric, from the retrained models in `frame`, for a mean over as many
    seeds as its trials have."""
    return bands_of(_complete(frame), most_seeds(frame) or 1)


def limits(frame: pd.DataFrame, rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the ends, low and high, of the band for the mean over as many seeds as each of the
    configurations `rows` has; NaN without a band. frame: with the retrained models."""
    ends = pd.DataFrame(math.nan, index=rows.index, columns=["low", "high"])
    tasks = _by_task(_complete(frame))
    for seeds in sorted(set(rows["seeds"]) - {0}):
        for task, group in _by_task(rows[rows["seeds"] == seeds]).items():
            bands = bands_of(tasks[task], seeds) if task in tasks else {}
            if metric in bands:
                ends.loc[group.index] = [bands[metric].low, bands[metric].high]
    return ends


def chance(frame: pd.DataFrame, row: pd.Series, metric: str) -> float:
    """Return by how much retrained models of a configuration's task differ in a metric: their
    standard deviation, of a mean over as many seeds as the configuration has; 0 without a band."""
    tasks = _by_task(_complete(frame))
    (task,) = _by_task(row.to_frame().T)
    bands = bands_of(tasks[task]) if task in tasks else {}
    return bands[metric].sd / math.sqrt(row["seeds"]) if metric in bands else 0.0


def uninformative(frame: pd.DataFrame) -> list[str]:
    """Return the metrics of memory on which the original, which has forgotten nothing,
    lies inside the null band of a mean over its seeds: there, to be inside shows no forgetting."""
    tasks = _by_task(_complete(frame))
    names = {
        name
        for task, rows in _by_task(_complete(frame, "original")).items()
        for name, band in bands_of(tasks.get(task, rows[:0]), rows["seed"].nunique()).items()
        if name in MEMORY and rows[name].mean() in band
    }
    return [name for name in BANDED if name in names]


def _complete(frame: pd.DataFrame, method: str = "retrain") -> pd.DataFrame:
    """Return the complete rows of a search's retrained models, or of another control.

    Those of a sweep of sizes are of other tasks, and those on fresh seeds must not move what was
    chosen before them.
    """
    return complete(frame[frame["method"] == method])


def _by_task(rows: pd.DataFrame) -> dict[tuple[Any, ...], pd.DataFrame]:
    """Return the rows of each task; a missing value of its columns is ""."""
    keys = rows[list(TASK)].astype(object)
    keys = keys.where(keys.notna(), "")
    return dict(iter(rows.groupby([keys[name] for name in TASK])))
