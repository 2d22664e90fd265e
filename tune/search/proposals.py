"""A configuration on its way through its seeds, and what the rows say of those before."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from sgu.results.rows import Row


@dataclass(eq=False)
class Proposal:
    """One configuration: a trial, with a row for each seed.

    settings: of its experiment, but for the seed; seeds: those without a row; rows: by seed, what
    is known of those that ended; running: seeds in flight; handle: Optuna's trial, if it has one.
    """

    cell: str
    trial_id: str
    control: bool
    settings: Row
    seeds: list[int]
    rows: dict[int, Row] = field(default_factory=dict)
    running: set[int] = field(default_factory=set)
    handle: Any = None

    def take(self) -> int:
        """The next seed to be run."""
        seed = self.seeds.pop(0)
        self.running.add(seed)
        return seed

    def give_back(self, seed: int) -> None:
        """A seed that was taken and not run."""
        self.running.discard(seed)
        self.seeds.insert(0, seed)

    def ended(self, seed: int, row: Row) -> None:
        """What came of a seed; after one that did not complete, the others are not run."""
        self.running.discard(seed)
        self.rows[seed] = row
        if row["status"] != "complete":
            self.seeds.clear()

    @property
    def over(self) -> bool:
        return not self.seeds and not self.running

    @property
    def status(self) -> str:
        """Of the whole trial: failed where a seed failed, else pruned where one was."""
        found = {row["status"] for row in self.rows.values()}
        return next((each for each in ("failed", "pruned") if each in found), "complete")

    def mean(self, metric: str) -> float:
        values = [row.get(metric) for row in self.rows.values()]
        return sum(math.nan if v is None else float(v) for v in values) / len(values)


def known(
    cell: str, rows: pd.DataFrame, seeds: Sequence[int], phase: str = "search"
) -> list[Proposal]:
    """The trials of a cell that have rows, by their number; `seeds` are what each is to have."""
    own = rows[(rows["cell"] == cell) & (rows["phase"] == phase)]
    found: dict[str, Proposal] = {}
    for record in own.sort_values(["trial_id", "seed"]).to_dict("records"):
        row = {str(name): value for name, value in record.items()}
        if row["trial_id"] not in found:
            settings = json.loads(row["config"])
            found[row["trial_id"]] = Proposal(
                cell, row["trial_id"], bool(row["control"]), settings, list(seeds)
            )
        proposal = found[row["trial_id"]]
        if row["seed"] in proposal.seeds:
            proposal.seeds.remove(row["seed"])
        proposal.ended(int(row["seed"]), row)
    return list(found.values())


def spent(proposals: Iterable[Proposal]) -> float:
    """Seconds of all runs that the sampler proposed."""
    rows = [row for each in proposals if not each.control for row in each.rows.values()]
    return sum(float(row.get("wall_seconds") or 0) for row in rows)
