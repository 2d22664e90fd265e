"""The networks that a study prepares, and what a worker does for each: train it, and measure it.

Nothing is kept on the worker: the driver has the cache. Imports no analysis, no Optuna.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sgu.data.splits.splits import Splits
from sgu.ensembles.designs import oracles, selection_shadows
from sgu.ensembles.selection import Selection
from sgu.ensembles.train import kept_of, logits_of
from sgu.evaluation import Logits
from sgu.experiment import Experiment
from sgu.metrics import against_retrained, loss_histograms, metrics_of
from sgu.networks.cache import Kept
from sgu.networks.recipe import REFERENCES, Recipe
from sgu.networks.training import loaded, trained
from sgu.results.rows import Row
from sgu.task import Task
from tune.worker.setup import begin, replaced_if_broken


def recipes(
    base: Experiment, task: Task, oracle_count: int, shadow_count: int
) -> dict[str, Recipe]:
    """Return the recipes of a task's references, further retrained models (retrain-1) and shadow
    models (shadow-0), by the names of their rows; shadow models have no rows."""
    by_name = {kind: base.recipe(kind, task) for kind in REFERENCES}
    design = selection_shadows(base, task, shadow_count // 2).recipes if shadow_count else []
    further = oracles(base, task, oracle_count, use="study")
    retrained = {f"retrain-{i}": recipe for i, recipe in enumerate(further, 1)}
    return by_name | retrained | {f"shadow-{i}": r for i, r in enumerate(design)}


@dataclass(frozen=True, eq=False)
class Measured:
    """A network for the cache, its logits, and the columns of its row that need no other one."""

    kept: Kept
    logits: Logits
    row: Row


@replaced_if_broken()
def measured(
    recipe: Recipe, kept: Kept | None, task: Task, splits: Splits, name: str, progress: Any
) -> Measured:
    """Train a network, or take it from the cache, and measure it. progress: an actor to report to,
    under `name`."""
    device, started = begin()
    task = replace(task, splits=splits)

    def on_epoch(epoch: int, _: float) -> None:
        progress.reached.remote(name, f"{epoch + 1}/{recipe.optimisation.epochs} epochs")

    if kept and recipe.kind not in REFERENCES:
        logits = logits_of(kept)
    else:
        network = (
            loaded(recipe, task.source, kept, device)
            if kept
            else trained(recipe, task.source, task.pipeline, device, on_epoch)
        )
        logits = Logits.of(network.model, task, network.seconds)
        kept = network.weights if recipe.kind in REFERENCES else kept_of(logits)
    scored = logits.scored(task)
    row = metrics_of(scored) | {"seconds": logits.seconds, "histograms": loss_histograms(scored)}
    row |= {"original_digest": recipe.digest} | started.provenance(device)
    progress.over.remote(name)
    return Measured(kept, logits, row)


def beside(retrained: Row, name: str, measured: Measured, task: Task, selection: Selection) -> Row:
    """Return the columns that compare a network with others: its distances from the retrained
    model, which is not compared with itself, and the success of attacks by shadow models."""
    row = {} if name == "retrain" else against_retrained(measured.row, retrained)
    return row | selection.metrics(measured.logits.scored(task), measured.row)
