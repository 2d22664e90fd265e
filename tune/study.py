"""A study from its specification to its rows: prepare, search, store; and all of it again."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from ray.tune import (
    Callback,
    FailureConfig,
    RunConfig,
    TuneConfig,
    Tuner,
    with_parameters,
    with_resources,
)

from tune import Say
from tune.cluster.connection import connected, slots
from tune.cluster.dashboards import serve
from tune.interrupt import stoppable
from tune.live import Watch, live
from tune.prepare import Ground, Prepared, grounds, prepare
from tune.recorder import Recorder
from tune.search.asha import FrontAsha
from tune.search.budget import budgets
from tune.search.confirm import confirmations, fresh_seeds
from tune.search.journal import Journal
from tune.search.recovery import Fifo
from tune.search.searcher import ConfirmSearch, RunSearch, StudySearch
from tune.spec.errors import SpecError
from tune.spec.spec import Spec
from tune.storage import lock
from tune.storage.lock import study_lock
from tune.storage.study_folder import StudyFolder, no_rows, rows_of, stored_spec
from tune.worker.networks import networks
from tune.worker.trial import run_trial

DEATHS = 8  # of a trial's worker or node: each time it goes on from its checkpoint
BUDGET = {"trials", "seconds", "oracles", "slots", "cpus_per_trial", "gpus_per_trial"}
"""What may change from one start of a study to the next."""

Plan = Callable[[Prepared], tuple[RunSearch, int | None]]
"""A searcher, and how many runs it is to hand out where that is known."""


Begin = Callable[[], None]
"""Makes a new study's folder, once Ray is up: without it nothing is deleted, and nothing left."""


class Interrupted(RuntimeError):
    """The search ended before all its trials had."""


Results = str | Path
"""The folder that holds the studies, or an address such as s3://bucket/folder."""


def run(
    spec: Spec, results: Results, address: str | None, say: Say, fresh: bool = False
) -> Results:
    """Run a study in results/<name>, or go on with it where it is there already.

    Its budget and resources may have changed since; raises SpecError where anything else has.
    fresh: delete what is there, and begin anew. Returns where it is.
    """
    home = StudyFolder(str(results), spec.name)
    home.check()
    if home.begun and not fresh:
        stored = stored_spec(home.address)
        if spec.model_copy(update=stored.model_dump(include=BUDGET)) != stored:
            raise SpecError(
                f"{home.files.shown} holds another study of that name: give this one its own "
                "name, or delete the other with --fresh"
            )
    ground = grounds(spec.bases, spec.runs(), home.cache.path, say)  # or else leave no trace

    def begin() -> None:
        if fresh:
            home.files.clear(but=lock.NAME)
        home.keep(spec)

    with study_lock(home.files):
        rows = no_rows() if fresh else rows_of(home.address)
        goes_on = not fresh and (home.begun or not rows.empty)
        if goes_on:
            home.keep(spec)
        _search(spec, home, ground, rows, address, say, None if goes_on else begin)
    return home.local_path if home.files.local else home.address


def resume(name: str, results: Results, address: str | None, say: Say) -> None:
    """Go on with results/<name>: finished trials are kept, interrupted ones run again."""
    home = StudyFolder(str(results), name)
    spec = stored_spec(home.address)
    ground = grounds(spec.bases, spec.runs(), home.cache.path, say)
    with study_lock(home.files):
        _search(spec, home, ground, rows_of(home.address), address, say)


def confirm(name: str, count: int, results: Results, address: str | None, say: Say) -> None:
    """Run the configurations of each cell's front again, on `count` seeds that are new."""
    home = StudyFolder(str(results), name)
    spec = stored_spec(home.address)
    rows, seeds = rows_of(home.address), fresh_seeds(spec, count)
    if unfinished := [str(each) for each in budgets(spec, rows) if not each.finished]:
        raise SpecError(f"{'; '.join(unfinished)}: first end it: `sgu-study resume {spec.name}`")
    done = f"the front of {spec.name} is confirmed on {count} seeds"
    if not confirmations(spec, rows, seeds):
        say(f"{done}: {home.files.shown}")
        return

    def plan(_: Prepared) -> tuple[RunSearch, int]:
        trials = confirmations(spec, rows, seeds)
        return ConfirmSearch(spec, trials), sum(len(each.seeds) for each in trials)

    ground = grounds(spec.bases, seeds, home.cache.path, say)
    with study_lock(home.files):
        _session(spec, home, ground, address, say, plan, "confirm")
        if left := confirmations(spec, rows_of(home.address), seeds):
            raise Interrupted(
                f"{len(left)} trials are left: `sgu-study confirm {spec.name}` goes on"
            )
        _finished(home, say, done)


def _search(
    spec: Spec,
    home: StudyFolder,
    ground: list[Ground],
    rows: pd.DataFrame,
    address: str | None,
    say: Say,
    begin: Begin | None = None,
) -> None:
    budget = budgets(spec, rows)
    if all(each.finished for each in budget) and _referenced(spec, ground, rows):
        say(f"{home.files.shown}: all trials are there (--fresh runs them anew)")
        return

    def plan(prepared: Prepared) -> tuple[RunSearch, int | None]:
        left = [each.runs_left for each in budget]
        todo = None if None in left else sum(each or 0 for each in left)
        return StudySearch(spec, home.address, rows, prepared.references), todo

    _session(spec, home, ground, address, say, plan, spec.phase, begin)
    if left := [str(each) for each in budgets(spec, rows_of(home.address)) if not each.finished]:
        raise Interrupted(f"{'; '.join(left)}: `sgu-study resume {spec.name}` goes on")
    _finished(home, say, f"study {spec.name} is complete")


def _session(
    spec: Spec,
    home: StudyFolder,
    ground: list[Ground],
    address: str | None,
    say: Say,
    plan: Plan,
    phase: str = "search",
    begin: Begin | None = None,
) -> None:
    """One connection to Ray: what is prepared, and all runs of the plan's searcher."""
    store, asked = home.store, time.perf_counter()
    with connected(spec, address) as dashboard:
        say(f"Ray is up after {time.perf_counter() - asked:.0f} s")
        if begin:
            begin()
        prepared = prepare(spec, ground, home.cache, store, rows_of(home.address), say, phase)
        search, todo = plan(prepared)
        of_search = search.journal if isinstance(search, StudySearch) else None
        serve(of_search or Journal.stored(home.files), dashboard, say)
        searched = {cell.name: list(cell.space) for cell in spec.cells}
        checkpoints = store.checkpoints()
        watch = Watch(spec, rows_of(home.address), slots(spec), home.local_path)
        recorder = Recorder(store, prepared, checkpoints, searched, todo, say, watch.ended)
        trainable = with_parameters(run_trial, inputs=prepared.inputs, checkpoints=checkpoints)
        with live(watch), stoppable(say):
            tune_runs(spec, trainable, search, [recorder, watch])


def tune_runs(
    spec: Spec, trainable: Callable[..., None], search: RunSearch, callbacks: list[Callback]
) -> None:
    """All runs that the searcher hands out, as many at a time as there is room for.

    What Tune itself writes is thrown away: a study goes on from its rows.
    """
    asha = spec.scheduler.asha if search.phase == "search" else None
    scheduler = FrontAsha(asha, spec.objectives) if asha else Fifo()
    scheduler.abandoned = search.abandoned
    scratch = tempfile.TemporaryDirectory(prefix="sgu-study-")
    tuner = Tuner(
        with_resources(trainable, {"cpu": spec.cpus_per_trial, "gpu": spec.gpus_per_trial}),
        tune_config=TuneConfig(
            num_samples=-1,  # until the searcher says that it has finished
            search_alg=search,
            scheduler=scheduler,
            max_concurrent_trials=slots(spec),
            reuse_actors=True,
        ),
        run_config=RunConfig(
            name="run",
            storage_path=scratch.name,
            callbacks=callbacks,
            failure_config=FailureConfig(max_failures=DEATHS),
            verbose=0,
        ),
    )
    with scratch:
        tuner.fit()


def _finished(home: StudyFolder, say: Say, text: str) -> None:
    home.store.tidy()
    say(f"{text}: {home.files.shown}")


def _referenced(spec: Spec, ground: list[Ground], rows: pd.DataFrame) -> bool:
    """Whether the rows of the references are there, those of the null band among them."""
    there = set(zip(rows["cell"], rows["seed"], rows["trial_id"], strict=True))
    return all(
        (*each.key, network.name) in there
        for each in ground
        for network in networks(each.base, each.task, spec.oracles, 0)
    )
