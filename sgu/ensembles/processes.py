"""A `run` of local processes, for `ensemble` on a machine of many cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import torch

from sgu.ensembles.train import Run
from sgu.training.inference import default_device

_work: Callable[[Any], Any]  # of this process, if it is one of a pool's


class Died(RuntimeError):
    """A process of the pool is gone."""


@dataclass(frozen=True)
class Trainings:
    """The way in which networks are trained.

    run: as of `ensemble`; jobs: how many at a time (None: as many as there is room for); threads:
    of each.
    """

    run: Run
    jobs: int | None
    threads: int

    @classmethod
    def here(cls, jobs: int | None) -> Trainings:
        """Return trainings on this machine, by default one a core on a CPU: threads of networks
        this small wait for one another, see `benchmarks/ensembles.py`."""
        jobs = jobs or (1 if default_device().type == "cuda" else os.cpu_count() or 1)
        if jobs > 1:
            return cls(processes(jobs), jobs, 1)
        return cls(map, 1, torch.get_num_threads())


def processes(count: int) -> Run:
    """Return a `run` of `count` processes of one thread; each is handed the function once."""

    def run(function: Callable[[Any], Any], jobs: Iterable[Any]) -> Iterator[Any]:
        todo = list(jobs)
        if not todo:
            return
        size, spawn = min(count, len(todo)), get_context("spawn")
        with ProcessPoolExecutor(size, spawn, _begin, (function,)) as pool:
            try:
                yield from pool.map(_call, todo)
            except BrokenProcessPool as error:
                raise Died(
                    f"one of {count} training processes died, perhaps for want of memory: "
                    "lower --jobs; what was trained is kept"
                ) from error

    return run


def _begin(function: Callable[[Any], Any]) -> None:
    global _work
    _work = function
    torch.set_num_threads(1)


def _call(job: Any) -> Any:
    return _work(job)
