"""Every metric of one model, from one scoring pass over its splits (names: `analysis.schema`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats
from torch import nn
from torch.nn import functional as F

from sgu.metrics.attack import loss_attack
from sgu.training import predict
from sgu.world import World


@dataclass(frozen=True, eq=False)
class Scored:
    """One split, scored: correct (n,) bool and losses (n,) in nats, float64."""

    correct: np.ndarray
    losses: np.ndarray

    @property
    def acc(self) -> float:
        return float(self.correct.mean())


def score(model: nn.Module, world: World, split: str) -> Scored:
    """The model's answers on a split, in evaluation mode."""
    images = world.examples(split)
    logits = predict(model, images.inputs, world.pipeline).double().cpu()
    targets = images.targets.cpu()
    losses = F.cross_entropy(logits, targets, reduction="none")
    return Scored((logits.argmax(1) == targets).numpy(), losses.numpy())


def selection_metrics(model: nn.Module, world: World) -> dict[str, float]:
    """What a search may look at: forget and val. The test split is not touched."""
    return _selection(*(score(model, world, split) for split in ("forget", "val")))


def _selection(forget: Scored, val: Scored) -> dict[str, float]:
    attack = loss_attack(forget.losses, val.losses)
    return {
        "forget_acc": forget.acc,
        "val_acc": val.acc,
        "val_error": 1 - val.acc,
        "val_mia_acc": attack.acc,
        "val_mia_auc": attack.auc,
        "val_mia_f1": attack.f1,
        "val_mia_advantage": attack.advantage,
    }


def all_metrics(model: nn.Module, world: World) -> dict[str, float]:
    """`selection_metrics`, and what is only ever reported: retain, and everything with test."""
    forget, val, test, retain = (
        score(model, world, split) for split in ("forget", "val", "test", "retain")
    )
    selected = _selection(forget, val)
    attack = loss_attack(forget.losses, test.losses)
    ks = stats.ks_2samp(forget.losses, test.losses)
    return selected | {
        "retain_acc": retain.acc,
        "test_acc": test.acc,
        "forget_test_gap": abs(forget.acc - test.acc),
        "mia_acc": attack.acc,
        "mia_auc": attack.auc,
        "mia_f1": attack.f1,
        "mia_advantage": attack.advantage,
        "ks": float(ks.statistic),
        "ks_p": float(ks.pvalue),
        "wasserstein": float(stats.wasserstein_distance(forget.losses, test.losses)),
        "utility_paper": selected["val_acc"] - attack.acc,
    }
