"""Runs that Ray Tune gives up though they have lives left: it counts the deaths of workers, but one
that dies while it is made ready for its next run ends that run at once."""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler


def abandoned(trial: Any) -> bool:
    """Whether a trial that Tune gave up was so by such a death: it is handed out again."""
    return trial.should_recover()


class Fifo(FIFOScheduler):
    """Every run to its end. abandoned: Tune's names of such runs, said before the search hears."""

    def __init__(self) -> None:
        super().__init__()
        self.abandoned = set[str]()

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        del tune_controller
        if abandoned(trial) and trial.status == Trial.PENDING:  # else Tune recovers from it
            self.abandoned.add(trial.trial_id)
