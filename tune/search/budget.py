"""The budget of each cell and how much of it is used, from the rows alone."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from tune.search.proposals import Proposal, recorded, sampled_seconds
from tune.spec.cells import Cell
from tune.spec.spec import Spec


@dataclass(frozen=True, eq=False)
class Budget:
    """The budget of one cell. trials: those that have rows; seeds: the runs of each trial."""

    cell: Cell
    trials: list[Proposal]
    seeds: int

    @property
    def done(self) -> int:
        """The number of the sampler's trials that have ended; a failed one counts."""
        return sum(not (trial.seeds or trial.control) for trial in self.trials)

    @property
    def seconds(self) -> float:
        """The seconds that the sampler's trials took."""
        return sampled_seconds(self.trials)

    @property
    def controls_left(self) -> int:
        """The number of runs of controls that have no row yet."""
        begun = [trial for trial in self.trials if trial.control]
        fresh = len(self.cell.controls()) - len(begun)
        return fresh * self.seeds + sum(len(trial.seeds) for trial in begun)

    @property
    def begun(self) -> list[Proposal]:
        """The sampler's trials that have seeds left."""
        return [trial for trial in self.trials if trial.seeds and not trial.control]

    @property
    def share(self) -> float:
        """The share of the budget that is used, at most 1."""
        return min(1.0, self.cell.share(self.done, self.seconds))

    @property
    def finished(self) -> bool:
        return self.share >= 1 and not self.begun and not self.controls_left

    @property
    def runs_left(self) -> int | None:
        """The number of rows to come; None if only the seconds are limited."""
        if self.cell.trials is None:
            return None
        fresh = max(0, self.cell.trials - self.done - len(self.begun)) * self.seeds
        return fresh + self.controls_left + sum(len(trial.seeds) for trial in self.begun)

    @property
    def text(self) -> str:
        """The budget used so far, in words."""
        if self.cell.trials == 0:
            controls = len(self.cell.controls()) * self.seeds
            return f"{controls - self.controls_left} of {controls} runs"
        text = f"{self.done} trials in {self.seconds:.0f} of {self.cell.seconds or 0:.0f} s"
        if self.cell.trials:
            text = f"{self.done} of {self.cell.trials} trials"
        left = self.controls_left
        return f"{text} (and {left} runs of controls to come)" if left else text


def budgets(spec: Spec, rows: pd.DataFrame) -> list[Budget]:
    """Return the budget of each cell."""
    return [
        Budget(cell, recorded(cell.name, rows, spec.runs(), spec.phase), spec.seeds)
        for cell in spec.cells
    ]


def unfinished(spec: Spec, rows: pd.DataFrame) -> str:
    """Return in one line how far each unfinished cell is; empty if there is none."""
    left = [budget for budget in budgets(spec, rows) if not budget.finished]
    return "; ".join(f"{budget.cell.name}: {budget.text}" for budget in left)


def fruitless(spec: Spec, rows: pd.DataFrame) -> dict[str, str]:
    """Return the cells whose trials of the sampler have all failed, and the last one's reason."""
    reasons = {}
    for budget in budgets(spec, rows):
        sampled = [trial for trial in budget.trials if not trial.control]
        if sampled and all(trial.status == "failed" for trial in sampled):
            failures = [row for row in sampled[-1].rows.values() if row["status"] == "failed"]
            reasons[budget.cell.name] = str(failures[-1]["reason"])
    return reasons
