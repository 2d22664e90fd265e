"""The search of one cell: its controls, then what its Optuna study proposes, while it has budget.

The rows in the store are the truth. The study in Optuna's journal is rebuilt from them whenever the
driver starts, so no trial can be finished in one place and unknown in the other, and none stays
RUNNING for ever: what was in flight when it stopped is proposed again, with its number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from sgu.results.rows import Row
from sgu.results.schema import METRICS
from tune.search.proposals import Proposal, spent
from tune.search.samplers import sampler
from tune.spec.cells import Cell
from tune.spec.spec import Spec

STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
NUMBER = "trial_id"  # an attribute of each of Optuna's trials


class CellSearch:
    """known: trials that have rows; handed_out: those of the driver before, as Optuna had them, by
    number; references: metrics by data set and seed, and by the reference's name."""

    def __init__(
        self,
        spec: Spec,
        cell: Cell,
        storage: BaseStorage,
        known: Iterable[Proposal],
        handed_out: Mapping[str, FrozenTrial],
        references: Mapping[tuple[str, int], Mapping[str, Row]],
    ):
        self.spec, self.cell, self.references = spec, cell, references
        self.space = {name: domain.distribution() for name, domain in cell.space.items()}
        self.known, self.before = {each.trial_id: each for each in known}, handed_out
        sampled = [each for each in self.known.values() if not each.control]
        self.asked = len({*handed_out, *(each.trial_id for each in sampled)})
        goals = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
        self.study = optuna.create_study(
            storage=storage,
            study_name=cell.name,
            directions=[goals[METRICS[name].goal] for name in spec.objectives],
            sampler=sampler(spec.sampler, spec.sampler_seed, self.asked, cell.trials or 100),
        )
        self.study.add_trials([self._replayed(each) for each in sampled if each.over])
        self.waiting = self._controls() + self._begun()
        numbers = [int(name) for name in (*self.known, *handed_out) if name.isdigit()]
        self.next = max([*numbers, len(cell.controls()) - 1]) + 1

    def share(self) -> float:
        """Of its budget, what is handed out; >= 1 when nothing more is to be proposed."""
        if self.waiting:
            return -1.0
        if self.cell.trials == 0:
            return 1.0
        of_trials = self.asked / self.cell.trials if self.cell.trials else 0.0
        seconds = self.cell.seconds
        return max(of_trials, spent(self.known.values()) / seconds if seconds else 0.0)

    def propose(self) -> Proposal:
        if self.waiting:
            proposal = self.waiting.pop(0)
        else:
            name, self.next, self.asked = f"{self.next:04d}", self.next + 1, self.asked + 1
            proposal = Proposal(self.cell.name, name, False, {}, list(self.spec.runs()))
        self.known[proposal.trial_id] = proposal
        if not proposal.control:
            proposal.handle = self.study.ask(self.space)
            proposal.handle.set_user_attr(NUMBER, proposal.trial_id)
            proposal.settings = self.cell.base.settings() | proposal.handle.params
        return proposal

    def ended(self, proposal: Proposal) -> None:
        """Tell Optuna of a trial all of whose runs are over."""
        if proposal.control:
            return
        state, values = self._told(proposal)
        for name, excess in self._excess(proposal).items() if values else ():
            proposal.handle.set_constraint(name, excess)
        self.study.tell(proposal.handle, values, state)

    def _told(self, proposal: Proposal) -> tuple[TrialState, list[float] | None]:
        """Its state and values; an objective that is not finite is a failure."""
        if proposal.status != "complete":
            return STATES[proposal.status], None
        values = [proposal.mean(name) for name in self.spec.objectives]
        if not all(math.isfinite(value) for value in [*values, *self._excess(proposal).values()]):
            return TrialState.FAIL, None
        return TrialState.COMPLETE, values

    def _excess(self, proposal: Proposal) -> dict[str, float]:
        """How far the means of a trial are out of each bound; <= 0 where they keep to it."""
        found = {}
        for name, bound in self.spec.constraints.items():
            over = [
                self.references[self.cell.data, seed][bound.above][name] if bound.above else 0.0
                for seed in proposal.rows
            ]
            found[name] = bound.excess(proposal.mean(name) - sum(over) / len(over))
        return found

    def _replayed(self, proposal: Proposal) -> FrozenTrial:
        state, values = self._told(proposal)
        return create_trial(
            state=state,
            values=values,
            params={name: proposal.settings[name] for name in self.space},
            distributions=self.space,
            user_attrs={NUMBER: proposal.trial_id},
            constraints=self._excess(proposal) if values else None,
            system_attrs=self._generation(proposal),
        )

    def _generation(self, proposal: Proposal) -> dict[str, Any]:
        """Of a genetic sampler, which counts them from what its trials say."""
        before = self.before.get(proposal.trial_id)
        said = before.system_attrs.items() if before else ()
        return {key: value for key, value in said if key.endswith(":generation")}

    def _controls(self) -> list[Proposal]:
        """Those that have runs left; their numbers are the first."""
        seeds = list(self.spec.runs())
        fresh = [
            Proposal(self.cell.name, f"{number:04d}", True, settings, list(seeds))
            for number, settings in enumerate(self.cell.controls())
        ]
        found = [self.known.get(each.trial_id, each) for each in fresh]
        return [each for each in found if not each.over]

    def _begun(self) -> list[Proposal]:
        """Trials that were on their way, to be gone on with: enqueued in Optuna in this order."""
        begun = [each for each in self.known.values() if not (each.control or each.over)]
        begun += [
            Proposal(self.cell.name, name, False, _parameters(trial), list(self.spec.runs()))
            for name, trial in self.before.items()
            if name not in self.known
        ]
        for each in begun:
            params = {name: each.settings[name] for name in self.space}
            self.study.enqueue_trial(params, user_attrs={NUMBER: each.trial_id})
        return begun


def _parameters(trial: FrozenTrial) -> dict[str, Any]:
    """Those it has, and those it was to have once it is asked for."""
    return trial.system_attrs.get("fixed_params", {}) | trial.params
