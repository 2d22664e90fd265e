"""95 % intervals by resampling examples within strata (percentile bootstrap), many at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

RESAMPLES = 1000
CELLS = 2_000_000
"""Resamples times examples held at once: 16 MB an array."""

Statistic = Callable[[np.ndarray], np.ndarray]
"""A function of counts (b, n) that returns (b,)."""


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def bootstrap(statistic: Statistic, strata: np.ndarray, widen: float = 1.0) -> Estimate:
    """Return the statistic of all examples and its interval, within [0, 1].

    strata: (n,) int, the group that each example is resampled in. widen: multiplies the
    interval's distance from the value on either side.
    """
    value = float(statistic(np.ones((1, len(strata))))[0])
    rng, size = np.random.default_rng(0), max(1, CELLS // len(strata))
    starts = range(0, RESAMPLES, size)
    counts = (resampled(strata, min(size, RESAMPLES - start), rng) for start in starts)
    varied = np.concatenate([statistic(drawn) for drawn in counts])
    low, high = np.percentile(varied, [2.5, 97.5])
    return Estimate(
        value,
        max(0.0, value - widen * max(0.0, value - float(low))),
        min(1.0, value + widen * max(0.0, float(high) - value)),
    )


def resampled(strata: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each example is drawn, (resamples, n) float64; strata keep their sizes."""
    counts = np.empty((resamples, len(strata)))
    for stratum in np.unique(strata):
        (indices,) = np.nonzero(strata == stratum)
        drawn = rng.integers(len(indices), size=(resamples, len(indices)))
        drawn += len(indices) * np.arange(resamples)[:, None]
        tally = np.bincount(drawn.ravel(), minlength=drawn.size)
        counts[:, indices] = tally.reshape(resamples, len(indices))
    return counts


def at_least_binomial(share: Estimate, trials: int) -> Estimate:
    """Return a share of `trials` with its interval widened to the exact (Clopper-Pearson) one:
    resampling a share of 0 gives 0 each time, though it is not certain."""
    exact = binomtest(round(share.value * trials), trials).proportion_ci()
    return Estimate(
        share.value, min(share.low, float(exact.low)), max(share.high, float(exact.high))
    )
