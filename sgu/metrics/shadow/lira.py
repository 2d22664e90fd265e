"""Offline LiRA: how far above what networks say that have not seen the example (Carlini et al.
2022, "Membership Inference Attacks From First Principles", arXiv 2112.03570).

    score = (margin - mean_out) / deviation_out,

the argument of their one-sided test, 1 - P[N(mean_out, deviation_out^2) > margin] = Phi(score),
which orders examples alike and does not saturate at 1.
"""

from __future__ import annotations

import numpy as np

from sgu.metrics.shadow.evidence import Evidence
from sgu.metrics.shadow.gaussian import fitted


def lira(seen: Evidence) -> np.ndarray:
    """(n,), higher = more member-like."""
    mean, deviation = fitted(seen.shadows, ~seen.inside)
    return (seen.target - mean) / deviation
