"""The sign that a network was fed otherwise than it was trained: it does worse on retain.

A network that is shown pixels of another range, size or order answers like one that has forgotten,
on forget as on retain. Retain tells the two apart: unlearning is to leave it alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

JUDGED = 0.75
"""The share of what retrained models know of retain, beyond chance, that a verdict takes."""

WARNED = 0.9
"""The share below which a report asks, and certifies no model as like retrained."""

Metrics = Mapping[str, float]


def fed_otherwise(
    metrics: Metrics, retrained: Sequence[Metrics], classes: int, share: float = JUDGED
) -> str:
    """Return what to check if a model keeps less than a share of retain; empty if it keeps more."""
    own, theirs = metrics["retain_acc"], float(np.mean([each["retain_acc"] for each in retrained]))
    chance = 1 / classes
    if own - chance >= share * (theirs - chance):
        return ""
    return (
        f"its retain accuracy is {own:.3f}, that of retrained models {theirs:.3f}: is it fed as it "
        "was trained? State, or correct, its preprocessing (mean, std, size)"
    )
