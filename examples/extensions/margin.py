"""The gap between the two highest logits, which needs no label: an example of an attack."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from sgu.metrics.attacks.threshold import best_threshold
from sgu.metrics.scored import Scored


class Margin:
    """An attack that calls members all whose gap exceeds a threshold."""

    directed: ClassVar[bool] = True  # members have the larger gaps: only the threshold is learned

    def fit(self, members: Scored, heldout: Scored) -> None:
        self.threshold = best_threshold(gap(members), gap(heldout))

    def score(self, scored: Scored) -> np.ndarray:
        return gap(scored) - self.threshold


def gap(scored: Scored) -> np.ndarray:
    """Return the highest minus the second highest logit of each example, (n,)."""
    second, first = np.sort(scored.logits, axis=1)[:, -2:].T
    return first - second
