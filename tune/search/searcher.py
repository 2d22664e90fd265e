"""The searcher of a study: all its cells at once, each with an Optuna study of its own.

Ray Tune knows runs, one configuration with one seed; Optuna knows trials, one configuration with
all of them. A slot that is free goes to a trial that has seeds left, else to the cell that has used
the least of its budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial
from ray.tune.search import Searcher

from sgu.files.folder import Folder
from sgu.results.rows import Row
from tune.search.cell import NUMBER, CellSearch
from tune.search.journal import Journal
from tune.search.proposals import Proposal, known
from tune.spec.spec import Spec

References = Mapping[tuple[str, int], Mapping[str, Row]]
"""By data set and seed: metrics of the original and the retrained model, by their kind."""


class RunSearch(Searcher):
    """Hands out the runs of trials, as mappings of cell, data, trial_id, seed, control, phase,
    workers (None: as many as there are slots) and settings."""

    phase: str

    def __init__(self, spec: Spec):
        super().__init__()
        self.data = {cell.name: cell.data for cell in spec.cells}
        self.workers = {cell.name: cell.workers for cell in spec.cells}
        self.open: list[Proposal] = []  # trials that have seeds left
        self.runs: dict[str, tuple[Proposal, int]] = {}  # by Tune's name
        self.abandoned = set[str]()  # names of runs that are to be handed out again

    def proposed(self) -> Proposal | None:
        """The next trial; None: there is no other."""
        raise NotImplementedError

    def over(self, proposal: Proposal) -> None:
        """All runs of a trial are over."""

    def suggest(self, trial_id: str) -> Any:
        if not self.open:
            fresh = self.proposed()
            if fresh is None:
                return None if self.runs else Searcher.FINISHED  # one of them may come back
            self.open.append(fresh)
        proposal = self.open[0]
        if not self._has_room(proposal.cell):
            return None  # not yet
        seed = proposal.take()
        self._close()
        self.runs[trial_id] = proposal, seed
        return {
            "cell": proposal.cell,
            "data": self.data[proposal.cell],
            "trial_id": proposal.trial_id,
            "seed": seed,
            "control": proposal.control,
            "phase": self.phase,
            "workers": self.workers[proposal.cell],
            "settings": proposal.settings | {"seed": seed},
        }

    def _has_room(self, cell: str) -> bool:
        """A cell with a number of workers of its own is alone, and has no more of them."""
        under_way, limit = [proposal.cell for proposal, _ in self.runs.values()], self.workers[cell]
        if limit is None:
            return not any(self.workers[other] for other in under_way)
        return len(under_way) < limit and set(under_way) <= {cell}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        proposal, seed = self.runs.pop(trial_id)
        if trial_id in self.abandoned:
            proposal.give_back(seed)
            self.open = [proposal, *(each for each in self.open if each is not proposal)]
            return
        values = {
            name.removeprefix("row/"): value
            for name, value in (result or {}).items()
            if name.startswith("row/")
        }
        status = "failed" if error or "failure" in values else "complete" if values else "pruned"
        proposal.ended(seed, values | {"status": status})
        self._close()
        if proposal.over:
            self.over(proposal)

    def _close(self) -> None:
        self.open = [each for each in self.open if each.seeds]

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Optuna hears of ends alone."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the rows are the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a study goes on from its rows, not from Tune's files."""


class StudySearch(RunSearch):
    """What the cells' samplers propose, and their controls before that."""

    def __init__(self, spec: Spec, folder: str | Path, rows: pd.DataFrame, references: References):
        super().__init__(spec)
        self.phase = spec.phase
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        there = Folder.at(folder)
        before, self.journal = _handed_out(Journal.stored(there)), Journal(there)
        storage = JournalStorage(self.journal)
        self.cells = {}
        for cell in spec.cells:
            begun = known(cell.name, rows, spec.runs(), spec.phase)
            handed_out = before.get(cell.name, {})
            self.cells[cell.name] = CellSearch(spec, cell, storage, begun, handed_out, references)
        self.journal.publish()

    def proposed(self) -> Proposal | None:
        cell = min(self.cells.values(), key=CellSearch.share)
        with self.journal.whole():
            return cell.propose() if cell.share() < 1 else None

    def over(self, proposal: Proposal) -> None:
        with self.journal.whole():
            self.cells[proposal.cell].ended(proposal)


class ConfirmSearch(RunSearch):
    """Trials that are given, with the seeds that they lack."""

    phase = "confirm"

    def __init__(self, spec: Spec, trials: Sequence[Proposal]):
        super().__init__(spec)
        self.left = list(trials)

    def proposed(self) -> Proposal | None:
        return self.left.pop(0) if self.left else None


def _handed_out(journal: Journal) -> dict[str, dict[str, FrozenTrial]]:
    """The trials that Optuna had handed out, or was to, by cell and number."""
    storage, found = JournalStorage(journal), {}
    for cell in optuna.get_all_study_names(storage):
        trials = optuna.load_study(study_name=cell, storage=storage).trials
        found[cell] = {
            trial.user_attrs[NUMBER]: trial for trial in trials if NUMBER in trial.user_attrs
        }
    return found
