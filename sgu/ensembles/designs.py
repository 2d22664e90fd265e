"""The recipes of an evaluation's networks: retrained, unlearned, and shadow models.

Shadow models: with forget F and as many test examples T, the pool is F u T, and network k is
trained on retain u S_k, S_k a random half of the pool. Halves come in pairs, one the complement of
the other, so that each example of the pool is inside for one network of each pair and outside for
the other; classes are dealt alike. So |S_k| = |F|: a shadow model is trained on as many
examples as the original and forgets as many. (Where test has fewer, F is thinned to them.) T is of
the classes of F, as in every attack: where a class is forgotten, an attack against all classes
would tell the class, not who was trained on. Audit examples are not in the pool: the game's auditor
takes them for non-members.

The shadow models of a study may see no held-out example (`selection_shadows`). A study and an audit
have other networks, of other seeds: so an audit confirms a study's choice by networks that had no
part in choosing it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sgu.data.splits.stratify import deal, merged
from sgu.experiment import REFERENCE_SETTINGS, Experiment
from sgu.methods import plays
from sgu.networks.recipe import Kind, Recipe
from sgu.networks.references import of_train
from sgu.results.schema import GAME_SETTINGS
from sgu.task import Task

FIRST_SEED = 2**30
"""Seeds of experiments are below it, those of ensembles are not: so no network of an ensemble has
the seed of the reference that it is to be compared with."""


Use = Literal["study", "audit"]


def seeds(purpose: str, seed: int, count: int) -> range:
    """Return `count` seeds in a row for an experiment's seed, from 2^30 + (sha256 of
    "purpose seed", modulo 2^29) on."""
    if not 0 <= seed < FIRST_SEED:
        raise ValueError(f"seed = {seed}: must be 0..{FIRST_SEED - 1} where there are ensembles")
    drawn = int(hashlib.sha256(f"{purpose} {seed}".encode()).hexdigest(), 16)
    first = FIRST_SEED + drawn % 2**29
    return range(first, first + count)


def oracles(experiment: Experiment, task: Task, count: int = 3, use: Use = "audit") -> list[Recipe]:
    """Return retrained models: on the same retain, with other seeds of the training."""
    purpose = "oracle" if use == "study" else "audit oracle"
    return _recipes("oracle", [task.splits.retain] * count, experiment, task, purpose)


def originals(experiment: Experiment, task: Task, count: int = 3) -> list[Recipe]:
    """Return originals of other seeds, which those of `unlearned` start from."""
    whole = torch.arange(len(task.source.train))
    return _recipes("start", [whole] * count, experiment, task, "original")


def unlearned(experiment: Experiment, task: Task, count: int = 3) -> list[Recipe]:
    """Return originals of other seeds, from each of which forget is unlearned: for KLoM."""
    starts, how = originals(experiment, task, count), unlearning(experiment)
    return [replace(start, unlearning=how, splits=task.splits) for start in starts]


@dataclass(frozen=True, eq=False)
class Shadows:
    """Shadow models of 2 P halves of a pool of m forget and t test examples, t = m or 0.

    recipes: as trained, (2 P,); forget (m,): indices into train; test (t,): into held-out;
    inside (2 P, m + t) bool: whether a network was trained on an example, forget's first;
    counted (2 P, m + t) bool: whether it counts as not trained on it; None: where it was not.
    """

    recipes: list[Recipe]
    forget: Tensor
    test: Tensor
    inside: np.ndarray
    counted: np.ndarray | None = None

    @property
    def outside(self) -> np.ndarray:
        return ~self.inside if self.counted is None else self.counted

    def unlearned(self, experiment: Experiment, task: Task) -> list[Recipe]:
        """Return each network after it has unlearned its half of the pool, in as many requests as
        the task has: for U-LiRA. Run with `recipes`, they cost no training of their own."""
        targets, how, recipes = _targets(task), unlearning(experiment), []
        for shadow in self.recipes:
            half = shadow.indices[~torch.isin(shadow.indices, task.splits.retain)]
            generator = torch.Generator().manual_seed(shadow.seed)
            requests = deal(targets, half, len(task.splits.requests), generator)
            splits = replace(task.splits, forget=half, requests=tuple(requests))
            recipes.append(replace(shadow, unlearning=how, splits=splits))
        return recipes


def shadows(experiment: Experiment, task: Task, pairs: int = 4) -> Shadows:
    """Return 2 x `pairs` shadow models; each example of the pool is inside for half of them."""
    generator = torch.Generator().manual_seed(seeds("halves", experiment.seed, 1)[0])
    splits, targets, first = task.splits, _targets(task), len(task.source.train)
    peers = splits.test[torch.isin(targets[first + splits.test], targets[splits.forget])]
    size = min(len(splits.forget), len(peers))
    forget, test = (_some(indices, size, generator) for indices in (splits.forget, peers))
    return _shadows("shadow", forget, test, pairs, generator, experiment, task)


def selection_shadows(experiment: Experiment, task: Task, pairs: int = 4) -> Shadows:
    """Return the shadow models of a study: its pool is forget alone."""
    generator = torch.Generator().manual_seed(seeds("selection halves", experiment.seed, 1)[0])
    forget, none = task.splits.forget, task.splits.test[:0]
    return _shadows("selection shadow", forget, none, pairs, generator, experiment, task)


def _shadows(
    purpose: str,
    forget: Tensor,
    test: Tensor,
    pairs: int,
    generator: torch.Generator,
    experiment: Experiment,
    task: Task,
) -> Shadows:
    if pairs < 2:
        raise ValueError(f"pairs = {pairs}: must be >= 2, as a spread takes two networks a side")
    pool, targets = torch.cat([forget, len(task.source.train) + test]), _targets(task)
    halves = [half for _ in range(pairs) for half in deal(targets, pool, 2, generator)]
    inside = torch.stack([torch.isin(pool, half) for half in halves]).numpy()
    indices = [merged([task.splits.retain, half]) for half in halves]
    recipes = _recipes("shadow", indices, experiment, task, purpose)
    return Shadows(recipes, forget, test, inside)


def unlearning(experiment: Experiment) -> dict[str, Any]:
    """Return the settings of an experiment that unlearning reads, apart from its seed."""
    unread = REFERENCE_SETTINGS | (set() if plays(experiment.method) else GAME_SETTINGS)
    return {name: v for name, v in experiment.settings().items() if name not in unread}


def _recipes(
    kind: Kind, indices: Sequence[Tensor], experiment: Experiment, task: Task, purpose: str
) -> list[Recipe]:
    """Return networks trained as the original is, but for their seeds and examples."""
    seed, epochs = experiment.seed, experiment.pretrain_epochs
    whole = of_train(kind, experiment.model, task.source, seed, epochs)
    drawn = seeds(purpose, seed, len(indices))
    return [replace(whole, seed=s, indices=i) for s, i in zip(drawn, indices, strict=True)]


def _targets(task: Task) -> Tensor:
    """Return the targets of train and then held-out."""
    return torch.cat([part.labels for part in (task.source.train, task.source.heldout)])


def _some(indices: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Return `size` of the indices at random, ascending."""
    return indices[torch.randperm(len(indices), generator=generator)[:size]].sort().values
