"""TensorBoard and MLflow beside a study's rows: Ray Tune's own callbacks, a run of theirs a trial.

Rows stay what a study goes on from. A sink that fails is said once and left out.
"""

# ruff: noqa: ARG002 - the hooks have the signatures of ray.tune.Callback

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.logger import LoggerCallback

from sgu.results.schema import METRICS
from tune import Say
from tune.spec.errors import SpecError, last_line
from tune.spec.spec import Spec

NEEDS = {"tensorboard": "tensorboardX", "mlflow": "mlflow"}  # packages, by key of `tracking`


def sinks(spec: Spec, folder: Path, say: Say) -> list[Callback]:
    """Return what a study's `tracking` asks for. folder: of the events for TensorBoard.

    Raises SpecError if a package is not installed, or MLflow cannot be reached.
    """
    asked = spec.tracking.model_dump(exclude_defaults=True)
    for name in asked:
        if find_spec(NEEDS[name]) is None:
            raise SpecError(
                f"tracking.{name}: {NEEDS[name]} is not installed: pip install "
                "'sg-unlearn-study[tracking]', or leave it out"
            )
    made = list[Callback]()
    if spec.tracking.tensorboard:
        made.append(Sink("tensorboard", _tensorboard(folder), say))
    if address := spec.tracking.mlflow:
        made.append(Sink("mlflow", _mlflow(address, spec.name), say))
    return made


def places(spec: Spec, folder: Path) -> list[str]:
    """Return a line for each sink of a study: where to look at it."""
    tensorboard = f"TensorBoard: tensorboard --logdir {folder}"
    mlflow = f"MLflow: experiment {spec.name} at {spec.tracking.mlflow}"
    return [tensorboard] * spec.tracking.tensorboard + [mlflow] * bool(spec.tracking.mlflow)


def run_name(trial: Any) -> str:
    """Return the name of a run in a sink, such as embedded-sg-0003-seed0."""
    config = trial.config
    return f"{config['cell']}-{config['trial_id']}-seed{config['seed']}".replace("/", "-")


class Sink(Callback):
    """Hands metrics on to a callback of Tune's, one that logs. name: of its key in `tracking`."""

    def __init__(self, name: str, logger: LoggerCallback, say: Say):
        self.name, self.say = name, say
        self.logger: LoggerCallback | None = logger

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._hand_on(lambda logger: logger.log_trial_start(trial))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        metrics = _metrics(result)
        self._hand_on(lambda logger: logger.log_trial_result(iteration, trial, metrics))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        failed = "failure" in trial.last_result.get("row", {})
        self._hand_on(lambda logger: logger.log_trial_end(trial, failed))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._hand_on(lambda logger: logger.log_trial_end(trial, True))

    def _hand_on(self, action: Callable[[LoggerCallback], None]) -> None:
        """Let the callback log; its first error, of any kind, ends it and not the study."""
        if self.logger is None:
            return
        try:
            action(self.logger)
        except Exception as error:
            self.logger = None
            self.say(f"tracking.{self.name} is left out from now on: {last_line(error, 'failed')}")


def _metrics(result: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics of a report, of an epoch or at the end, and Tune's count of reports."""
    reported = result.get("epoch") or result.get("row") or {}
    known = {*METRICS, "train_loss", "utility"}
    numbers = {k: v for k, v in reported.items() if k in known and isinstance(v, int | float)}
    return numbers | {"training_iteration": result["training_iteration"]}


def _tensorboard(folder: Path) -> LoggerCallback:
    """Return Tune's callback, whose events lie in the study's folder, by the names of runs."""
    from ray.tune.logger import TBXLoggerCallback
    from tensorboardX import SummaryWriter

    def writer(path: str, **options: Any) -> SummaryWriter:
        return SummaryWriter(str(folder / Path(path).name), **options)

    sink = TBXLoggerCallback()
    sink._summary_writer_cls = writer
    return sink


def _mlflow(address: str, experiment: str) -> LoggerCallback:
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # `places` says it once
    sink = MLflowLoggerCallback(address, experiment_name=experiment)
    try:
        sink.setup()
    except Exception as error:  # MLflow's own, those of a data base, of HTTP, ...
        raise SpecError(
            f"tracking.mlflow = {address!r}: {last_line(error, 'cannot be reached')}: give the "
            "address of a tracking server, such as http://127.0.0.1:5000"
        ) from error
    return sink
