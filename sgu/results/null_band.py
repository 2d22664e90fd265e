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
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t

Verdict = Literal["inside", "under-forgotten", "over-forgotten", "better", "worse"]
Aspect = Literal["memory", "attack", "utility", "cost"]

ASPECTS: dict[str, Aspect] = {
    # higher = more of forget is remembered: the side of the band tells which failure it is
    **dict.fromkeys(
        ["forget_acc", "tpr_at_1", "tpr_at_01"]
        + [f"{prefix}{name}_auc" for prefix in ("", "val_") for name in ("loss", "rmia", "lira")],
        "memory",
    ),
    # higher = forget differs more from held-out examples, in either direction: no side tells
    **dict.fromkeys(
        [f"{prefix}_{name}" for prefix in ("mia", "val_mia") for name in ("acc", "auc", "f1")]
        + ["mia_advantage", "val_mia_advantage", "ks", "wasserstein", "forget_test_gap"]
        + ["u_lira_auc"],
        "attack",
    ),
    **dict.fromkeys(("retain_acc", "test_acc", "val_acc", "utility_paper", "tow"), "utility"),
    **dict.fromkeys(("val_error", "avg_gap", "retain_mia_auc"), "cost"),
}
"""The aspect that each metric with a band measures; `ks_p`, `klom` and `seconds` have no band."""

RANGES = {"wasserstein": (0.0, math.inf), "utility_paper": (-1.0, 1.0)}
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

    def verdict(self, value: float, lead: float = 0.0) -> Verdict:
        """Return the verdict on one model; see `verdicts`. Raises ValueError for no number."""
        if not math.isfinite(value):
            raise ValueError(f"{self.name} is {value}; need a number: leave it out")
        return self.verdicts(value, lead).item()

    def verdicts(self, values: ArrayLike, leads: ArrayLike = 0.0) -> NDArray[np.object_]:
        """Return the verdict on each of `values`; None for NaN.

        Outside the band, utility and cost are better or worse; memory is under-forgotten above and
        over-forgotten below; for an attack the sign of the lead decides, see `lead_of`, or the side
        if the lead is 0 or NaN.
        """
        values, leads = np.asarray(values, float), np.asarray(leads, float)
        above, aspect = values > self.high + SLACK, ASPECTS[self.name]
        if aspect in ("utility", "cost"):
            outside = np.where(above == (aspect == "utility"), "better", "worse")
        else:
            decides = (aspect == "attack") & (abs(leads) > SLACK)
            remembered = np.where(decides, leads > 0, above)
            outside = np.where(remembered, "under-forgotten", "over-forgotten")
        inside = ~above & ~(values < self.low - SLACK)
        words = np.where(inside, "inside", outside).astype(object)
        words[np.isnan(values)] = None
        return words


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


def verdicts(
    metrics: Mapping[str, float | None], bands: Mapping[str, Band]
) -> dict[str, Verdict | None]:
    """Return a model's verdict on each metric that has a band; None where it has no value."""
    return {
        name: None if value is None else band.verdict(value, lead_of(name, metrics, bands))
        for name, band in bands.items()
        for value in [metrics.get(name)]
    }


def lead_of(name: str, metrics: Mapping[str, Any] | Any, bands: Mapping[str, Band]) -> Any:
    """Return the lead that decides what a value outside an attack's band means; 0 if unknown.

    An attack tells that forget differs from held-out examples, not how, and retrained models may
    differ from them, too; so a model that still remembers may lie on either side of the band. The
    lead is forget_acc - test_acc (val_acc, for an attack against val) less the retrained models'
    mean of that: above 0 a model outside is under-forgotten, below 0 over-forgotten.

    metrics: of one model, or a data frame of several, whose lead is a column.
    """
    other = "val_acc" if name.startswith("val_") else "test_acc"
    forget, heldout = metrics.get("forget_acc"), metrics.get(other)
    if forget is None or heldout is None or not {"forget_acc", other} <= bands.keys():
        return 0.0
    return (forget - heldout) - (bands["forget_acc"].mean - bands[other].mean)
