"""Before the search: the original, the retrained models and the shadow models, once for each data
set and seed, as tasks of the cluster.

The driver keeps each network in the cache, by the content of its recipe, the moment it is trained:
a study that is stopped here goes on from there, and another one finds them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import ray
from ray.exceptions import RayError

from sgu.ensembles import Shadows, shadows
from sgu.ensembles.train import logits_of
from sgu.evaluation import Logits
from sgu.experiment import Experiment
from sgu.files.errors import DataError
from sgu.networks.cache import Kept, keep, load
from sgu.networks.recipe import Recipe
from sgu.rows import ROW, Row, context, described
from sgu.task import Task
from tune import Say
from tune.cluster.connection import slots
from tune.spec.errors import SpecError
from tune.spec.spec import Spec
from tune.storage.store import Store
from tune.storage.study_folder import Cache
from tune.worker.networks import Measured, Progress, beside, measured, recipes
from tune.worker.trial import Stage

SAY_EVERY = 15.0  # seconds between two lines about progress
NEEDED = ("original", "shadow")  # by trials, themselves; of the others, the metrics are
Key = tuple[str, int]
"""A data set's name, and a seed."""


class Failed(RuntimeError):
    """A network that the trials need could not be trained."""


@dataclass(frozen=True, eq=False)
class StudyTask:
    """The task of a study's data set with one seed. base: the settings of one of its methods."""

    data: str
    base: Experiment
    task: Task

    @property
    def key(self) -> Key:
        return self.data, self.base.seed


def study_tasks(
    bases: Mapping[str, Experiment], seeds: Sequence[int], cache: Path, say: Say
) -> list[StudyTask]:
    """Return the task of each data set with each seed. bases: settings on each data set.

    Raises DataError, or SpecError where data and settings do not fit.
    """

    def on_epoch(done: int, epochs: int) -> None:
        say(f"measuring memorisation: epoch {done} of {epochs}")

    tasks = []
    for data, base in bases.items():
        source = None
        for seed in seeds:
            experiment = replace(base, seed=seed)
            try:
                task = experiment.task(cache, on_epoch, source)
            except DataError:
                raise
            except ValueError as error:
                raise SpecError(f"{data}: {error}") from error
            source = task.source
            tasks.append(StudyTask(data, experiment, task))
    return tasks


@dataclass(frozen=True)
class Prepared:
    """By data set and seed: what workers need, the columns that rows share, and the metrics of the
    references by their kind."""

    stages: dict[Key, Stage]
    shared: dict[Key, Row]
    references: dict[Key, dict[str, Row]]


def prepare(
    spec: Spec,
    tasks: Sequence[StudyTask],
    cache: Cache,
    store: Store,
    rows: pd.DataFrame,
    say: Say,
    phase: str = "search",
) -> Prepared:
    """Train what the cache does not have, measure what no row holds, and write those rows."""
    work = Preparation(spec, tasks, cache, rows)
    if work.todo:
        _run(work, say)
    for task in tasks:
        store.splits(task.task.splits.digest, task.task.splits.to_table())
        for row in work.new_rows(task):
            store.trial(row | {"phase": phase})
    return Prepared(
        {task.key: work.stage(task) for task in tasks},
        {task.key: work.shared(task) for task in tasks},
        {task.key: work.rows[task.key] for task in tasks},
    )


class Preparation:
    """What there is of each network, and what is to be done.

    kept, rows: networks and the columns of their rows, by task and name; new: what was measured now
    and has a row; todo: the networks to be trained or measured, as task, name and recipe.
    """

    def __init__(self, spec: Spec, tasks: Sequence[StudyTask], cache: Cache, rows: pd.DataFrame):
        self.spec, self.cache = spec, cache
        self.tasks = {task.data: ray.put(task.task) for task in reversed(tasks)}
        self.splits = {task.key: ray.put(task.task.splits) for task in tasks}
        self.kept: dict[Key, dict[str, Kept]] = {task.key: {} for task in tasks}
        self.rows: dict[Key, dict[str, Row]] = {task.key: {} for task in tasks}
        self.new: dict[Key, dict[str, Measured]] = {task.key: {} for task in tasks}
        self.todo: list[tuple[StudyTask, str, Recipe]] = []
        for task in tasks:
            written = rows[(rows["cell"] == task.data) & (rows["seed"] == task.base.seed)]
            records: list[Any] = written.to_dict("records")
            self.rows[task.key] = {row["trial_id"]: row for row in records}
            for name, recipe in recipes(task.base, task.task, spec.oracles, spec.shadows).items():
                self._look(task, name, recipe)

    def _look(self, task: StudyTask, name: str, recipe: Recipe) -> None:
        """Take a network from the cache if it is needed, and note if anything is left to do."""
        measured_before = name in self.rows[task.key] or recipe.kind == "shadow"
        if recipe.kind in NEEDED or not measured_before:
            self.cache.fetch(recipe.filename)
            kept = load(self.cache.path / recipe.filename)
            if kept:
                self.kept[task.key][name] = kept
            if not (kept and measured_before):
                self.todo.append((task, name, recipe))

    def submit(self, task: StudyTask, name: str, recipe: Recipe, progress: Any) -> Any:
        remote = ray.remote(num_cpus=self.spec.cpus_per_trial, num_gpus=self.spec.gpus_per_trial)
        label = f"{name} of {task.data}, seed {task.base.seed},"
        data, splits = self.tasks[task.data], self.splits[task.key]
        kept = self.kept[task.key].get(name)
        return remote(measured).remote(recipe, kept, data, splits, label, progress)

    def ended(self, task: StudyTask, name: str, recipe: Recipe, network: Measured) -> None:
        if name not in self.kept[task.key]:
            keep(self.cache.path / recipe.filename, network.kept, recipe.settings)
            self.cache.share(recipe.filename)
            self.kept[task.key][name] = network.kept
        if recipe.kind != "shadow" and name not in self.rows[task.key]:
            self.new[task.key][name] = network
            self.rows[task.key][name] = network.row

    def shared(self, task: StudyTask) -> Row:
        """Return the columns that all rows on a task have in common."""
        columns = {"dataset": task.data, "workers": slots(self.spec)}
        return context(task.base, task.task) | columns

    def new_rows(self, task: StudyTask) -> list[Row]:
        """Return the whole rows of what was measured now."""
        retrained, shadowed = self.rows[task.key]["retrain"], self._shadows(task)
        return [
            ROW
            | self.shared(task)
            | described(task.base.settings(), name.split("-")[0])
            | network.row
            | beside(retrained, name, network, task.task, shadowed)
            | {"trial_id": name, "cell": task.data}
            for name, network in self.new[task.key].items()
        ]

    def stage(self, task: StudyTask) -> Stage:
        return Stage(
            self.tasks[task.data],
            self.splits[task.key],
            ray.put(self.kept[task.key]["original"].tensors),
            self.rows[task.key]["original"]["original_digest"],
            ray.put(self._shadows(task)) if self.spec.shadows else None,
        )

    def _shadows(self, task: StudyTask) -> tuple[Shadows, list[Logits]] | None:
        """Return the design of the shadow models and their logits in its order, if any."""
        if not self.spec.shadows:
            return None
        design, kept = shadows(task.base, task.task, self.spec.shadows // 2), self.kept[task.key]
        return design, [logits_of(kept[f"shadow-{i}"]) for i in range(self.spec.shadows)]


def _run(work: Preparation, say: Say) -> None:
    """Do all that is to be done, as much at a time as there is room for."""
    begin, count = time.perf_counter(), len(work.todo)
    say(f"preparing {count} networks: originals, retrained and shadow models")
    actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Progress)
    progress: Any = actor.remote()
    pending = {work.submit(*todo, progress): todo for todo in work.todo}
    while pending:
        ended, _ = ray.wait(list(pending), timeout=SAY_EVERY)
        for result in ended:
            task, name, recipe = pending.pop(result)
            try:
                work.ended(task, name, recipe, ray.get(result))
            except RayError as error:
                raise Failed(f"{name} of {task.data}: {_cause(error)}") from error
        if not ended:
            text = ray.get(progress.text.remote())
            say(f"{time.perf_counter() - begin:4.0f} s  {count - len(pending)} of {count}; {text}")
    say(f"they are ready after {time.perf_counter() - begin:.0f} s")


def _cause(error: RayError) -> str:
    """Return the last line of what a worker says."""
    return str(error).strip().splitlines()[-1]
