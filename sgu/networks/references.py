"""The two references of every comparison, trained once: `original` on all of train, `retrain` on
retain alone with the same recipe, which is what unlearning should have come to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from sgu.data.sources import Source
from sgu.models import pretraining
from sgu.networks.cache import keep, load
from sgu.networks.recipe import Kind, Recipe
from sgu.networks.training import EpochReport, Network, loaded, trained
from sgu.task import Task


def recipe(kind: Kind, model: str, task: Task, seed: int, epochs: int | None = None) -> Recipe:
    """Return the recipe of a reference; epochs: instead of the model's own number."""
    whole = of_train(kind, model, task.source, seed, epochs)
    if kind == "original":
        return whole
    return replace(whole, indices=task.splits.retain, forgotten=task.splits.digest)


def of_train(kind: Kind, model: str, source: Source, seed: int, epochs: int | None) -> Recipe:
    """Return a recipe that trains on all of train."""
    optimisation = pretraining(model)
    return Recipe(
        kind=kind,
        model=model,
        seed=seed,
        data_fingerprint=source.fingerprint,
        indices=torch.arange(len(source.train)),
        optimisation=replace(optimisation, epochs=epochs) if epochs else optimisation,
    )


def reference(
    recipe: Recipe,
    task: Task,
    cache: Path,
    device: torch.device,
    on_epoch: EpochReport | None = None,
) -> Network:
    """Return the reference of a recipe on `device`, from the cache or after training it."""
    path = Path(cache) / recipe.filename
    kept = load(path)
    if kept is not None:
        return loaded(recipe, task.source, kept, device)
    network = trained(recipe, task.source, task.pipeline, device, on_epoch)
    keep(path, network.weights, recipe.settings)
    return network
