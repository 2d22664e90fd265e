"""Runs that Ray Tune gives up although they have retries left.

Tune retries a run whose worker dies while it works. A worker that dies while it is being set up for
its next run ends that run at once: the searcher hands it out again.
"""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler


class Fifo(FIFOScheduler):
    """Lets every run end. lost: Tune's names of lost runs, known before the searcher is told."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = set[str]()

    def on_trial_error(self, _: Any, trial: Any) -> None:
        if trial.should_recover() and trial.status == Trial.PENDING:  # else Tune retries it
            self.lost.add(trial.trial_id)
