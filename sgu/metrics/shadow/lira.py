"""Offline LiRA: how far the margin lies above those of networks that have not seen the example
(Carlini et al. 2022, "Membership Inference Attacks From First Principles", arXiv 2112.03570).

    score = (margin - mean_out) / deviation_out,

the argument of their one-sided test, 1 - P[N(mean_out, deviation_out^2) > margin] = Phi(score),
which orders examples in the same way and does not saturate at 1.
"""

from __future__ import annotations

import numpy as np

from sgu.metrics.shadow.evidence import Evidence
from sgu.metrics.shadow.gaussian import fitted


def lira(evidence: Evidence) -> np.ndarray:
    """Return scores (n,), higher = more member-like."""
    mean, deviation = fitted(evidence.shadows, ~evidence.inside)
    return (evidence.target - mean) / deviation
