"""The two references of every comparison, trained once: `original` on all of train, `retrain` on
retain alone with the same recipe, which is what unlearning should have come to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from sgu.models import pretraining
from sgu.networks.cache import keep, load
from sgu.networks.recipe import Kind, Recipe
from sgu.networks.training import EpochReport, Network, loaded, trained
from sgu.task import Task
from sgu.training.loop import Optimisation


def recipe(kind: Kind, model: str, task: Task, seed: int, epochs: int | None = None) -> Recipe:
    """Return the recipe of a reference; epochs: instead of the model's own number."""
    retrain = kind == "retrain"
    return Recipe(
        kind=kind,
        model=model,
        seed=seed,
        data_fingerprint=task.source.fingerprint,
        indices=task.splits.retain if retrain else torch.arange(len(task.source.train)),
        forgotten=task.splits.digest if retrain else "",
        optimisation=optimisation(model, epochs),
    )


def optimisation(model: str, epochs: int | None) -> Optimisation:
    """Return how the references of a model are trained, in so many epochs where they are given."""
    published = pretraining(model)
    return replace(published, epochs=epochs) if epochs else published


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
