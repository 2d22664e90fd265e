"""Trials: configurations with one run for each seed, proposed now or read from rows."""

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
    """One trial: a configuration with one run, and so one row, for each seed.

    settings: of its experiment, except the seed; seeds: those not started yet; rows: of the runs
    that ended, by seed; handle: Optuna's trial, if there is one.
    """

    cell: str
    trial_id: str
    control: bool
    settings: Row
    seeds: list[int]
    rows: dict[int, Row] = field(default_factory=dict)
    handle: Any = None

    @classmethod
    def from_row(cls, row: Any, seeds: Sequence[int]) -> Proposal:
        """Return the trial of a result row, to be run on `seeds`."""
        settings = json.loads(row["config"])
        return cls(row["cell"], row["trial_id"], bool(row["control"]), settings, list(seeds))

    def end_run(self, seed: int, row: Row) -> None:
        """Keep the row of a run; if it is not complete, drop the seeds that have not started."""
        self.rows[seed] = row
        if row["status"] != "complete":
            self.seeds.clear()

    @property
    def status(self) -> str:
        """Failed if a run failed, else pruned if one was pruned, else complete."""
        statuses = {row["status"] for row in self.rows.values()}
        return next((status for status in ("failed", "pruned") if status in statuses), "complete")

    def mean(self, metric: str) -> float:
        """Return a metric's mean over the runs; NaN if one of them lacks it."""
        values = [row.get(metric) for row in self.rows.values()]
        return sum(math.nan if v is None else float(v) for v in values) / len(values)


def recorded(
    cell: str, rows: pd.DataFrame, seeds: Sequence[int], phase: str = "search"
) -> list[Proposal]:
    """Return the trials of a cell that have rows, by number. seeds: of each one's runs."""
    of_cell = rows[(rows["cell"] == cell) & (rows["phase"] == phase)]
    records: list[Any] = of_cell.sort_values(["trial_id", "seed"]).to_dict("records")
    trials: dict[str, Proposal] = {}
    for row in records:
        trial = trials.setdefault(row["trial_id"], Proposal.from_row(row, seeds))
        if row["seed"] in trial.seeds:
            trial.seeds.remove(row["seed"])
        trial.end_run(int(row["seed"]), row)
    return list(trials.values())


def sampled_seconds(trials: Iterable[Proposal]) -> float:
    """Return the seconds that the runs of the sampler's trials took; controls do not count."""
    rows = [row for trial in trials if not trial.control for row in trial.rows.values()]
    return sum(float(row.get("wall_seconds") or 0) for row in rows)
