"""A `run` of local processes: what `ensemble` takes in place of a loop, on a machine of many cores.

Networks this small make threads wait for one another: see `benchmarks/ensembles.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import torch

from sgu.ensembles.train import Run

_work: Callable[[Any], Any]  # of this process, if it is one of a pool's


class Died(RuntimeError):
    """A process of the pool is gone."""


@dataclass(frozen=True)
class Trainings:
    """How networks are trained. run: as of `ensemble`; jobs: how many at a time (None: as many as
    there is room for); threads: of each."""

    run: Run
    jobs: int | None
    threads: int

    @classmethod
    def here(cls, jobs: int) -> Trainings:
        """Return trainings on this machine."""
        if jobs > 1:
            return cls(processes(jobs), jobs, 1)
        return cls(map, 1, torch.get_num_threads())


def processes(count: int, threads: int = 1) -> Run:
    """Return a `run` of `count` processes, of so many threads each; each is handed the function
    once."""

    def run(function: Callable[[Any], Any], jobs: Iterable[Any]) -> Iterator[Any]:
        todo = list(jobs)
        if not todo:
            return
        with ProcessPoolExecutor(
            min(count, len(todo)), get_context("spawn"), _begin, (function, threads)
        ) as pool:
            try:
                yield from pool.map(_call, todo)
            except BrokenProcessPool as error:
                raise Died(
                    f"one of {count} training processes died, perhaps for want of memory: "
                    "lower --jobs; what was trained is kept"
                ) from error

    return run


def _begin(function: Callable[[Any], Any], threads: int) -> None:
    global _work
    _work = function
    torch.set_num_threads(threads)


def _call(job: Any) -> Any:
    return _work(job)
