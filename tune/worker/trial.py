"""Runs one trial on a worker. Imports no analysis, no Optuna."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sgu.host.fast_imports import fast_imports

with fast_imports():  # its first trial waits for a worker's imports
    import ray
    import torch
    from ray.tune import report

    from sgu.experiment import Experiment
    from sgu.training.snapshots import Snapshots
    from sgu.unlearning import unlearn
    from tune.storage.checkpoints import Checkpoints
    from tune.worker.setup import begin, replaced_if_broken


@dataclass(frozen=True)
class TrialInputs:
    """Objects in Ray's store that trials on one data set with one seed start from.

    task: of the data set; splits: of the seed; original: weights of the original network, digest:
    of its recipe; selection: the `Selection` that trials are judged by.
    """

    task: Any
    splits: Any
    original: Any
    digest: str
    selection: Any


@replaced_if_broken()
def run_trial(
    config: dict[str, Any],
    inputs: Mapping[tuple[str, int], TrialInputs],
    checkpoints: Checkpoints,
) -> None:
    """Run one trial of Ray Tune: report each epoch, and at the end a row with every metric.

    config: as `StudySearch.suggest` returns it; inputs: by data set and seed. An error that breaks
    the run is reported as `failure`, so that the study goes on. A trial that was cut off goes on
    from its checkpoint, and reports the epochs before it again.
    """
    try:
        device, started = begin()
    except torch.AcceleratorError:
        raise
    except RuntimeError as error:  # no GPU, or one that does not work
        report({"row": {"failure": f"{type(error).__name__}: {error}"}})
        return
    start = inputs[config["data"], config["settings"]["seed"]]
    row: dict[str, Any] = {"original_digest": start.digest}
    try:
        needed = [start.task, start.splits, start.original, start.selection]
        task, splits, weights, selection = ray.get(needed)
        task = replace(task, splits=splits)
        experiment = Experiment.of(**config["settings"])
        model = experiment.network(task.source)
        model.load_state_dict(weights)
        content = task.source.fingerprint, splits.digest
        snapshots = Snapshots(checkpoints.of(config["settings"], *content))
        snapshots.add("started", started)
        outcome = unlearn(
            experiment,
            task.to(device),
            model.to(device),
            lambda epoch: report({"epoch": epoch}),
            snapshots,
            selection.metrics,
        )
        row |= outcome.metrics | {"unsolved": outcome.unsolved, "histograms": outcome.histograms}
        game = experiment.game()
        if game and game.by_the_epoch:
            row["solve_every"] = outcome.epoch_steps
        broken = [name for name, value in outcome.metrics.items() if not math.isfinite(value)]
        if broken:
            row["failure"] = f"not finite: {', '.join(broken)}"
        if device.type == "cuda":
            row["device_seconds"] = outcome.metrics["seconds"]
    except torch.AcceleratorError:
        raise
    except (RuntimeError, ValueError, OSError, MemoryError) as error:
        row["failure"] = f"{type(error).__name__}: {error}"
    report({"row": row | started.provenance(device)})
