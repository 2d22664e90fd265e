"""All metrics of one model, from one scoring pass over its splits (`sgu.results.schema`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from sgu.metrics.loss_attack import loss_attack
from sgu.metrics.rates import LOW_FPR, auc, suppressed, tpr_at
from sgu.metrics.scored import Scored

Metrics = dict[str, float]
Bin = dict[str, Any]
"""One bin of a histogram: split, low and high in nats, count."""

EDGES = [float(10**exponent) for exponent in np.arange(-5, 1.75, 0.25)]
"""Quarters of a decade, 1e-5 to 32 nats: losses of members pile up near 0 on any linear scale."""

SELECTING = ("forget", "val")
"""Splits that a search may look at."""


def selection_of(scored: Mapping[str, Scored], retained: np.ndarray) -> Metrics:
    """Return the metrics that a search may look at. retained: targets (n,) of retain.

    Accuracy counts the classes of retain, and forget is compared with held-out examples of the same
    classes: a network that never saw a class misses its held-out examples, too, so an attack
    against all classes would detect the class rather than membership.
    """
    forget, val = (scored[split] for split in SELECTING)
    acc, peers = val.of_classes(retained).acc, val.of_classes(forget.targets)
    return {
        "forget_acc": forget.acc,
        "val_acc": acc,
        "val_error": 1 - acc,
        **_attacked("val_mia", forget, peers),
        "val_loss_auc": loss_auc(forget, peers),
    }


def metrics_of(scored: Mapping[str, Scored]) -> Metrics:
    """Return all metrics, from scored splits. A `tpr_at_*` is left out, and so null in a row, where
    test is too small for it; `suppressed` gives the reason."""
    forget, retain, test = scored["forget"], scored["retain"], scored["test"]
    peers = test.of_classes(forget.targets)
    metrics = selection_of(scored, retain.targets)
    metrics |= _attacked("mia", forget, peers) | _apart(forget, peers)
    return metrics | {
        "retain_acc": retain.acc,
        "test_acc": test.of_classes(retain.targets).acc,
        "forget_test_gap": abs(forget.acc - peers.acc),
        "utility_paper": metrics["val_acc"] - metrics["mia_acc"],
        "loss_auc": loss_auc(forget, peers),
    }


def loss_histograms(scored: Mapping[str, Scored]) -> list[Bin]:
    """Return histograms of the losses of forget and the held-out splits, in the bins of `EDGES`;
    losses beyond them count in the outermost."""
    bins = []
    for split in ("forget", "val", "test"):
        counts, _ = np.histogram(scored[split].losses.clip(EDGES[0], EDGES[-1]), EDGES)
        for low, high, count in zip(EDGES, EDGES[1:], counts, strict=False):
            bins.append({"split": split, "low": low, "high": high, "count": int(count)})
    return bins


def loss_auc(forget: Scored, heldout: Scored) -> float:
    """Return the area of the loss itself, with nothing fitted: how often a forgotten example has a
    lower loss than a held-out one."""
    members = np.repeat([True, False], [len(forget), len(heldout)])
    return auc(-np.concatenate([forget.losses, heldout.losses]), members)


def against_retrained(metrics: Mapping[str, float], retrained: Mapping[str, float]) -> Metrics:
    """Return the distances from the retrained model: avg_gap, the mean of |difference| over RA, FA,
    TA and MIA accuracy (0 is best); tow = (1 - |dFA|) (1 - |dRA|) (1 - |dTA|), the tug of war
    (1 is best; Zhao et al. 2024, arXiv 2406.01257)."""
    accuracies = ("forget_acc", "retain_acc", "test_acc")
    gap = {name: abs(metrics[name] - retrained[name]) for name in (*accuracies, "mia_acc")}
    return {
        "avg_gap": sum(gap.values()) / len(gap),
        "tow": float(np.prod([1 - gap[name] for name in accuracies])),
    }


def against_others(retrained: Sequence[Metrics]) -> list[Metrics]:
    """Return the metrics of retrained models, each with its distance from the mean of the others,
    as a scale for another model's distance from the mean of all. Two models have only one distance,
    which is left out.

    Simulated (four normal accuracies): the distance of one more retrained model is inside the band
    of 3 models in .935 of cases, of 5 in .942, of 10 in .950.
    """
    if len(retrained) < 3:
        return list(retrained)
    return [
        one | against_retrained(one, mean_of([*retrained[:k], *retrained[k + 1 :]]))
        for k, one in enumerate(retrained)
    ]


def mean_of(metrics: Sequence[Metrics]) -> Metrics:
    """Return the means of the metrics that all of them have."""
    shared = [name for name in metrics[0] if all(name in one for one in metrics)]
    return {name: float(np.mean([one[name] for one in metrics])) for name in shared}


def _attacked(prefix: str, forget: Scored, heldout: Scored) -> Metrics:
    attack = loss_attack(forget.losses, heldout.losses)
    names = ("acc", "auc", "f1", "advantage")
    return {f"{prefix}_{name}": getattr(attack, name) for name in names}


def _apart(forget: Scored, test: Scored) -> Metrics:
    """Return distances of the two distributions of losses, and rates of a threshold on the loss."""
    ks = stats.ks_2samp(forget.losses, test.losses)
    scores = -np.concatenate([forget.losses, test.losses])
    members = np.repeat([True, False], [len(forget), len(test)])
    reasons = suppressed(len(test))
    return {
        "ks": float(ks.statistic),
        "ks_p": float(ks.pvalue),
        "wasserstein": float(stats.wasserstein_distance(forget.losses, test.losses)),
    } | {name: tpr_at(fpr, scores, members) for name, fpr in LOW_FPR.items() if name not in reasons}
