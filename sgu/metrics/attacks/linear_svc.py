"""A linear support vector machine on logits and loss, standardised: what the game's own auditor
is, but fitted after unlearning and over all classes at once."""

import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sgu.metrics.attacks.base import ClassifierAttack
from sgu.metrics.scored import Scored


class LinearSvc(ClassifierAttack):
    def build(self) -> Pipeline:
        return make_pipeline(StandardScaler(), LinearSVC(random_state=0))

    def features(self, scored: Scored) -> np.ndarray:
        return scored.scores
