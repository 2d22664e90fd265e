"""Trains ensembles on Ray: a `run` for `sgu.ensembles` that makes each training a task."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import ray
import torch
from ray.exceptions import RayTaskError

from sgu.ensembles.train import Run

RETRIES = 3  # of a task whose worker dies


def on_ray(cpus: float = 1, gpus: float = 0) -> Run:
    """Return a `run` for `sgu.ensembles.train.ensemble`; Ray must be up when it is called.

    cpus, gpus: of each Ray task, which trains with as many threads. The function, with the data it
    carries, is put in the object store once. Results come in the order of the jobs, each as soon as
    it and those before it are ready. An error of the function is raised here, and the tasks that
    are left are stopped.
    """

    def run(function: Callable[[Any], Any], jobs: Iterable[Any]) -> Iterator[Any]:
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)(_call)
        shared, threads = ray.put(function), max(1, int(cpus))
        results = deque(task.remote(shared, job, threads) for job in jobs)
        try:
            while results:
                yield ray.get(results.popleft())
        except RayTaskError as error:
            raise error.cause from None
        finally:
            for result in results:
                ray.cancel(result)

    return run


def _call(function: Callable[[Any], Any], job: Any, threads: int) -> Any:
    torch.set_num_threads(threads)
    return function(job)
