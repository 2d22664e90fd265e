"""The progress of each cell of a study, for the live view and `sgu-study status`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.pareto import candidates, minimised, volume
from sgu.duration import duration
from sgu.results.schema import METRICS
from tune.search.budget import Budget, budgets
from tune.spec.spec import Spec


@dataclass(frozen=True, eq=False)
class View:
    """The state of one cell.

    running, failed: numbers of runs; eta: seconds to the end of the study, None before the first
    run has ended; best: the best value of the first objective among the configurations that keep
    to the constraints, and its trial.
    """

    budget: Budget
    running: int
    failed: int
    eta: float | None
    hypervolume: float | None
    best: str

    def columns(self) -> list[str]:
        """Return the cell's row in the table of `tune.live`."""
        volume = "–" if self.hypervolume is None else f"{self.hypervolume:.4f}"
        left = "–" if self.eta is None else duration(self.eta)
        left = "done" if self.budget.finished else left
        runs = [self.budget.text, str(self.running), str(self.failed)]
        return [self.budget.cell.name, *runs, left, volume, self.best]

    def __str__(self) -> str:
        cell, done, running, failed, left, volume, best = self.columns()
        left += "" if self.budget.finished else " to go"
        return (
            f"{cell}: {done}, {running} running, {failed} failed, {left}; "
            f"hypervolume {volume}, best {best}"
        )


def views(spec: Spec, rows: pd.DataFrame, running: Mapping[str, int], slots: int) -> list[View]:
    """Return the state of each cell. running: the number of its runs under way, by its name."""
    cells = budgets(spec, rows)
    eta, failed = _eta(cells, rows, slots), rows.loc[rows["status"] == "failed", "cell"]
    return [
        View(
            budget,
            running.get(budget.cell.name, 0),
            int((failed == budget.cell.name).sum()),
            eta,
            *_reached(spec, budget, rows),
        )
        for budget in cells
    ]


def _eta(cells: list[Budget], rows: pd.DataFrame, slots: int) -> float | None:
    """Return the seconds to the end: the runs to come, each as long as the mean of its cell so far
    (or of the study), over the slots. A free slot goes to the cell that is furthest behind, so all
    cells end together."""
    ended = rows[rows["cell"].isin([budget.cell.name for budget in cells])]
    means, of_all = ended.groupby("cell")["wall_seconds"].mean(), ended["wall_seconds"].mean()
    left = 0.0
    for budget in cells:
        if budget.runs_left is None:
            left += max(0.0, (budget.cell.seconds or 0) - budget.seconds)
        elif budget.runs_left:
            left += budget.runs_left * float(means.get(budget.cell.name, of_all))
    return left / slots if math.isfinite(left) else None


def _reached(spec: Spec, budget: Budget, rows: pd.DataFrame) -> tuple[float | None, str]:
    """Return the hypervolume of a cell, and its best trial in words."""
    of_cell = rows[rows["cell"] == budget.cell.name]
    complete = candidates(of_cell, spec.objectives) if len(of_cell) else of_cell
    if complete.empty:
        return None, "–"
    reached = volume(minimised(complete, spec.objectives), spec.objectives)
    feasible = complete[_feasible(spec, complete, rows[rows["cell"] == budget.cell.data])]
    if feasible.empty:
        return reached, "none keeps to the constraints"
    first = spec.objectives[0]
    best = feasible.sort_values(first, ascending=METRICS[first].goal == "min").iloc[0]
    return reached, f"{first} {best[first]:.4g} ({best['trial_id']})"


def _feasible(spec: Spec, configurations: pd.DataFrame, references: pd.DataFrame) -> pd.Series:
    """Return which configurations keep to the constraints."""
    feasible = pd.Series(data=True, index=configurations.index, dtype=bool)
    for name, bound in spec.constraints.items():
        same = references["seed"].isin(spec.runs()) & (references["trial_id"] == bound.above)
        above = references.loc[same, name].mean() if bound.above else 0.0
        feasible &= (configurations[name] - above).map(bound.excess) <= 0
    return feasible
