"""The networks that a study prepares, and what a worker does for each: train it, and measure it.

Nothing is kept on the worker: the driver has the cache. Imports no analysis, no Optuna.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sgu.data.splits.splits import Splits
from sgu.ensembles import Member, Shadows, oracles, shadows, train_and_unlearn
from sgu.ensembles.evidence import shadow_metrics
from sgu.ensembles.member import digest
from sgu.evaluation import Logits
from sgu.experiment import Experiment
from sgu.metrics import against_retrained, loss_histograms, metrics_of
from sgu.networks.references import EpochReport, Recipe, Reference, keep, recipe, stored, trained
from sgu.results.rows import Row
from sgu.task import Task
from tune.worker.setup import begin

CPU = torch.device("cpu")
Made = Reference | Logits


@dataclass(frozen=True, eq=False)
class Network:
    """name: as the row of its metrics is called, or shadow-3, which has none."""

    name: str
    recipe: Recipe | Member

    @property
    def kind(self) -> str:
        """original, retrain or shadow."""
        return self.name.split("-")[0]

    @property
    def digest(self) -> str:
        made = self.recipe
        return made.digest if isinstance(made, Recipe) else digest(made.settings)

    def is_in(self, cache: Path) -> bool:
        return (cache / self.recipe.filename).is_file()

    def found(self, task: Task, cache: Path) -> Made | None:
        """What the cache has of it."""
        if isinstance(self.recipe, Recipe):
            return stored(self.recipe, task, cache, CPU)
        return Logits.load(cache / self.recipe.filename, True) if self.is_in(cache) else None

    def keep(self, made: Made, cache: Path) -> None:
        if isinstance(self.recipe, Recipe) and isinstance(made, Reference):
            keep(self.recipe, made, cache)
        elif isinstance(self.recipe, Member) and isinstance(made, Logits):
            made.save(cache / self.recipe.filename, self.recipe.settings)


def networks(base: Experiment, task: Task, oracle_count: int, shadow_count: int) -> list[Network]:
    """The references, further retrained models, and shadow models of one task."""
    references = [
        Network(kind, recipe(kind, base.model, task, base.seed, base.pretrain_epochs))
        for kind in ("original", "retrain")
    ]
    ensemble = [
        Network(f"retrain-{number}", member)
        for number, member in enumerate(oracles(base, task, oracle_count), 1)
    ]
    design = shadows(base, task, shadow_count // 2).members if shadow_count else []
    shadowed = [Network(f"shadow-{number}", member) for number, member in enumerate(design)]
    return references + ensemble + shadowed


class Progress:
    """How far the networks are that are being trained; an actor that needs no CPU."""

    def __init__(self) -> None:
        self.lines: dict[str, str] = {}

    def reached(self, name: str, text: str) -> None:
        self.lines[name] = text

    def over(self, name: str) -> None:
        self.lines.pop(name, None)

    def text(self) -> str:
        return ", ".join(f"{name} {text}" for name, text in sorted(self.lines.items()))


@dataclass(frozen=True, eq=False)
class Measured:
    """A network, its answers, and the columns of its row that it has alone."""

    made: Made
    logits: Logits
    row: Row


def measured(
    network: Network, found: Made | None, task: Task, splits: Splits, name: str, progress: Any
) -> Measured:
    """Train a network, or take the one that was found, and measure it.

    progress: an actor that is told how far it is, under `name`.
    """
    device, started = begin()
    task = replace(task, splits=splits)
    of = network.recipe.optimisation.epochs

    def on_epoch(epoch: int, _: float) -> None:
        progress.reached.remote(name, f"{epoch + 1}/{of} epochs")

    made = found or _trained(network.recipe, task, device, on_epoch)
    if isinstance(made, Reference):
        logits = Logits.of(made.model.to(device), task)
        made = replace(made, model=made.model.cpu())
    else:
        logits = made
    scored = logits.scored(task)
    row = metrics_of(scored) | {"seconds": made.seconds, "histograms": loss_histograms(scored)}
    row |= {"original_digest": network.digest} | started.provenance(device)
    progress.over.remote(name)
    return Measured(made, logits, row)


def beside(
    retrained: Row,
    name: str,
    found: Measured,
    task: Task,
    by: tuple[Shadows, list[Logits]] | None,
) -> Row:
    """The columns that a network has beside others: how far it is from the retrained model, which
    is not compared with itself, and what attacks find of it `by` shadow models."""
    row = {} if name == "retrain" else against_retrained(found.row, retrained)
    return row | (shadow_metrics(found.logits, by[1], by[0], task) if by else {})


def _trained(
    made: Recipe | Member, task: Task, device: torch.device, on_epoch: EpochReport
) -> Made:
    if isinstance(made, Recipe):
        return trained(made, task.to(device), device, on_epoch)
    return train_and_unlearn([made], task, device, on_epoch)[0]
