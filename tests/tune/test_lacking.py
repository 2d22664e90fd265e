"""What a machine lacks, found by real runs of Ray Tune: a GPU, room for Tune's own files."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray.tune import Callback, report, with_parameters

from tune.cluster import QUIET
from tune.home import rows_of
from tune.search import StudySearch
from tune.spec import Spec
from tune.store import Store
from tune.study import tune_runs
from tune.trial import run_trial

pytestmark = pytest.mark.long


class Ends(Callback):
    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        del iteration, trials, info
        self.rows.append(trial.last_result["row"])


@pytest.fixture
def two_runs(tmp_path, monkeypatch) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """Of a trainable, on a node that says it has a GPU: the rows that came."""
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)

    def run(trainable: Callable[..., None], **changes: Any) -> list[dict[str, Any]]:
        content = {"name": "small", "methods": ["finetune"], "search": {"lr": [0.1, 0.2]}}
        spec = Spec.model_validate(content | {"trials": 1, "slots": 1} | changes)
        ends = Ends()
        tune_runs(spec, trainable, StudySearch(spec, tmp_path, rows_of(tmp_path), {}), [ends])
        return ends.rows

    ray.init(address="local", num_cpus=1, num_gpus=1, include_dashboard=False, log_to_driver=False)
    yield run
    ray.shutdown()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_a_failure_with_its_reason(two_runs, tmp_path):
    checkpoints = Store(tmp_path, "small").checkpoints()
    trainable = with_parameters(run_trial, stages={}, checkpoints=checkpoints)
    rows = two_runs(trainable, gpus_per_trial=0.5)
    assert len(rows) == 2
    assert all("0.5 GPU is this task's by Ray, but torch" in row["failure"] for row in rows)


def test_a_disk_without_room_for_tunes_own_files_stops_nothing(two_runs, small_disk, monkeypatch):
    """For longer than it leaves between two snapshots of its own by itself, 10 seconds."""

    def fills(config: dict[str, Any], disk: Path) -> None:
        del config
        with (disk / f"filler-{os.getpid()}").open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        time.sleep(7)
        report({"row": {"val_error": 0.5, "val_mia_advantage": 0.5}})

    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    assert len(two_runs(with_parameters(fills, disk=small_disk))) == 2
