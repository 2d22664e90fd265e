"""A study from its specification to its rows: prepare, search, store; and all of it again."""

from __future__ import annotations

import logging
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd
import ray
import yaml
from ray.tune import (
    FailureConfig,
    RunConfig,
    TuneConfig,
    Tuner,
    with_parameters,
    with_resources,
)

from analysis import load_study
from analysis.schema import REFERENCES, TRIALS
from sgu.data.errors import DataError
from tune.asha import FrontAsha
from tune.prepare import Ground, prepare
from tune.search import StudySearch
from tune.sink import Say, Sink
from tune.spec import Spec, SpecError, load_spec
from tune.standing import standings
from tune.store import Store
from tune.trial import Stages, run_trial

QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # a report costs 1 ms instead of 4
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # an epoch's report holds no final metrics
    "RAY_AIR_NEW_OUTPUT": "0",
}


BUDGET = {"trials", "seconds", "oracles", "slots", "cpus_per_trial", "gpus_per_trial"}
"""What may change from one start of a study to the next."""


class Interrupted(RuntimeError):
    """The search ended before all its trials had."""


def run(spec: Spec, results: Path, address: str | None, say: Say, fresh: bool = False) -> Path:
    """Run a study in results/<name>, or go on with it where it is there already.

    Trials and resources may have changed since; raises SpecError where anything else has.
    fresh: delete what is there, and begin anew.
    """
    folder = Path(results) / spec.name
    if not fresh and (folder / "spec.yaml").exists():
        stored = stored_spec(folder)
        if spec.model_copy(update=stored.model_dump(include=BUDGET)) != stored:
            raise SpecError(
                f"{folder} holds another study of that name: give this one its own name, "
                "or delete the other with --fresh"
            )
    ground = grounds(
        spec, folder.parent / "cache", say
    )  # before anything is touched: bad data must leave no trace
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False)
    (folder / "spec.yaml").write_text(text, encoding="utf-8")
    return _search(spec, folder, ground, address, say)


def resume(name: str, results: Path, address: str | None, say: Say) -> Path:
    """Go on with results/<name>: finished trials are kept, interrupted ones run again."""
    folder = Path(results) / name
    if not (folder / "spec.yaml").exists():
        raise SpecError(f"no study in {folder}: start one with `sgu-study run SPEC`")
    spec = stored_spec(folder)
    ground = grounds(spec, folder.parent / "cache", say)
    return _search(spec, folder, ground, address, say)


def grounds(spec: Spec, cache: Path, say: Say) -> list[Ground]:
    """Each data set with each seed. Raises DataError, or SpecError where they do not fit."""

    def on_epoch(done: int, of: int) -> None:
        say(f"measuring memorisation: epoch {done} of {of}")

    found = []
    for data, base in {cell.data: cell.base for cell in reversed(spec.cells)}.items():
        source = None
        for seed in spec.runs():
            try:
                world = replace(base, seed=seed).world(cache, on_epoch, source)
            except DataError:
                raise
            except ValueError as error:
                raise SpecError(f"experiment: {error}") from error
            source = world.source
            found.append(Ground(data, replace(base, seed=seed), world))
    return found[::-1]


def stored_spec(folder: Path) -> Spec:
    return load_spec(folder / "spec.yaml")


def rows_of(folder: Path) -> pd.DataFrame:
    """The rows so far, which may be none."""
    try:
        return load_study(folder)
    except FileNotFoundError:
        return pd.DataFrame(columns=TRIALS.names)


def _search(spec: Spec, folder: Path, ground: list[Ground], address: str | None, say: Say) -> Path:
    store, rows = Store(folder, spec.name), rows_of(folder)
    if all(each.finished for each in standings(spec, rows)) and _referenced(ground, rows):
        say(f"{folder}: all trials are there (--fresh runs them anew)")
        return folder
    begin = time.perf_counter()
    with _ray(spec, address):
        say(f"Ray is up after {time.perf_counter() - begin:.0f} s")
        prepared = prepare(spec, ground, folder.parent / "cache", store, rows, say)
        search = StudySearch(spec, folder, rows, prepared.references)
        left = [each.runs_left for each in standings(spec, rows)]
        todo = None if None in left else sum(each or 0 for each in left)
        searched = {cell.name: list(cell.space) for cell in spec.cells}
        _tune(spec, folder, prepared.stages, search, Sink(store, prepared, searched, todo, say))
    return _finish(spec, store, say)


def _referenced(ground: list[Ground], rows: pd.DataFrame) -> bool:
    """Whether the rows of the references are there."""
    there = set(zip(rows["cell"], rows["seed"], rows["method"], strict=True))
    return all((*each.key, kind) in there for each in ground for kind in REFERENCES)


def _tune(spec: Spec, folder: Path, stages: Stages, search: StudySearch, sink: Sink) -> None:
    """All runs that the searcher proposes, as many at a time as there is room for."""
    asha = spec.scheduler.asha
    Tuner(
        with_resources(
            with_parameters(run_trial, stages=stages),
            {"cpu": spec.cpus_per_trial, "gpu": spec.gpus_per_trial},
        ),
        tune_config=TuneConfig(
            num_samples=-1,  # until the searcher says that it has finished
            search_alg=search,
            scheduler=FrontAsha(asha, spec.objectives) if asha else None,
            max_concurrent_trials=slots(spec),
            reuse_actors=True,
        ),
        run_config=RunConfig(
            name="run",
            storage_path=str((folder / "_tune").resolve()),
            callbacks=[sink],
            failure_config=FailureConfig(max_failures=1),
            verbose=0,
        ),
    ).fit()


def slots(spec: Spec) -> int:
    """Trials at a time: as the specification says, or as many as the cluster has room for."""
    if spec.slots:
        return spec.slots
    there = ray.cluster_resources()
    room = [there.get("CPU", 0) / spec.cpus_per_trial]
    if spec.gpus_per_trial:
        room.append(there.get("GPU", 0) / spec.gpus_per_trial)
    return max(1, int(min(room)))


def _finish(spec: Spec, store: Store, say: Say) -> Path:
    left = [str(each) for each in standings(spec, rows_of(store.folder)) if not each.finished]
    if left:
        raise Interrupted(f"{'; '.join(left)}: `sgu-study resume {spec.name}` goes on")
    store.compact()
    shutil.rmtree(store.folder / "_tune", ignore_errors=True)
    say(f"study {spec.name} is complete: {store.folder}")
    return store.folder


@contextmanager
def _ray(spec: Spec, address: str | None) -> Iterator[None]:
    """A connection to the cluster at `address`, or a single node of our own."""
    os.environ.update(QUIET)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a failure is a row, no traceback
    logging.getLogger("ray._private").setLevel(logging.ERROR)
    ray.init(
        address=address or "local",
        num_cpus=None if address else _cpus(spec),
        include_dashboard=None if address else False,
        log_to_driver=False,
    )
    try:
        yield
    finally:
        ray.shutdown()


def _cpus(spec: Spec) -> int | None:
    """Of a node of our own: as the trials need; None: all there are."""
    return max(1, math.ceil(spec.slots * spec.cpus_per_trial)) if spec.slots else None
