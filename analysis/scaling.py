"""Scaling: power laws over sizes, the cost against retraining, and speed-up by workers.

Rows of phase "scaling". The names of its data sets tell a sweep: subset-500, subset-1000, ...
differ in train examples, and therefore in audit examples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import linregress, t

from analysis.configurations import complete
from analysis.intervals import difference
from analysis.resample import LEVEL
from sgu.results.schema import REFERENCES

SIZES = {
    "train_examples": "subset",
    "classes": "classes",
    "audit_examples": "audit",
    "forget_fraction": "forget_fraction",
    "workers": "workers",
}
"""The column that each sweep varies, and the start of its data sets' names."""

TITLES = {"forget_fraction": "share to forget", "workers": "trials at a time"}


def size_title(size: str) -> str:
    """Return the words for a column of `SIZES`."""
    return TITLES.get(size, size.replace("_", " "))


def sweep(frame: pd.DataFrame, size: str) -> pd.DataFrame:
    """Return the complete rows of the sweep over `size`; none if it was not swept."""
    rows = complete(frame, "scaling")
    rows = rows[rows["dataset"].str.startswith(f"{SIZES[size]}-", na=False)]
    return rows if rows[size].nunique() > 1 else rows[:0]


def swept(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each sweep, by its size."""
    return {size: rows for size in SIZES if len(rows := sweep(frame, size))}


def sweeps(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each sweep, by its size; raise ValueError if there is none."""
    by_size = swept(frame)
    if not by_size:
        raise ValueError("no sizes were swept: `sgu-study scaling` runs a sweep of them")
    return by_size


def power_laws(
    frame: pd.DataFrame, metrics: Sequence[str] = ("seconds", "val_error")
) -> pd.DataFrame:
    """Fit metric = factor size^exponent by least squares in logarithms, for each sweep and method.

    Columns: size, method, metric, factor (in the metric's unit, at size 1), exponent, low, high
    (of the exponent, Student's; NaN from two runs), runs, sizes. A run whose value is not above 0
    has no logarithm and is left out.

    Raises:
        ValueError: no sizes were swept.
    """
    laws = [
        [size, method, name, *law]
        for size, rows in sweeps(frame).items()
        for method, group in rows.groupby("method")
        for name in metrics
        if (law := _law(group[size], group[name])) is not None
    ]
    columns = ["size", "method", "metric", "factor", "exponent", "low", "high", "runs", "sizes"]
    return pd.DataFrame(laws, columns=columns)


def _law(size: pd.Series, value: pd.Series) -> list[float] | None:
    known = (size > 0) & (value > 0)
    x, y = (np.log(column[known].to_numpy(float)) for column in (size, value))
    if len(set(x)) < 2:
        return None
    fit = linregress(x, y)
    quantile = t.ppf((1 + LEVEL) / 2, len(x) - 2) if len(x) > 2 else np.nan
    slope, reach = float(fit.slope), float(quantile * fit.stderr)
    factor = float(np.exp(fit.intercept))
    return [factor, slope, slope - reach, slope + reach, len(x), len(set(x))]


def against_retraining(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the seconds of each method as a multiple of retraining's, at each size.

    Columns: size, value, method, ratio (of geometric means), low, high (NaN from one seed), seeds.
    Seeds that both have are paired.

    Raises:
        ValueError: no sizes were swept.
    """
    records = []
    for size, rows in sweeps(frame).items():
        known = rows[rows["seconds"] > 0]
        known = known.assign(logarithm=np.log(known["seconds"].to_numpy(float)))
        for (value, _), group in known.groupby([size, "dataset"]):
            retrained = group[group["method"] == "retrain"]
            for method, runs in group[~group["method"].isin(REFERENCES)].groupby("method"):
                if len(retrained):
                    log = difference(runs, retrained, "logarithm")
                    ratios = np.exp([log.value, log.low, log.high])
                    records.append([size, value, method, *ratios, log.seeds])
    columns = ["size", "value", "method", "ratio", "low", "high", "seeds"]
    return pd.DataFrame(records, columns=columns)


def speed_up(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the speed-up by more workers, from the sweep over workers.

    Columns: workers, runs, seconds (from the first start to the last end), throughput (runs an
    hour), speed_up (against the fewest workers, times their number) and efficiency (speed_up a
    worker). References are left out: they are prepared before.

    Raises:
        ValueError: no workers were swept.
    """
    rows = sweep(frame, "workers")
    rows = rows[~rows["method"].isin(REFERENCES)]
    if rows.empty:
        raise ValueError("no workers were swept: `sgu-study scaling --sweep workers=1,2,4`")
    rows = rows.assign(end=rows["started"] + pd.to_timedelta(rows["wall_seconds"], unit="s"))
    table = rows.groupby("workers").agg(
        runs=("started", "size"), start=("started", "min"), end=("end", "max")
    ).reset_index()  # fmt: skip
    table["seconds"] = (table.pop("end") - table.pop("start")).dt.total_seconds()
    table["throughput"] = 3600 * table["runs"] / table["seconds"]
    first = table.iloc[0]
    table["speed_up"] = first["workers"] * table["throughput"] / first["throughput"]
    table["efficiency"] = table["speed_up"] / table["workers"]
    return table
