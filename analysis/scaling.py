"""How seconds and quality grow: power laws over sizes, the price of retraining, speed-up.

Rows of phase "scaling". A sweep is the data sets whose names say that it is theirs: those of
subset-500, subset-1000, ... differ in train examples, and as a consequence in audit examples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import linregress, t

from analysis.intervals import difference
from analysis.resample import LEVEL

SIZES = {
    "train_examples": "subset",
    "classes": "classes",
    "audit_examples": "audit",
    "forget_fraction": "forget_fraction",
    "workers": "workers",
}
"""The column that each sweep varies, and the kind that its data sets' names start with."""


def sweep(frame: pd.DataFrame, size: str) -> pd.DataFrame:
    """Complete rows of the sweep over `size`; empty where there was none."""
    rows = frame[(frame["phase"] == "scaling") & (frame["status"] == "complete")]
    own = rows[rows["dataset"].str.startswith(f"{SIZES[size]}-", na=False)]
    return own if own[size].nunique() > 1 else own[:0]


def swept(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each sweep there is, by its size."""
    return {size: rows for size in SIZES if len(rows := sweep(frame, size))}


def sweeps(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """As `swept`. Raises ValueError where there is none."""
    found = swept(frame)
    if not found:
        raise ValueError("no sizes were swept: `sgu-study scaling` runs a sweep of them")
    return found


def power_laws(
    frame: pd.DataFrame, metrics: Sequence[str] = ("seconds", "val_error"), level: float = LEVEL
) -> pd.DataFrame:
    """metric = factor size^exponent by least squares in logarithms, for each sweep and method.

    Columns: size, method, metric, factor (in the metric's unit, at size 1), exponent, low, high
    (of the exponent, Student's; NaN from two runs), runs, sizes. Runs whose value is not above 0
    have no logarithm and are left out.

    Raises:
        ValueError: no sizes were swept.
    """
    found = [
        [size, method, name, *law]
        for size, rows in sweeps(frame).items()
        for method, own in rows.groupby("method")
        for name in metrics
        if (law := _law(own[size], own[name], level)) is not None
    ]
    columns = ["size", "method", "metric", "factor", "exponent", "low", "high", "runs", "sizes"]
    return pd.DataFrame(found, columns=columns)


def _law(size: pd.Series, value: pd.Series, level: float) -> list[float] | None:
    known = (size > 0) & (value > 0)
    x, y = (np.log(each[known].to_numpy(float)) for each in (size, value))
    if len(set(x)) < 2:
        return None
    fit = linregress(x, y)
    quantile = t.ppf((1 + level) / 2, len(x) - 2) if len(x) > 2 else np.nan
    reach = float(quantile * fit.stderr)
    slope = float(fit.slope)
    return [
        float(np.exp(fit.intercept)), slope, slope - reach, slope + reach, len(x), len(set(x)),
    ]  # fmt: skip


def against_retraining(
    frame: pd.DataFrame, metric: str = "seconds", level: float = LEVEL
) -> pd.DataFrame:
    """How many times what retraining takes each method takes, at each size.

    Columns: size, value, method, ratio (of geometric means), low, high (NaN from one seed), seeds.
    Paired where they share seeds.

    Raises:
        ValueError: no sizes were swept.
    """
    found = []
    for size, rows in sweeps(frame).items():
        known = rows[rows[metric] > 0]
        known = known.assign(logarithm=np.log(known[metric].to_numpy(float)))
        for (value, _), own in known.groupby([size, "dataset"]):
            retrained = own[own["method"] == "retrain"]
            for method, rest in own[~own["method"].isin(["retrain", "original"])].groupby("method"):
                if len(retrained):
                    apart = difference(rest, retrained, "logarithm", level)
                    ends = np.exp([apart.value, apart.low, apart.high])
                    found.append([size, value, method, *ends, apart.seeds])
    columns = ["size", "value", "method", "ratio", "low", "high", "seeds"]
    return pd.DataFrame(found, columns=columns)


def speed_up(frame: pd.DataFrame) -> pd.DataFrame:
    """What more workers bring, from the sweep over workers.

    Columns: workers, runs, seconds (from the first start to the last end), throughput (runs an
    hour), speed_up (against the fewest workers, times their number) and efficiency (speed_up a
    worker). References are left out: they are prepared before.

    Raises:
        ValueError: no workers were swept.
    """
    rows = sweep(frame, "workers")
    rows = rows[~rows["method"].isin(["original", "retrain"])]
    if rows.empty:
        raise ValueError("no workers were swept: `sgu-study scaling --sweep workers=1,2,4`")
    start = rows["started"]
    end = start + pd.to_timedelta(rows["wall_seconds"], unit="s")
    times = pd.DataFrame({"workers": rows["workers"], "start": start, "end": end})
    found = times.groupby("workers").agg(
        runs=("start", "size"), start=("start", "min"), end=("end", "max")
    ).reset_index()  # fmt: skip
    found["seconds"] = (found.pop("end") - found.pop("start")).dt.total_seconds()
    found["throughput"] = 3600 * found["runs"] / found["seconds"]
    first = found.iloc[0]
    found["speed_up"] = first["workers"] * found["throughput"] / first["throughput"]
    found["efficiency"] = found["speed_up"] / found["workers"]
    return found
