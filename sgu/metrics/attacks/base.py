"""What every attack is: fitted on members and held-out examples, it scores others."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np

from sgu.metrics.scored import Scored


class Attack(Protocol):
    """A membership attack that sees one model's answers.

    directed: it knows beforehand which way members differ, and learns no more than thresholds.
    """

    directed: ClassVar[bool]

    def fit(self, members: Scored, heldout: Scored) -> None:
        """Learn from examples whose membership is known, as many of one side as of the other."""

    def score(self, scored: Scored) -> np.ndarray:
        """(n,), higher = more member-like; above 0 = called a member."""


class ClassifierAttack:
    """An attack by a scikit-learn classifier with a `decision_function`, on `features`."""

    directed: ClassVar[bool] = False

    def __init__(self) -> None:
        self.classifier = self.build()

    def build(self) -> Any:
        raise NotImplementedError

    def features(self, scored: Scored) -> np.ndarray:
        """(n, d)."""
        raise NotImplementedError

    def fit(self, members: Scored, heldout: Scored) -> None:
        seen = np.concatenate([self.features(side) for side in (members, heldout)])
        self.classifier.fit(seen, np.repeat([1, 0], [len(members), len(heldout)]))

    def score(self, scored: Scored) -> np.ndarray:
        return self.classifier.decision_function(self.features(scored))
