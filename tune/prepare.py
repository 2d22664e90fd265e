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
from sgu.evaluation import Logits, context
from sgu.experiment import Experiment
from sgu.files.errors import DataError
from sgu.results.rows import Row, result_row
from sgu.task import Task
from tune import Say
from tune.cluster.connection import slots
from tune.spec.errors import SpecError
from tune.spec.spec import Spec
from tune.storage.store import Store
from tune.storage.study_folder import Cache
from tune.worker.networks import Made, Measured, Network, Progress, beside, measured, networks
from tune.worker.trial import Stage

SAY_EVERY = 15.0  # seconds between two lines about progress
NEEDED = ("original", "shadow")  # themselves; of the others, their metrics are
Key = tuple[str, int]
"""A data set's name, and a seed."""


class Failed(RuntimeError):
    """A network that the trials need could not be trained."""


@dataclass(frozen=True, eq=False)
class Ground:
    """What all methods stand on, of one data set with one seed. base: settings of one of them."""

    data: str
    base: Experiment
    task: Task

    @property
    def key(self) -> Key:
        return self.data, self.base.seed


def grounds(
    bases: Mapping[str, Experiment], seeds: Sequence[int], cache: Path, say: Say
) -> list[Ground]:
    """Each data set with each seed. bases: settings on each data set.

    Raises DataError, or SpecError where data and settings do not fit.
    """

    def on_epoch(done: int, of: int) -> None:
        say(f"measuring memorisation: epoch {done} of {of}")

    found = []
    for data, base in bases.items():
        source = None
        for seed in seeds:
            own = replace(base, seed=seed)
            try:
                task = own.task(cache, on_epoch, source)
            except DataError:
                raise
            except ValueError as error:
                raise SpecError(f"{data}: {error}") from error
            source = task.source
            found.append(Ground(data, own, task))
    return found


@dataclass(frozen=True)
class Prepared:
    """By data set and seed: what workers need, the columns that rows share, and the metrics of the
    references by their kind."""

    stages: dict[Key, Stage]
    shared: dict[Key, Row]
    references: dict[Key, dict[str, Row]]


def prepare(
    spec: Spec,
    grounds: Sequence[Ground],
    cache: Cache,
    store: Store,
    rows: pd.DataFrame,
    say: Say,
    phase: str = "search",
) -> Prepared:
    """Train what the cache does not have, measure what no row holds, and write those rows."""
    work = Preparation(spec, grounds, cache, rows)
    if work.todo:
        _run(work, say)
    for ground in grounds:
        store.splits(ground.task.splits.digest, ground.task.splits.to_table())
        for row in work.new_rows(ground):
            store.trial(row | {"phase": phase})
    return Prepared(
        {ground.key: work.stage(ground) for ground in grounds},
        {ground.key: work.shared(ground) for ground in grounds},
        {ground.key: work.rows[ground.key] for ground in grounds},
    )


class Preparation:
    """What there is of each network, and what is to be done.

    made, rows: networks and the columns of their rows, by ground and name; new: what was measured
    now and has a row.
    """

    def __init__(self, spec: Spec, grounds: Sequence[Ground], cache: Cache, rows: pd.DataFrame):
        self.spec, self.cache = spec, cache
        self.tasks = {ground.data: ray.put(ground.task) for ground in reversed(grounds)}
        self.splits = {ground.key: ray.put(ground.task.splits) for ground in grounds}
        self.made: dict[Key, dict[str, Made]] = {ground.key: {} for ground in grounds}
        self.rows: dict[Key, dict[str, Row]] = {ground.key: {} for ground in grounds}
        self.new: dict[Key, dict[str, Measured]] = {ground.key: {} for ground in grounds}
        self.todo: list[tuple[Ground, Network]] = []
        for ground in grounds:
            own = rows[(rows["cell"] == ground.data) & (rows["seed"] == ground.base.seed)]
            records: list[Any] = own.to_dict("records")
            self.rows[ground.key] = {row["trial_id"]: row for row in records}
            for network in networks(ground.base, ground.task, spec.oracles, spec.shadows):
                self._look(ground, network)

    def _look(self, ground: Ground, network: Network) -> None:
        """Whether there is anything to do for a network."""
        measured_before = network.name in self.rows[ground.key] or network.kind == "shadow"
        if network.kind in NEEDED or not measured_before:
            self.cache.fetch(network.recipe.filename)
            found = network.found(ground.task, self.cache.path)
            if found:
                self.made[ground.key][network.name] = found
            if not (found and measured_before):
                self.todo.append((ground, network))

    def submit(self, ground: Ground, network: Network, progress: Any) -> Any:
        remote = ray.remote(num_cpus=self.spec.cpus_per_trial, num_gpus=self.spec.gpus_per_trial)
        name = f"{network.name} of {ground.data}, seed {ground.base.seed},"
        found = self.made[ground.key].get(network.name)
        task, splits = self.tasks[ground.data], self.splits[ground.key]
        return remote(measured).remote(network, found, task, splits, name, progress)

    def ended(self, ground: Ground, network: Network, found: Measured) -> None:
        if network.name not in self.made[ground.key]:
            network.keep(found.made, self.cache.path)
            self.cache.share(network.recipe.filename)
            self.made[ground.key][network.name] = found.made
        if network.kind != "shadow" and network.name not in self.rows[ground.key]:
            self.new[ground.key][network.name] = found
            self.rows[ground.key][network.name] = found.row

    def shared(self, ground: Ground) -> Row:
        """Columns that all rows on a ground have in common."""
        own = {"dataset": ground.data, "workers": slots(self.spec)}
        return context(ground.base.settings(), ground.task) | own

    def new_rows(self, ground: Ground) -> list[Row]:
        """Whole rows of what was measured now."""
        retrained, by = self.rows[ground.key]["retrain"], self._shadows(ground)
        return [
            result_row(
                ground.base.settings(),
                self.shared(ground),
                found.row | beside(retrained, name, found, ground.task, by),
                reference=name.split("-")[0],
                trial_id=name,
            )
            for name, found in self.new[ground.key].items()
        ]

    def stage(self, ground: Ground) -> Stage:
        original: Any = self.made[ground.key]["original"]
        digest = self.rows[ground.key]["original"]["original_digest"]
        return Stage(
            self.tasks[ground.data],
            self.splits[ground.key],
            ray.put(original.model.state_dict()),
            digest,
            ray.put(self._shadows(ground)) if self.spec.shadows else None,
        )

    def _shadows(self, ground: Ground) -> tuple[Shadows, list[Logits]] | None:
        """The design of the shadow models, and their logits in its order, where there are any."""
        if not self.spec.shadows:
            return None
        design, made = shadows(ground.base, ground.task, self.spec.shadows // 2), self.made
        logits: list[Any] = [made[ground.key][f"shadow-{i}"] for i in range(self.spec.shadows)]
        return design, logits


def _run(work: Preparation, say: Say) -> None:
    """All that is to be done, as much at a time as there is room for."""
    begin, count = time.perf_counter(), len(work.todo)
    say(f"preparing {count} networks: originals, retrained and shadow models")
    actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Progress)
    progress: Any = actor.remote()
    pending = {work.submit(*each, progress): each for each in work.todo}
    while pending:
        ended, _ = ray.wait(list(pending), timeout=SAY_EVERY)
        for reference in ended:
            ground, network = pending.pop(reference)
            try:
                work.ended(ground, network, ray.get(reference))
            except RayError as error:
                raise Failed(f"{network.name} of {ground.data}: {_cause(error)}") from error
        if not ended:
            text = ray.get(progress.text.remote())
            say(f"{time.perf_counter() - begin:4.0f} s  {count - len(pending)} of {count}; {text}")
    say(f"they are ready after {time.perf_counter() - begin:.0f} s")


def _cause(error: RayError) -> str:
    """The last line of what a worker says."""
    return str(error).strip().splitlines()[-1]
