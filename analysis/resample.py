"""Resampling of seeds: the means that other seeds of the same kind could have given.

Units are the seeds of a data set; all rows of one unit (a seed fixes the splits, which all methods
share) are drawn together, so that what is common to them cancels in differences. In each draw a
unit u has weight e_u, exponential with mean 1, and a group of n units the mean

    m* = m + sqrt((n + 1) / (n - 1)) (sum e_u x_u / sum e_u - m)

Without the root this is Rubin's Bayesian bootstrap (1981), whose variance is s^2 / n times
(n - 1) / (n + 1); with it, s^2 / n. Unlike counts of a resample, the weights leave no group without
a unit, and three seeds give a smooth distribution instead of ten values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csc_array
from scipy.stats import norm, t

DRAWS = 2000
LEVEL = 0.9  # probability of all intervals over seeds
UNIT = ("dataset", "seed")
TINY = 1e-300

Array = NDArray[np.float64]
Codes = NDArray[np.integer[Any]]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Quantities with their resampled values.

    value: (quantities,); draws: (draws, quantities), about the value or, if it is known to be
    biased, about the value without the bias; units: (quantities,) int, the fewest units a quantity
    rests on; freedom: (quantities,), degrees of freedom of its variance, 0 for a single unit.
    """

    value: Array
    draws: Array
    units: Codes
    freedom: Array

    def ends(self) -> tuple[Array, Array]:
        """Return low and high of each quantity's interval; NaN if it rests on a single unit.

        Quantiles of the draws, stretched about their mean from the normal's to Student's. Measured
        by benchmarks/interval_coverage.py.
        """
        tail, middle = (1 - LEVEL) / 2, self.draws.mean(axis=0)
        low, high = np.quantile(self.draws, [tail, 1 - tail], axis=0) - middle
        known = np.where(self.freedom > 0, self.freedom, np.nan)
        stretch = t.ppf(1 - tail, known) / norm.ppf(1 - tail)
        return middle + stretch * low, middle + stretch * high

    def at(self, numbers: Codes) -> Drawn:
        """Return the quantities of these numbers, in that order."""
        return Drawn(
            value=self.value[numbers],
            draws=self.draws[:, numbers],
            units=self.units[numbers],
            freedom=self.freedom[numbers],
        )

    def mean(self, of: Codes) -> Drawn:
        """Return the means over strata: of the quantities with the same number, 0, 1, ..., in `of`.

        Their freedom is Satterthwaite's: (sum v)^2 / sum v^2 / f, v the strata's variances.
        """
        sizes = np.bincount(of)
        share = csc_array((1 / sizes[of], (np.arange(len(of)), of)))
        v = self.draws.var(axis=0)
        v = np.where(np.bincount(of, v)[of] > 0, v, 1.0)  # if none varies, all weigh alike
        inverse = np.divide(1.0, self.freedom, where=self.freedom > 0, out=np.full(len(v), np.inf))
        return Drawn(
            value=self.value @ share,
            draws=self.draws @ share,
            units=np.array([self.units[of == number].min() for number in range(len(sizes))]),
            freedom=np.bincount(of, v) ** 2 / np.bincount(of, v**2 * inverse),
        )

    def less(self, other: Drawn, shared: Codes) -> Drawn:
        """Return the differences from `other`, quantity by quantity. shared: (quantities,) int, how
        many units the two have in common; with fewer than two they count as independent."""
        v, w = self.draws.var(axis=0), other.draws.var(axis=0)
        known = (self.freedom > 0) & (other.freedom > 0)
        f, g = np.where(known, self.freedom, 1.0), np.where(known, other.freedom, 1.0)
        apart = np.where(v + w > 0, (v + w) ** 2 / (v**2 / f + w**2 / g + TINY), f + g)
        paired = np.minimum(np.minimum(f, g), shared - 1.0)
        return Drawn(
            value=self.value - other.value,
            draws=self.draws - other.draws,
            units=np.minimum(self.units, other.units),
            freedom=np.where(known, np.where(shared > 1, paired, apart), 0.0),
        )


class Resampling:
    """One set of weights for all rows of `frame`, so that all draws from it are paired."""

    def __init__(
        self, frame: pd.DataFrame, unit: Sequence[str] = UNIT, draws: int = DRAWS, seed: int = 0
    ):
        codes = frame.groupby(list(unit), dropna=False).ngroup()
        self.unit = pd.Series(codes, frame.index, dtype="int64")
        generator = np.random.default_rng(seed)
        self.weights = generator.exponential(size=(draws, int(codes.max()) + 1))

    def means(self, values: pd.Series, group: Codes) -> Drawn:
        """Return the means of `values` (rows of the frame, no NaN) in each group, 0, 1, ..."""
        at = (self.unit[values.index].to_numpy(), group)
        shape = (self.weights.shape[1], int(group.max()) + 1)
        total = csc_array((values.to_numpy(np.float64), at), shape)
        count = csc_array((np.ones(len(values)), at), shape)
        count.sum_duplicates()
        units = np.diff(count.indptr).astype(np.int64)
        mean = total.sum(axis=0) / count.sum(axis=0)
        widening = np.sqrt((units + 1) / np.maximum(units - 1, 1)) * (units > 1)
        drawn = (self.weights @ total) / (self.weights @ count)
        draws = mean + widening * (drawn - drawn.mean(axis=0))
        return Drawn(value=mean, draws=draws, units=units, freedom=units - 1.0)
