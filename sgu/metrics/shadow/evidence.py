"""The evidence of attacks with shadow models: margins under the model and under its shadows.

    margin(x, y) = z_y - log sum_{j != y} exp z_j = log(p_y / (1 - p_y)),

the logit-scaled confidence of Carlini et al. 2022 (arXiv 2112.03570), from logits z, so that it
saturates nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp


def margins(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return margins (n,), in nats and float64, from logits (n, C) and targets (n,)."""
    others, target = np.array(logits, dtype=np.float64), (np.arange(len(targets)), targets)
    z = others[target]
    others[target] = -np.inf
    return z - logsumexp(others, axis=1)


@dataclass(frozen=True, eq=False)
class Pool:
    """Margins of n examples, members and others, under an attacked model and its shadow models.

    target (n,): under the attacked model; shadows (K, n): under each shadow model; members (n,)
    bool: the truth; inside, outside (K, n) bool: whether a shadow model counts as trained on the
    example, or as not trained on it. Examples that no shadow model was trained on have no inside.
    """

    target: np.ndarray
    shadows: np.ndarray
    inside: np.ndarray
    outside: np.ndarray
    members: np.ndarray

    def __post_init__(self) -> None:
        inside = self.inside.sum(0)
        fewest = min(inside[inside > 0].min(initial=2), self.outside.sum(0).min(initial=2))
        if fewest < 2:
            raise ValueError(
                f"an example has {fewest} shadow models on one side; need >= 2: train more pairs"
            )
        for name, values in vars(self).items():
            if not np.isfinite(values).all():
                raise ValueError(f"{name}: margins are NaN or infinite: a model has diverged")


@dataclass(frozen=True, eq=False)
class Evidence(Pool):
    """A pool beside z examples that no network saw. population (z,), shadow_population (K, z):
    their margins under the attacked model and under each shadow model."""

    population: np.ndarray
    shadow_population: np.ndarray
