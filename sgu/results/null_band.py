"""The null band: where a retrained model's metrics lie, from an ensemble of retrained models.

From N of them with mean m and deviation s, one more lies with probability .95 in the prediction
interval

    m +- t_{N-1, .975} s sqrt(1 + 1/N)

(exact for normal values; cut to the metric's range). At N = 3 it is m +- 5.0 s, at 5 3.0 s, at 10
2.4 s. The band is of the training's randomness alone: the models are judged on the same examples,
so what another draw of these would change is in no band, and is common to the models compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import t

Verdict = Literal["inside", "under-forgotten", "over-forgotten", "better", "worse"]
Kind = Literal["memory", "attack", "utility", "cost"]

KINDS: dict[str, Kind] = {
    # higher = more of forget is remembered: outside, the side says which failure it is
    **dict.fromkeys(("forget_acc", "tpr_at_1", "tpr_at_01", "rmia_auc", "lira_auc"), "memory"),
    # higher = forget can be told from held-out examples, whichever way it differs: no side says it
    **dict.fromkeys(
        [f"{prefix}_{name}" for prefix in ("mia", "val_mia") for name in ("acc", "auc", "f1")]
        + ["mia_advantage", "val_mia_advantage", "ks", "wasserstein", "forget_test_gap"]
        + ["u_lira_auc"],
        "attack",
    ),
    **dict.fromkeys(("retain_acc", "test_acc", "val_acc", "utility_paper", "tow"), "utility"),
    **dict.fromkeys(("val_error", "avg_gap", "retain_mia_auc"), "cost"),
}
"""Metrics that have a band; `ks_p`, `klom`, `seconds` and the like have none."""

RANGES = {"wasserstein": (0.0, math.inf), "utility_paper": (-1.0, 1.0)}
"""All others are in 0..1."""

SLACK = 1e-9  # what rounding may do to a value that is the band's end


@dataclass(frozen=True, kw_only=True)
class Band:
    """Mean and deviation of a metric over `models` retrained ones; one more is in low..high."""

    name: str
    mean: float
    sd: float
    low: float
    high: float
    models: int

    def __contains__(self, value: float) -> bool:
        return self.low - SLACK <= value <= self.high + SLACK

    def verdict(self, value: float, lead: float = 0.0) -> Verdict:
        """Where a model lies. utility, cost: better or worse. memory: above is under-forgotten,
        below over-forgotten. attack: on either side the sign of `lead` says which, see `verdicts`;
        0 says nothing, and leaves it to the side."""
        if value in self:
            return "inside"
        if not math.isfinite(value):
            raise ValueError(f"{self.name} is {value}; need a number: leave it out")
        above, kind = value > self.high, KINDS[self.name]
        if kind in ("utility", "cost"):
            return "better" if above == (kind == "utility") else "worse"
        told = kind == "attack" and abs(lead) > SLACK
        remembered = lead > 0 if told else above
        return "under-forgotten" if remembered else "over-forgotten"


def bands(retrained: Sequence[Mapping[str, float | None]]) -> dict[str, Band]:
    """The band of each metric that all of the retrained models have; of two models or more."""
    if len(retrained) < 2:
        raise ValueError(
            f"{len(retrained)} retrained model: a band takes 2 or more: train more oracles"
        )
    found = {}
    for name in KINDS:
        values = [metrics.get(name) for metrics in retrained]
        known = [value for value in values if value is not None and math.isfinite(value)]
        if len(known) == len(values):
            found[name] = band(name, known)
    return found


def band(name: str, values: Sequence[float]) -> Band:
    """Of one metric, from its values."""
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    reach = half_width(len(values)) * sd
    least, most = RANGES.get(name, (0.0, 1.0))
    low, high = max(least, mean - reach), min(most, mean + reach)
    return Band(name=name, mean=mean, sd=sd, low=low, high=high, models=len(values))


def half_width(models: int) -> float:
    """Of the band, in deviations."""
    return float(t.ppf(0.975, models - 1) * math.sqrt(1 + 1 / models))


def verdicts(
    metrics: Mapping[str, float | None], of: Mapping[str, Band]
) -> dict[str, Verdict | None]:
    """A model's verdict on each metric that has a band; None where the model has no value.

    An attack tells that forget differs from held-out examples and not how, and where retrained
    models differ from them, too, a model that still remembers may lie on either side of the band:
    outside it is under-forgotten whose lead, forget_acc - test_acc (val_acc, for what is against
    val), is above the retrained models' mean lead, and over-forgotten whose lead is below.
    """
    found: dict[str, Verdict | None] = {}
    for name in of:
        value = metrics.get(name)
        other = "val_acc" if name.startswith("val_") else "test_acc"
        lead = _lead(metrics, of, other)
        found[name] = None if value is None else of[name].verdict(value, lead)
    return found


def _lead(metrics: Mapping[str, float | None], of: Mapping[str, Band], other: str) -> float:
    """forget_acc less the other accuracy, above the retrained models' mean of that; 0: unknown."""
    ours, theirs = metrics.get("forget_acc"), metrics.get(other)
    if ours is None or theirs is None or not {"forget_acc", other} <= of.keys():
        return 0.0
    return (ours - theirs) - (of["forget_acc"].mean - of[other].mean)
