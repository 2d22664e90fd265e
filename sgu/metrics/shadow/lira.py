"""LiRA, offline and of unlearning: an example's margin against normal distributions of its margin
under the shadow models (Carlini et al. 2022, "Membership Inference Attacks From First Principles",
arXiv 2112.03570).

`lira`, offline, compares with networks that have not seen the example:

    score = (margin - mean_out) / deviation_out,

the argument of their one-sided test, 1 - P[N(mean_out, deviation_out^2) > margin] = Phi(score),
which orders examples in the same way and does not saturate at 1.

`u_lira` asks whether the example was unlearned or never there (Hayes et al. 2024, "Inexact
Unlearning Needs More Careful Evaluations to Avoid a False Sense of Privacy", arXiv 2403.01218):

    score = log N(margin; mean_in, deviation_in^2) - log N(margin; mean_out, deviation_out^2),

`in`: shadow models trained on the example, which the method under audit then unlearned from them;
`out`: those that never had it, from which the method unlearned others. With trained instead of
unlearned shadow models this is online LiRA. The attacked model is no shadow model, so none is left
out.
"""

from __future__ import annotations

import numpy as np

from sgu.metrics.shadow.evidence import Pool

FEW = 64
"""With fewer models on a side, all examples share one variance (section of Carlini et al. on the
number of shadow models)."""


def lira(pool: Pool) -> np.ndarray:
    """Return scores (n,), higher = more member-like."""
    mean, deviation = _normal(pool.shadows, pool.outside)
    return (pool.target - mean) / deviation


def u_lira(pool: Pool) -> np.ndarray:
    """Return scores (n,), higher = more like a member that was unlearned."""
    sides = [_normal(pool.shadows, chosen) for chosen in (pool.inside, pool.outside)]
    within, without = (_log_density(pool.target, *side) for side in sides)
    return within - without


def _normal(shadows: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation (n,) of the margins (K, n) of each example that are `chosen`,
    (K, n) bool. With fewer than FEW of them all examples have the mean variance."""
    count = chosen.sum(0)
    mean = np.where(chosen, shadows, 0).sum(0) / count
    squares = np.where(chosen, (shadows - mean) ** 2, 0).sum(0)
    variance = squares / (count - 1)
    if count.min() < FEW:
        variance = np.full_like(variance, squares.sum() / (count - 1).sum())
    return mean, np.sqrt(variance)


def _log_density(values: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    z = (values - mean) / deviation
    return -(z**2) / 2 - np.log(deviation) - np.log(2 * np.pi) / 2
