"""Asynchronous successive halving by non-dominated rank: for several objectives at once."""

from __future__ import annotations

from typing import Any

import moocore
import numpy as np
from ray.tune.schedulers import TrialScheduler

from sgu.results.schema import METRICS
from tune.search.recovery import Fifo
from tune.spec.sections import Asha

Rung = dict[str, list[float]]  # objectives at a number of epochs by Tune's name; smaller is better


class FrontAsha(Fifo):
    """Stops a run after grace * factor^k epochs unless it is among the best so far.

    If n runs of a cell have reached rung k, a run goes on if fewer than n / factor of them have a
    better non-dominated rank; so the best front always goes on. Controls always go on, and so does
    a run after its last epoch: stopping it would save nothing.
    """

    def __init__(self, asha: Asha, objectives: tuple[str, ...]):
        super().__init__()
        self.asha, self.objectives = asha, objectives
        self.rungs: dict[tuple[str, int], Rung] = {}

    def on_trial_result(self, _: Any, trial: Any, result: dict[str, Any]) -> str:
        epoch = result.get("epoch/epoch")
        if epoch is None or trial.config["control"] or not self._is_rung(epoch + 1):
            return TrialScheduler.CONTINUE
        settings = trial.config["settings"]
        if epoch + 1 == settings["epochs"] * settings["requests"]:
            return TrialScheduler.CONTINUE
        if any(f"epoch/{name}" not in result for name in self.objectives):
            return TrialScheduler.CONTINUE  # unknown before the last of several requests
        rung = self.rungs.setdefault((trial.config["cell"], epoch), {})
        rung[trial.trial_id] = [
            METRICS[name].sign * result[f"epoch/{name}"] for name in self.objectives
        ]
        goes_on = better(rung, trial.trial_id) < max(1, len(rung) / self.asha.factor)
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP

    def _is_rung(self, epochs: int) -> bool:
        rung = self.asha.grace
        while rung < epochs:
            rung *= self.asha.factor
        return rung == epochs


def better(rung: Rung, name: str) -> int:
    """Return how many runs of a rung have a better non-dominated rank than run `name`."""
    ranks = moocore.pareto_rank(np.array(list(rung.values())))
    return int((ranks < ranks[list(rung).index(name)]).sum())
