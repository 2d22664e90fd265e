"""Counterfactual memorisation: how much a network memorises each training example.

    mem(i) = E[ p(y_i | x_i) | trained with i ] - E[ p(y_i | x_i) | trained without i ]

over networks trained on random halves of train, p the probability of the example's own class.
Feldman & Zhang 2020, "What Neural Networks Memorize and Why", arXiv 2008.03703; with a smooth
value in place of 0/1 accuracy: Zhang et al. 2021, "Counterfactual Memorization in Neural Language
Models", arXiv 2112.12938.

Halves come in pairs, one the complement of the other: with P pairs each example has P networks
trained with it and P without, and all of them cost as much as P trainings on the whole of train.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from sgu.data.pipeline import Pipeline
from sgu.data.sources import Source
from sgu.data.splits.stratify import deal
from sgu.networks.cache import Kept, keep, load
from sgu.networks.recipe import Recipe, digest
from sgu.networks.references import of_train
from sgu.networks.training import trained
from sgu.training.inference import default_device, predict

Progress = Callable[[int, int], None]  # epochs done, of how many
PAIRS = 2


def memorisation(
    source: Source,
    model: str,
    seed: int,
    cache: Path,
    epochs: int | None = None,
    pairs: int = PAIRS,
    device: torch.device | None = None,
    on_epoch: Progress | None = None,
) -> Tensor:
    """Return the memorisation of each training example, float64 (N,), at most 1, from the cache or
    after estimating it.

    epochs: instead of the model's own number; device: default a GPU where there is one.
    """
    recipes = list(halves(source, model, seed, epochs, pairs))
    settings = {"halves": [recipe.settings for recipe in recipes]}
    name = re.sub(r"[/:]", "_", model)
    path = Path(cache) / f"{name}-memorisation-{digest(settings)}.safetensors"
    kept = load(path)
    if kept is None:
        kept = estimate(recipes, source, device or default_device(), on_epoch or (lambda *_: None))
        keep(path, kept, settings)
    return kept.tensors["memorisation"]


def halves(
    source: Source, model: str, seed: int, epochs: int | None, pairs: int
) -> Iterator[Recipe]:
    """Yield the recipes of 2 x `pairs` networks, each pair on a half of train and on the rest."""
    whole, targets = of_train("half", model, source, seed, epochs), source.train.labels
    generator = torch.Generator().manual_seed(seed)
    for _ in range(pairs):
        for half in deal(targets, whole.indices, 2, generator):
            drawn = int(torch.randint(2**31, (), generator=generator))
            yield replace(whole, seed=drawn, indices=half)


def estimate(
    recipes: Sequence[Recipe], source: Source, device: torch.device, on_epoch: Progress
) -> Kept:
    """Train the networks of halves, and return the mean over the pairs of p(y | x) with the example
    less p(y | x) without it."""
    source = replace(source, train=source.train.to(device))
    pipeline, targets = Pipeline.of(source.train.inputs), source.train.labels
    total, seconds = torch.zeros(len(targets), dtype=torch.float64), 0.0
    done, epochs = count(1), sum(recipe.optimisation.epochs for recipe in recipes)
    for recipe in recipes:
        network = trained(recipe, source, pipeline, device, lambda *_: on_epoch(next(done), epochs))
        logits = predict(network.model, source.train, pipeline).double().cpu()
        inside = torch.full_like(total, -1).index_fill(0, recipe.indices, 1)
        total += inside * logits.softmax(1).gather(1, targets[:, None]).squeeze(1)
        seconds += network.seconds
    return Kept({"memorisation": total / (len(recipes) // 2)}, seconds)
