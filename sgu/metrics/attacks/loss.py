"""Logistic regression on the loss: the challenge's starting kit (see `metrics.starting_kit`)."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from sgu.metrics.attacks.base import ClassifierAttack
from sgu.metrics.scored import Scored


class Loss(ClassifierAttack):
    def build(self) -> LogisticRegression:
        return LogisticRegression()

    def features(self, scored: Scored) -> np.ndarray:
        return scored.losses[:, None]
