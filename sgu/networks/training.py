"""The one way in which networks are trained, whatever they are for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sgu.data.pipeline import Pipeline
from sgu.data.sources import Examples, Source
from sgu.models import Preprocessing, build, load_model
from sgu.models.preprocessing import Preprocessed
from sgu.networks.cache import Kept
from sgu.networks.recipe import Recipe
from sgu.training.clock import Clock
from sgu.training.loop import train

EpochReport = Callable[[int, float], None]  # epoch from 0, mean loss


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network, and the seconds its training took."""

    model: nn.Module
    seconds: float

    @property
    def weights(self) -> Kept:
        state = self.model.state_dict()
        weights = {name: value.detach().cpu().contiguous() for name, value in state.items()}
        return Kept(weights, self.seconds)


def trained(
    recipe: Recipe,
    source: Source,
    pipeline: Pipeline,
    device: torch.device,
    on_epoch: EpochReport | None = None,
) -> Network:
    """Train the network of a recipe on `device`, or read it where it was trained elsewhere; it has
    not unlearned anything yet.

    Raises Diverged where an epoch's loss is not finite.
    """
    model = build(recipe.model, source.shape, recipe.seed).to(device)
    if recipe.weights:
        load_model(recipe.weights, model)
        return Network(recipe.fed.around(model, pipeline).to(device), 0.0)
    clock, examples = Clock(device), examples_of(source, recipe.indices)
    with clock.part("train"):
        train(model, examples, recipe.indices, pipeline, recipe.optimisation, recipe.seed, on_epoch)
    return Network(model, clock.seconds("train"))


def network_for(model: str, source: Source, seed: int, fed: Preprocessing) -> nn.Module:
    """Return a new network for a source, behind the preprocessing that its weights bring along."""
    network = build(model, source.shape, seed)
    return Preprocessed(network, fed, source.shape.channels) if fed else network


def loaded(recipe: Recipe, source: Source, kept: Kept, device: torch.device) -> Network:
    """Return the network of a recipe on `device`, from its kept weights."""
    model = network_for(recipe.model, source, recipe.seed, recipe.fed)
    model.load_state_dict(kept.tensors)
    return Network(model.to(device), kept.seconds)


def examples_of(source: Source, indices: Tensor) -> Examples:
    """Return what indices point into: train if that is enough, else train and then held-out."""
    train, heldout = source.train, source.heldout
    if int(indices.max()) < len(train):
        return train
    if train.file is not None or heldout.file is not None:
        raise ValueError(
            f"{source.name} lies on disk; shadow models train on train and held-out examples "
            "together, which takes both in memory: choose a subset, or raise SGU_MEMORY_LIMIT"
        )
    return Examples(
        torch.cat([train.inputs, heldout.inputs]), torch.cat([train.targets, heldout.targets])
    )
