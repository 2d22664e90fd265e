"""Offline RMIA: is the example likelier under the model, relative to other models, than most others
are? (Zarifzadeh et al. 2024, "Low-Cost High-Power Membership Inference Attacks", arXiv 2312.03262)

    ratio(x) = p(x | model) / p(x)
    score(x) = share of a population's z with ratio(x) >= gamma ratio(z)

p: probability of the example's own class (softmax). No network has seen z, so p(z) is the mean over
all shadow models. p(x) is over those that have not seen x, and therefore too low; the correction
takes half of it over networks that have:

    p(x) = ((1 + a) p_out(x) + 1 - a) / 2,   from p_in = a p_out + 1 - a.

The paper searches for a on a further network; here it is the least-squares fit of the last equation
over the examples that have shadow models on either side anyway.
gamma = 1: a member need only be likelier than a z, by any factor.

The score rises with ratio(x) alone. So an area under its ROC curve takes no population: it is that
of the ratio, but for the ties that a finite population makes. InfoRMIA (Tao & Shokri 2025, arXiv
2510.05582), log ratio(x) + KL(p(z) || p(z | model)), is free of them and orders examples of one
model as the ratio does, since its second term is the same for all x: it has the ratio's area.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from sgu.metrics.shadow.evidence import Evidence, Pool

GAMMA = 1.0


def rmia(evidence: Evidence, a: float | None = None, gamma: float = GAMMA) -> np.ndarray:
    """Return scores (n,) in 0..1, higher = more member-like. a: None fits it."""
    of_others = expit(evidence.population) / expit(evidence.shadow_population).mean(0)
    of_pool = likelihood_ratio(evidence, a)
    return np.searchsorted(np.sort(gamma * of_others), of_pool, side="right") / len(of_others)


def likelihood_ratio(pool: Pool, a: float | None = None) -> np.ndarray:
    """Return ratio(x) of the pool, (n,). a: None fits it."""
    p, both = expit(pool.shadows), pool.inside.any(0)
    p_out = _mean(p, pool.outside)
    if a is None:
        a = correction(_mean(p[:, both], pool.inside[:, both]), p_out[both])
    return expit(pool.target) / (((1 + a) * p_out + 1 - a) / 2)


def correction(p_in: np.ndarray, p_out: np.ndarray) -> float:
    """Return a in 0..1 with the least sum of (p_in - a p_out - 1 + a)^2: the slope of 1 - p_in on
    1 - p_out through the origin."""
    rest_in, rest_out = 1 - p_in, 1 - p_out
    return float(np.clip((rest_in * rest_out).sum() / (rest_out**2).sum(), 0, 1))


def _mean(p: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return np.where(chosen, p, 0).sum(0) / chosen.sum(0)
