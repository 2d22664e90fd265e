"""Non-dominated trials and the hypervolume they reach.

Inside, everything is minimised: L = sign * metric, with sign -1 for what should be large. Row p
dominates q where L_p <= L_q in every objective and < in one; the front is what nothing dominates.
The hypervolume is the volume of {z : L_p <= z <= R for a p in the front}, R the schema's fixed
reference; nothing is normalised, so it compares across studies with the same objectives.
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
"""Used where the caller names none."""

_ON_VAL = {"test_acc": "val_acc", "utility_paper": "val_acc"}


def check_objectives(objectives: Sequence[str]) -> None:
    """Refuses anything but two or more different metrics, with a ValueError that says why."""
    check_known(objectives)
    if len(set(objectives)) != len(objectives) or len(objectives) < 2:
        raise ValueError(f"objectives are {list(objectives)}; need two or more different ones")


def check_known(names: Sequence[str]) -> None:
    """Refuses what is no metric, with a ValueError that says what there is."""
    for name in names:
        if name not in METRICS:
            raise ValueError(f"unknown objective {name!r}: choose from {', '.join(METRICS)}")


def check_selectable(objectives: Sequence[str]) -> None:
    """As `check_objectives`, and refuses a metric that reads the test split or has a target."""
    check_objectives(objectives)
    for name in objectives:
        check_blind(name)
        check_directed(name)


def check_blind(name: str) -> None:
    """Refuses a metric that reads the test split, or none at all, with a ValueError."""
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r}: choose from {', '.join(METRICS)}")
    if METRICS[name].reads_test:
        twin = _ON_VAL.get(name, f"val_{name}")
        advice = f"use {twin}" if twin in METRICS else "use one measured on val"
        raise ValueError(f"{name} reads the test split, which is only ever reported; {advice}")


def check_directed(name: str) -> None:
    """Refuses a metric that is best at another model's value, with a ValueError."""
    if METRICS[name].target:
        raise ValueError(
            f"{name} is best at the {METRICS[name].target} model's value, not at its end; "
            "use val_mia_advantage"
        )


def minimised(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> NDArray[np.float64]:
    """Objectives of each row with smaller better, shape (rows, objectives)."""
    signs = [METRICS[name].sign for name in objectives]
    return frame[list(objectives)].to_numpy(np.float64) * signs


def candidates(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> pd.DataFrame:
    """Configurations that may enter a front; see `eligible`. At least two objectives."""
    check_objectives(objectives)
    return eligible(frame, objectives)


def eligible(frame: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Configurations of the search that are complete in all of their seeds, have all `metrics`,
    and are no reference. A frame without trials' identities is taken as one a row."""
    return only_candidates(configurations(frame) if set(KEY) <= set(frame) else frame, metrics)


def only_candidates(rows: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Those of the search that are complete, have all `metrics`, and are no reference."""
    kept = rows[list(metrics)].notna().all(axis=1)
    for name, allowed in (("status", ("complete",)), ("phase", ("search",))):
        if name in rows:
            kept &= rows[name].isin(allowed)
    if "method" in rows:
        kept &= ~rows["method"].isin(REFERENCES)
    return rows[kept]


def pareto_front(
    frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES, by: Sequence[str] = ()
) -> pd.DataFrame:
    """Non-dominated configurations of `frame`, sorted by the first objective; equal ones are all
    kept. Their metrics are means over their `seeds`; see `configurations` for the columns.

    by: columns, such as dataset and method, or cell: each of their values has a front of its own,
    and they come first in the order.

    Raises:
        ValueError: an objective is unknown, or no row can enter a front.
    """
    rows = some(candidates(frame, objectives), objectives)
    group = rows.groupby(list(by), dropna=False).ngroup().to_numpy() if by else None
    kept = nondominated(minimised(rows, objectives), group)
    return rows[kept].sort_values([*by, *objectives], kind="stable")


def nondominated(
    values: NDArray[np.float64], group: NDArray[np.integer[Any]] | None = None
) -> NDArray[np.bool_]:
    """Which rows of losses, shape (rows, objectives), no other row (of the group) dominates."""
    if group is None:
        return moocore.is_nondominated(values, keep_weakly=True)
    order, kept = np.argsort(group, kind="stable"), np.empty(len(values), dtype=bool)
    kept[order] = moocore.is_nondominated_within_sets(
        values[order], sets=group[order], keep_weakly=True
    )
    return kept


def hypervolume(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> float:
    """Volume that the front of `frame` dominates, in the product of the objectives' units.

    A row beyond a reference adds nothing. Raises as `pareto_front` does.
    """
    rows = some(candidates(frame, objectives), objectives)
    return volume(minimised(rows, objectives), objectives)


def volume(values: NDArray[np.float64], objectives: Sequence[str]) -> float:
    """Hypervolume of losses, shape (rows, objectives), dominated ones among them or not."""
    reference = [METRICS[name].sign * METRICS[name].reference_point for name in objectives]
    return float(moocore.hypervolume(values, ref=reference))


def knee(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> pd.Series:
    """The front's knee: where giving up a little of one objective starts to cost much of another.

    With each objective scaled to 0..1 over the front, the row of least sum: in two objectives the
    one furthest inside the line through the front's ends. Raises as `pareto_front` does.
    """
    front = pareto_front(frame, objectives)
    values = minimised(front, objectives)
    least, reach = values.min(axis=0), np.ptp(values, axis=0)
    scaled = (values - least) / np.where(reach > 0, reach, 1.0)
    return front.iloc[int(scaled.sum(axis=1).argmin())]


def some(rows: pd.DataFrame, objectives: Sequence[str]) -> pd.DataFrame:
    """The rows, of which there must be one: else a ValueError that says what to do."""
    if rows.empty:
        raise ValueError(
            f"no complete trial has all of {', '.join(objectives)}: let the study finish a trial, "
            "or see the reasons of the failed ones"
        )
    return rows
