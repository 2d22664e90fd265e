"""Boosted trees on logits and loss: neither linear nor smooth, so of a family that no auditor of
the game belongs to."""

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from sgu.metrics.attacks.base import ClassifierAttack
from sgu.metrics.scored import Scored


class Boosted(ClassifierAttack):
    def build(self) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=8, early_stopping=False, random_state=0
        )

    def features(self, scored: Scored) -> np.ndarray:
        return scored.scores

    def fit(self, members: Scored, heldout: Scored) -> None:
        with threadpool_limits(1):  # sets this small make threads wait
            super().fit(members, heldout)
