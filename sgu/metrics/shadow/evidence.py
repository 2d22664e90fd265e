"""What an attack with shadow models goes by: margins under the model and under its shadows.

    margin(x, y) = z_y - log sum_{j != y} exp z_j = log(p_y / (1 - p_y)),

the logit-scaled confidence of Carlini et al. 2022 (arXiv 2112.03570), from logits z, so that it
saturates nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit, logsumexp

from sgu.ensembles import Shadows
from sgu.logits import Logits
from sgu.world import World


def margins(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,), in nats and float64, of logits (n, C) and targets (n,)."""
    others, own = np.array(logits, dtype=np.float64), np.arange(len(targets))
    z = others[own, targets]
    others[own, targets] = -np.inf
    return z - logsumexp(others, axis=1)


@dataclass(frozen=True, eq=False)
class Evidence:
    """Margins of a pool of n examples, half of them members, and of z others that no network saw.

    target (n,), population (z,): under the model attacked; shadows (K, n), shadow_population
    (K, z): under each shadow model; inside (K, n) bool: whether that was trained on the example;
    members (n,) bool: the truth.
    """

    target: np.ndarray
    population: np.ndarray
    shadows: np.ndarray
    shadow_population: np.ndarray
    inside: np.ndarray
    members: np.ndarray

    def __post_init__(self) -> None:
        fewest = min(self.inside.sum(0).min(), (~self.inside).sum(0).min())
        if fewest < 2:
            raise ValueError(
                f"an example has {fewest} shadow models on one side; need >= 2: train more pairs"
            )
        for name in ("target", "population", "shadows", "shadow_population"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name}: margins are NaN or infinite: a model has diverged")


def evidence(model: Logits, trained: Sequence[Logits], design: Shadows, world: World) -> Evidence:
    """Of a model attacked, from the design's shadow models, in its order, as trained or as
    unlearned. The population is val: not test, which is in the pool, nor audit, which a game plays
    with."""
    if len(trained) != len(design.members):
        raise ValueError(f"{len(trained)} shadow models; the design has {len(design.members)}")
    heldout = world.source.heldout.targets.cpu()

    def others(each: Logits) -> np.ndarray:
        rows = world.splits.val
        return margins(each.heldout[rows].numpy(), heldout[rows].numpy())

    return Evidence(
        target=of_pool(model, design, world),
        population=others(model),
        shadows=np.stack([of_pool(each, design, world) for each in trained]),
        shadow_population=np.stack([others(each) for each in trained]),
        inside=design.inside,
        members=np.repeat([True, False], len(design.forget)),
    )


def memorised(trained: Sequence[Logits], design: Shadows, world: World) -> np.ndarray:
    """How much each of the pool's forget examples is memorised, (m,), at most 1: the mean p_y of
    the shadow models trained on it less that of the others, as `sgu.memorisation` has it of
    networks of its own."""
    p = expit(np.stack([of_pool(each, design, world) for each in trained]))
    within = np.where(design.inside, p, 0).sum(0) / design.inside.sum(0)
    without = np.where(design.inside, 0, p).sum(0) / (~design.inside).sum(0)
    return (within - without)[: len(design.forget)]


def of_pool(model: Logits, design: Shadows, world: World) -> np.ndarray:
    """Margins of the design's pool, (n,), forget's first."""
    sides = (world.source.train, design.forget), (world.source.heldout, design.test)
    targets = torch.cat([examples.targets.cpu()[rows] for examples, rows in sides])
    logits = torch.cat([model.train[design.forget], model.heldout[design.test]])
    return margins(logits.numpy(), targets.numpy())
