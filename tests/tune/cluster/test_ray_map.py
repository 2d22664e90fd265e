"""Ensembles on a real Ray give a loop's bits in order, despite dead workers and errors; its workers
share one copy of the data on each node."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
import torch
from typer.testing import CliRunner

from sgu.cli import app
from sgu.ensembles.processes import Trainings
from sgu.task import Task
from sgu.training.loop import Diverged
from tune.cluster.ray_map import on_ray

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


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
    """The rows of originals, retrained and unlearned networks are the same."""
    words = ["--subset", "400", "--pretrain-epochs", "1", "--set", "epochs=1", "--oracles", "2"]
    words += ["--shadows", "0", "--threads", "1", "--json", "--jobs", "1"]
    reports = []
    for name, trainings in (("ray", Trainings(on_ray(), None, 1)), ("loop", None)):
        folders = ["--cache", str(tmp_path / name), "--out", str(tmp_path / name / "out")]
        ended = CliRunner().invoke(app, ["audit", *words, *folders], obj=trainings)
        assert ended.exit_code == 0, ended.output
        reports.append(json.loads(ended.stdout)["rows"])
    assert reports[0] == reports[1]
    assert {row["model"] for row in reports[0]} == {"original", "finetune", "sg", "retrained"}
