"""Residual memory of a model, and the verdict whether it is like one that never saw forget.

For a metric with value m of the model, o of the original and mean r of N retrained models,

    rho = (m - r) / (o - r):    0 is like retraining, 1 like the original, < 0 over-forgotten.

The retrained models' deviation s is what training alone moves a value by, and a model that never
saw forget would be one more draw of them. So with L = o - r

    se(rho) = s / |L| sqrt(1 + (1 - rho)^2 / N),    interval rho +- t_{N-1} se(rho).

Over several seeds, m, o and r are means of each seed's own, s is pooled within the seeds, and the
term under the root is sum_g (1 + (1 - rho)^2 / N_g) / S^2. Beside a margin (default .2):

    like retrained    the whole interval lies within +-margin: equivalence is shown (two one-sided
                      tests; Schuirmann 1987), not merely not refuted
    remembers         the interval lies above 0 and reaches beyond +margin
    over-forgotten    the interval lies below 0 and reaches beyond -margin
    undecided         anything else

The joint verdict of a model rests on the mean rho of a few primary metrics, whose interval counts
how the metrics vary together, and on each of them alone: K + 1 tests at (1 - .95) / (K + 1), so
that a retrained model is called remembering or over-forgotten with probability <= .05.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.stats import betabinom, t

Verdict = Literal["like retrained", "remembers", "over-forgotten", "undecided"]
Metrics = Mapping[str, float | None]

MARGIN = 0.2
LEVEL = 0.95
FEWEST_MODELS = 3
FEWEST_FORGOTTEN = 50
FLOOR = 0.25
"""Least deviation of a rate, as a share of its binomial deviation: a few retrained models may agree
by chance. Measured on the embedded data: .37 to .5 (forget accuracy, 4 models, 3 seeds)."""

POWER = 0.5
"""Widest half-width of a metric's interval that counts: with a wider one it tells nothing."""

TYPICAL = 0.037
"""Deviation of the joint residual memory of retrained models, where none is measured yet. Measured
on the embedded data, 400 forgotten, 6 retrained models, by val: .037 (forget_acc .069, loss .030,
RMIA .042, LiRA .040)."""

MOST_MODELS = 64
"""Beyond so many retrained models, more of them are no advice."""

REPORTING = ("forget_acc", "loss_auc", "rmia_auc", "lira_auc")
"""Primary metrics of an audit."""

SELECTION = ("forget_acc", "val_loss_auc", "val_rmia_auc", "val_lira_auc")
"""Primary metrics of a study: none reads the test split."""


@dataclass(frozen=True, kw_only=True)
class References:
    """The metrics of one seed's original and of its retrained models."""

    original: Metrics
    retrained: Sequence[Metrics]


@dataclass(frozen=True, kw_only=True)
class Residual:
    """Residual memory by one metric, or by the mean of several, with its interval.

    advice: what would decide an undecided one; empty for the others.
    """

    metric: str
    value: float
    low: float
    high: float
    verdict: Verdict
    advice: str = ""

    @property
    def farthest(self) -> float:
        """Return how far from 0 the interval reaches: below the margin if like retrained."""
        return max(abs(self.low), abs(self.high))

    def per_cent(self) -> list[str]:
        """Return the share and the ends of its interval in whole per cent."""
        return [str(round(100 * share)) for share in (self.value, self.low, self.high)]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The joint verdict on one model, and what it rests on.

    verdict: None where the data allow none, and `reason` says why; joint: the mean over the primary
    metrics; residuals: each metric that has power at this size; blind: those that have none; sees:
    the least residual memory that this size tells from none.
    """

    verdict: Verdict | None
    reason: str = ""
    joint: Residual | None = None
    residuals: tuple[Residual, ...] = ()
    blind: tuple[str, ...] = ()
    models: int = 0
    sees: float = math.nan
    margin: float = MARGIN

    @property
    def by_metric(self) -> dict[str, Residual]:
        """Return the residual memory, jointly (with the model's verdict) and by each metric; empty
        without a verdict."""
        if self.verdict is None or self.joint is None:
            return {}
        joint = replace(self.joint, verdict=self.verdict)
        return {residual.metric: residual for residual in (joint, *self.residuals)}

    def text(self) -> str:
        """Return the verdict and its reasons in one or two sentences."""
        if self.verdict is None or self.joint is None:
            return f"No verdict: {self.reason}."
        value, low, high = self.joint.per_cent()
        margin = f"margin {100 * self.margin:.0f} %"
        share = f"residual memory {value} % ({low} to {high}), {margin}"
        size = f"{self.models} retrained models see {100 * self.sees:.0f} % or more"
        sentence = f"{self.verdict.capitalize()}: {share}; {size}."
        return f"{sentence} {self.joint.advice}".rstrip()


def judge(
    models: Sequence[Metrics],
    references: Sequence[References],
    primary: Sequence[str],
    *,
    forgotten: int,
    classes: int,
    margin: float = MARGIN,
) -> Judgement:
    """Return the joint verdict on one configuration, run once beside each of the references.

    forgotten: examples to forget; classes: of the data, for what chance is.
    """
    fewest = min((len(seed.retrained) for seed in references), default=0)
    if reason := _no_verdict(models, references, forgotten, classes):
        return Judgement(verdict=None, reason=reason, models=fewest, margin=margin)
    scales = {name: _Scale.of(name, models, references, forgotten) for name in primary}
    known = {name: scale for name, scale in scales.items() if scale and scale.tells}
    blind = tuple(name for name, scale in scales.items() if scale and not scale.tells)
    if not known:
        reason = "no metric tells the original from retrained models at this size"
        return Judgement(verdict=None, reason=reason, blind=blind, models=fewest, margin=margin)
    level = 1 - (1 - LEVEL) / (len(known) + 1)
    mean = _Scale.mean(list(known.values()))
    joint, strict = mean.residual(margin, LEVEL), mean.residual(margin, level)
    alone = [scale.residual(margin, level) for scale in known.values()]
    calls = [each.verdict for each in (strict, *alone)]
    accused = [call for call in ("remembers", "over-forgotten") if call in calls]
    equal = joint.verdict == "like retrained" and not accused
    return Judgement(
        verdict=accused[0] if accused else "like retrained" if equal else "undecided",
        joint=joint,
        residuals=tuple(scale.residual(margin, LEVEL) for scale in known.values()),
        blind=blind,
        models=fewest,
        sees=mean.half_width(0.0, LEVEL),
        margin=margin,
    )


def foreseen(models: int, forgotten: int, seeds: int = 1, margin: float = MARGIN) -> str:
    """Return what verdicts will see, as far as it is known before anything is trained.

    models: retrained ones of each seed; forgotten: examples to forget.
    """
    if models < FEWEST_MODELS:
        return f"none: {models} retrained models; need {FEWEST_MODELS} or more"
    if forgotten < FEWEST_FORGOTTEN:
        return f"none: {forgotten} forgotten examples; need {FEWEST_FORGOTTEN}"
    deviation = TYPICAL * math.sqrt((1 + 1 / models) / seeds)
    sees = 100 * _reach(seeds * (models - 1), LEVEL) * deviation
    widest = "like retrained can be shown" if sees < 100 * margin else "train more of them"
    return (
        f"{models} retrained models will see a residual memory of about {sees:.0f} % or more, if "
        f"they differ as on the embedded data; margin {100 * margin:.0f} %: {widest}"
    )


def residual_memory(
    model: Metrics, references: References, primary: Sequence[str], *, forgotten: int
) -> float | None:
    """Return the joint residual memory of one model, the mean rho of the primary metrics that have
    power; None with fewer than three retrained models, or where no metric has any."""
    if len(references.retrained) < FEWEST_MODELS:
        return None
    scales = [_Scale.of(name, [model], [references], forgotten) for name in primary]
    telling = [scale for scale in scales if scale and scale.tells]
    return _Scale.mean(telling).value if telling else None


@dataclass(frozen=True)
class _Scale:
    """A metric on the scale of rho: 0 is the retrained models' mean, 1 the original.

    value: rho of the model; deviation: s / |L|, of `freedom` degrees; counts: N_g of each seed;
    draws: the retrained models' own rho, seed after seed; floor: the least deviation.
    """

    name: str
    value: float
    draws: np.ndarray
    counts: tuple[int, ...]
    floor: float

    @classmethod
    def of(
        cls,
        name: str,
        models: Sequence[Metrics],
        references: Sequence[References],
        forgotten: int,
    ) -> _Scale | None:
        """Return None where a model or a reference lacks the metric."""
        columns = [
            [metrics.get(name) for metrics in (model, seed.original, *seed.retrained)]
            for model, seed in zip(models, references, strict=True)
        ]
        if any(value is None or not math.isfinite(value) for column in columns for value in column):
            return None
        values = [np.array(column, dtype=float) for column in columns]
        centre = [column[2:].mean() for column in values]
        length = float(np.mean([c[1] - mean for c, mean in zip(values, centre, strict=True)]))
        if length == 0:
            return None
        moved = float(np.mean([c[0] - mean for c, mean in zip(values, centre, strict=True)]))
        draws = [c[2:] - mean for c, mean in zip(values, centre, strict=True)]
        return cls(
            name=name,
            value=moved / length,
            draws=np.concatenate(draws) / length,
            counts=tuple(map(len, draws)),
            floor=FLOOR * _binomial(name, float(np.mean(centre)), forgotten) / abs(length),
        )

    @classmethod
    def mean(cls, scales: Sequence[_Scale]) -> _Scale:
        """Return the mean of several metrics, whose draws vary together as they do."""
        return cls(
            name="joint",
            value=float(np.mean([scale.value for scale in scales])),
            draws=np.mean([scale.draws for scale in scales], axis=0),
            counts=scales[0].counts,
            floor=float(np.mean([scale.floor for scale in scales])) / math.sqrt(len(scales)),
        )

    @property
    def freedom(self) -> int:
        return len(self.draws) - len(self.counts)

    @property
    def deviation(self) -> float:
        return max(math.sqrt(float((self.draws**2).sum()) / self.freedom), self.floor)

    @property
    def tells(self) -> bool:
        """Return True if the metric has power: it tells half of the original's memory from none."""
        return self.half_width(0.0, LEVEL) < POWER

    def half_width(self, rho: float, level: float) -> float:
        """Return half of the interval's width at a residual memory of rho."""
        terms = sum(1 + (1 - rho) ** 2 / count for count in self.counts)
        return _reach(self.freedom, level) * self.deviation * math.sqrt(terms) / len(self.counts)

    def residual(self, margin: float, level: float) -> Residual:
        half = self.half_width(self.value, level)
        low, high = self.value - half, self.value + half
        call = _verdict(low, high, margin)
        advice = self._advice(margin, level) if call == "undecided" else ""
        return Residual(
            metric=self.name, value=self.value, low=low, high=high, verdict=call, advice=advice
        )

    def _advice(self, margin: float, level: float) -> str:
        """Return what would decide it: more retrained models, or else other seeds."""
        size = abs(self.value)
        needed = margin - size if size < margin else size
        seeds = len(self.counts)
        for count in range(min(self.counts) + 1, MOST_MODELS + 1):
            reach = _reach(seeds * (count - 1), level) * self.deviation
            if reach * math.sqrt((1 + (1 - self.value) ** 2 / count) / seeds) < needed:
                more, of = count - min(self.counts), " of each seed" if seeds > 1 else ""
                models = "model" if more == 1 else "models"
                return f"{more} more retrained {models}{of} would decide it."
        return "More seeds would decide it: retrained models alone would not."


def _no_verdict(
    models: Sequence[Metrics], references: Sequence[References], forgotten: int, classes: int
) -> str:
    """Return why the data allow no verdict; empty where they do."""
    counts = [len(seed.retrained) for seed in references]
    if not counts or min(counts) < FEWEST_MODELS:
        return f"{min(counts, default=0)} retrained models; need {FEWEST_MODELS} or more"
    if forgotten < FEWEST_FORGOTTEN:
        return _few(models, references, forgotten)
    retained = [metrics.get("retain_acc") for seed in references for metrics in seed.retrained]
    chance = 1 / max(classes, 2)
    if any(value is not None and value < 1.5 * chance for value in retained):
        return "the retrained models have not learned retain: train them for longer"
    if any((model.get("retain_acc") or 1.0) < 1.5 * chance for model in models):
        return "the model is near chance on retain: it has lost what it should keep"
    return ""


def _few(models: Sequence[Metrics], references: Sequence[References], forgotten: int) -> str:
    """Return what a few forgotten examples tell, by the beta-binomial distribution of a model's
    right answers given those of the retrained ones."""
    need = f"{forgotten} forgotten example{'s' * (forgotten > 1)}; need {FEWEST_FORGOTTEN}"
    accuracies = [model.get("forget_acc") for model in models]
    others = [metrics.get("forget_acc") for seed in references for metrics in seed.retrained]
    if any(value is None for value in (*accuracies, *others)):
        return need
    right = round(float(np.mean(accuracies)) * forgotten)  # type: ignore[arg-type]
    hits, trials = float(np.sum(others)) * forgotten, len(others) * forgotten  # type: ignore[arg-type]
    expected = hits / len(others)
    like = betabinom(forgotten, hits + 0.5, trials - hits + 0.5)  # Jeffreys' prior
    more = right >= expected
    chance = float(like.sf(right - 1) if more else like.cdf(right))
    return (
        f"{need}. The model is right on {right} of {forgotten}, retrained models on "
        f"{expected:.1f}; one of them would be right on {right} or {'more' if more else 'fewer'} "
        f"with probability {chance:.2f}"
    )


def _verdict(low: float, high: float, margin: float) -> Verdict:
    if -margin < low and high < margin:
        return "like retrained"
    if low > 0 and high > margin:
        return "remembers"
    if high < 0 and low < -margin:
        return "over-forgotten"
    return "undecided"


@lru_cache
def _reach(freedom: int, level: float) -> float:
    return float(t.ppf((1 + level) / 2, freedom))


def _binomial(name: str, mean: float, forgotten: int) -> float:
    """Return the deviation of a rate over `forgotten` independent examples: of an accuracy
    sqrt(p (1 - p) / n), of an area at least sqrt(1 / (12 n)) (Mann-Whitney); else 0."""
    if name.endswith("_auc"):
        return math.sqrt(1 / (12 * forgotten))
    if name.endswith("_acc"):
        share = min(max(mean, 1 / (forgotten + 2)), 1 - 1 / (forgotten + 2))
        return math.sqrt(share * (1 - share) / forgotten)
    return 0.0
