"""The null band: where the metrics of one more retrained model would lie.

Seed j has K_j retrained models with mean m_j; s pools their deviations within seeds, on
v = sum (K_j - 1) degrees of freedom. The mean over J seeds of one more retrained model each lies
with probability .95 in the prediction interval

    mean_j m_j +- t_{v, .975} s sqrt(sum_j (1 + 1/K_j)) / J

(exact for normal values; cut to the metric's range). For one seed with N models, as in an audit, it
is m +- t_{N-1, .975} s sqrt(1 + 1/N): m +- 5.0 s at N = 3, 3.0 s at 5, 2.4 s at 10. If no seed has
two retrained models, the models of all seeds count as one ensemble, whose band is wider by what the
seeds' splits differ in.

The band holds the randomness of training alone: all models are judged on the same examples, so what
other examples would change is common to the models compared and in no band.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t

Aspect = Literal["memory", "utility", "cost"]

ASPECTS: dict[str, Aspect] = {
    **dict.fromkeys(
        ["forget_acc", "tpr_at_1", "tpr_at_01"]
        + [f"{prefix}{name}_auc" for prefix in ("", "val_") for name in ("loss", "rmia", "lira")]
        + [f"{prefix}_{name}" for prefix in ("mia", "val_mia") for name in ("acc", "auc", "f1")]
        + ["mia_advantage", "val_mia_advantage", "ks", "wasserstein", "forget_test_gap"]
        + ["u_lira_auc", "relearn_steps"],
        "memory",
    ),
    **dict.fromkeys(("retain_acc", "test_acc", "val_acc", "utility_paper", "tow"), "utility"),
    **dict.fromkeys(("val_error", "avg_gap", "retain_mia_auc"), "cost"),
}
"""The aspect that each metric with a band measures; `ks_p`, `klom` and `seconds` have no band. What
a value means for memory is said by its residual memory, see `sgu.results.verdicts`."""

NO_SCALE = "u_lira_auc"
"""The shadow models of U-LiRA are unlearned, the original is not: it is no scale for that attack,
which its band alone judges. Measured: the original scored .38 where retrained models scored .51."""

MEMORY = tuple(name for name, aspect in ASPECTS.items() if aspect == "memory" and name != NO_SCALE)
"""Metrics that have a residual memory."""

RANGES = {"utility_paper": (-1.0, 1.0)}
RANGES |= dict.fromkeys(("wasserstein", "relearn_steps"), (0.0, math.inf))
"""Metrics whose range is not 0..1."""

SLACK = 1e-9  # what rounding may do to a value at the band's end


@dataclass(frozen=True, kw_only=True)
class Band:
    """Mean and deviation of a metric over retrained models; one more lies in low..high.

    models: retrained models; seeds: how many seeds they have.
    """

    name: str
    mean: float
    sd: float
    low: float
    high: float
    models: int
    seeds: int = 1

    def __contains__(self, value: float) -> bool:
        return self.low - SLACK <= value <= self.high + SLACK

    def side(self, value: float) -> str:
        """Return "below the band" or "above the band" for a value outside it, else ""."""
        if value in self:
            return ""
        return "below the band" if value < self.low else "above the band"


def bands(retrained: Sequence[Mapping[str, float | None]]) -> dict[str, Band]:
    """Return the band of each metric that all of the retrained models have.

    Raises:
        ValueError: fewer than two models.
    """
    if len(retrained) < 2:
        raise ValueError(
            f"{len(retrained)} retrained model: a band takes 2 or more: train more oracles"
        )
    columns = {
        name: np.array([metrics.get(name) for metrics in retrained], float) for name in ASPECTS
    }
    return {name: band(name, x) for name, x in columns.items() if np.isfinite(x).all()}


def band(name: str, values: ArrayLike, seeds: ArrayLike | None = None, over: int = 1) -> Band:
    """Return the band of a metric for the mean over so many seeds.

    values (n,), n >= 2: of retrained models; seeds (n,): the seed of each, by default one for all.
    """
    values = np.asarray(values, float)
    seeds = np.zeros(len(values)) if seeds is None else np.asarray(seeds)
    _, group, sizes = np.unique(seeds, return_inverse=True, return_counts=True)
    means = np.array([values[group == number].mean() for number in range(len(sizes))])
    freedom, mean = int((sizes - 1).sum()), float(means.mean())
    if freedom:
        sd = math.sqrt(((values - means[group]) ** 2).sum() / freedom)
        others = float((1 / sizes).mean())
    else:
        freedom, sd, others = len(values) - 1, float(values.std(ddof=1)), over / len(values)
    reach = half_width(freedom, (1 + others) / over) * sd
    least, most = RANGES.get(name, (0.0, 1.0))
    ends = {"low": max(least, mean - reach), "high": min(most, mean + reach)}
    return Band(name=name, mean=mean, sd=sd, models=len(values), seeds=len(sizes), **ends)


def half_width(freedom: int, variance: float) -> float:
    """Return half of a band's width in deviations: t_{freedom, .975} sqrt(variance)."""
    return float(t.ppf(0.975, freedom) * math.sqrt(variance))
