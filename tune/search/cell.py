"""The search of one cell: its controls, then the proposals of its Optuna study within its budget.

The rows in the store are the truth. Optuna's study is rebuilt from them whenever the driver starts,
so a trial cannot be finished in one place and unknown in the other, and none stays RUNNING for
ever: a trial that was under way when the driver stopped is proposed again, with its number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import optuna
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from sgu.results.rows import Row
from sgu.results.schema import METRICS
from tune.search.budget import Budget
from tune.search.proposals import Proposal, sampled_seconds
from tune.search.samplers import sampler
from tune.spec.spec import Spec

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
GOALS = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
NUMBER = "trial_id"  # an attribute of each of Optuna's trials

References = Mapping[tuple[str, int], Mapping[str, Row]]
"""Metrics of the original and the retrained model, by data set and seed, then by name."""

Earlier = dict[str, dict[str, FrozenTrial]]
"""Trials that an earlier driver handed out or enqueued, as Optuna had them, by cell and number."""


class CellSearch:
    """The search of one cell. budget: of the cell, with its trials that have rows."""

    def __init__(
        self, spec: Spec, budget: Budget, storage: BaseStorage, earlier: Earlier, known: References
    ):
        self.spec, self.cell, self.references = spec, budget.cell, known
        cell, self.earlier = budget.cell, earlier.get(budget.cell.name, {})
        self.space = {name: domain.distribution() for name, domain in cell.space.items()}
        self.trials = {trial.trial_id: trial for trial in budget.trials}
        sampled = [trial for trial in budget.trials if not trial.control]
        self.proposed = len({*self.earlier, *(trial.trial_id for trial in sampled)})
        self.study = optuna.create_study(
            storage=storage,
            study_name=cell.name,
            directions=[GOALS[METRICS[name].goal] for name in spec.objectives],
            sampler=sampler(spec.sampler, spec.sampler_seed, self.proposed, cell.trials or 100),
        )
        self.study.add_trials([self._replay(trial) for trial in sampled if not trial.seeds])
        self.waiting = self._controls() + self._begun()
        numbers = [int(name) for name in (*self.trials, *self.earlier) if name.isdigit()]
        self.next = max([*numbers, len(cell.controls()) - 1]) + 1

    def share(self) -> float:
        """Return the share of the budget that is handed out; from 1 on, no trial is proposed."""
        if self.waiting:
            return -1.0
        return self.cell.share(self.proposed, sampled_seconds(self.trials.values()))

    def propose(self) -> Proposal:
        """Return the next trial: one that waits, else a new one of the sampler's."""
        if self.waiting:
            trial = self.waiting.pop(0)
        else:
            trial = self._trial(f"{self.next:04d}", False, {})
            self.next, self.proposed = self.next + 1, self.proposed + 1
        self.trials[trial.trial_id] = trial
        if not trial.control:
            trial.handle = self.study.ask(self.space)
            trial.handle.set_user_attr(NUMBER, trial.trial_id)
            trial.settings = self.cell.base.settings() | trial.handle.params
        return trial

    def tell(self, trial: Proposal) -> None:
        """Tell Optuna the outcome of a finished trial, unless it is a control."""
        if trial.control:
            return
        state, values = self._outcome(trial)
        for name, excess in self._excess(trial).items() if values else ():
            trial.handle.set_constraint(name, excess)
        self.study.tell(trial.handle, values, state)

    def _trial(self, trial_id: str, control: bool, settings: Row) -> Proposal:
        return Proposal(self.cell.name, trial_id, control, settings, list(self.spec.runs()))

    def _outcome(self, trial: Proposal) -> tuple[TrialState, list[float] | None]:
        """Return a trial's state and objectives; one that is not finite is a failure."""
        if trial.status != "complete":
            return STATES[trial.status], None
        values = [trial.mean(name) for name in self.spec.objectives]
        if not all(math.isfinite(value) for value in [*values, *self._excess(trial).values()]):
            return TrialState.FAIL, None
        return TrialState.COMPLETE, values

    def _excess(self, trial: Proposal) -> dict[str, float]:
        """Return by how much the means of a trial exceed each bound; <= 0 if it is kept."""
        excess = {}
        for name, bound in self.spec.constraints.items():
            above = [
                self.references[self.cell.data, seed][bound.above][name] if bound.above else 0.0
                for seed in trial.rows
            ]
            excess[name] = bound.excess(trial.mean(name) - sum(above) / len(above))
        return excess

    def _replay(self, trial: Proposal) -> FrozenTrial:
        """Return a finished trial as Optuna's."""
        state, values = self._outcome(trial)
        earlier = self.earlier.get(trial.trial_id)
        attributes = earlier.system_attrs.items() if earlier else ()
        return create_trial(  # genetic samplers count generations from an attribute
            state=state,
            values=values,
            params={name: trial.settings[name] for name in self.space},
            distributions=self.space,
            user_attrs={NUMBER: trial.trial_id},
            constraints=self._excess(trial) if values else None,
            system_attrs={k: v for k, v in attributes if k.endswith(":generation")},
        )

    def _controls(self) -> list[Proposal]:
        """Return the controls that have runs left; their numbers come first."""
        fresh = [
            self._trial(f"{number:04d}", True, settings)
            for number, settings in enumerate(self.cell.controls())
        ]
        controls = [self.trials.get(trial.trial_id, trial) for trial in fresh]
        return [trial for trial in controls if trial.seeds]

    def _begun(self) -> list[Proposal]:
        """Return the trials that were under way, after enqueueing them in Optuna in this order."""
        begun = [trial for trial in self.trials.values() if trial.seeds and not trial.control]
        begun += [
            self._trial(name, False, trial.system_attrs.get("fixed_params", {}) | trial.params)
            for name, trial in self.earlier.items()
            if name not in self.trials
        ]  # parameters that were not sampled yet are fixed ones
        for trial in begun:
            params = {name: trial.settings[name] for name in self.space}
            self.study.enqueue_trial(params, user_attrs={NUMBER: trial.trial_id})
        return begun
