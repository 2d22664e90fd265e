"""The front once more, on seeds that had no part in choosing it.

The best of many trials are partly the luckiest (the winner's curse): what they are worth is what
they do on fresh seeds, of the splits, the references and the runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd

from analysis.pareto import candidates, pareto_front
from tune.search.proposals import Proposal, known
from tune.spec.spec import Spec


def fresh_seeds(spec: Spec, count: int) -> range:
    """Those after the study's own."""
    return range(spec.runs().stop, spec.runs().stop + count)


def confirmations(spec: Spec, rows: pd.DataFrame, seeds: Sequence[int]) -> list[Proposal]:
    """The configurations of each cell's front, with those of `seeds` that have no row yet."""
    found = []
    for cell in spec.cells:
        own = rows[rows["cell"] == cell.name]
        begun = {each.trial_id: each for each in known(cell.name, own, seeds, "confirm")}
        if candidates(own, spec.objectives).empty:
            continue
        for _, row in pareto_front(own, spec.objectives).sort_values("trial_id").iterrows():
            fresh = Proposal(
                cell.name,
                row["trial_id"],
                bool(row["control"]),
                json.loads(row["config"]),
                list(seeds),
            )
            found.append(begun.get(row["trial_id"], fresh))
    return [each for each in found if each.seeds]
