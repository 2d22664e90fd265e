"""Attacks by a scikit-learn classifier on a model's answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from threadpoolctl import threadpool_limits

from sgu.metrics.scored import Scored


class ClassifierAttack:
    """An attack by a classifier with a `decision_function`, on features (n, d) of the answers."""

    directed: ClassVar[bool] = False

    def __init__(self, classifier: Any, features: Callable[[Scored], np.ndarray]):
        self.classifier, self.features = classifier, features

    def fit(self, members: Scored, heldout: Scored) -> None:
        features = np.concatenate([self.features(side) for side in (members, heldout)])
        self.classifier.fit(features, np.repeat([1, 0], [len(members), len(heldout)]))

    def score(self, scored: Scored) -> np.ndarray:
        return self.classifier.decision_function(self.features(scored))


def loss() -> ClassifierAttack:
    """Logistic regression on the loss: the challenge's starting kit (see `metrics.loss_attack`)."""
    return ClassifierAttack(LogisticRegression(), lambda scored: scored.losses[:, None])


def linear_svc() -> ClassifierAttack:
    """A linear support vector machine on standardised logits and loss: like the game's auditor, but
    fitted after unlearning and over all classes at once."""
    machine = make_pipeline(StandardScaler(), LinearSVC(random_state=0))
    return ClassifierAttack(machine, lambda scored: scored.scores)


def rbf_svc() -> ClassifierAttack:
    """A support vector machine with a Gaussian kernel on the features of unlearning papers:
    correctness, confidence, entropy and modified entropy (the SVC family of arXiv 2304.04934)."""
    machine = make_pipeline(StandardScaler(), SVC(kernel="rbf"))
    return ClassifierAttack(
        machine,
        lambda scored: np.column_stack(
            [scored.correct, scored.confidence, scored.entropy, scored.modified_entropy]
        ),
    )


class Boosted(ClassifierAttack):
    """Boosted trees on logits and loss: neither linear nor smooth, so of a family that no auditor
    of the game belongs to."""

    def __init__(self) -> None:
        trees = HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=8, early_stopping=False, random_state=0
        )
        super().__init__(trees, lambda scored: scored.scores)

    def fit(self, members: Scored, heldout: Scored) -> None:
        with threadpool_limits(1):  # sets this small make threads wait
            super().fit(members, heldout)
