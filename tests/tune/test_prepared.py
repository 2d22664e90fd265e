"""The preparation goes on if the actor that tells its progress dies, with its node for example."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import ray
from ray._private.state import actors

from tune import prepare
from tune.spec.spec import Spec
from tune.storage.study_folder import StudyFolder, rows_of

pytestmark = pytest.mark.long

SPEC = Spec.model_validate(
    {
        "name": "small",
        "experiment": {"data": "embedded", "subset": 400, "pretrain_epochs": 1, "epochs": 1},
        "methods": ["finetune"],
        "trials": 1,
        "slots": 1,
        "oracles": 1,
    }
)


def progress() -> list[dict[str, Any]]:
    running: list[Any] = list(actors().values())
    return [actor for actor in running if actor["ActorClassName"] == "Progress"]


def test_networks_are_prepared_although_their_progress_dies(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "SAY_EVERY", 0.2)
    killed: list[int] = []
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if not killed and (pids := [actor["Pid"] for actor in progress() if actor["Pid"]]):
            killed.extend(pids)
            os.kill(pids[0], signal.SIGKILL)

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        tasks = prepare.study_tasks(SPEC.bases, SPEC.runs(), tmp_path / "cache", print)
        prepare.prepare(SPEC, tasks, StudyFolder(str(tmp_path), "small"), say)
    finally:
        ray.shutdown()
    assert len(killed) == 1
    assert said[-1].startswith("they are ready")
    assert set(rows_of(tmp_path / "small")["trial_id"]) == {"original", "retrain", "retrain-1"}
