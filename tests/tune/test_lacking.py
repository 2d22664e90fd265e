"""Real runs of Ray Tune without a GPU or room for Tune's own files, and with worker processes that
wait for work or die."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray.tune import Callback, report, with_parameters

from tune.cluster.connection import QUIET
from tune.search.searcher import StudySearch
from tune.spec.spec import Spec
from tune.storage.store import Store
from tune.storage.study_folder import rows_of
from tune.study import tune_runs
from tune.worker.trial import run_trial

pytestmark = pytest.mark.long


class Ends(Callback):
    """Collects the rows. begun: called when the first run begins."""

    def __init__(self, begun: Callable[[], None] | None) -> None:
        self.rows: list[dict[str, Any]] = []
        self.begun = begun

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        del iteration, trials, trial, info
        if self.begun and not self.rows:
            self.begun()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        del iteration, trials, info
        self.rows.append(trial.last_result["row"])


@pytest.fixture
def two_runs(tmp_path, monkeypatch) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """Return a function that runs a trainable on a node that claims a GPU, and returns its rows."""
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)

    def run(
        trainable: Callable[..., None], begun: Callable[[], None] | None = None, **changes: Any
    ) -> list[dict[str, Any]]:
        content = {"name": "small", "methods": ["finetune"], "search": {"lr": [0.1, 0.2]}}
        spec = Spec.model_validate(content | {"trials": 1, "slots": 1} | changes)
        ends = Ends(begun)
        tune_runs(spec, trainable, StudySearch(spec, tmp_path, rows_of(tmp_path), {}), [ends])
        return ends.rows

    ray.init(address="local", num_cpus=1, num_gpus=1, include_dashboard=False, log_to_driver=False)
    yield run
    ray.shutdown()


def test_a_trial_takes_the_process_that_ray_has_ready(two_runs):
    def named(config: dict[str, Any]) -> None:
        del config
        worker = ray.get_runtime_context().get_worker_id()
        report({"row": {"val_error": 0.5, "val_mia_advantage": 0.5, "worker": worker}})

    deadline = time.monotonic() + 60
    while not (ready := set(ray._private.state.workers())):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert {row["worker"] for row in two_runs(named)} <= ready


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_a_failure_with_its_reason(two_runs, tmp_path):
    checkpoints = Store(tmp_path, "small").checkpoints()
    trainable = with_parameters(run_trial, inputs={}, checkpoints=checkpoints)
    rows = two_runs(trainable, gpus_per_trial=0.5)
    assert len(rows) == 2
    assert all("Ray gave this task 0.5 GPU, but torch" in row["failure"] for row in rows)


@pytest.fixture
def full_disk(two_runs) -> Iterator[Callable[[], None]]:
    """Return a function that mounts a full disk where Tune keeps its own files."""
    del two_runs
    session = Path(ray._private.worker.global_worker.node.get_session_dir_path())
    mounted: list[Path] = []

    def fill() -> None:
        (folder,) = session.glob("artifacts/*/run/driver_artifacts")
        mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("needs the right to mount")
        mounted.append(folder)
        (folder / "filler").write_bytes(bytes(4096))

    yield fill
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_without_room_for_tunes_own_files_stops_nothing(two_runs, full_disk):
    """The runs take longer than the 10 seconds between two snapshots of Tune."""

    def slow(config: dict[str, Any]) -> None:
        del config
        for _ in range(8):
            time.sleep(1)
            report({"epoch": {"epoch": 0}})
        report({"row": {"val_error": 0.5, "val_mia_advantage": 0.5}})

    assert len(two_runs(slow, full_disk)) == 2


@dataclass(frozen=True)
class Deadly:
    """Kills the first worker that unpickles it."""

    died: Path
    driver: int

    def __reduce__(self) -> tuple[Any, ...]:
        return _read, (self.died, self.driver)


def _read(died: Path, driver: int) -> Deadly:
    if os.getpid() != driver and not died.exists():
        died.touch()
        os._exit(1)
    return Deadly(died, driver)


def test_a_worker_that_dies_as_it_is_made_ready_takes_no_run_with_it(
    two_runs, tmp_path, monkeypatch
):
    """The settings of the second run kill the worker of the first; Ray Tune gives the run up."""
    suggest, names = StudySearch.suggest, list[str]()

    def deadly(self: StudySearch, trial_id: str) -> Any:
        config = suggest(self, trial_id)
        if not isinstance(config, dict):
            return config
        names.append(config["trial_id"])
        died = {"deadly": Deadly(tmp_path / "died", os.getpid())} if len(names) > 1 else {}
        return config | died

    def named(config: dict[str, Any]) -> None:
        row = {"val_error": 0.5, "val_mia_advantage": 0.5, "trial_id": config["trial_id"]}
        report({"row": row})

    monkeypatch.setattr(StudySearch, "suggest", deadly)
    assert [row["trial_id"] for row in two_runs(named)] == ["0000", "0001"]
    assert (tmp_path / "died").exists()
    assert names == ["0000", "0001", "0001"]
