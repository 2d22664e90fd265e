"""What a study would do, before it does it: its cells, its networks, its storage and its time."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import torch

from sgu.experiment import Experiment
from sgu.files.location import Location
from sgu.models import build
from sgu.networks.references import recipe, trained
from sgu.task import Task
from sgu.training.inference import default_device
from sgu.unlearning import unlearn
from tune.prepare import Ground, grounds
from tune.spec.cells import Cell
from tune.spec.spec import Spec
from tune.storage.study_folder import StudyFolder
from tune.worker.networks import Network, networks

START = 10.0  # seconds of Ray's own and of its workers' imports, on a node of one's own


@dataclass(frozen=True)
class Pace:
    """Seconds as measured by one short run: of a trial apart from its epochs, and of each."""

    fixed: float
    epoch: float

    def of(self, epochs: float) -> float:
        return self.fixed + self.epoch * epochs


MEMORISED = ("most_memorised", "least_memorised")


def lines(spec: Spec, home: StudyFolder, probe: bool) -> Iterator[str]:
    """The plan, line by line; the last are there when the probe has run. Loads the data.

    Raises DataError, or SpecError where the storage cannot be written to.
    """
    home.check()
    folder, cache = home.files, home.cache.path
    at_a_time, ground = slots_here(spec), grounds(_bases(spec), spec.runs(), cache, print)
    yield f"study {spec.name}: {_count(len(spec.cells), 'cell')}, {_seeds(spec)}, {spec.sampler}"
    yield f"objectives: {', '.join(spec.objectives)}"
    for cell in spec.cells:
        controls = " and ".join(_control(cell, each) for each in cell.controls())
        yield (
            f"  {cell.name}: {_budget(cell)}; controls: {controls}; searched: "
            f"{', '.join(cell.space)}"
        )
    made = [
        (each, network)
        for each in ground
        for network in networks(each.base, each.task, spec.oracles, spec.shadows)
    ]
    left = [(each, network) for each, network in made if not network.is_in(cache)]
    shadowed = f", {spec.shadows} shadow models" if spec.shadows else ""
    yield (
        f"networks: {len(made)}; of each data set and seed an original, {1 + spec.oracles} "
        f"retrained{shadowed}; {len(made) - len(left)} of them in the cache"
    )
    yield f"storage: {folder.shown}, writable{_space(folder)}"
    yield f"at a time: {_count(at_a_time, 'trial')} on this machine"
    if probe:
        yield from _expected(spec, ground, left, at_a_time)


def _bases(spec: Spec) -> dict[str, Experiment]:
    """Settings on each data set; who is memorised is not known yet: as many at random."""
    return {
        data: replace(base, scenario="random") if base.scenario in MEMORISED else base
        for data, base in spec.bases.items()
    }


def slots_here(spec: Spec) -> int:
    """Trials at a time on this machine."""
    here = len(os.sched_getaffinity(0)) / spec.cpus_per_trial
    if spec.gpus_per_trial:
        here = min(here, torch.cuda.device_count() / spec.gpus_per_trial)
    return spec.slots or max(1, int(here))


def _expected(
    spec: Spec,
    ground: Sequence[Ground],
    left: Sequence[tuple[Ground, Network]],
    at_a_time: int,
) -> Iterator[str]:
    """From one epoch of each kind of training, timed one after the other on this machine."""
    torch.set_num_threads(max(1, int(spec.cpus_per_trial)))
    tasks = {each.data: each for each in reversed(ground)}
    training = {data: _network_pace(each) for data, each in tasks.items()}
    preparing = sum(
        training[each.data].of(network.recipe.optimisation.epochs) for each, network in left
    )
    total = 0.0
    for cell in spec.cells:
        trial = _trial_pace(cell.base, tasks[cell.data].task).of(epochs_of(cell))
        runs = len(cell.controls()) * spec.seeds
        sampled = trial * (cell.trials or math.inf) * spec.seeds
        total += trial * runs + min(sampled, cell.seconds or math.inf)
        yield f"probe: a run of {cell.name} takes about {_time(trial)}"
    whole = START + (preparing + total) / at_a_time
    yield (
        f"expected: {_time(whole)} in all, {_time(preparing / at_a_time)} of them for the networks"
    )


def _network_pace(ground: Ground) -> Pace:
    base, device = ground.base, default_device()
    made = recipe("original", base.model, ground.task, base.seed, 1)
    return Pace(0.0, trained(made, ground.task.to(device), device).seconds)


def _trial_pace(base: Experiment, task: Task) -> Pace:
    """A run of one epoch, from an untrained network; whole, where the method has no epochs."""
    device = default_device()
    short = {"epochs": min(1, base.options["epochs"])}
    model = build(base.model, task.source.shape, base.seed).to(device)
    begin = time.perf_counter()
    experiment = replace(base, options={**base.options, **short})
    outcome = unlearn(experiment, task.to(device), model, lambda _: None)
    wall, own = time.perf_counter() - begin, outcome.metrics["seconds"]
    return Pace(wall - own, own) if short["epochs"] else Pace(wall, 0.0)


def epochs_of(cell: Cell) -> float:
    """Of a run of the cell, in the middle of its search space."""
    if "epochs" in cell.space:
        return mean(cell.space["epochs"].ends()) * cell.base.requests
    return cell.base.options["epochs"] * cell.base.requests


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
    if not folder.local:
        return ""
    whole = os.statvfs(_there(Path(folder.path)))
    return f", {whole.f_bavail * whole.f_frsize / 2**30:.0f} GiB free"


def _there(path: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    return path if path.exists() else _there(path.parent)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _time(seconds: float) -> str:
    """Two figures that a person reads at a glance."""
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
