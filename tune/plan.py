"""The plan of a study before it starts: its cells, networks, storage and time."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

import torch

from sgu.duration import duration
from sgu.experiment import Experiment
from sgu.files.location import Location
from sgu.models import build
from sgu.networks.recipe import Recipe
from sgu.networks.references import recipe
from sgu.networks.training import trained
from sgu.results.verdicts import foreseen
from sgu.task import Task
from sgu.training.inference import default_device
from sgu.unlearning import unlearn
from tune.checks import check_cells
from tune.prepare import StudyTask, study_tasks
from tune.spec.cells import Cell
from tune.spec.spec import Spec
from tune.storage.study_folder import StudyFolder
from tune.worker.networks import recipes

START = 10.0  # seconds that Ray and its workers' imports take to start, on one node
MEMORISED = ("most_memorised", "least_memorised")


def lines(spec: Spec, study: StudyFolder, probe: bool) -> Iterator[str]:
    """Load the data and return the plan line by line; the last lines come when the probe has run.

    Raises DataError, or SpecError if the storage cannot be written to.
    """
    study.check()
    cache = study.cache.path
    slots = spec.slots_on(len(os.sched_getaffinity(0)), torch.cuda.device_count())
    tasks = study_tasks(_bases(spec), spec.runs(), cache, print)
    check_cells(spec, tasks)
    yield f"study {spec.name}: {_count(len(spec.cells), 'cell')}, {_seeds(spec)}, {spec.sampler}"
    yield f"objectives: {', '.join(spec.objectives)}"
    for cell in spec.cells:
        controls = " and ".join(_control(cell, settings) for settings in cell.controls())
        searched = ", ".join(cell.space)
        yield f"  {cell.name}: {_budget(cell)}; controls: {controls}; searched: {searched}"
    needed = [
        (task, recipe)
        for task in tasks
        for recipe in recipes(task.base, task.task, spec.oracles, spec.shadows).values()
    ]
    missing = [(task, recipe) for task, recipe in needed if not (cache / recipe.filename).is_file()]
    shadows = f", {spec.shadows} shadow models" if spec.shadows else ""
    yield (
        f"networks: {len(needed)}; of each data set and seed an original, {1 + spec.oracles} "
        f"retrained{shadows}; {len(needed) - len(missing)} of them in the cache"
    )
    forgotten = min(len(task.task.splits.forget) for task in tasks)
    yield f"verdicts: {foreseen(1 + spec.oracles, forgotten, spec.seeds)}"
    yield f"storage: {study.files.shown}, writable{_space(study.files)}"
    yield f"at a time: {_count(slots, 'trial')} on this machine"
    if probe:
        yield from _expected(spec, tasks, missing, slots)


def _bases(spec: Spec) -> dict[str, Experiment]:
    """Return the settings on each data set, with random examples to forget in place of memorised
    ones, as many: finding those takes a training."""
    return {
        data: replace(base, scenario="random") if base.scenario in MEMORISED else base
        for data, base in spec.bases.items()
    }


def _expected(
    spec: Spec, tasks: Sequence[StudyTask], missing: Sequence[tuple[StudyTask, Recipe]], slots: int
) -> Iterator[str]:
    """Time one epoch of each kind of training on this machine; return the times it leads to."""
    torch.set_num_threads(max(1, int(spec.cpus_per_trial)))
    by_data = {task.data: task for task in reversed(tasks)}
    epochs = {data: _training_epoch(task) for data, task in by_data.items()}
    preparing = sum(epochs[task.data] * recipe.optimisation.epochs for task, recipe in missing)
    total = 0.0
    for cell in spec.cells:
        run = _run_seconds(cell, by_data[cell.data].task)
        sampled = run * spec.seeds * (math.inf if cell.trials is None else cell.trials)
        total += run * len(cell.controls()) * spec.seeds + min(sampled, cell.seconds or math.inf)
        yield f"probe: a run of {cell.name} takes about {duration(run)}"
    whole, training = START + (preparing + total) / slots, preparing / slots
    yield f"expected: {duration(whole)} in all, {duration(training)} of them for the networks"


def _training_epoch(task: StudyTask) -> float:
    """Return the seconds of one epoch of the original's training."""
    device = default_device()
    one_epoch = recipe("original", task.base.model, task.task, task.base.seed, 1)
    on_device = task.task.to(device)
    return trained(one_epoch, on_device.source, on_device.pipeline, device).seconds


def _run_seconds(cell: Cell, task: Task) -> float:
    """Return the seconds of a run in the middle of the cell's search space, from a run of one epoch
    (or none, if the method trains for none) of an untrained network."""
    base, device = cell.base, default_device()
    epochs = min(1, base.options["epochs"])
    model = build(base.model, task.source.shape, base.seed).to(device)
    begin = time.perf_counter()
    short = replace(base, options={**base.options, "epochs": epochs})
    outcome = unlearn(short, task.to(device), model, lambda _: None)
    wall, domain = time.perf_counter() - begin, cell.space.get("epochs")
    middle = base.requests * (mean(domain.ends()) if domain else base.options["epochs"])
    return wall + (middle - 1) * outcome.metrics["seconds"] if epochs else wall


def _budget(cell: Cell) -> str:
    parts = [_count(cell.trials, "trial")] if cell.trials else []
    parts += [f"{cell.seconds:g} s of trials"] if cell.seconds else []
    return ", or ".join(parts)


def _control(cell: Cell, settings: dict) -> str:
    method = settings["method"]
    return f"{method} as published" if method == cell.base.method else f"{method} alone (alpha = 0)"


def _seeds(spec: Spec) -> str:
    first, last = spec.runs()[0], spec.runs()[-1]
    return f"seed {first}" if first == last else f"seeds {first} to {last} of each configuration"


def _space(folder: Location) -> str:
    """Return the free space of a local folder, or of the nearest folder above that exists."""
    if not folder.local:
        return ""
    path = Path(folder.path)
    disk = os.statvfs(next(p for p in (path, *path.absolute().parents) if p.exists()))
    return f", {disk.f_bavail * disk.f_frsize / 2**30:.0f} GiB free"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
