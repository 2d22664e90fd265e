"""Trials share one copy of the data on each node, and none of them changes it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import ray
import torch

from sgu.experiment import Experiment
from sgu.task import Task
from sgu.unlearning import unlearn


@pytest.fixture(scope="module")
def one_node() -> Iterator[None]:
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@ray.remote
def mapped(task: Task) -> list[tuple[str, int]]:
    """Return the file behind each tensor, from /proc/self/maps, and the tensor's bytes."""
    places = []
    with open("/proc/self/maps") as file:
        areas = [line.split(maxsplit=5) for line in file]
    for tensor in (task.source.train.inputs, task.source.heldout.inputs):
        for area in areas:
            low, high = (int(end, 16) for end in area[0].split("-"))
            if low <= tensor.data_ptr() < high:
                places.append((area[5].strip() if len(area) > 5 else "", tensor.nbytes))
    return places


@pytest.mark.slow
@pytest.mark.usefixtures("one_node")
def test_workers_read_the_data_where_ray_has_put_them():
    task = Task.load("embedded")
    shared = ray.put(task)
    for _ in range(2):
        places = ray.get(mapped.remote(shared))
        assert len(places) == 2
        assert all("plasma" in file or "/dev/shm" in file for file, _ in places), places


METHODS = ["finetune", "sg", "scrub", "random_label", "neggrad_plus", "salun", "bad_teacher", "ssd"]


@pytest.mark.parametrize("method", METHODS)
def test_a_whole_trial_leaves_the_task_as_it_was(method, task, original):
    settings = {} if method == "ssd" else {"epochs": 1, "lr": 0.01}
    tensors = [
        task.source.train.inputs, task.source.train.targets,
        task.source.heldout.inputs, task.source.heldout.targets,
        *(getattr(task.splits, name) for name in ("retain", "forget", "audit", "val", "test")),
        task.pipeline.mean, task.pipeline.std,
    ]  # fmt: skip
    before, versions = [t.clone() for t in tensors], [t._version for t in tensors]
    unlearn(Experiment.of(method=method, **settings), task, original, lambda _: None)
    assert all(torch.equal(a, b) for a, b in zip(tensors, before, strict=True))
    assert [t._version for t in tensors] == versions  # autograd's count of writes in place
