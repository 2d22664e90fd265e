"""How far a study is, by its rows alone: while it runs and after, also from another shell."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from tune.search.proposals import Proposal, known, spent
from tune.spec.cells import Cell
from tune.spec.spec import Spec


@dataclass(frozen=True, eq=False)
class Budget:
    """Of one cell. trials: those that have rows; seeds: runs that each is to have."""

    cell: Cell
    trials: list[Proposal]
    seeds: int

    @property
    def done(self) -> int:
        """Trials of the sampler's that are over; one that failed has had its turn."""
        return sum(trial.over for trial in self.trials if not trial.control)

    @property
    def seconds(self) -> float:
        """What they have taken."""
        return spent(self.trials)

    @property
    def controls_left(self) -> int:
        """Runs of controls that are missing."""
        mine = [trial for trial in self.trials if trial.control]
        fresh = len(self.cell.controls()) - len(mine)
        return fresh * self.seeds + sum(len(trial.seeds) for trial in mine)

    @property
    def begun(self) -> list[Proposal]:
        """Trials of the sampler's that have seeds left."""
        return [trial for trial in self.trials if not (trial.control or trial.over)]

    @property
    def share(self) -> float:
        """Of its budget, what is used; the fuller of the two where it has both."""
        if self.cell.trials == 0:
            return 1.0
        of_trials = self.done / self.cell.trials if self.cell.trials else 0.0
        of_seconds = self.seconds / self.cell.seconds if self.cell.seconds else 0.0
        return min(1.0, max(of_trials, of_seconds))

    @property
    def finished(self) -> bool:
        return self.share >= 1 and not self.begun and not self.controls_left

    @property
    def runs_left(self) -> int | None:
        """Rows that are to come; None where seconds alone decide."""
        if self.cell.trials is None:
            return None
        fresh = max(0, self.cell.trials - self.done - len(self.begun)) * self.seeds
        return fresh + self.controls_left + sum(len(trial.seeds) for trial in self.begun)

    def __str__(self) -> str:
        if self.cell.trials == 0:
            of = len(self.cell.controls()) * self.seeds
            return f"{self.cell.name}: {of - self.controls_left} of {of} runs"
        if self.cell.trials is not None:
            text = f"{self.done} of {self.cell.trials} trials"
        else:
            text = f"{self.done} trials in {self.seconds:.0f} of {self.cell.seconds:.0f} s"
        controls = f", {self.controls_left} runs of controls to come" if self.controls_left else ""
        return f"{self.cell.name}: {text}{controls}"


def budgets(spec: Spec, rows: pd.DataFrame) -> list[Budget]:
    """Of each cell."""
    runs = spec.runs()
    return [
        Budget(cell, known(cell.name, rows, runs, spec.phase), spec.seeds) for cell in spec.cells
    ]
