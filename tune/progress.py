"""How a study is going: a live view in a terminal, and the same for another shell.

The rows say what is over. What is running only the driver knows: it writes that down whenever it
changes and every few seconds, so that another shell tells a study at work from one that was killed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.pareto import candidates, minimised, volume
from sgu.results.schema import METRICS
from tune.search.budget import Budget, budgets
from tune.spec.spec import Spec


@dataclass(frozen=True, eq=False)
class View:
    """Of one cell. eta: seconds to the end of the study, None where no run has ended yet;
    best: of the first objective, among the configurations that keep to the constraints."""

    budget: Budget
    running: int
    failed: int
    eta: float | None
    hypervolume: float | None
    best: str

    def columns(self) -> list[str]:
        done, *rest = str(self.budget).removeprefix(f"{self.budget.cell.name}: ").split(", ")
        volume = "–" if self.hypervolume is None else f"{self.hypervolume:.4f}"
        eta = "done" if self.budget.finished else _duration(self.eta)
        controls = [f" (and {text})" for text in rest]
        return [
            self.budget.cell.name, done + "".join(controls), str(self.running), str(self.failed),
            eta, volume, self.best,
        ]  # fmt: skip

    def __str__(self) -> str:
        cell, done, running, failed, eta, volume, best = self.columns()
        left = eta if self.budget.finished else f"{eta} to go"
        return (
            f"{cell}: {done}, {running} running, {failed} failed, {left}; "
            f"hypervolume {volume}, best {best}"
        )


def views(spec: Spec, rows: pd.DataFrame, running: Mapping[str, int], slots: int) -> list[View]:
    """Of each cell, by its rows and by how many of its runs are under way."""
    found = budgets(spec, rows)
    eta = _eta(found, rows, slots)
    return [
        View(
            each,
            running.get(each.cell.name, 0),
            int(((rows["cell"] == each.cell.name) & (rows["status"] == "failed")).sum()),
            eta,
            *_reached(spec, each, rows),
        )
        for each in found
    ]


def _eta(found: list[Budget], rows: pd.DataFrame, slots: int) -> float | None:
    """Runs to come, each as long as its cell's mean so far (or the study's), over the slots: a slot
    goes to the cell that is furthest back, so all of them end together."""
    ended = rows[rows["cell"].isin([each.cell.name for each in found])]
    means, every = ended.groupby("cell")["wall_seconds"].mean(), ended["wall_seconds"].mean()
    left = 0.0
    for each in found:
        if each.runs_left is None:
            left += max(0.0, (each.cell.seconds or 0) - each.seconds)
        elif each.runs_left:
            left += each.runs_left * float(means.get(each.cell.name, every))
    return left / slots if math.isfinite(left) else None


def _reached(spec: Spec, budget: Budget, rows: pd.DataFrame) -> tuple[float | None, str]:
    """The hypervolume of a cell, and its best trial."""
    own = rows[rows["cell"] == budget.cell.name]
    found = candidates(own, spec.objectives) if len(own) else own
    if found.empty:
        return None, "–"
    reached = volume(minimised(found, spec.objectives), spec.objectives)
    first = spec.objectives[0]
    kept = found[_kept(spec, found, rows[rows["cell"] == budget.cell.data])]
    if kept.empty:
        return reached, "none keeps to the constraints"
    best = kept.sort_values(first, ascending=METRICS[first].goal == "min").iloc[0]
    return reached, f"{first} {best[first]:.4g} ({best['trial_id']})"


def _kept(spec: Spec, found: pd.DataFrame, references: pd.DataFrame) -> pd.Series:
    """Which configurations keep to the constraints."""
    kept = pd.Series(data=True, index=found.index, dtype=bool)
    for name, bound in spec.constraints.items():
        own = references[references["trial_id"] == bound.above]
        zero = own.loc[own["seed"].isin(spec.runs()), name].mean() if bound.above else 0.0
        kept &= (found[name] - zero).map(bound.excess) <= 0
    return kept


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
