"""Intervals over seeds, of means and of their differences.

The bootstrap of Agarwal et al. (rliable, arXiv 2108.13264): seeds are drawn within each data set,
its stratum, and where the two sides of a difference share seeds they share the draws. See
`resample` for what makes it hold at three seeds, where percentiles alone cover 62 % of the times
that they promise 90 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.configurations import CONFIGURED
from analysis.resample import LEVEL, UNIT, Codes, Drawn, Resampling


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value, what it lies between with probability `level`, and the seeds it rests on: with one,
    low and high are NaN."""

    value: float
    low: float
    high: float
    seeds: int
    level: float = LEVEL

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def mean_intervals(
    frame: pd.DataFrame,
    metrics: Sequence[str],
    by: Sequence[str] = CONFIGURED,
    level: float = LEVEL,
    phase: str | None = "search",
) -> pd.DataFrame:
    """The mean of each of `metrics` in each group, over its complete rows of single seeds, of
    `phase` (None: of all).

    by: columns; a configuration each by default. A group of several data sets has the mean of
    their means. Columns: those of `by`, metric, mean, low, high, seeds (the fewest of a data set;
    with one, low and high are NaN).
    """
    rows = frame if phase is None else frame[frame["phase"] == phase]
    rows = rows[rows["status"] == "complete"]
    parts = [_means(rows.dropna(subset=[name]), name, list(by), level) for name in metrics]
    return pd.concat(parts, ignore_index=True)


def _means(rows: pd.DataFrame, name: str, by: list[str], level: float) -> pd.DataFrame:
    if rows.empty:
        return pd.DataFrame(columns=[*by, "metric", "mean", "low", "high", "seeds"])
    strata, stratum = numbered(rows, list(dict.fromkeys([*by, "dataset"])))
    groups, group = numbered(strata, by)
    drawn = Resampling(rows).means(rows[name], stratum).mean(group)
    return with_ends(groups.assign(metric=name), "mean", drawn, level)


def numbered(rows: pd.DataFrame, by: Sequence[str]) -> tuple[pd.DataFrame, Codes]:
    """The different values of `by`, in order, and which of them each row has."""
    number = rows.groupby(list(by), dropna=False).ngroup().to_numpy()
    first = np.unique(number, return_index=True)[1]
    return rows[list(by)].iloc[first].reset_index(drop=True), number


def with_ends(rows: pd.DataFrame, name: str, drawn: Drawn, level: float) -> pd.DataFrame:
    """The rows, each with its quantity as column `name`, and columns low, high and seeds."""
    low, high = drawn.ends(level)
    return rows.assign(**{name: drawn.value, "low": low, "high": high, "seeds": drawn.units})


def difference(
    left: pd.DataFrame, right: pd.DataFrame, metric: str, level: float = LEVEL
) -> Interval:
    """By how much the mean of `metric` over the rows `left` is above that over `right`.

    Complete rows of single seeds, of the same data sets (of several: the mean of their
    differences); paired where a data set has two seeds or more in both.

    Raises:
        ValueError: the two sides have no rows, or not the same data sets.
    """
    both = pd.concat([left.assign(side=0), right.assign(side=1)], ignore_index=True)
    both = both[(both["status"] == "complete") & both[metric].notna()]
    found = [sorted(both.loc[both["side"] == side, "dataset"].unique()) for side in (0, 1)]
    if not found[0] or found[0] != found[1]:
        raise ValueError(
            f"{metric} of data sets {found[0]} and of {found[1]} do not compare: give complete "
            "rows of the same data sets on both sides"
        )
    _, group = numbered(both, ["side", "dataset"])
    drawn, here = Resampling(both).means(both[metric], group), np.arange(len(found[0]))
    shared = shared_seeds(both, group, here, here + len(here))
    apart = drawn.at(here).less(drawn.at(here + len(here)), shared).mean(0 * here)
    low, high = apart.ends(level)
    return Interval(
        value=float(apart.value[0]),
        low=float(low[0]),
        high=float(high[0]),
        seeds=int(apart.units[0]),
        level=level,
    )


def shared_seeds(rows: pd.DataFrame, group: Codes, left: Codes, right: Codes) -> Codes:
    """How many seeds of a data set the groups `left` and `right` have in common, pair by pair."""
    units = rows.groupby(list(UNIT), dropna=False).ngroup().to_numpy()
    seeds = [set(units[group == each]) for each in range(int(group.max()) + 1)]
    return np.array([len(seeds[a] & seeds[b]) for a, b in zip(left, right, strict=True)])
