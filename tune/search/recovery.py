"""Runs and workers that Ray Tune gives up too early.

Tune retries a run whose worker dies while it works. A worker that dies while it is being set up for
its next run ends that run at once: the searcher hands it out again.

A run that waits for a worker to start would be given to the first one that is free, and the start
given up: where runs are shorter than a start, a node that joins or comes back would stay idle.
"""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler


class Fifo(FIFOScheduler):
    """Lets every run end, and gives a free worker the newest run, for which none is started yet.

    lost: Tune's names of lost runs, known before the searcher is told.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lost = set[str]()

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        trials = reversed(tune_controller.get_trials())
        return next((trial for trial in trials if trial.status == Trial.PENDING), None)

    def on_trial_error(self, _: Any, trial: Any) -> None:
        if trial.should_recover() and trial.status == Trial.PENDING:  # else Tune retries it
            self.lost.add(trial.trial_id)
