"""Normal distributions of each example's margin under some of the shadow models."""

from __future__ import annotations

import numpy as np

FEW = 64
"""With fewer models on a side, all examples share one variance: "Membership Inference Attacks From
First Principles", Carlini et al. 2022, section on the number of shadow models."""


def fitted(shadows: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation (n,) of the margins (K, n) of each example that are `chosen`,
    (K, n) bool. With fewer than FEW of them all examples have the mean variance."""
    count = chosen.sum(0)
    mean = np.where(chosen, shadows, 0).sum(0) / count
    squares = np.where(chosen, (shadows - mean) ** 2, 0).sum(0)
    variance = squares / (count - 1)
    if count.min() < FEW:
        variance = np.full_like(variance, squares.sum() / (count - 1).sum())
    return mean, np.sqrt(variance)


def log_density(values: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Return log N(values; mean, deviation^2)."""
    z = (values - mean) / deviation
    return -(z**2) / 2 - np.log(deviation) - np.log(2 * np.pi) / 2
