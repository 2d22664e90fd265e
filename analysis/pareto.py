"""Non-dominated trials and the hypervolume they reach.

Inside, everything is minimised: L = sign * metric, with sign -1 for what should be large. Row p
dominates q if L_p <= L_q in every objective and < in one; the front is what nothing dominates. The
hypervolume is the volume of {z : L_p <= z <= R for a p in the front}, R the schema's fixed
reference point; nothing is normalised, so it compares across studies with the same objectives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import moocore
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.configurations import configurations
from sgu.results.schema import KEY, METRICS, REFERENCES

OBJECTIVES = ("val_error", "val_mia_advantage")
"""Objectives by default."""

_ON_VAL = {"test_acc": "val_acc", "utility_paper": "val_acc"}


def check_objectives(objectives: Sequence[str]) -> None:
    """Raise ValueError unless there are two or more different metrics."""
    for name in objectives:
        check_known(name)
    if len(set(objectives)) != len(objectives) or len(objectives) < 2:
        raise ValueError(f"objectives are {list(objectives)}; need two or more different ones")


def check_known(name: str) -> None:
    """Raise ValueError for a name that is no metric."""
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r}: choose from {', '.join(METRICS)}")


def check_selectable(objectives: Sequence[str]) -> None:
    """Raise ValueError as `check_objectives`, and for a metric that reads test or has a target."""
    check_objectives(objectives)
    for name in objectives:
        check_blind(name)
        check_directed(name)


def check_blind(name: str) -> None:
    """Raise ValueError for a metric that reads the test split, and for what is no metric."""
    check_known(name)
    if METRICS[name].reads_test:
        twin = _ON_VAL.get(name, f"val_{name}")
        advice = f"use {twin}" if twin in METRICS else "use one measured on val"
        raise ValueError(f"{name} reads the test split, which is only ever reported; {advice}")


def check_directed(name: str) -> None:
    """Raise ValueError for a metric that is best at another model's value."""
    if METRICS[name].target:
        raise ValueError(
            f"{name} is best at the {METRICS[name].target} model's value, not at its end; "
            "use val_mia_advantage"
        )


def minimised(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> NDArray[np.float64]:
    """Return the objectives of each row with smaller better, shape (rows, objectives)."""
    signs = [METRICS[name].sign for name in objectives]
    return frame[list(objectives)].to_numpy(np.float64) * signs


def candidates(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> pd.DataFrame:
    """Return the configurations that may enter a front, of two or more objectives."""
    check_objectives(objectives)
    return eligible(frame, objectives)


def eligible(frame: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return the configurations of the search that are complete in all of their seeds, have all
    `metrics`, and are no reference. In a frame without `KEY` each row is a configuration."""
    return only_candidates(configurations(frame) if set(KEY) <= set(frame) else frame, metrics)


def only_candidates(rows: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return the rows of the search that are complete, have all `metrics`, and are no reference."""
    allowed = rows[list(metrics)].notna().all(axis=1)
    for name, value in (("status", "complete"), ("phase", "search")):
        if name in rows:
            allowed &= rows[name] == value
    if "method" in rows:
        allowed &= ~rows["method"].isin(REFERENCES)
    return rows[allowed]


def pareto_front(
    frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES, by: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the non-dominated configurations of `frame`, sorted by the first objective; equal ones
    are all kept. Metrics are means over `seeds`; see `configurations` for the columns.

    by: columns, such as cell, or dataset and method: each of their values has its own front, and
    they come first in the order.

    Raises:
        ValueError: an objective is unknown, or no row can enter a front.
    """
    rows = some(candidates(frame, objectives), objectives)
    group = rows.groupby(list(by), dropna=False).ngroup().to_numpy() if by else None
    front = rows[nondominated(minimised(rows, objectives), group)]
    return front.sort_values([*by, *objectives], kind="stable")


def nondominated(
    values: NDArray[np.float64], group: NDArray[np.integer[Any]] | None = None
) -> NDArray[np.bool_]:
    """Return a mask of the rows that no other row (of the group) dominates; values (rows,
    objectives), all minimised."""
    if group is None:
        return moocore.is_nondominated(values, keep_weakly=True)
    order, mask = np.argsort(group, kind="stable"), np.empty(len(values), dtype=bool)
    mask[order] = moocore.is_nondominated_within_sets(
        values[order], sets=group[order], keep_weakly=True
    )
    return mask


def hypervolume(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> float:
    """Return the volume that the front of `frame` dominates, in the product of the objectives'
    units. A row beyond the reference point adds nothing. Raises as `pareto_front` does."""
    rows = some(candidates(frame, objectives), objectives)
    return volume(minimised(rows, objectives), objectives)


def volume(values: NDArray[np.float64], objectives: Sequence[str]) -> float:
    """Return the hypervolume of values (rows, objectives), all minimised, dominated or not."""
    point = [METRICS[name].sign * METRICS[name].reference_point for name in objectives]
    return float(moocore.hypervolume(values, ref=point))


def knee(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> pd.Series:
    """Return the front's knee: from it on, a gain in one objective costs much of another.

    It is the row of least sum, with each objective scaled to 0..1 over the front: in two objectives
    the one furthest inside the line through the front's ends. Raises as `pareto_front` does.
    """
    front = pareto_front(frame, objectives)
    values = minimised(front, objectives)
    least, reach = values.min(axis=0), np.ptp(values, axis=0)
    scaled = (values - least) / np.where(reach > 0, reach, 1.0)
    return front.iloc[int(scaled.sum(axis=1).argmin())]


def some(rows: pd.DataFrame, objectives: Sequence[str]) -> pd.DataFrame:
    """Return the rows; raise ValueError if there are none."""
    if rows.empty:
        raise ValueError(
            f"no complete trial has all of {', '.join(objectives)}: let the study finish a trial, "
            "or see the reasons of the failed ones"
        )
    return rows
