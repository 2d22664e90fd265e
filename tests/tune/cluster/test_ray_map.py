"""Ensembles on a real Ray give a loop's bits in order, despite dead workers and errors; its workers
share one copy of the data on each node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
import torch

from sgu.ensembles.designs import oracles, shadows
from sgu.ensembles.train import ensemble
from sgu.experiment import Experiment
from sgu.task import Task
from sgu.training.loop import Diverged
from tune.cluster.ray_map import on_ray

pytestmark = pytest.mark.slow
CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.long
def test_ray_trains_what_a_loop_trains(task: Task, tmp_path: Path):
    """To the bit, and all cached: shadow models, models unlearned from them in the same training,
    and an oracle."""
    experiment = Experiment.of(subset=400, pretrain_epochs=1, epochs=1, method="finetune")
    design = shadows(experiment, task, 2)
    recipes = [*design.recipes[:2], *design.unlearned(experiment, task)[:2]]
    recipes += oracles(experiment, task, 1)
    found = ensemble(recipes, task, tmp_path / "ray", run=on_ray())
    expected = ensemble(recipes, task, tmp_path / "loop", CPU)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours.train, theirs.train)
        assert torch.equal(ours.heldout, theirs.heldout)
    names = {path.name for path in (tmp_path / "ray").iterdir()}
    assert names == {recipe.filename for recipe in recipes}


def test_results_keep_their_order_and_do_not_wait_for_the_last():
    def slower(seconds: float) -> float:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.1)  # a stopped task ends between two of these
        return seconds

    begin, results = time.perf_counter(), on_ray()(slower, [1.0, 0.0, 60.0])
    assert [next(results), next(results)] == [1.0, 0.0]
    results.close()
    assert time.perf_counter() - begin < 50


def test_the_function_is_stored_once(tmp_path: Path):
    class Heavy:
        def __reduce__(self):
            (tmp_path / str(time.perf_counter_ns())).touch()
            return (int, (7,))

    heavy = Heavy()
    assert list(on_ray()(lambda job: job + heavy, range(5))) == [7, 8, 9, 10, 11]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_task_whose_worker_dies_runs_again(tmp_path: Path):
    def dies_once(job: int) -> int:
        mark = tmp_path / str(job)
        if job == 1 and not mark.exists():
            mark.touch()
            os._exit(1)
        return job

    assert list(on_ray()(dies_once, range(3))) == [0, 1, 2]
    assert (tmp_path / "1").exists()


def test_an_error_of_the_function_is_raised_as_it_is_and_the_rest_stops(tmp_path: Path):
    def diverges(job: int) -> None:
        if job == 0:
            raise Diverged("loss is nan")
        time.sleep(2)
        (tmp_path / str(job)).touch()

    with pytest.raises(Diverged) as caught:
        list(on_ray()(diverges, range(8)))
    assert str(caught.value) == "loss is nan"
    time.sleep(8)
    assert len(list(tmp_path.iterdir())) <= 2  # Ray stops what has not begun, the rest if it can


@pytest.mark.parametrize("cpus", [1, 2])
def test_a_task_has_as_many_threads_as_processors(cpus: int):
    assert list(on_ray(cpus)(lambda _: torch.get_num_threads(), [0])) == [cpus]


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


def test_workers_read_the_data_where_ray_has_put_them():
    task = Task.load("embedded")
    shared = ray.put(task)
    for _ in range(2):
        places = ray.get(mapped.remote(shared))
        assert len(places) == 2
        assert all("plasma" in file or "/dev/shm" in file for file, _ in places), places


@pytest.mark.long
def test_an_audit_on_ray_finds_what_one_in_a_loop_finds(tmp_path: Path):
    """Its arguments are passed through, and the rows are the same."""
    words = ["--subset", "400", "--pretrain-epochs", "1", "--set", "epochs=1", "--oracles", "2"]
    words += ["--shadows", "0", "--threads", "1", "--json", "--jobs", "1"]
    reports = []
    for name, command in (("ray", ["-m", "tune", "audit", "--"]), ("loop", ["-m", "sgu", "audit"])):
        folders = ["--cache", str(tmp_path / name), "--out", str(tmp_path / name / "out")]
        process = subprocess.run(
            [sys.executable, *command, *words, *folders],
            capture_output=True,
            text=True,
            check=True,
        )
        reports.append(json.loads(process.stdout)["rows"])
    assert reports[0] == reports[1]
    assert {row["model"] for row in reports[0]} == {"original", "finetune", "sg", "retrained"}
