"""KLoM: how far apart the margins of unlearned and of retrained models are, example by example
(Georgiev et al. 2024, "Attribute-to-Delete: Machine Unlearning via Datamodel Matching", arXiv
2410.23232; "KL divergence of margins").

    klom(x) = KL( margins of retrained models at x || margins of unlearned models at x )

The paper bins the margins of a hundred models a side. A few give no histogram: both sides are taken
for normal here,

    KL(N(m, s^2) || N(u, t^2)) = log(t / s) + (s^2 + (m - u)^2) / (2 t^2) - 1/2,

with variances shrunk towards the mean over all examples of the split, by as much as PRIOR further
deviations would: (nu s^2 + PRIOR mean s^2) / (nu + PRIOR), nu = models - 1. So an example's number
is a guess, and never 0; mean and 95th percentile over a split are what to read, beside `nothing`,
which is what two equal ensembles of these sizes would show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PRIOR = 4
SPLITS = ("forget", "retain", "test")
DRAWN = 20_000


@dataclass(frozen=True)
class Spread:
    """Over the examples of a split, in nats; 0 is best."""

    mean: float
    p95: float

    @classmethod
    def of(cls, values: np.ndarray) -> Spread:
        return cls(float(values.mean()), float(np.percentile(values, 95)))


@dataclass(frozen=True, kw_only=True)
class Klom:
    """nothing: of two ensembles of one distribution, as many models each, by simulation."""

    forget: Spread
    retain: Spread
    test: Spread
    nothing: Spread
    unlearned: int
    retrained: int


def divergence(retrained: np.ndarray, unlearned: np.ndarray) -> np.ndarray:
    """(n,) in nats, of margins (N, n) and (M, n)."""
    (m, s2), (u, t2) = (_normal(side) for side in (retrained, unlearned))
    return (np.log(t2 / s2) + (s2 + (m - u) ** 2) / t2 - 1) / 2


def _normal(side: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and shrunk variance, (n,) each."""
    if len(side) < 2:
        raise ValueError(f"KLoM of {len(side)} models; need >= 2 on each side: train more")
    nu, own = len(side) - 1, side.var(0, ddof=1)
    return side.mean(0), (nu * own + PRIOR * own.mean()) / (nu + PRIOR)
