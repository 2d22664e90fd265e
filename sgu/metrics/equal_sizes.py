"""Equal numbers of members and non-members, so that a guess is right half of the time."""

from __future__ import annotations

import numpy as np


def equal_sizes(members: int, heldout: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return shuffled indices into either side, the larger thinned to the size of the smaller."""
    rng, size = np.random.default_rng(seed), min(members, heldout)
    return rng.permutation(members)[:size], rng.permutation(heldout)[:size]
