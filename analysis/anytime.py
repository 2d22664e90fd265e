"""Any-time curves: the hypervolume that a search has reached after so many trials or seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.configurations import configurations
from analysis.pareto import OBJECTIVES, candidates, minimised, some, volume
from sgu.results.schema import REFERENCES

Against = Literal["trials", "seconds"]


def anytime(
    frame: pd.DataFrame,
    objectives: Sequence[str] = OBJECTIVES,
    against: Against = "trials",
) -> pd.DataFrame:
    """Return the hypervolume after each configuration of a cell's search, in the order of starts.

    Columns: study, cell, `against` and hypervolume. trials: configurations so far; seconds: the
    `wall_seconds` of all their seeds so far, the cost of the search however many ran at a time.
    Failed and pruned configurations cost and add nothing; references are no part of a search.

    Raises:
        ValueError: as `pareto_front`; or `against` is neither trials nor seconds.
    """
    if against not in ("trials", "seconds"):
        raise ValueError(f"against = {against!r}; expected trials or seconds")
    some(candidates(frame, objectives), objectives)
    rows = configurations(frame)
    rows = rows[~rows["method"].isin(REFERENCES)]
    parts = [_curve(group, objectives, against) for _, group in rows.groupby(["study", "cell"])]
    return pd.concat(parts, ignore_index=True)[["study", "cell", against, "hypervolume"]]


def _curve(rows: pd.DataFrame, objectives: Sequence[str], against: Against) -> pd.DataFrame:
    rows = rows.sort_values(["started", "trial_id"], kind="stable")
    entering = rows.index.isin(candidates(rows, objectives).index)
    cost = rows["wall_seconds"].fillna(0.0) if against == "seconds" else pd.Series(1, rows.index)
    rows["hypervolume"] = _reached(minimised(rows, objectives), entering, objectives)
    rows[str(against)] = cost.cumsum()
    return rows


def _reached(
    values: NDArray[np.float64], entering: NDArray[np.bool_], objectives: Sequence[str]
) -> NDArray[np.float64]:
    """Return the volume after each row; only a row that no earlier one dominates changes it."""
    reached, front = np.zeros(len(values)), values[:0]
    for at, (value, enters) in enumerate(zip(values, entering, strict=True)):
        reached[at] = reached[at - 1] if at else 0.0
        if enters and not (front <= value).all(axis=1).any():
            front = np.vstack([front[~(value <= front).all(axis=1)], value])
            reached[at] = volume(front, objectives)
    return reached
