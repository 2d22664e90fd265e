"""Intervals over seeds of what fronts reach: hypervolumes, differences of methods, front points.

The front of noisy means flatters: of many configurations the lucky ones are on it, and its
hypervolume V is larger than the true one, the more so the more configurations lie near the front.
Draws of the means do to V what seeds did to the truth, so the draws are reflected about V, as
2 V - V* (the basic bootstrap; Davison and Hinkley 1997, 5.2): the interval is of the true front's
hypervolume, and may lie below V. With 100 configurations near the front, 90 % intervals cover 91 to
97 % of the time, most at three seeds, where they are wide; unreflected ones covered 31 to 74 %
(150 simulations of 3, 5 and 10 seeds; see benchmarks/interval_coverage.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.configurations import CONFIGURED
from analysis.intervals import numbered, shared_seeds, with_ends
from analysis.pareto import (
    OBJECTIVES,
    candidates,
    minimised,
    nondominated,
    only_candidates,
    pareto_front,
    some,
    volume,
)
from analysis.resample import Codes, Drawn, Resampling
from sgu.results.schema import METRICS

METHODS = ("dataset", "method")


def hypervolumes(
    frame: pd.DataFrame,
    objectives: Sequence[str] = OBJECTIVES,
    by: Sequence[str] = METHODS,
) -> pd.DataFrame:
    """Return the hypervolume of each group's front of means over seeds, from rows of single seeds.

    Columns: those of `by`, hypervolume, low, high, seeds (the fewest that a point of the front
    rests on; with one, low and high are NaN). hypervolume is the plain one of the means, which
    flatters; low and high are corrected for that and may both lie below it. Raises as
    `pareto_front` does.
    """
    rows = _of_candidates(frame, objectives)
    groups, group = numbered(rows, by)
    return with_ends(groups, "hypervolume", _volumes(rows, objectives, group))


def method_differences(
    frame: pd.DataFrame,
    against: str,
    objectives: Sequence[str] = OBJECTIVES,
) -> pd.DataFrame:
    """Return by how much the hypervolume of each method is above that of the method `against`.

    Columns: dataset, method, difference, low, high, seeds. One row for each data set that has both
    methods, paired if they share two seeds or more; last, with dataset "all", each method's mean
    over its data sets if it has several. The difference is the plain one; low and high are
    corrected as in `hypervolumes`.

    Raises:
        ValueError: as `pareto_front`; or no data set has `against` beside another method.
    """
    rows = _of_candidates(frame, objectives)
    groups, group = numbered(rows, METHODS)
    numbers = {(data, method): at for at, (data, method) in enumerate(groups.to_numpy())}
    pairs = [
        (at, numbers[data, against])
        for (data, method), at in numbers.items()
        if method != against and (data, against) in numbers
    ]
    if not pairs:
        raise ValueError(
            f"no data set has {against} beside another method: there are "
            f"{', '.join(sorted(groups['method'].unique()))}"
        )
    left, right = np.array(pairs).T
    drawn = _volumes(rows, objectives, group)
    differences = drawn.at(left).less(drawn.at(right), shared_seeds(rows, group, left, right))
    compared = groups.iloc[left].reset_index(drop=True)
    methods, method = numbered(compared, ["method"])
    several = np.flatnonzero(np.bincount(method) > 1)
    overall = methods.iloc[several].assign(dataset="all")
    parts = [(compared, differences), (overall, differences.mean(method).at(several))]
    tables = [with_ends(rows, "difference", drawn) for rows, drawn in parts]
    return pd.concat(tables, ignore_index=True)


def front_intervals(
    frame: pd.DataFrame,
    objectives: Sequence[str] = OBJECTIVES,
    by: Sequence[str] = (),
) -> pd.DataFrame:
    """Return `pareto_front` with the intervals of its points, from rows of single seeds.

    Added columns: for each objective `<name>_low` and `<name>_high` (NaN for a configuration of
    one seed), and stays: the share of resamples of the seeds that leave it on the front (NaN if no
    candidate has two seeds).
    """
    front = pareto_front(frame, objectives, by)
    rows = _of_candidates(frame, objectives)
    configured, config = numbered(rows, [*dict.fromkeys([*CONFIGURED, *by])])
    drawn = _means(rows, objectives, config)
    group = numbered(configured, by)[1] if by else None
    points = np.stack([objective.draws for objective in drawn], axis=2)
    stays = np.mean([nondominated(draw, group) for draw in points], axis=0)
    added = {"stays": np.where(drawn[0].units.max() > 1, stays, np.nan)}
    for name, objective in zip(objectives, drawn, strict=True):
        ends = np.sort(np.stack(objective.ends()) * METRICS[name].sign, axis=0)
        added |= {f"{name}_low": ends[0], f"{name}_high": ends[1]}
    columns = configured[list(CONFIGURED)].assign(**added)
    return front.merge(columns, on=list(CONFIGURED), how="left").set_index(front.index)


def _of_candidates(frame: pd.DataFrame, objectives: Sequence[str]) -> pd.DataFrame:
    """Return the rows of single seeds of the configurations that may enter a front."""
    entering = some(candidates(frame, objectives), objectives)[list(CONFIGURED)]
    return only_candidates(frame, objectives).merge(entering, on=list(CONFIGURED))


def _means(rows: pd.DataFrame, objectives: Sequence[str], config: Codes) -> list[Drawn]:
    """Return, for each minimised objective, its means over seeds of each configuration."""
    values = pd.DataFrame(minimised(rows, objectives), rows.index, list(objectives))
    resampling = Resampling(rows)
    return [resampling.means(values[name], config) for name in objectives]


def _volumes(rows: pd.DataFrame, objectives: Sequence[str], group: Codes) -> Drawn:
    """Return the hypervolume of each group of rows, from its configurations' means."""
    configured, config = numbered(rows.assign(_group=group), [*CONFIGURED, "_group"])
    drawn, number = _means(rows, objectives, config), configured["_group"].to_numpy()
    value = np.stack([objective.value for objective in drawn], axis=1)
    draws = np.stack([objective.draws for objective in drawn], axis=2)
    parts = [np.flatnonzero(number == at) for at in range(int(group.max()) + 1)]
    units = np.array([drawn[0].units[at][nondominated(value[at])].min() for at in parts])
    volumes = np.array([[volume(x[at], objectives) for at in parts] for x in [value, *draws]])
    reflected = 2 * volumes[0] - volumes[1:]
    return Drawn(value=volumes[0], draws=reflected, units=units, freedom=units - 1.0)
