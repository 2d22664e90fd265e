"""The networks that an audit compares with, trained by a function of the user's.

    original     on all of train
    retrained    on retain: one as a control, the others as the null band
    shadow       on retain and a random half of forget; halves come in pairs, one the complement of
                 the other, so that each forgotten example is inside for half of the networks

No network is trained on a held-out example: for an attack, each of those counts as not seen by one
network of each pair, so that it is as uncertain as a forgotten example.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sgu.api.fitting import check_network
from sgu.audit.networks import SHADOWS, Group, Networks, Notes
from sgu.audit.running import answers_of
from sgu.data.splits.stratify import deal, merged
from sgu.ensembles.designs import Shadows, seeds
from sgu.ensembles.selection import one_of_each_pair
from sgu.evaluation import Logits
from sgu.networks.recipe import Kind, Recipe
from sgu.task import Task
from sgu.training.loop import Optimisation

Train = Callable[[list[int], int], nn.Module]
"""Trains a network on the examples of train at these indices, with this seed."""


@dataclass(frozen=True, eq=False)
class Compared:
    """Answers of the original and of the retrained control, and the networks behind the bands."""

    original: Logits
    retrained: Logits
    networks: Networks


def compared(
    task: Task, train: Train, retrained: int, shadows: int, seed: int, notes: Notes
) -> Compared:
    """Return networks trained by `train`: 2 references, `retrained` more for the band, and
    `shadows` shadow models. Those that diverge are left out, and noted."""
    retain, whole = task.splits.retain, torch.arange(len(task.source.train))
    references = [recipe(task, "original", whole, seed), recipe(task, "retrain", retain, seed)]
    oracles = [recipe(task, "oracle", retain, s) for s in seeds("oracle", seed, retrained)]
    design = halves(task, shadows // 2, seed) if shadows else None
    trained = design.recipes if design else []
    answers = list(_answers(task, train, [*references, *oracles, *trained], notes))
    original, control, *others = answers
    if original is None or control is None:
        raise ValueError("train has diverged: its answers are NaN or infinite: lower its lr")
    band = [logits for logits in others[:retrained] if logits]
    attackers = [logits for logits in others[retrained:] if logits]
    groups: dict[Group, list[Logits]] = {SHADOWS: attackers}
    if not attackers or len(attackers) < len(trained):
        groups = {}
    used = {
        "oracles": [one.seed for one in oracles],
        "shadow models": [one.seed for one in trained],
    }
    return Compared(original, control, Networks(task, notes, band, design, groups, used))


def halves(task: Task, pairs: int, seed: int) -> Shadows:
    """Return 2 x `pairs` shadow models, whose pool is forget and as many test examples."""
    generator = torch.Generator().manual_seed(seeds("halves", seed, 1)[0])
    targets, splits = task.source.train.targets.cpu(), task.splits
    test = task.source.heldout.targets.cpu()[splits.test]
    peers = splits.test[torch.isin(test, targets[splits.forget])]
    size = min(len(splits.forget), len(peers))
    forget, peers = (_some(side, size, generator) for side in (splits.forget, peers))
    parts = [half for _ in range(pairs) for half in deal(targets, forget, 2, generator)]
    drawn = seeds("shadow", seed, 2 * pairs)
    recipes = [
        recipe(task, "shadow", merged([splits.retain, half]), s)
        for half, s in zip(parts, drawn, strict=True)
    ]
    inside = torch.stack([torch.isin(forget, half) for half in parts]).numpy()
    nowhere = np.zeros_like(inside)
    counted = one_of_each_pair(nowhere, np.random.default_rng(seed))
    whole = np.concatenate([inside, nowhere], 1)
    return Shadows(recipes, forget, peers, whole, np.concatenate([~inside, counted], 1))


def recipe(task: Task, kind: Kind, indices: Tensor, seed: int) -> Recipe:
    """Return what is known of a network that the user trains."""
    return Recipe(
        kind=kind,
        model="train",
        seed=seed,
        data_fingerprint=task.source.fingerprint,
        indices=indices,
        optimisation=Optimisation(epochs=0, lr=1.0),  # the user's own
        forgotten=task.splits.digest,
    )


def _answers(
    task: Task, train: Train, recipes: Sequence[Recipe], notes: Notes
) -> Iterator[Logits | None]:
    """Yield the answers of each network; None for one that has diverged."""
    begin = time.perf_counter()
    for done, one in enumerate(recipes, 1):
        model = train(one.indices.tolist(), one.seed)
        check_network(model, task, "what train returns")
        try:
            yield answers_of(f"{one.kind} {done}", model, task)
        except ValueError as error:
            notes.add("left out", error)
            yield None
        notes.progress(done, len(recipes), time.perf_counter() - begin)


def _some(indices: Tensor, size: int, generator: torch.Generator) -> Tensor:
    return indices[torch.randperm(len(indices), generator=generator)[:size]].sort().values
