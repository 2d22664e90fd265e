"""Verdicts on networks that were trained: random features under ridge regression, in closed form.

All the rest is the study's own: losses, shadow models, attacks and the joint verdict.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from sgu.ensembles.selection import ShadowMargins
from sgu.metrics.evaluate import Metrics, loss_auc
from sgu.metrics.scored import Scored
from sgu.metrics.shadow import margins
from sgu.results.verdicts import SELECTION, References, judge

pytestmark = pytest.mark.long
RETAIN, FORGET, VAL, CLASSES, SIDE, FEATURES = 150, 200, 200, 3, 20, 400
NETWORKS, PLANTED, SIZE = 120, 40, 6
RIDGE, SHARPNESS, APART = 30.0, 8.0, 0.7


class Toy:
    """Normal clusters that overlap, and networks trained on retain and a part of forget."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        count = RETAIN + FORGET + VAL
        self.targets = np.arange(count) % CLASSES
        self.inputs = self.rng.normal(size=(count, SIDE))
        self.inputs[np.arange(count), self.targets] += APART
        self.forget, self.val = slice(RETAIN, RETAIN + FORGET), slice(RETAIN + FORGET, count)
        self.shadows = self.margins_of_shadows()

    def network(self, kept: np.ndarray) -> np.ndarray:
        """Return the logits (n, C) of a network that sees `kept`, (FORGET,) bool, of forget."""
        weights = self.rng.normal(size=(SIDE, FEATURES))
        hidden = np.maximum(self.inputs @ weights + self.rng.normal(size=FEATURES), 0)
        chosen = np.concatenate([np.ones(RETAIN, bool), kept, np.zeros(VAL, bool)])
        seen, wanted = hidden[chosen], np.eye(CLASSES)[self.targets[chosen]]
        kernel = seen @ seen.T + RIDGE * np.eye(len(seen))
        return SHARPNESS * hidden @ (seen.T @ np.linalg.solve(kernel, wanted))

    def keeping(self, share: float) -> np.ndarray:
        return self.rng.permutation(FORGET) < round(share * FORGET)

    def margins_of_shadows(self) -> ShadowMargins:
        halves = [self.keeping(0.5) for _ in range(4)]
        inside = np.stack([side for half in halves for side in (half, ~half)])
        found = np.stack([margins(self.network(kept), self.targets) for kept in inside])
        first = np.stack([self.rng.random(VAL) < 0.5 for _ in halves])
        outside = np.stack([first, ~first], axis=1).reshape(8, VAL)
        heldout = {"val": found[:, self.val]}
        return ShadowMargins(found[:, self.forget], heldout, inside, {"val": outside})

    def measured(self, share: float) -> Metrics:
        """Return what a study measures of a network that keeps a share of forget."""
        logits, targets = self.network(self.keeping(share)), torch.from_numpy(self.targets)
        parts = {"forget": self.forget, "val": self.val}
        scored = {k: Scored.of(torch.from_numpy(logits[p]), targets[p]) for k, p in parts.items()}
        area = loss_auc(scored["forget"], scored["val"])
        return {"forget_acc": scored["forget"].acc, "val_loss_auc": area} | self.shadows.attacked(
            scored
        )


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy()


@pytest.fixture(scope="module")
def retrained(toy) -> list[Metrics]:
    return [toy.measured(0.0) for _ in range(NETWORKS)]


def shares(toy: Toy, models: list[Metrics], retrained: list[Metrics]) -> dict[str, float]:
    """Return how often a model is called what beside six retrained ones other than itself."""
    original, calls = toy.measured(1.0), Counter[str]()
    for model in models:
        chosen = toy.rng.permutation([k for k, m in enumerate(retrained) if m is not model])[:SIZE]
        references = References(original=original, retrained=[retrained[k] for k in chosen])
        judged = judge([model], [references], SELECTION, forgotten=FORGET, classes=CLASSES)
        calls[str(judged.verdict)] += 1
    return {call: count / len(models) for call, count in calls.items()}


def test_one_in_twenty_retrained_networks_at_most_is_accused(toy, retrained):
    found = shares(toy, retrained, retrained)
    assert found.get("remembers", 0) + found.get("over-forgotten", 0) <= 0.05
    assert found["like retrained"] > 0.5


def test_a_network_that_keeps_a_part_is_seen(toy, retrained):
    some, half = ([toy.measured(share) for _ in range(PLANTED)] for share in (0.2, 0.5))
    assert shares(toy, some, retrained).get("like retrained", 0) <= 0.05
    assert shares(toy, half, retrained)["remembers"] >= 0.95
