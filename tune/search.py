"""Optuna behind Ray Tune: controls first, then what the sampler proposes.

The rows in the store are the truth. Optuna's journal is rebuilt from them whenever a study starts
or resumes, so no trial can be finished in one place and unknown in the other, and none stays
RUNNING for ever: what was in flight when the study stopped is proposed again, with its settings.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.samplers import BaseSampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial
from ray.tune.search.optuna import OptunaSearch

from analysis.schema import METRICS
from tune.spec import Spec


class StudySearch(OptunaSearch):
    """OptunaSearch with numbered trials, controls of the study's own, and FAIL for failures."""

    def __init__(
        self, spec: Spec, folder: Path, rows: pd.DataFrame, controls: list[dict[str, Any]]
    ):
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._base = spec.base().settings()
        self._controls, self._apart = list(controls), set[str]()
        self._next = _first_free(rows)
        space = {name: domain.distribution() for name, domain in spec.search.items()}
        journal = Path(folder) / "optuna.journal"
        in_flight = _in_flight(spec, journal, rows)
        journal.unlink(missing_ok=True)
        storage = JournalStorage(JournalFileBackend(str(journal)))
        modes: list[str] = [METRICS[name].goal for name in spec.objectives]
        study = optuna.create_study(
            storage=storage,
            study_name=spec.name,
            directions=["minimize" if mode == "min" else "maximize" for mode in modes],
        )
        study.add_trials([_replayed(row, spec, space) for row in proposed(rows)])
        super().__init__(
            space=space,
            metric=list(spec.objectives),
            mode=modes,
            points_to_evaluate=in_flight,
            sampler=_sampler(spec, len(study.trials)),
            study_name=spec.name,
            storage=storage,
        )

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        control = bool(self._controls)
        if control:
            self._apart.add(trial_id)
            settings = self._controls.pop(0)
        else:
            settings = self._base | (super().suggest(trial_id) or {})
        number, self._next = self._next, self._next + 1
        return {"trial_id": f"{number:04d}", "control": control, "settings": settings}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        if trial_id in self._apart:
            return
        values = {name.removeprefix("row/"): value for name, value in (result or {}).items()}
        failed = error or "failure" in values
        super().on_trial_complete(trial_id, None if failed else values, error=failed)


def _sampler(spec: Spec, known: int) -> BaseSampler:
    """Seeded anew for each resume: the same seed would repeat the first points."""
    seed = spec.sampler_seed + known
    makers: dict[str, Any] = {
        "tpe": lambda: TPESampler(seed=seed, n_startup_trials=max(4, min(10, spec.trials // 3))),
        "nsga2": lambda: NSGAIISampler(seed=seed, population_size=max(4, spec.trials // 4)),
        "qmc": lambda: QMCSampler(seed=seed, scramble=True),
        "random": lambda: RandomSampler(seed=seed),
    }
    return makers[spec.sampler]()


def _first_free(rows: pd.DataFrame) -> int:
    numbers = [int(name) for name in rows["trial_id"] if str(name).isdigit()]
    return max(numbers, default=-1) + 1


def proposed(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows whose settings the sampler chose, oldest first."""
    chosen = rows[rows["control"] == False]  # noqa: E712
    records = chosen.sort_values("trial_id").to_dict("records")
    return [{str(name): value for name, value in record.items()} for record in records]


def _replayed(row: dict[str, Any], spec: Spec, space: dict[str, Any]) -> optuna.trial.FrozenTrial:
    settings = json.loads(row["config"])
    values = [row[name] for name in spec.objectives]
    complete = row["status"] == "complete" and all(math.isfinite(value) for value in values)
    return create_trial(
        state=TrialState.COMPLETE if complete else TrialState.FAIL,
        values=values if complete else None,
        params={name: settings[name] for name in space},
        distributions=space,
    )


def _in_flight(spec: Spec, journal: Path, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Settings that Optuna had handed out, or was to hand out again, and that no row answers."""
    if not journal.exists():
        return []
    storage = JournalStorage(JournalFileBackend(str(journal)))
    if spec.name not in optuna.get_all_study_names(storage):
        return []  # the driver died before it was created
    trials = optuna.load_study(study_name=spec.name, storage=storage).trials
    handed = [trial.system_attrs.get("fixed_params", {}) | trial.params for trial in trials]
    answered = [json.loads(row["config"]) for row in proposed(rows)]
    seen = [{name: settings[name] for name in spec.search} for settings in answered]
    return [params for params in handed if params and params not in seen]
