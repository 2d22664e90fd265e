"""KLoM: the distance between the margins of unlearned and of retrained models, by example
(Georgiev et al. 2024, "Attribute-to-Delete: Machine Unlearning via Datamodel Matching", arXiv
2410.23232; "KL divergence of margins").

    klom(x) = KL( margins of unlearned models at x || margins of retrained models at x )

The direction is that of the authors' programs (RoyRin/data-unlearning-bench, src/eval.py and
unlearning/auditors/direct.py: "wherever we put mass in unlearned, we better have mass in oracle").
It is what an audit asks for: unlearned models must not answer as no retrained model would. The
other way would pardon an unlearned model that only sometimes stands out.

The authors bin the margins of a hundred models a side. A few models give no histogram, so both
sides are taken for normal here,

    KL(N(u, t^2) || N(m, s^2)) = log(s / t) + (t^2 + (u - m)^2) / (2 s^2) - 1/2,

with variances shrunk towards the mean over all examples of the split, by as much as PRIOR further
deviations would: (nu s^2 + PRIOR mean s^2) / (nu + PRIOR), nu = models - 1. The number of a single
example is therefore a guess, and never 0: read the mean and the 95th percentile over a split, and
compare them with `nothing`, the values of two ensembles of one distribution and these sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

PRIOR = 4
SPLITS = ("forget", "retain", "test")
DRAWN = 20_000
"""Simulated examples for `nothing`."""


@dataclass(frozen=True)
class Spread:
    """Mean and 95th percentile over the examples of a split, in nats; 0 is best."""

    mean: float
    p95: float

    @classmethod
    def of(cls, values: np.ndarray) -> Spread:
        return cls(float(values.mean()), float(np.percentile(values, 95)))


@dataclass(frozen=True, kw_only=True)
class Klom:
    """KLoM by split. nothing: the same for two ensembles of one distribution, by simulation;
    unlearned, retrained: models of either side."""

    forget: Spread
    retain: Spread
    test: Spread
    nothing: Spread
    unlearned: int
    retrained: int


def klom_of(unlearned: Mapping[str, np.ndarray], retrained: Mapping[str, np.ndarray]) -> Klom:
    """Return KLoM from the margins (models, n) of each split in SPLITS; two models a side or more.

    Raises ValueError for fewer models.
    """
    models = len(retrained["forget"]), len(unlearned["forget"])
    spreads = {split: Spread.of(divergence(retrained[split], unlearned[split])) for split in SPLITS}
    drawn = np.random.default_rng(0).standard_normal((sum(models), DRAWN))
    nothing = Spread.of(divergence(drawn[: models[0]], drawn[models[0] :]))
    return Klom(**spreads, nothing=nothing, retrained=models[0], unlearned=models[1])


def divergence(retrained: np.ndarray, unlearned: np.ndarray) -> np.ndarray:
    """Return klom(x), (n,) in nats, from margins (N, n) and (M, n)."""
    (m, s2), (u, t2) = (_normal(side) for side in (retrained, unlearned))
    return (np.log(s2 / t2) + (t2 + (u - m) ** 2) / s2 - 1) / 2


def _normal(side: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the shrunk variance, (n,) each."""
    if len(side) < 2:
        raise ValueError(f"KLoM of {len(side)} models; need >= 2 on each side: train more")
    nu, variance = len(side) - 1, side.var(0, ddof=1)
    return side.mean(0), (nu * variance + PRIOR * variance.mean()) / (nu + PRIOR)
