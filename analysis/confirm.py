"""Optimism: how much worse the front's configurations are on fresh seeds.

A search picks by values that were lucky, too: the best of many noisy results is on average worse
than it looked (the winner's curse). Rows of phase "confirm" are the same configurations on seeds
that had no part in the search.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.configurations import CONFIGURED, complete, configurations
from analysis.intervals import numbered, with_ends
from analysis.pareto import OBJECTIVES
from analysis.resample import Drawn, Resampling
from sgu.results.schema import METRICS, REFERENCES


def confirmed(frame: pd.DataFrame, metrics: Sequence[str] = OBJECTIVES) -> pd.DataFrame:
    """Return the metrics of each confirmed configuration in the search and on fresh seeds.

    Columns: study, cell, trial_id, metric, searched and confirmed (means over the seeds of either
    phase), optimism (by how much confirmed is worse, in the metric's own direction), low, high (of
    the optimism, from the fresh seeds; NaN for a single one), searched_seeds, seeds.

    Raises:
        ValueError: no configuration of the search has complete rows of phase "confirm".
    """
    pairs = [_optimism(frame, name) for name in metrics]
    parts = [with_ends(rows, "optimism", drawn) for rows, drawn in pairs]
    order = [*CONFIGURED, "metric", "searched", "confirmed", "optimism", "low", "high"]
    table = pd.concat(parts, ignore_index=True)[[*order, "searched_seeds", "seeds"]]
    return table.sort_values(list(CONFIGURED), kind="stable", ignore_index=True)


def mean_optimism(frame: pd.DataFrame, metrics: Sequence[str] = OBJECTIVES) -> pd.DataFrame:
    """Return by how much confirmed configurations are worse than they looked, on average.

    Columns: cell, metric, configurations, optimism, low, high, seeds. Fresh seeds that the
    configurations of a cell share are drawn together. Raises as `confirmed` does.
    """
    parts = []
    for name in metrics:
        rows, drawn = _optimism(frame, name)
        cells, cell = numbered(rows, ["cell"])
        mean = Drawn(
            value=np.array([drawn.value[cell == at].mean() for at in range(len(cells))]),
            draws=np.stack([drawn.draws[:, cell == at].mean(1) for at in range(len(cells))], 1),
            units=np.array([drawn.units[cell == at].min() for at in range(len(cells))]),
            freedom=np.array([drawn.freedom[cell == at].min() for at in range(len(cells))]),
        )
        counted = cells.assign(metric=name, configurations=np.bincount(cell))
        parts.append(with_ends(counted, "optimism", mean))
    return pd.concat(parts, ignore_index=True)


def on_fresh_seeds(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the fresh runs that have a metric, with its mean in the search: column searched, over
    searched_seeds seeds."""
    searched = configurations(frame)[[*CONFIGURED, name, "seeds"]].dropna(subset=[name])
    searched = searched.rename(columns={name: "searched", "seeds": "searched_seeds"})
    fresh = complete(frame, "confirm")
    fresh = fresh[~fresh["method"].isin(REFERENCES)]  # nobody picked them
    return fresh.dropna(subset=[name]).merge(searched, on=list(CONFIGURED))


def _optimism(frame: pd.DataFrame, name: str) -> tuple[pd.DataFrame, Drawn]:
    """Return both means of each configuration, and the draws of how much worse the second is."""
    rows = on_fresh_seeds(frame, name)
    if rows.empty:
        raise ValueError(
            "no configuration has been run on fresh seeds: `sgu-study confirm NAME --seeds 5` "
            "runs those of the front"
        )
    means, config = numbered(rows, [*CONFIGURED, "searched", "searched_seeds"])
    worse = METRICS[name].sign * (rows[name] - rows["searched"])
    drawn = Resampling(rows).means(worse, config)
    signed = METRICS[name].sign * drawn.value
    return means.assign(metric=name, confirmed=means["searched"] + signed), drawn
