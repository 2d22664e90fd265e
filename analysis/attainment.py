"""Attainment surfaces: the trade-offs that a share of the seeds reach.

By the empirical attainment function: each seed's front is one set F_i, and the surface of level p
bounds what at least p per cent of the n sets attain, the minimal z such that
#{i : a point of F_i is <= z} >= p n / 100.
"""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
import pandas as pd

from analysis.pareto import OBJECTIVES, check_objectives, minimised, only_candidates, some
from sgu.results.schema import METRICS

LEVELS = (25, 50, 75)


def attainment(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> pd.DataFrame:
    """Return the corners of the surfaces that `LEVELS` per cent of the seeds attain, best first.

    frame: rows of single seeds. Columns of the result: the two or three objectives, level (50: the
    median seed) and seeds (the number of sets; a single one is its own front at all levels). In two
    objectives, steps join the corners of a level in this order.

    Raises:
        ValueError: as `pareto_front`; or more than three objectives.
    """
    check_objectives(objectives)
    if len(objectives) > 3:
        raise ValueError(f"{len(objectives)} objectives: attainment surfaces take two or three")
    rows = some(only_candidates(frame, objectives), objectives)
    runs = rows.groupby(["study", "seed"], dropna=False).ngroup().to_numpy()
    order = np.argsort(runs, kind="stable")
    corners = moocore.eaf(minimised(rows, objectives)[order], runs[order], percentiles=LEVELS)
    signs = [METRICS[name].sign for name in objectives]
    surface = pd.DataFrame(corners[:, :-1] * signs, columns=list(objectives))
    surface["level"], surface["seeds"] = corners[:, -1], int(runs.max()) + 1
    return surface
