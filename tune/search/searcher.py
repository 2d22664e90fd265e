"""The searcher of a study: all its cells at once, each with its own Optuna study.

Ray Tune knows runs: one configuration with one seed. Optuna knows trials: one configuration with
all seeds. A free slot goes to a trial that has seeds left, else to the cell that has used the
smallest share of its budget.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.storages import JournalStorage
from ray.tune.search import Searcher

from sgu.files.location import Location
from tune import Say
from tune.search.budget import budgets
from tune.search.cell import NUMBER, CellSearch, Earlier, References
from tune.search.journal import Journal
from tune.search.proposals import Proposal
from tune.spec.spec import Spec


class RunSearch(Searcher):
    """Hands out the runs of trials, as mappings of cell, data, trial_id, seed, control, phase,
    workers (None: as many as there are slots) and settings."""

    phase: str

    def __init__(self, spec: Spec):
        super().__init__()
        self.by_name = {cell.name: cell for cell in spec.cells}
        self.open: list[Proposal] = []  # trials that have seeds left
        self.runs: dict[str, tuple[Proposal, int]] = {}  # trials and seeds, by Tune's name
        self.lost = set[str]()  # Tune's names of runs that are to be handed out again
        self.slots: Callable[[], float] = lambda: math.inf  # runs at a time, as of now

    def next_trial(self) -> Proposal | None:
        """Return a trial that has not been handed out; None if there is none."""
        raise NotImplementedError

    def tell(self, trial: Proposal) -> None:
        """Learn from a finished trial."""

    def suggest(self, trial_id: str) -> Any:
        """Return the next run; None if there is none for now, FINISHED if none will come."""
        if len(self.runs) >= self.slots():
            return None
        self.open = [trial for trial in self.open if trial.seeds]
        if not self.open:
            fresh = self.next_trial()
            if fresh is None:
                return None if self.runs else Searcher.FINISHED  # a run may still be lost
            self.open.append(fresh)
        trial = self.open[0]
        if not self._has_room(trial.cell):
            return None
        seed = trial.seeds.pop(0)
        self.runs[trial_id] = trial, seed
        return {
            "cell": trial.cell,
            "data": self.by_name[trial.cell].data,
            "trial_id": trial.trial_id,
            "seed": seed,
            "control": trial.control,
            "phase": self.phase,
            "workers": self.by_name[trial.cell].workers,
            "settings": trial.settings | {"seed": seed},
        }

    def _has_room(self, cell: str) -> bool:
        """Return True if a run of the cell may start; a cell with `workers` runs alone."""
        running, limit = [trial.cell for trial, _ in self.runs.values()], self.by_name[cell].workers
        if limit is None:
            return not any(self.by_name[other].workers for other in running)
        return len(running) < limit and set(running) <= {cell}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Take the result of a run, and hand a lost run out again before any other."""
        trial, seed = self.runs.pop(trial_id)
        if trial_id in self.lost:
            trial.seeds.insert(0, seed)
            self.open = [trial, *(other for other in self.open if other is not trial)]
            return
        reported = (result or {}).items()
        values = {k.removeprefix("row/"): v for k, v in reported if k.startswith("row/")}
        status = "failed" if error or "failure" in values else "complete" if values else "pruned"
        trial.end_run(seed, values | {"status": status})
        if not trial.seeds and all(other is not trial for other, _ in self.runs.values()):
            self.tell(trial)

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the rows are the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: a study goes on from its rows, not from Tune's files."""


class StudySearch(RunSearch):
    """Hands out the controls of the cells, then what the samplers propose.

    folder: the study's folder or address, for the journal; rows: the study's rows so far; say: is
    told if the journal is damaged.
    """

    def __init__(
        self,
        spec: Spec,
        folder: str | Path,
        rows: pd.DataFrame,
        references: References,
        say: Say = print,
    ):
        super().__init__(spec)
        self.phase = spec.phase
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        files = Location.at(folder)
        earlier, self.journal = _handed_out(Journal.stored(files), say), Journal(files)
        storage = JournalStorage(self.journal)
        self.cells = {
            budget.cell.name: CellSearch(spec, budget, storage, earlier, references)
            for budget in budgets(spec, rows)
        }
        self.journal.publish()

    def next_trial(self) -> Proposal | None:
        cell = min(self.cells.values(), key=CellSearch.share)
        with self.journal.batch():
            return cell.propose() if cell.share() < 1 else None

    def tell(self, trial: Proposal) -> None:
        with self.journal.batch():
            self.cells[trial.cell].tell(trial)


class ConfirmSearch(RunSearch):
    """Hands out the runs that the given trials lack."""

    phase = "confirm"

    def __init__(self, spec: Spec, trials: Sequence[Proposal]):
        super().__init__(spec)
        self.left = list(trials)

    def next_trial(self) -> Proposal | None:
        return self.left.pop(0) if self.left else None


def _handed_out(journal: Journal, say: Say) -> Earlier:
    """Return the trials in an earlier driver's journal. A damaged one is set aside: the rows hold
    all that has ended, so at most trials under way are drawn anew."""
    try:
        handed_out = _trials(JournalStorage(journal))
    except Exception as error:  # whatever Optuna raises for lines that are none of its own
        journal.damage, handed_out = f"{type(error).__name__}: {error}", {}
    if journal.damage:
        kept = journal.folder.inside(journal.set_aside()).shown
        say(f"optuna.journal is damaged ({journal.damage}): it is set aside as {kept} and rebuilt")
    return handed_out


def _trials(storage: JournalStorage) -> Earlier:
    handed_out: Earlier = {}
    for cell in optuna.get_all_study_names(storage):
        trials = optuna.load_study(study_name=cell, storage=storage).trials
        handed_out[cell] = {
            trial.user_attrs[NUMBER]: trial for trial in trials if NUMBER in trial.user_attrs
        }
    return handed_out
