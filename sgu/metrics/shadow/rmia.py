"""Offline RMIA: is the example likelier under the model, beside what is usual, than most others
are? (Zarifzadeh et al. 2024, "Low-Cost High-Power Membership Inference Attacks", arXiv 2312.03262)

    ratio(x) = p(x | model) / p(x)
    score(x) = share of a population's z with ratio(x) >= gamma ratio(z)

p: probability of the example's own class (softmax). Of z, which no network has seen, p(z) is the
mean over the shadow models. Of x only those count that have not seen it, which makes the mean too
low for what is wanted, half over networks that have:

    p(x) = ((1 + a) p_out(x) + 1 - a) / 2,   from p_in = a p_out + 1 - a.

The paper searches for a on a network of its own; here it is the least-squares fit of the last
equation over the pool, the shadow models on either side of which are there anyway.
gamma = 1: a member need only be likelier than a z, by whatever factor.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from sgu.metrics.shadow.evidence import Evidence

GAMMA = 1.0


def rmia(seen: Evidence, a: float | None = None, gamma: float = GAMMA) -> np.ndarray:
    """(n,), in 0..1, higher = more member-like. a: None fits it."""
    p, inside = expit(seen.shadows), seen.inside
    p_out = _mean(p, ~inside)
    a = correction(_mean(p, inside), p_out) if a is None else a
    of_pool = expit(seen.target) / (((1 + a) * p_out + 1 - a) / 2)
    of_others = expit(seen.population) / expit(seen.shadow_population).mean(0)
    return np.searchsorted(np.sort(gamma * of_others), of_pool, side="right") / len(of_others)


def correction(p_in: np.ndarray, p_out: np.ndarray) -> float:
    """a in 0..1 with the least sum of (p_in - a p_out - 1 + a)^2: the slope of 1 - p_in on
    1 - p_out, through the origin."""
    rest_in, rest_out = 1 - p_in, 1 - p_out
    return float(np.clip((rest_in * rest_out).sum() / (rest_out**2).sum(), 0, 1))


def _mean(p: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return np.where(chosen, p, 0).sum(0) / chosen.sum(0)
