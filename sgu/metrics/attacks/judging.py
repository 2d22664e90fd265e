"""Attacks and their results: cross-fitted, with intervals.

Each example is scored by an attack fitted on the other folds. There are two sources of chance: the
examples that are judged, which the bootstrap resamples, and those that the attacks were fitted on.
The second is shared, as any two of K attacks have most of their examples in common, and resampling
the judged ones does not show it. Measured where members do not differ (K = 5, 40 and 200 a side;
logistic, linear, RBF): the AUC of an attack that learns in which direction members differ spreads
1.3 to 1.45 times as far as the bootstrap says, and 95 % intervals hold .5 in 76 to 86 of 100. Its
intervals are therefore sqrt(1 + K / (K - 1)) = 1.5 times as wide (Nadeau & Bengio, "Inference for
the generalization error", Machine Learning 52, 2003): 92 to 99 of 100. An attack whose direction is
given needs no widening (94 of 100). Far from .5 the wide intervals are wider than necessary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from sklearn.model_selection import StratifiedKFold

from sgu.metrics.intervals import Estimate, at_least_binomial, bootstrap
from sgu.metrics.loss_attack import equal_sizes
from sgu.metrics.rates import LOW_FPR, aucs, f1, suppressed, tprs_at
from sgu.metrics.scored import Scored

FOLDS = 5
WIDEN = math.sqrt(1 + FOLDS / (FOLDS - 1))


class Attack(Protocol):
    """A membership attack that sees one model's answers.

    directed: it knows beforehand in which direction members differ, and learns only thresholds.
    """

    directed: ClassVar[bool]

    def fit(self, members: Scored, heldout: Scored) -> None:
        """Learn from examples whose membership is known, equally many of both sides."""

    def score(self, scored: Scored) -> np.ndarray:
        """Return (n,), higher = more member-like; above 0 = called a member."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """The result of one attack, forget against test; .5 is a guess for acc and auc.

    tpr_at_1, tpr_at_01: true positives at 1 % and .1 % false ones, None where `suppressed` gives a
    reason. retain_mia_auc: the same attack on retain. members, heldout: examples judged.
    """

    attack: str
    acc: float
    auc: Estimate
    f1: float
    advantage: float
    tpr_at_1: Estimate | None
    tpr_at_01: Estimate | None
    suppressed: dict[str, str]
    members: int
    heldout: int
    retain_mia_auc: Estimate | None = None


@dataclass(frozen=True, eq=False)
class Judged:
    """Examples and their scores by an attack that was not fitted on them.

    scores (n,), in units of the fitted part's spread so that folds compare; called (n,) bool, as
    members; members (n,) bool, the truth; folds (n,) int; indices (n,) int, into either side;
    widen: factor of the intervals.
    """

    scores: np.ndarray
    called: np.ndarray
    members: np.ndarray
    folds: np.ndarray
    indices: np.ndarray
    widen: float

    def auc(self, chosen: np.ndarray | slice = slice(None)) -> Estimate:
        """Return the area under the ROC curve of the examples `chosen`, a mask."""
        scores, members, folds = (a[chosen] for a in (self.scores, self.members, self.folds))
        strata = 2 * folds + members
        return bootstrap(lambda counts: aucs(counts, scores, members, folds), strata, self.widen)

    def tpr_at(self, fpr: float) -> Estimate:
        scores, members, strata = self.scores, self.members, 2 * self.folds + self.members
        rate = bootstrap(lambda drawn: tprs_at(drawn, fpr, scores, members), strata, self.widen)
        return at_least_binomial(rate, int(members.sum()))

    def record(self, attack: str) -> Record:
        """Return the attack's results on these examples, half of which are members."""
        acc, size = float((self.called == self.members).mean()), int(self.members.sum())
        reasons = suppressed(size)
        rates = {n: None if n in reasons else self.tpr_at(fpr) for n, fpr in LOW_FPR.items()}
        return Record(
            attack=attack,
            acc=acc,
            auc=self.auc(),
            f1=f1(self.called, self.members),
            advantage=abs(2 * acc - 1),
            **rates,
            suppressed=reasons,
            members=size,
            heldout=size,
        )


def cross_fit(
    make: Callable[[], Attack], members: Scored, heldout: Scored, seed: int = 0
) -> Judged:
    """Judge equally many of both sides, each by a new attack fitted on the other folds.

    The larger side is thinned at random.
    """
    check_sides(members, heldout)
    indices = equal_sizes(len(members), len(heldout), seed)
    ours, theirs = members.take(indices[0]), heldout.take(indices[1])
    size = len(ours)
    truth = np.repeat([True, False], size)
    scores, folds = np.empty(2 * size), np.empty(2 * size, int)
    called = np.empty(2 * size, bool)
    splits = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(truth, truth)
    for fold, (fit, judge) in enumerate(splits):
        attack = make()
        attack.fit(ours.take(fit[fit < size]), theirs.take(fit[fit >= size] - size))
        raw = np.concatenate([attack.score(side) for side in (ours, theirs)])
        scores[judge] = (raw[judge] - raw[fit].mean()) / (raw[fit].std() or 1)
        called[judge], folds[judge] = raw[judge] > 0, fold
    widen = 1.0 if attack.directed else WIDEN
    return Judged(scores, called, truth, folds, np.concatenate(indices), widen)


def check_sides(members: Scored, heldout: Scored) -> None:
    """Raise ValueError where an attack has too few examples, or scores that are not finite."""
    for name, side in (("members", members), ("held-out examples", heldout)):
        if len(side) < 2 * FOLDS:
            raise ValueError(
                f"{len(side)} {name}; an attack needs {2 * FOLDS} or more: forget more, or take "
                "a larger subset"
            )
        if not np.isfinite(side.scores).all():
            raise ValueError(
                f"answers on {name} are NaN or infinite: the model has diverged, lower its "
                "learning rate"
            )
