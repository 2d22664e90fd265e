"""A study from its specification to its rows: prepare, search, store; and all of it again."""

from __future__ import annotations

import logging
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
from sgu.rows import context
from sgu.world import World
from tune.prepare import KINDS, prepare
from tune.search import StudySearch, proposed
from tune.sink import Say, Sink
from tune.spec import Spec, SpecError, load_spec
from tune.store import Store
from tune.trial import run_trial

QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # a report costs 1 ms instead of 4
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # an epoch's report holds no final metrics
    "RAY_AIR_NEW_OUTPUT": "0",
}


BUDGET = {"trials", "slots", "cpus_per_trial", "gpus_per_trial"}


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
    world = _world(spec, folder, say)  # before anything is touched: bad data must leave no trace
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False)
    (folder / "spec.yaml").write_text(text, encoding="utf-8")
    return _search(spec, folder, world, address, say)


def resume(name: str, results: Path, address: str | None, say: Say) -> Path:
    """Go on with results/<name>: finished trials are kept, interrupted ones run again."""
    folder = Path(results) / name
    if not (folder / "spec.yaml").exists():
        raise SpecError(f"no study in {folder}: start one with `sgu-study run SPEC`")
    spec = stored_spec(folder)
    return _search(spec, folder, _world(spec, folder, say), address, say)


def _world(spec: Spec, folder: Path, say: Say) -> World:
    """The data and who is forgotten. Raises DataError, or SpecError where they do not fit."""

    def on_epoch(done: int, of: int) -> None:
        say(f"measuring memorisation: epoch {done} of {of}")

    try:
        return spec.base().world(folder.parent / "cache", on_epoch)
    except DataError:
        raise
    except ValueError as error:
        raise SpecError(f"experiment: {error}") from error


def stored_spec(folder: Path) -> Spec:
    return load_spec(folder / "spec.yaml")


def rows_of(folder: Path) -> pd.DataFrame:
    """The rows so far, which may be none."""
    try:
        return load_study(folder)
    except FileNotFoundError:
        return pd.DataFrame(columns=TRIALS.names)


def missing(spec: Spec, rows: pd.DataFrame) -> int:
    """Trials of the sampler's that have no row yet; a failed one has had its turn."""
    return max(0, spec.trials - len(proposed(rows)))


def _search(spec: Spec, folder: Path, world: World, address: str | None, say: Say) -> Path:
    store, rows = Store(folder, spec.name), rows_of(folder)
    has_control = (rows["control"] & ~rows["method"].isin(REFERENCES)).any()
    controls = [] if has_control else [spec.base().control().settings()]
    todo = missing(spec, rows) + len(controls)
    if not todo and set(KINDS) <= set(rows["method"]):
        say(f"{folder}: all {spec.trials} trials are there (--fresh runs them anew)")
        return folder
    begin = time.perf_counter()
    with _ray(spec, address):
        say(f"Ray is up after {time.perf_counter() - begin:.0f} s")
        world_ref = ray.put(world)
        made = prepare(spec, world, world_ref, store, rows, say)
        trainable = with_parameters(
            run_trial, world=world_ref, original=made.original, digest=made.digest
        )
        shared = context(spec.base(), world)
        needs = {"cpu": spec.cpus_per_trial, "gpu": spec.gpus_per_trial}
        Tuner(
            with_resources(trainable, needs),
            tune_config=TuneConfig(
                num_samples=todo,
                search_alg=StudySearch(spec, folder, rows, controls),
                max_concurrent_trials=spec.slots,
                reuse_actors=True,
            ),
            run_config=RunConfig(
                name="run",
                storage_path=str((folder / "_tune").resolve()),
                callbacks=[Sink(store, shared, made.retrained, list(spec.search), todo, say)],
                failure_config=FailureConfig(max_failures=1),
                verbose=0,
            ),
        ).fit()
    return _finish(spec, store, say)


def _finish(spec: Spec, store: Store, say: Say) -> Path:
    left = missing(spec, rows_of(store.folder))
    if left:
        raise Interrupted(
            f"{left} of {spec.trials} trials are left: `sgu-study resume {spec.name}` goes on"
        )
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
        num_cpus=None if address else max(1, math.ceil(spec.slots * spec.cpus_per_trial)),
        include_dashboard=None if address else False,
        log_to_driver=False,
    )
    try:
        yield
    finally:
        ray.shutdown()
