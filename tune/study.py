"""A study from its specification to its rows: prepare, search, store, and go on after a stop."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from ray.tune import FailureConfig, RunConfig, TuneConfig, Tuner, with_parameters, with_resources
from ray.tune.callback import Callback

from tune import Say
from tune.checks import check_cells, check_same_data
from tune.cluster.connection import Slots, connected, slots
from tune.cluster.dashboards import serve
from tune.interrupt import last_words, stoppable
from tune.live import Watch, live
from tune.prepare import Interrupted, StudyTask, measurable, prepare, study_tasks
from tune.recorder import Recorder
from tune.search.asha import FrontAsha
from tune.search.budget import budgets, fruitless, unfinished
from tune.search.cell import References
from tune.search.confirm import confirmations, fresh_seeds
from tune.search.journal import Journal
from tune.search.recovery import Fifo
from tune.search.searcher import ConfirmSearch, RunSearch, StudySearch
from tune.spec.errors import SpecError
from tune.spec.spec import Spec
from tune.storage.lock import study_lock
from tune.storage.study_folder import StudyFolder, no_rows, rows_of, stored_spec
from tune.tracking import places, run_name, sinks
from tune.worker.networks import recipes
from tune.worker.trial import run_trial

DEATHS = 8  # of a trial's worker or node: each time the trial goes on from its checkpoint
CHANGEABLE = {
    "trials", "seconds", "oracles", "slots", "cpus_per_trial", "gpus_per_trial", "tracking",
}  # fmt: skip
"""Keys of a specification that may change from one start of a study to the next."""

Search = Callable[[Spec, References], RunSearch]
Results = str | Path
"""The folder that holds the studies, or an address such as s3://bucket/folder."""


@dataclass(frozen=True)
class Session:
    """One start of a study.

    tasks: one for each data set and seed; address: of a Ray cluster; begin: called once Ray is up.
    """

    spec: Spec
    folder: StudyFolder
    tasks: list[StudyTask]
    address: str | None
    say: Say
    begin: Callable[[], None] | None = None

    def search(self, rows: pd.DataFrame) -> None:
        """Run what the rows lack. Raises Interrupted if trials are left."""
        spec, address = self.spec, self.folder.address
        if not unfinished(spec, rows) and self._has_references(rows):
            self._check_success(rows)
            self.say(f"{self.folder.files.shown}: all trials are there (--fresh runs them anew)")
            return
        left = [budget.runs_left for budget in budgets(spec, rows)]
        count = None if None in left else sum(runs or 0 for runs in left)

        def search(spec: Spec, known: References) -> RunSearch:
            return StudySearch(spec, address, rows, known, self.say)

        self.run(spec.phase, search, count)
        rows = rows_of(address)
        if cells := unfinished(spec, rows):
            raise Interrupted(f"{cells}: `sgu-study resume {spec.name}` goes on")
        self._check_success(rows)
        self.finish(f"study {spec.name} is complete")

    def run(self, phase: str, make: Search, count: int | None) -> None:
        """Connect to Ray, prepare the networks, and run what the searcher hands out.

        make: makes the searcher of a specification with its references; count: the number of runs,
        None if it is not known.
        """
        spec, folder, say = self.spec, self.folder, self.say
        store, start = folder.store, time.perf_counter()
        events = folder.local_path / "tensorboard"
        tracked = sinks(spec, events, say)
        dead = f"sgu-study: Ray has ended: `sgu-study resume {spec.name}` goes on"
        with last_words(dead), connected(spec, self.address, say) as dashboard:
            say(f"Ray is up after {time.perf_counter() - start:.0f} s")
            if self.begin:
                self.begin()
            for place in places(spec, events):
                say(place)
            prepared = prepare(spec, self.tasks, folder, say, phase)
            if (told := measurable(spec, prepared.references, say)) != spec:
                folder.keep(spec := told)
            search = make(spec, prepared.references)
            journal = search.journal if isinstance(search, StudySearch) else None
            serve(journal or Journal.stored(folder.files), dashboard, say)
            searched = {cell.name: list(cell.space) for cell in spec.cells}
            watch = Watch(spec, rows_of(folder.address), slots(spec), folder.local_path)
            recorder = Recorder(store, prepared, searched, count, say, watch.ended)
            inputs, checkpoints = prepared.inputs, recorder.checkpoints
            trainable = with_parameters(run_trial, inputs=inputs, checkpoints=checkpoints)
            with live(watch), stoppable(say):
                tune_runs(spec, trainable, search, [recorder, watch, *tracked])

    def finish(self, text: str) -> None:
        """Pack the rows, and print the text."""
        self.folder.store.tidy()
        self.say(f"{text}: {self.folder.files.shown}")

    def _check_success(self, rows: pd.DataFrame) -> None:
        """Say which cells have nothing but failures; raise Interrupted if all are such."""
        reasons = fruitless(self.spec, rows)
        lines = [f"all trials of {cell} failed: {reason}" for cell, reason in reasons.items()]
        if lines and len(lines) == len(self.spec.cells):
            raise Interrupted(f"{'; '.join(lines)}: mend that and begin anew by --fresh")
        for line in lines:
            self.say(line)

    def _has_references(self, rows: pd.DataFrame) -> bool:
        """Return True if every reference has a row, those of the null band included."""
        present = set(zip(rows["cell"], rows["seed"], rows["trial_id"], strict=True))
        return all(
            (*task.key, name) in present
            for task in self.tasks
            for name in recipes(task.base, task.task, self.spec.oracles, 0)
        )


def run(
    spec: Spec, results: Results, address: str | None, say: Say, fresh: bool = False
) -> Results:
    """Run a study in results/<name>, or go on with it if it was begun; return where it is.

    fresh: delete what is there first. Raises SpecError if a study of that name has another
    specification; only its budget and resources may change.
    """
    folder = StudyFolder(str(results), spec.name)
    folder.check()
    if folder.begun and not fresh:
        stored = stored_spec(folder.address)
        changeable = CHANGEABLE if spec.states_objectives else CHANGEABLE | {"objectives"}
        kept = {name: getattr(stored, name) for name in changeable}
        if spec.model_copy(update=kept) != stored:
            raise SpecError(
                f"{folder.files.shown} holds another study of that name: give this one its own "
                "name, or delete the other with --fresh"
            )
    tasks = study_tasks(spec.bases, spec.runs(), folder.cache.path, say)  # before anything is made

    def begin() -> None:
        """Make the folder once Ray is up: if it does not start, nothing is deleted or left."""
        if fresh:
            folder.clear()
        folder.keep(spec)

    with study_lock(folder.files, say):
        rows = no_rows() if fresh else rows_of(folder.address)
        check_same_data(folder, spec, tasks, rows)
        check_cells(spec, tasks)
        new = fresh or (rows.empty and not folder.begun)
        if not new:
            folder.keep(spec)
        Session(spec, folder, tasks, address, say, begin if new else None).search(rows)
    return folder.local_path if folder.files.local else folder.address


def resume(name: str, results: Results, address: str | None, say: Say) -> None:
    """Go on with results/<name>: finished trials are kept, interrupted ones run again."""
    folder = StudyFolder(str(results), name)
    spec = stored_spec(folder.address)
    tasks = study_tasks(spec.bases, spec.runs(), folder.cache.path, say)
    with study_lock(folder.files, say):
        rows = rows_of(folder.address)
        check_same_data(folder, spec, tasks, rows)
        Session(spec, folder, tasks, address, say).search(rows)


def confirm(name: str, count: int, results: Results, address: str | None, say: Say) -> None:
    """Run the configurations of each cell's front again, on `count` fresh seeds."""
    folder = StudyFolder(str(results), name)
    spec = stored_spec(folder.address)
    rows, seeds = rows_of(folder.address), fresh_seeds(spec, count)
    if cells := unfinished(spec, rows):
        raise SpecError(f"{cells}: first end it: `sgu-study resume {spec.name}`")
    done = f"the front of {spec.name} is confirmed on {count} seeds"
    trials = confirmations(spec, rows, seeds)
    if not trials:
        say(f"{done}: {folder.files.shown}")
        return
    runs = sum(len(trial.seeds) for trial in trials)
    tasks = study_tasks(spec.bases, seeds, folder.cache.path, say)
    check_same_data(folder, spec, tasks, rows)
    session = Session(spec, folder, tasks, address, say)
    with study_lock(folder.files, say):
        session.run("confirm", lambda *_: ConfirmSearch(spec, trials), runs)
        if left := confirmations(spec, rows_of(folder.address), seeds):
            raise Interrupted(f"{len(left)} trials are left: `sgu-study confirm {name}` goes on")
        session.finish(done)


def tune_runs(
    spec: Spec, trainable: Callable[..., None], search: RunSearch, callbacks: list[Callback]
) -> None:
    """Run all that the searcher hands out, as many at a time as there is room for.

    What Tune itself writes is thrown away: a study goes on from its rows.
    """
    asha = spec.scheduler.asha if search.phase == "search" else None
    scheduler = FrontAsha(asha, spec.objectives) if asha else Fifo()
    scheduler.lost, search.slots = search.lost, Slots(spec)
    scratch = tempfile.TemporaryDirectory(prefix="sgu-study-")
    named = run_name if spec.tracking else None
    tuner = Tuner(
        with_resources(trainable, {"cpu": spec.cpus_per_trial, "gpu": spec.gpus_per_trial}),
        tune_config=TuneConfig(
            num_samples=-1,  # until the searcher says that it has finished
            search_alg=search,
            scheduler=scheduler,
            reuse_actors=True,
            trial_name_creator=named,
            trial_dirname_creator=named,
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
