"""Effects of parameters on each objective, and the paper's ablation of alpha.

An effect is a local mean: configurations are cut into bins of one parameter, and the mean of each
bin has the interval of its configurations' differences. It averages over the values that the other
parameters took in the search: a sampler that settles somewhere moves all of them together.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.configurations import CONFIGURED, complete
from analysis.intervals import mean_intervals, numbered, with_ends
from analysis.pareto import OBJECTIVES, check_known, eligible, some
from analysis.resample import Resampling
from sgu.results.schema import GAME_SETTINGS

PARAMETERS = ("alpha", "reg", "solve_every")
BINS = 5
PUBLISHED = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
"""Alphas of the paper (arXiv 2406.07687)."""
NO_GAME = (*GAME_SETTINGS, "seed", "method")
"""Settings in which a run without a game may differ from the game over it."""


def effects(
    frame: pd.DataFrame,
    objectives: Sequence[str] = OBJECTIVES,
    parameters: Sequence[str] = PARAMETERS,
) -> pd.DataFrame:
    """Return the means of each objective over bins of each parameter, in each cell, of the
    configurations that play (alpha > 0).

    A parameter of at most `BINS` different values has a bin for each, any other bins of equal
    numbers. Columns: cell, parameter, least, middle (the median) and most of the bin's values,
    metric, mean, low, high (NaN for one configuration), configurations.

    Raises:
        ValueError: as `pareto_front`; or no parameter varies.
    """
    for name in objectives:
        check_known(name)
    groups = varied(frame, objectives, parameters)
    if not groups:
        some(eligible(frame, ()), objectives)
        raise ValueError(f"none of {', '.join(parameters)} varies: search one of them")
    parts = [_effect(rows, name, metric) for rows, name, metric in groups]
    return pd.concat(parts, ignore_index=True)


def varied(
    frame: pd.DataFrame, metrics: Sequence[str], parameters: Sequence[str] = PARAMETERS
) -> list[tuple[pd.DataFrame, str, str]]:
    """Return, for each cell, parameter that varies in it and metric, the configurations that play
    and have both, with the two names."""
    rows = eligible(frame, ())
    return [
        (known, name, metric)
        for _, cell in rows[rows["alpha"] > 0].groupby("cell")
        for name in parameters
        for metric in metrics
        if (known := cell.dropna(subset=[name, metric]))[name].nunique() > 1
    ]


def _effect(rows: pd.DataFrame, parameter: str, metric: str) -> pd.DataFrame:
    rows = rows.reset_index(drop=True)
    values = rows[parameter]
    few = values.nunique() <= BINS
    cut = values if few else pd.qcut(values, BINS, labels=False, duplicates="drop")
    _, group = numbered(rows.assign(_bin=cut), ["_bin"])
    edges = values.groupby(group).agg(["min", "median", "max"]).reset_index(drop=True)
    edges.columns = pd.Index(["least", "middle", "most"])
    drawn = Resampling(rows, unit=CONFIGURED).means(rows[metric], group)
    edges.insert(0, "cell", rows["cell"].iloc[0])
    edges.insert(1, "parameter", parameter)
    table = with_ends(edges.assign(metric=metric), "mean", drawn)
    return table.rename(columns={"seeds": "configurations"})


def alpha_ablation(frame: pd.DataFrame, metrics: Sequence[str] = OBJECTIVES) -> pd.DataFrame:
    """Return the metrics by alpha with all other settings the same: the paper's ablation.

    Columns: dataset, alpha, published (in the paper's grid), metric, mean, low, high, seeds.

    Raises:
        ValueError: as `ablated`.
    """
    table = mean_intervals(ablated(frame), metrics, ["dataset", "alpha"])
    table.insert(2, "published", table["alpha"].isin(PUBLISHED))
    return table


def ablated(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the complete rows of the game on each data set that differ in alpha and seed alone, of
    the family with the most alphas; as alpha 0, fine-tuning by the same settings.

    Raises:
        ValueError: no two alphas share their other settings.
    """
    family = differing_in_alpha(frame)
    if family.empty:
        raise ValueError(
            "no two alphas share their other settings: run a study that searches alpha alone, "
            "such as studies/ablation.yaml"
        )
    return family


def differing_in_alpha(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `ablated`; none if no two alphas share their other settings."""
    rows = complete(frame)
    rows = rows[rows["method"].isin(["sg", "finetune"])].reset_index(drop=True)
    rows["alpha"] = rows["alpha"].where(rows["method"] == "sg", 0.0)
    parts = [_family(group) for _, group in rows.groupby("dataset")]
    return pd.concat(parts) if parts else rows


def _family(rows: pd.DataFrame) -> pd.DataFrame:
    games, alone = rows[rows["alpha"] > 0], rows[rows["alpha"] == 0]
    if games.empty:
        return games
    others = games["config"].map(_others)
    alphas = games.groupby(others)["alpha"].nunique()
    if alphas.max() < 2:
        return games[:0]
    shared = str(alphas.idxmax())
    base = _others(shared, NO_GAME)
    return pd.concat(
        [alone[alone["config"].map(lambda c: _others(c, NO_GAME)) == base], games[others == shared]]
    )


def _others(config: str, but: Sequence[str] = ("alpha", "seed")) -> str:
    """Return all other settings of a configuration, as JSON."""
    settings: dict[str, Any] = json.loads(config)
    return json.dumps({key: value for key, value in sorted(settings.items()) if key not in but})
