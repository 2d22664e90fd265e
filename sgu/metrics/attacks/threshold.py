"""One threshold for each class on one quantity (Song & Mittal 2021, arXiv 2003.10595).

Members are right, confident and sure, so each of the four quantities has a given direction. The
attack uses the one whose thresholds are right most often on the examples it is fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from sgu.metrics.scored import Scored

QUANTITIES = {
    "correctness": lambda scored: scored.correct.astype(float),
    "confidence": lambda scored: scored.confidence,
    "entropy": lambda scored: -scored.entropy,
    "modified_entropy": lambda scored: -scored.modified_entropy,
}
"""Higher = more member-like."""

MIN_SIDE = 5
"""Members and non-members a class needs for its own threshold; else it takes the overall one."""


class Threshold:
    """An attack that calls members all above their class's threshold; `of`: quantities to use."""

    directed: ClassVar[bool] = True

    def __init__(self, of: Sequence[str] = tuple(QUANTITIES)):
        self.of = tuple(of)

    def fit(self, members: Scored, heldout: Scored) -> None:
        def hits(quantity: str) -> float:
            self._fit_one(quantity, members, heldout)
            return (self.score(members) > 0).mean() + (self.score(heldout) <= 0).mean()

        self._fit_one(max(self.of, key=hits), members, heldout)

    def _fit_one(self, quantity: str, members: Scored, heldout: Scored) -> None:
        self.quantity = quantity
        sides = [QUANTITIES[quantity](side) for side in (members, heldout)]
        overall = best_threshold(*sides)
        self.thresholds = np.full(members.logits.shape[1], overall)
        for target in np.unique(members.targets):
            ours, theirs = sides[0][members.targets == target], sides[1][heldout.targets == target]
            if min(len(ours), len(theirs)) >= MIN_SIDE:
                self.thresholds[target] = best_threshold(ours, theirs)

    def score(self, scored: Scored) -> np.ndarray:
        return QUANTITIES[self.quantity](scored) - self.thresholds[scored.targets]


def best_threshold(members: np.ndarray, heldout: np.ndarray) -> float:
    """Return t with the largest P(member > t) + P(heldout <= t), halfway between two values."""
    values = np.unique(np.concatenate([members, heldout]))
    between = np.concatenate([[values[0] - 1], (values[:-1] + values[1:]) / 2])
    below = [np.searchsorted(np.sort(side), between, side="right") for side in (members, heldout)]
    return float(between[np.argmax(below[1] / len(heldout) - below[0] / len(members))])
