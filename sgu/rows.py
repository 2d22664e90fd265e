"""A run as a result row: a dict of plain values, columns as `sgu.results.schema` names them."""

from __future__ import annotations

import json
import platform
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import torch

from sgu.evaluation import unmeasured
from sgu.experiment import Experiment
from sgu.host.peak_memory import peak, reset_peak
from sgu.host.provenance import code_version, device_name, host_class, versions
from sgu.methods import plays
from sgu.task import Task
from sgu.training.snapshots import State

Row = dict[str, Any]
ROW: Row = {
    "status": "complete",
    "reason": None,
    "phase": "search",
    "attempt": 0,
    "control": True,
}
GAME = ("alpha", "reg", "solve_every", "update")


def context(experiment: Experiment, task: Task) -> Row:
    """What all runs on a task with a model share, and where it comes from."""
    version, dirty = code_version()
    reasons = unmeasured(task)
    return {
        "dataset": task.source.name,
        "model": experiment.model,
        "scenario": experiment.scenario,
        "requests": experiment.requests,
        "forget_fraction": len(task.splits.forget) / len(task.source.train),
        "train_examples": len(task.source.train),
        "classes": task.source.num_classes,
        "audit_examples": len(task.splits.audit),
        "suppressed": json.dumps(reasons) if reasons else None,
        "code_version": version,
        "code_dirty": dirty,
        "data_fingerprint": task.source.fingerprint,
        "split_digest": task.splits.digest,
    }


def cell(dataset: str, method: str) -> str:
    """Where a row belongs: data and method; a reference, to its data alone."""
    return dataset if method in ("original", "retrain") else f"{dataset}/{method}"


def described(settings: Row, kind: str | None = None) -> Row:
    """A configuration as columns; what a method has no use for is null.

    kind: original or retrain, where the settings are those of a reference. solve_every is null
    where it is the epoch: how many steps that is, a run says itself.
    """
    row = {"method": kind or settings["method"], "seed": settings["seed"], "config": settings}
    if kind:
        return row
    if not plays(settings["method"]):
        return row | {"alpha": 0.0}
    row |= {name: settings[name] for name in GAME}
    counted = settings["update"] == "joint" and settings["solve_every"] != "epoch"
    return row if counted else row | {"solve_every": None}


@dataclass
class Started:
    """When a run began; its provenance is known when it has ended.

    One that goes on from a snapshot began when its first attempt did; `before`: the seconds of
    those that were cut off, up to their snapshots.
    """

    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock: float = field(default_factory=time.perf_counter)
    attempt: int = 0
    before: float = 0.0

    def __post_init__(self) -> None:
        reset_peak()

    @property
    def seconds(self) -> float:
        return self.before + time.perf_counter() - self.clock

    def state(self) -> State:
        return {"at": self.at.isoformat(), "attempt": self.attempt, "seconds": self.seconds}

    def restore(self, state: State) -> None:
        self.at = datetime.fromisoformat(state["at"])
        self.attempt, self.before = state["attempt"] + 1, state["seconds"]

    def provenance(self, device: torch.device) -> Row:
        return {
            "attempt": self.attempt,
            "peak_memory": peak(device),
            "host_class": host_class(),
            "device": device_name(device),
            "threads": torch.get_num_threads(),
            "host": platform.node(),
            "versions": versions(),
            "started": self.at,
            "wall_seconds": self.seconds,
        }
