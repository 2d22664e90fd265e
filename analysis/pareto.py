"""Non-dominated trials and the hypervolume they reach.

Inside, everything is minimised: L = sign * metric, with sign -1 for what should be large. Row p
dominates q where L_p <= L_q in every objective and < in one; the front is what nothing dominates.
The hypervolume is the volume of {z : L_p <= z <= R for a p in the front}, R the schema's fixed
reference; nothing is normalised, so it compares across studies with the same objectives.
"""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.schema import METRICS, REFERENCES

OBJECTIVES = ("val_error", "val_mia_advantage")
"""Used where the caller names none."""

_ON_VAL = {"test_acc": "val_acc", "utility_paper": "val_acc"}


def check_objectives(objectives: Sequence[str]) -> None:
    """Refuses anything but two or more different metrics, with a ValueError that says why."""
    for name in objectives:
        if name not in METRICS:
            raise ValueError(f"unknown objective {name!r}: choose from {', '.join(METRICS)}")
    if len(set(objectives)) != len(objectives) or len(objectives) < 2:
        raise ValueError(f"objectives are {list(objectives)}; need two or more different ones")


def check_selectable(objectives: Sequence[str]) -> None:
    """As `check_objectives`, and refuses a metric that reads the test split or has a target."""
    check_objectives(objectives)
    for name in objectives:
        if METRICS[name].reads_test:
            twin = _ON_VAL.get(name, f"val_{name}")
            advice = f"use {twin}" if twin in METRICS else "use one measured on val"
            raise ValueError(f"{name} reads the test split, which is only ever reported; {advice}")
        if METRICS[name].target:
            raise ValueError(
                f"{name} is best at the {METRICS[name].target} model's value, not at its end; "
                "use val_mia_advantage"
            )


def losses(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> NDArray[np.float64]:
    """Objectives of each row with smaller better, shape (rows, objectives)."""
    signs = [METRICS[name].sign for name in objectives]
    return frame[list(objectives)].to_numpy(np.float64) * signs


def candidates(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> pd.DataFrame:
    """Rows that may enter a front: complete, no reference method, every objective measured."""
    check_objectives(objectives)
    rows = frame.dropna(subset=list(objectives))
    if "status" in rows:
        rows = rows[rows["status"] == "complete"]
    if "method" in rows:
        rows = rows[~rows["method"].isin(REFERENCES)]
    return rows


def pareto_front(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> pd.DataFrame:
    """Non-dominated rows of `frame`, sorted by the first objective; equal rows are all kept.

    Raises:
        ValueError: an objective is unknown, or no row can enter a front.
    """
    rows = candidates(frame, objectives)
    if rows.empty:
        raise ValueError(
            f"no complete trial has all of {', '.join(objectives)}: let the study finish a trial, "
            "or see the reasons of the failed ones"
        )
    kept = moocore.is_nondominated(losses(rows, objectives), keep_weakly=True)
    return rows[kept].sort_values(list(objectives), kind="stable")


def hypervolume(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> float:
    """Volume that the front of `frame` dominates, in the product of the objectives' units.

    A row beyond a reference adds nothing. Raises as `pareto_front` does.
    """
    reference = [METRICS[name].sign * METRICS[name].reference for name in objectives]
    front = losses(pareto_front(frame, objectives), objectives)
    return float(moocore.hypervolume(front, ref=reference))
