"""Optuna's samplers by the names of a specification."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    BruteForceSampler,
    GPSampler,
    NSGAIIISampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)


class Grid(BruteForceSampler):
    """Every point of the space once, in an order that the seed draws."""

    def after_trial(self, *_: object) -> None:
        """Its own asks to stop a loop that is not there: the budget ends a study."""


SAMPLERS: dict[str, Callable[[int, int], BaseSampler]] = {
    "tpe": lambda seed, trials: TPESampler(seed=seed, n_startup_trials=_share(trials, 3, 10)),
    "nsga2": lambda seed, trials: NSGAIISampler(seed=seed, population_size=_share(trials, 4, 50)),
    "nsga3": lambda seed, trials: NSGAIIISampler(seed=seed, population_size=_share(trials, 4, 50)),
    "gp": lambda seed, trials: GPSampler(seed=seed, n_startup_trials=_share(trials, 3, 10)),
    "qmc": lambda seed, _: QMCSampler(seed=seed, scramble=True),
    "grid": lambda seed, _: Grid(seed=seed),
    "random": lambda seed, _: RandomSampler(seed=seed),
}


def sampler(name: str, seed: int, trials: int) -> BaseSampler:
    """A sampler for about so many trials."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return SAMPLERS[name](seed, trials)


def _share(trials: int, parts: int, most: int) -> int:
    """A part of the trials, 4 to `most`: the first random ones, or a generation."""
    return max(4, min(most, trials // parts))
