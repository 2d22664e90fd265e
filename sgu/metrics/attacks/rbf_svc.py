"""A support vector machine with a Gaussian kernel on what unlearning papers attack with:
correctness, confidence, entropy and modified entropy (the SVC family of arXiv 2304.04934)."""

import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sgu.metrics.attacks.base import ClassifierAttack
from sgu.metrics.scored import Scored


class RbfSvc(ClassifierAttack):
    def build(self) -> Pipeline:
        return make_pipeline(StandardScaler(), SVC(kernel="rbf"))

    def features(self, scored: Scored) -> np.ndarray:
        return np.column_stack(
            [scored.correct, scored.confidence, scored.entropy, scored.modified_entropy]
        )
