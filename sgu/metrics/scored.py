"""A model's answers on a split, which all metrics and attacks start from."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy.special import logsumexp
from torch import Tensor
from torch.nn import functional as F

REPORTED = ("forget", "val", "test", "retain")
"""The splits that all metrics together read."""


@dataclass(frozen=True, eq=False)
class Scored:
    """A model's answers on n examples. With p = softmax(logits) and y the target, in nats, float64:

    targets (n,) int64, logits (n, C), losses (n,) = -log p_y, correct (n,) bool: argmax is y,
    confidence (n,) = p_y, entropy (n,) = - sum_i p_i log p_i, modified_entropy (n,), see below.
    """

    targets: np.ndarray
    logits: np.ndarray
    losses: np.ndarray
    correct: np.ndarray
    confidence: np.ndarray
    entropy: np.ndarray
    modified_entropy: np.ndarray

    @classmethod
    def of(cls, logits: Tensor, targets: Tensor) -> Scored:
        """Return the answers given by logits (n, C) and targets (n,)."""
        logits, targets = logits.double().cpu(), targets.cpu()
        losses = F.cross_entropy(logits, targets, reduction="none").numpy()
        log_p = F.log_softmax(logits, 1).numpy()
        return cls(
            targets=targets.numpy(),
            logits=logits.numpy(),
            losses=losses,
            correct=(logits.argmax(1) == targets).numpy(),
            confidence=np.exp(-losses),
            entropy=-(np.exp(log_p) * log_p).sum(1),
            modified_entropy=modified_entropy(log_p, targets.numpy()),
        )

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def acc(self) -> float:
        return float(self.correct.mean())

    @property
    def scores(self) -> np.ndarray:
        """Return logits and loss, (n, C + 1), which the auditor sees, too."""
        return np.column_stack([self.logits, self.losses])

    def of_classes(self, targets: np.ndarray) -> Scored:
        """Return the examples of the classes in targets (n,)."""
        return self.take(np.isin(self.targets, targets))

    def take(self, chosen: np.ndarray) -> Scored:
        """Return the examples `chosen`, as indices or a mask."""
        return Scored(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


def modified_entropy(log_p: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return how unsure AND wrong log-probabilities (n, C) are, (n,): 0 for a sure right answer,
    unbounded for a sure wrong one, while plain entropy is the same for both.

    Mentr(p, y) = -(1 - p_y) log p_y - sum_{i != y} p_i log(1 - p_i): Song & Mittal 2021,
    "Systematic Evaluation of Privacy Risks of Machine Learning Models", arXiv 2003.10595. Code in
    circulation has log p_i for log(1 - p_i), and the columns of all targets for the example's own.
    """
    p, log_rest, target = np.exp(log_p), _log_rest(log_p), (np.arange(len(log_p)), targets)
    others = p * log_rest
    others[target] = 0
    return -np.exp(log_rest[target]) * log_p[target] - others.sum(1)


def _log_rest(log_p: np.ndarray) -> np.ndarray:
    """Return log(1 - p_i), (n, C); at the largest p, where it cancels, log sum_{j != i} p_j."""
    top, lower = (np.arange(len(log_p)), log_p.argmax(1)), log_p.copy()
    lower[top] = -np.inf
    rest = np.log1p(-np.exp(lower))  # all of these p are <= 1/2
    rest[top] = logsumexp(lower, axis=1)
    return rest
