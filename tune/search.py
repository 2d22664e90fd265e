"""The searcher of a study: all its cells at once, each with an Optuna study of its own.

Ray Tune knows runs, one configuration with one seed; Optuna knows trials, one configuration with
all of them. A slot that is free goes to a trial that has seeds left, else to the cell that has used
the least of its budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from ray.tune.search import Searcher

from sgu.rows import Row
from tune.cell_search import NUMBER, CellSearch
from tune.proposals import Proposal, known
from tune.spec import Spec

References = Mapping[tuple[str, int], Mapping[str, Row]]
"""By data set and seed: metrics of the original and the retrained model, by their kind."""


class StudySearch(Searcher):
    """Proposes runs as {cell, data, trial_id, seed, control, phase, settings}."""

    def __init__(self, spec: Spec, folder: Path, rows: pd.DataFrame, references: References):
        super().__init__()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        journal = Path(folder) / "optuna.journal"
        before = _handed_out(journal)
        journal.unlink(missing_ok=True)
        storage = JournalStorage(JournalFileBackend(str(journal)))
        self.cells = {}
        for cell in spec.cells:
            there = known(cell.name, rows, spec.runs())
            self.cells[cell.name] = CellSearch(
                spec, cell, storage, there, before.get(cell.name, {}), references
            )
        self.open: list[Proposal] = []  # trials that have seeds left
        self.runs: dict[str, tuple[Proposal, int]] = {}  # by Tune's name

    def suggest(self, trial_id: str) -> Any:
        if not self.open:
            cell = min(self.cells.values(), key=CellSearch.share)
            if cell.share() >= 1:
                return Searcher.FINISHED
            self.open.append(cell.propose())
        proposal = self.open[0]
        seed = proposal.take()
        self._close()
        self.runs[trial_id] = proposal, seed
        return {
            "cell": proposal.cell,
            "data": self.cells[proposal.cell].cell.data,
            "trial_id": proposal.trial_id,
            "seed": seed,
            "control": proposal.control,
            "phase": "search",
            "settings": proposal.settings | {"seed": seed},
        }

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        proposal, seed = self.runs.pop(trial_id)
        values = {
            name.removeprefix("row/"): value
            for name, value in (result or {}).items()
            if name.startswith("row/")
        }
        status = "failed" if error or "failure" in values else "complete" if values else "pruned"
        proposal.ended(seed, values | {"status": status})
        self._close()
        if proposal.over:
            self.cells[proposal.cell].ended(proposal)

    def _close(self) -> None:
        self.open = [each for each in self.open if each.seeds]

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Optuna hears of ends alone."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the rows are the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a study goes on from its rows, not from Tune's files."""


def _handed_out(journal: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Parameters of the trials that Optuna had handed out, or was to, by cell and number."""
    if not journal.exists():
        return {}
    storage = JournalStorage(JournalFileBackend(str(journal)))
    found = {}
    for cell in optuna.get_all_study_names(storage):
        trials = optuna.load_study(study_name=cell, storage=storage).trials
        found[cell] = {
            trial.user_attrs[NUMBER]: trial.system_attrs.get("fixed_params", {}) | trial.params
            for trial in trials
            if NUMBER in trial.user_attrs
        }
    return found
