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
class Evidence:
    """Margins of a pool of n examples, half of them members, and of z others that no network saw.

    target (n,), population (z,): under the attacked model; shadows (K, n), shadow_population
    (K, z): under each shadow model; inside (K, n) bool: the model was trained on the example;
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
