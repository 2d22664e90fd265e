"""Before the search: the original, the retrained models and the shadow models, once for each data
set and seed, as tasks of the cluster.

The driver keeps each network in the cache, by the content of its recipe, the moment it is trained:
a study that is stopped here goes on from there, and another one finds them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import ray
import torch
from ray.exceptions import RayError

from sgu.ensembles.designs import selection_shadows
from sgu.ensembles.selection import Selection, ShadowMargins
from sgu.ensembles.train import logits_of
from sgu.evaluation import context
from sgu.experiment import Experiment
from sgu.files.errors import DataError
from sgu.networks.cache import Kept, keep, load
from sgu.results.rows import Row, result_row
from sgu.results.schema import METRICS
from sgu.results.verdicts import References
from sgu.task import Task
from tune import Say
from tune.cluster.connection import slots
from tune.spec.errors import SpecError, last_line
from tune.spec.sections import WITHOUT_RESIDUAL
from tune.spec.spec import Spec
from tune.storage.study_folder import Cache, StudyFolder, rows_of
from tune.worker.counting import Progress
from tune.worker.networks import Measured, beside, measured, recipes
from tune.worker.trial import TrialInputs

SAY_EVERY = 15.0  # seconds between two lines about progress
NEEDED = ("original", "shadow")  # networks that trials need; of others they need the metrics
Key = tuple[str, int]
"""A data set's name, and a seed."""


class Interrupted(RuntimeError):
    """A study that ended before all its networks or trials were done."""


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
            if source is None and (classes := base.forgetting().of(task.source)):
                say(f"{data}: forgets {classes}")
            source = task.source
            tasks.append(StudyTask(data, experiment, task))
    torch.cuda.empty_cache()  # what measuring memorisation took, which the workers need
    return tasks


@dataclass(frozen=True)
class Prepared:
    """The inputs of trials, the columns that rows share, and the references' metrics by name; all
    by data set and seed."""

    inputs: dict[Key, TrialInputs]
    shared: dict[Key, Row]
    references: dict[Key, dict[str, Row]]


def prepare(
    spec: Spec, tasks: Sequence[StudyTask], folder: StudyFolder, say: Say, phase: str = "search"
) -> Prepared:
    """Train what the cache does not have, measure what no row holds, and write those rows."""
    data = {task.data: ray.put(task.task) for task in reversed(tasks)}
    rows, cache, store = rows_of(folder.address), folder.cache, folder.store
    work = {task.key: Preparation(spec, task, data[task.data], cache, rows) for task in tasks}
    _run([(networks, name) for networks in work.values() for name in networks.todo], say)
    for task in tasks:
        store.splits(task.task.splits.digest, task.task.splits.to_table())
        work[task.key].compare()
        for row in work[task.key].new_rows():
            store.trial(row | {"phase": phase})
    return Prepared(
        {key: networks.inputs() for key, networks in work.items()},
        {key: networks.shared() for key, networks in work.items()},
        {key: networks.rows for key, networks in work.items()},
    )


def measurable(spec: Spec, references: Mapping[Key, Mapping[str, Row]], say: Say) -> Spec:
    """Return the specification with objectives that the references allow: residual memory has no
    scale where the original cannot be told from retrained models.

    Raises SpecError if it states such an objective; one by default gives way to another.
    """
    unknown = [
        key for key, of in references.items() if not _metrics(of["original"], "val_residual")
    ]
    if not unknown or spec.phase != "search" or "val_residual" not in spec.objectives:
        return spec
    data, seed = unknown[0]
    why = f"val_residual: the original of {data}, seed {seed}, cannot be told from retrained models"
    if spec.states_objectives:
        raise SpecError(
            f"{why}: train it for longer (pretrain_epochs), forget more, or choose other objectives"
        )
    say(f"{why}: the objectives are {' and '.join(WITHOUT_RESIDUAL)} instead")
    return spec.model_copy(update={"objectives": WITHOUT_RESIDUAL})


class Preparation:
    """The networks of one task of a study, by name.

    data: the task in Ray's store, of any seed. kept, rows: networks and the columns of their rows;
    new: networks measured now that have a row; todo: those to be trained or measured.
    """

    def __init__(self, spec: Spec, task: StudyTask, data: Any, cache: Cache, rows: pd.DataFrame):
        self.spec, self.task, self.data, self.cache = spec, task, data, cache
        self.splits = ray.put(task.task.splits)
        written = rows[(rows["cell"] == task.data) & (rows["seed"] == task.base.seed)]
        records: list[Any] = written.to_dict("records")
        self.rows: dict[str, Row] = {row["trial_id"]: row for row in records}
        self.kept: dict[str, Kept] = {}
        self.new: dict[str, Measured] = {}
        self.recipes = recipes(task.base, task.task, spec.oracles, spec.shadows)
        self.todo = [name for name in self.recipes if not self._done(name)]

    def _done(self, name: str) -> bool:
        """Return True if nothing is left to do for a network, which is fetched if it is needed."""
        recipe = self.recipes[name]
        measured_before = name in self.rows or recipe.kind == "shadow"
        if measured_before and recipe.kind not in NEEDED:
            return True
        self.cache.fetch(recipe.filename)
        kept = load(self.cache.path / recipe.filename)
        if kept:
            self.kept[name] = kept
        return bool(kept and measured_before)

    def submit(self, name: str, progress: Any) -> Any:
        remote = ray.remote(num_cpus=self.spec.cpus_per_trial, num_gpus=self.spec.gpus_per_trial)
        label = f"{name} of {self.task.data}, seed {self.task.base.seed},"
        recipe, kept = self.recipes[name], self.kept.get(name)
        return remote(measured).remote(recipe, kept, self.data, self.splits, label, progress)

    def ended(self, name: str, network: Measured) -> None:
        recipe = self.recipes[name]
        if name not in self.kept:
            keep(self.cache.path / recipe.filename, network.kept, recipe.settings)
            self.cache.share(recipe.filename)
            self.kept[name] = network.kept
        if recipe.kind != "shadow" and name not in self.rows:
            self.new[name] = network
            self.rows[name] = dict(network.row)

    def shared(self) -> Row:
        """Return the columns that all rows on the task have in common."""
        columns = {"dataset": self.task.data, "workers": slots(self.spec)}
        return context(self.task.base.settings(), self.task.task) | columns

    def compare(self) -> None:
        """Add to the rows what takes all networks: attacks by shadow models, and the distances from
        retrained models."""
        attacks = Selection(len(self.task.task.splits.forget), self.shadows)
        for name, network in self.new.items():
            self.rows[name] |= beside(self.rows["retrain"], name, network, self.task.task, attacks)
        for name in self.new:
            self.rows[name] |= self._selection(but=name).residual(_metrics(self.rows[name]))

    def new_rows(self) -> list[Row]:
        """Return the whole rows of the networks that were measured now."""
        return [
            result_row(
                self.task.base.settings(),
                self.shared(),
                self.rows[name],
                reference=name.split("-")[0],
                trial_id=name,
            )
            for name in self.new
        ]

    def inputs(self) -> TrialInputs:
        return TrialInputs(
            self.data,
            self.splits,
            ray.put(self.kept["original"].tensors),
            self.rows["original"]["original_digest"],
            ray.put(self._selection()),
        )

    def _selection(self, but: str = "") -> Selection:
        """Return what trials are judged by. but: a retrained model that is not judged by itself."""
        retrained = [
            _metrics(row) for name, row in self.rows.items() if name not in ("original", but)
        ]
        references = References(original=_metrics(self.rows["original"]), retrained=retrained)
        return Selection(len(self.task.task.splits.forget), self.shadows, references)

    @cached_property
    def shadows(self) -> ShadowMargins | None:
        if not self.spec.shadows:
            return None
        design = selection_shadows(self.task.base, self.task.task, self.spec.shadows // 2)
        logits = [logits_of(self.kept[f"shadow-{i}"]) for i in range(self.spec.shadows)]
        return ShadowMargins.of(design, logits, self.task.task)


def _metrics(row: Row, *names: str) -> dict[str, float]:
    """Return the metrics that a row has. names: of those that count; none: all."""
    return {name: row[name] for name in names or METRICS if pd.notna(row.get(name))}


def _run(todo: Sequence[tuple[Preparation, str]], say: Say) -> None:
    """Train and measure networks, as many at a time as there is room for."""
    if not todo:
        return
    begin, count = time.perf_counter(), len(todo)
    say(f"preparing {count} networks: originals, retrained and shadow models")
    actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Progress)
    progress: Any = actor.remote()
    pending = {work.submit(name, progress): (work, name) for work, name in todo}
    while pending:
        ended, _ = ray.wait(list(pending), timeout=SAY_EVERY)
        for result in ended:
            work, name = pending.pop(result)
            try:
                work.ended(name, ray.get(result))
            except RayError as error:
                reason = last_line(error, "its worker died")
                raise Interrupted(f"{name} of {work.task.data}: {reason}") from error
        if not ended:
            text = ray.get(progress.text.remote())
            done = f"{time.perf_counter() - begin:4.0f} s  {count - len(pending)} of {count}"
            say("; ".join(filter(None, [done, text])))
    say(f"they are ready after {time.perf_counter() - begin:.0f} s")
