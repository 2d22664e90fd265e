"""Sinks beside the rows: what they are handed, and that none of them ends a study.

`test_study.py` has a whole study with TensorBoard.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.logger import LoggerCallback

from tune.spec.errors import SpecError
from tune.spec.spec import Spec, parse_spec
from tune.tracking import Sink, places, run_name, sinks

TEXT = "name: demo\nexperiment: {subset: 400}\ntracking: {%s}\n"
REPORTS: list[dict[str, Any]] = [
    {"epoch": {"epoch": 0, "val_acc": 0.5, "train_loss": 2.0}, "training_iteration": 1},
    {"row": {"val_acc": 0.625, "versions": {"python": "3"}}, "training_iteration": 2},
]


def spec(tracking: str) -> Spec:
    return parse_spec(TEXT % tracking, "demo.yaml")


def trial() -> Any:
    """What a sink reads of one of Tune's trials."""
    config = {"cell": "embedded/sg", "trial_id": "0003", "seed": 1, "settings": {"alpha": 2.0}}

    class Trial(SimpleNamespace):
        __hash__ = object.__hash__

        def __str__(self) -> str:
            return run_name(self)

    return Trial(config=config, last_result=REPORTS[-1])


def played(sink: Sink) -> None:
    one = trial()
    sink.on_trial_start(0, [], one)
    for report in REPORTS:
        sink.on_trial_result(0, [], one, report)
    sink.on_trial_complete(0, [], one)


def test_mlflow_has_a_run_a_trial_with_its_settings_and_metrics(tmp_path, capsys):
    mlflow = pytest.importorskip("mlflow", reason="the extra `tracking` is not installed")
    pytest.importorskip("sqlalchemy", reason="MLflow's store in a file needs it")
    address = f"sqlite:///{tmp_path}/mlflow.db"
    (sink,) = sinks(spec(f"mlflow: '{address}'"), tmp_path, lambda _: None)
    played(sink)
    client = mlflow.MlflowClient(address)
    experiment = client.get_experiment_by_name("demo")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("embedded-sg-0003-seed1", "FINISHED")
    assert run.data.params["settings/alpha"] == "2.0"
    history = client.get_metric_history(run.info.run_id, "val_acc")
    assert [(metric.step, metric.value) for metric in history] == [(1, 0.5), (2, 0.625)]
    assert capsys.readouterr().out == ""


def test_a_package_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("tune.tracking.find_spec", lambda _: None)
    with pytest.raises(SpecError, match=r"tracking.mlflow: mlflow is not installed: pip install"):
        sinks(spec("mlflow: 'http://127.0.0.1:1'"), tmp_path, print)
    assert sinks(spec(""), tmp_path, print) == []
    with pytest.raises(SpecError, match="tracking"):
        spec("tensorbord: true")


class Full(LoggerCallback):
    """A sink whose disk is full."""

    def log_trial_result(self, *_: Any) -> None:
        raise OSError("no space left")


def test_a_sink_that_fails_is_said_once_and_left_out():
    said: list[str] = []
    sink = Sink("tensorboard", Full(), said.append)
    played(sink)
    assert said == ["tracking.tensorboard is left out from now on: no space left"]
    assert sink.logger is None


def test_where_the_sinks_are_is_said(tmp_path: Path):
    both = spec("tensorboard: true, mlflow: 'http://127.0.0.1:5000'")
    first, second = places(both, tmp_path)
    assert first == f"TensorBoard: tensorboard --logdir {tmp_path}"
    assert second == f"MLflow: experiment {both.name} at http://127.0.0.1:5000"
    assert places(spec(""), tmp_path) == []
