"""Attainment surfaces: which trade-offs a share of the seeds reach (empirical attainment function).

Each seed's front is one set F_i. The surface of level p is the boundary of what at least p per
cent of the sets attain: the minimal z such that #{i : a point of F_i is <= z} >= p n / 100.
"""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
import pandas as pd

from analysis.intervals import numbered
from analysis.pareto import OBJECTIVES, check_objectives, minimised, only_candidates, some
from sgu.results.schema import METRICS

LEVELS = (25, 50, 75)


def attainment(
    frame: pd.DataFrame,
    objectives: Sequence[str] = OBJECTIVES,
    levels: Sequence[float] = LEVELS,
    by: Sequence[str] = (),
) -> pd.DataFrame:
    """The corners of the surfaces that `levels` per cent of the seeds attain, best first.

    frame: rows of single seeds, two or three objectives. Columns of the result: those of `by`,
    the objectives, level (50: the median seed) and seeds (how many sets there are: with one, all
    levels are its front). In two objectives the corners of a level, in the order given, are
    joined by steps.

    Raises:
        ValueError: as `pareto_front`; or more than three objectives.
    """
    check_objectives(objectives)
    if len(objectives) > 3:
        raise ValueError(f"{len(objectives)} objectives: attainment surfaces take two or three")
    rows = some(only_candidates(frame, objectives), objectives)
    if not by:
        return _surface(rows, objectives, levels)
    groups, group = numbered(rows, by)
    parts = [_surface(rows[group == at], objectives, levels) for at in range(len(groups))]
    found = pd.concat(parts, keys=range(len(groups)))
    keys = groups.loc[found.index.get_level_values(0)].reset_index(drop=True)
    return pd.concat([keys, found.reset_index(drop=True)], axis=1)


def _surface(
    rows: pd.DataFrame, objectives: Sequence[str], levels: Sequence[float]
) -> pd.DataFrame:
    runs = rows.groupby(["study", "seed"], dropna=False).ngroup().to_numpy()
    order = np.argsort(runs, kind="stable")
    corners = moocore.eaf(
        minimised(rows, objectives)[order], runs[order], percentiles=sorted(set(levels))
    )
    signs = [METRICS[name].sign for name in objectives]
    found = pd.DataFrame(corners[:, :-1] * signs, columns=list(objectives))
    found["level"], found["seeds"] = corners[:, -1], int(runs.max()) + 1
    return found
