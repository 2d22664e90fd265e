"""Configurations: rows of single seeds put together, with the means of their metrics."""

from __future__ import annotations

import pandas as pd

from sgu.results.schema import METRICS, STATUSES

CONFIGURED = ("study", "cell", "trial_id")
"""Columns that identify a configuration."""


def configurations(frame: pd.DataFrame, phase: str | None = "search") -> pd.DataFrame:
    """Return one row for each configuration (study, cell, trial_id) of a phase (None: of all).

    Its columns are those of its first seed's row, except
    - each metric: the mean over the complete seeds that have it;
    - `<metric>_spread`: their standard deviation (n - 1), NaN for a single one;
    - `seeds`: how many are complete; `status`: complete only if every seed is;
    - `wall_seconds`, `device_seconds`: the sums over all seeds, and `started`: the first.
    A frame of configurations is returned as it is.
    """
    if "seeds" in frame:
        return frame
    rows = frame if phase is None else frame[frame["phase"] == phase]
    rows = rows.sort_values([*CONFIGURED, "seed"], kind="stable", ignore_index=True)
    groups = rows.groupby(list(CONFIGURED), sort=False, dropna=False)
    first, number = groups.head(1).reset_index(drop=True), groups.ngroup()
    complete = rows["status"] == "complete"
    measured = rows.loc[complete, list(METRICS)].groupby(number[complete])
    worst = rows["status"].map(STATUSES.index).groupby(number).max()
    by_number = rows.groupby(number)
    changed = {
        "status": worst.map(dict(enumerate(STATUSES))),
        "wall_seconds": by_number["wall_seconds"].sum(min_count=1),
        "device_seconds": by_number["device_seconds"].sum(min_count=1),
        "started": by_number["started"].min(),
        "seeds": complete.groupby(number).sum(),
    }
    kept = first.drop(columns=list(METRICS)).assign(**changed)
    spreads = measured.std(ddof=1).add_suffix("_spread")
    columns = [*frame.columns, "seeds", *spreads.columns]
    return pd.concat([kept, measured.mean(), spreads], axis=1)[columns]
