"""Ensembles on Ray: a `run` for `sgu.ensembles`, where each training is a task of the cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import ray
import torch
from ray.exceptions import RayTaskError

from sgu.ensembles.train import Run

RETRIES = 3


def on_ray(cpus: float = 1, gpus: float = 0, retries: int = RETRIES) -> Run:
    """A `run` as of `sgu.ensembles.ensemble`, for when Ray is up.

    cpus, gpus: of each task, which trains with as many threads. The function, and so the task
    that it carries, is put in the object store once. Results come in the order of the jobs, each as
    soon as it and those before it are there. A task whose worker dies runs again, up to `retries`
    times; what the function itself raises is raised here, and the tasks that are left are stopped.
    """

    def run(function: Callable[[Any], Any], jobs: Iterable[Any]) -> Iterator[Any]:
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=retries)(_called)
        shared, threads = ray.put(function), max(1, int(cpus))
        waiting = deque(task.remote(shared, job, threads) for job in jobs)
        try:
            while waiting:
                yield _result(waiting.popleft())
        finally:
            for left in waiting:
                ray.cancel(left)

    return run


def _called(function: Callable[[Any], Any], job: Any, threads: int) -> Any:
    torch.set_num_threads(threads)
    return function(job)


def _result(reference: Any) -> Any:
    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise error.cause from None
