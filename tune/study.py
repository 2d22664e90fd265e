"""A study from its specification to its rows: prepare, search, store; and all of it again."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import yaml
from ray.tune import (
    Callback,
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
from tune import lock
from tune.asha import FrontAsha
from tune.cluster import connected, slots
from tune.confirm import confirmations, fresh_seeds
from tune.files import Folder
from tune.lock import held
from tune.prepare import Ground, Prepared, prepare
from tune.progress import Watch, live, stoppable
from tune.search import ConfirmSearch, RunSearch, StudySearch
from tune.sink import Say, Sink
from tune.spec import Spec, SpecError, load_spec
from tune.standing import standings
from tune.store import Store
from tune.trial import run_trial

DEATHS = 3  # of a trial's worker or node: each time it goes on from its checkpoint
BUDGET = {"trials", "seconds", "oracles", "slots", "cpus_per_trial", "gpus_per_trial"}
"""What may change from one start of a study to the next."""

Plan = Callable[[Prepared], tuple[RunSearch, int | None]]
"""A searcher, and how many runs it is to hand out where that is known."""


class Interrupted(RuntimeError):
    """The search ended before all its trials had."""


def run(spec: Spec, results: Path, address: str | None, say: Say, fresh: bool = False) -> Path:
    """Run a study in results/<name>, or go on with it where it is there already.

    Its budget and resources may have changed since; raises SpecError where anything else has.
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
    ground = grounds(spec, spec.runs(), folder, say)  # bad data must leave no trace
    files = Folder.at(folder)
    with held(files):
        if fresh:
            files.clear(but=lock.NAME)
        text = yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False)
        files.put("spec.yaml", text.encode())
        return _search(spec, folder, ground, address, say)


def resume(name: str, results: Path, address: str | None, say: Say) -> Path:
    """Go on with results/<name>: finished trials are kept, interrupted ones run again."""
    folder = Path(results) / name
    spec = stored_spec(folder)
    with held(Folder.at(folder)):
        return _search(spec, folder, grounds(spec, spec.runs(), folder, say), address, say)


def confirm(name: str, count: int, results: Path, address: str | None, say: Say) -> Path:
    """Run the front's configurations of results/<name> again, on `count` seeds that are new."""
    folder = Path(results) / name
    spec = stored_spec(folder)
    rows, seeds = rows_of(folder), fresh_seeds(spec, count)
    if unfinished := [str(each) for each in standings(spec, rows) if not each.finished]:
        raise SpecError(f"{'; '.join(unfinished)}: first end it with `sgu-study resume {name}`")
    if not confirmations(spec, rows, seeds):
        say(f"{folder}: its front is confirmed on {count} seeds")
        return folder

    def plan(_: Prepared) -> tuple[RunSearch, int]:
        trials = confirmations(spec, rows, seeds)
        return ConfirmSearch(spec, trials), sum(len(each.seeds) for each in trials)

    with held(Folder.at(folder)):
        _session(spec, folder, grounds(spec, seeds, folder, say), address, say, plan, "confirm")
    if left := confirmations(spec, rows_of(folder), seeds):
        raise Interrupted(f"{len(left)} trials are left: run `sgu-study confirm {name}` again")
    return _finished(spec, folder, say, f"the front of {name} is confirmed on {count} seeds")


def _search(spec: Spec, folder: Path, ground: list[Ground], address: str | None, say: Say) -> Path:
    rows = rows_of(folder)
    standing = standings(spec, rows)
    if all(each.finished for each in standing) and _referenced(ground, rows):
        say(f"{folder}: all trials are there (--fresh runs them anew)")
        return folder

    def plan(prepared: Prepared) -> tuple[RunSearch, int | None]:
        left = [each.runs_left for each in standing]
        todo = None if None in left else sum(each or 0 for each in left)
        return StudySearch(spec, folder, rows, prepared.references), todo

    _session(spec, folder, ground, address, say, plan, spec.phase)
    if left := [str(each) for each in standings(spec, rows_of(folder)) if not each.finished]:
        raise Interrupted(f"{'; '.join(left)}: `sgu-study resume {spec.name}` goes on")
    return _finished(spec, folder, say, f"study {spec.name} is complete")


def _session(
    spec: Spec,
    folder: Path,
    ground: list[Ground],
    address: str | None,
    say: Say,
    plan: Plan,
    phase: str = "search",
) -> None:
    """One connection to Ray: what is prepared, and all runs of the plan's searcher."""
    store, begin = Store(folder, spec.name), time.perf_counter()
    with connected(spec, address):
        say(f"Ray is up after {time.perf_counter() - begin:.0f} s")
        cache, rows = folder.parent / "cache", rows_of(folder)
        prepared = prepare(spec, ground, cache, store, rows, say, phase)
        prepared = replace(
            prepared,
            shared={key: row | {"workers": slots(spec)} for key, row in prepared.shared.items()},
        )
        search, todo = plan(prepared)
        searched = {cell.name: list(cell.space) for cell in spec.cells}
        watch, checkpoints = Watch(spec, rows_of(folder), slots(spec), folder), store.checkpoints()
        sink = Sink(store, prepared, checkpoints, searched, todo, say, watch.ended)
        trainable = with_parameters(run_trial, stages=prepared.stages, checkpoints=checkpoints)
        with live(watch), stoppable(say):
            tune_runs(spec, trainable, search, [sink, watch])


def tune_runs(
    spec: Spec, trainable: Callable[..., None], search: RunSearch, callbacks: list[Callback]
) -> None:
    """All runs that the searcher hands out, as many at a time as there is room for.

    What Tune itself writes is thrown away: a study goes on from its rows.
    """
    asha = spec.scheduler.asha if search.phase == "search" else None
    scratch = tempfile.TemporaryDirectory(prefix="sgu-study-")
    tuner = Tuner(
        with_resources(trainable, {"cpu": spec.cpus_per_trial, "gpu": spec.gpus_per_trial}),
        tune_config=TuneConfig(
            num_samples=-1,  # until the searcher says that it has finished
            search_alg=search,
            scheduler=FrontAsha(asha, spec.objectives) if asha else None,
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


def _finished(spec: Spec, folder: Path, say: Say, text: str) -> Path:
    Store(folder, spec.name).tidy()
    say(f"{text}: {folder}")
    return folder


def grounds(spec: Spec, seeds: Sequence[int], folder: Path, say: Say) -> list[Ground]:
    """Each data set with each seed. Raises DataError, or SpecError where they do not fit."""

    def on_epoch(done: int, of: int) -> None:
        say(f"measuring memorisation: epoch {done} of {of}")

    found = []
    for data, base in {cell.data: cell.base for cell in spec.cells}.items():
        source = None
        for seed in seeds:
            own = replace(base, seed=seed)
            try:
                world = own.world(folder.parent / "cache", on_epoch, source)
            except DataError:
                raise
            except ValueError as error:
                raise SpecError(f"experiment: {error}") from error
            source = world.source
            found.append(Ground(data, own, world))
    return found


def _referenced(ground: list[Ground], rows: pd.DataFrame) -> bool:
    """Whether the rows of the references are there."""
    there = set(zip(rows["cell"], rows["seed"], rows["method"], strict=True))
    return all((*each.key, kind) in there for each in ground for kind in REFERENCES)


def stored_spec(folder: Path) -> Spec:
    """The specification of a study that was begun."""
    if not (folder / "spec.yaml").exists():
        raise SpecError(f"no study in {folder}: start one with `sgu-study run SPEC`")
    return load_spec(folder / "spec.yaml")


def rows_of(folder: Path) -> pd.DataFrame:
    """The rows so far, which may be none."""
    try:
        return load_study(folder)
    except FileNotFoundError:
        return pd.DataFrame(columns=TRIALS.names)
