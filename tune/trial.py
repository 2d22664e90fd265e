"""What runs on a worker: preparing a reference, and one trial. Imports no analysis, no Optuna."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import torch
from ray.tune import report
from torch import nn

from sgu.data.sources import Source
from sgu.experiment import Experiment, unlearn
from sgu.inference import default_device
from sgu.metrics import loss_histograms, metrics_of, score_world
from sgu.models import build
from sgu.references import Kind, recipe, reference
from sgu.rows import Row, Started
from sgu.world import World

Weights = dict[str, torch.Tensor]


def make_reference(
    kind: Kind, experiment: Experiment, world: World, cache: Path, progress: Any = None
) -> tuple[Weights, Row]:
    """Train or load a reference: its weights, and its result row.

    progress: an actor whose `reached(kind, epochs)` is told how far it is.
    """
    device, begin = _begin()
    made = recipe(kind, experiment.model, world, experiment.seed, experiment.pretrain_epochs)
    of = made.optimisation.epochs

    def on_epoch(epoch: int, _: float) -> None:
        if progress is not None:
            progress.reached.remote(kind, f"{epoch + 1}/{of} epochs")

    trained = reference(made, world, cache, device, on_epoch)
    scored = score_world(trained.model, world)
    row = metrics_of(scored) | {"seconds": trained.seconds, "losses": loss_histograms(scored)}
    weights = {name: value.cpu() for name, value in trained.model.state_dict().items()}
    return weights, row | {"original_digest": made.digest} | begin.provenance(device)


def run_trial(config: dict[str, Any], world: World, original: Weights, digest: str) -> None:
    """One trial of Ray Tune: a report after each epoch, and a last one with every metric.

    config: `trial_id`, `control`, and the settings of its Experiment. Whatever breaks the run is
    reported as `failure`, so that the study goes on.
    """
    device, begin = _begin()
    row: dict[str, Any] = {"original_digest": digest}
    try:
        experiment = Experiment.of(**config["settings"])
        outcome = unlearn(
            experiment,
            world.to(device),
            _load(experiment, world.source, original, device),
            lambda epoch: report({"epoch": epoch}),
        )
        row |= outcome.metrics | {"unsolved": outcome.unsolved, "losses": outcome.losses}
        game = experiment.game()
        if game and game.by_the_epoch:
            row["solve_every"] = outcome.epoch_steps
        broken = [name for name, value in outcome.metrics.items() if not math.isfinite(value)]
        if broken:
            row["failure"] = f"not finite: {', '.join(broken)}"
    except (RuntimeError, ValueError) as error:
        row["failure"] = f"{type(error).__name__}: {error}"
    report({"row": row | begin.provenance(device)})


def _load(
    experiment: Experiment, source: Source, weights: Weights, device: torch.device
) -> nn.Module:
    model = build(experiment.model, source.shape, experiment.seed)
    model.load_state_dict(weights)
    return model.to(device)


def _begin() -> tuple[torch.device, Started]:
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))  # Ray sets it to the CPUs asked for
    torch.set_num_threads(threads)
    return default_device(), Started()
