"""The membership attack of the challenge's starting kit, as the paper evaluates with it.

A logistic regression on the loss tells forgotten from held-out examples; 10 stratified shuffle
splits, equal numbers of both. 0.5 is a guess; the target is the retrained model's own value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit, cross_validate

SPLITS = 10


@dataclass(frozen=True)
class Attack:
    """Mean accuracy, area under the ROC curve and F1 of the attack over its splits."""

    acc: float
    auc: float
    f1: float

    @property
    def advantage(self) -> float:
        """|2 acc - 1|: 0 for a guess, on either side."""
        return abs(2 * self.acc - 1)


def loss_attack(forget: np.ndarray, heldout: np.ndarray, seed: int = 0) -> Attack:
    """Attack losses of forget (n,) against those of held-out examples (k,).

    The larger side is thinned at random to the size of the smaller one.
    """
    rng = np.random.default_rng(seed)
    size = min(len(forget), len(heldout))
    losses = np.concatenate([rng.permutation(side)[:size] for side in (forget, heldout)])
    members = np.repeat([1, 0], size)
    scores = cross_validate(
        LogisticRegression(),
        losses[:, None],
        members,
        cv=StratifiedShuffleSplit(n_splits=SPLITS, random_state=seed),
        scoring=("accuracy", "roc_auc", "f1"),
        error_score="raise",
    )
    return Attack(*(float(scores[f"test_{name}"].mean()) for name in ("accuracy", "roc_auc", "f1")))
