"""Runs that confirm a front on seeds that had no part in choosing it.

The best of many trials are partly the luckiest (the winner's curse). Fresh seeds, for splits,
references and runs alike, show what they are worth.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.pareto import candidates, pareto_front
from tune.search.proposals import Proposal, recorded
from tune.spec.spec import Spec


def fresh_seeds(spec: Spec, count: int) -> range:
    """Return the first `count` seeds after those of the study."""
    return range(spec.runs().stop, spec.runs().stop + count)


def confirmations(spec: Spec, rows: pd.DataFrame, seeds: Sequence[int]) -> list[Proposal]:
    """Return the configurations of each cell's front that have no row yet for some of `seeds`."""
    trials = []
    for cell in spec.cells:
        of_cell = rows[rows["cell"] == cell.name]
        if candidates(of_cell, spec.objectives).empty:
            continue
        begun = {trial.trial_id: trial for trial in recorded(cell.name, rows, seeds, "confirm")}
        front = pareto_front(of_cell, spec.objectives).sort_values("trial_id")
        for _, row in front.iterrows():
            trials.append(begun.get(row["trial_id"], Proposal.from_row(row, seeds)))
    return [trial for trial in trials if trial.seeds]
