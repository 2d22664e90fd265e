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
from optuna.study import Study


class Grid(BruteForceSampler):
    """Every point of the space once, in an order that the seed draws."""

    def after_trial(self, *_: object) -> None:
        """Its own asks to stop a loop that is not there: the budget ends a study."""


class Sobol(QMCSampler):
    """One scrambled sequence for a whole study, however often its driver starts anew."""

    def _find_sample_id(self, study: Study, search_space: object) -> int:
        """Its place: after all trials there are, of which the one that asks is the last."""
        del search_space
        return len(study.get_trials(deepcopy=False)) - 1


SAMPLERS: dict[str, Callable[[int, int], BaseSampler]] = {
    "tpe": lambda seed, trials: TPESampler(seed=seed, n_startup_trials=_share(trials, 3, 10)),
    "nsga2": lambda seed, trials: NSGAIISampler(seed=seed, population_size=_share(trials, 4, 50)),
    "nsga3": lambda seed, trials: NSGAIIISampler(seed=seed, population_size=_share(trials, 4, 50)),
    "gp": lambda seed, trials: GPSampler(seed=seed, n_startup_trials=_share(trials, 3, 10)),
    "qmc": lambda seed, _: Sobol(seed=seed, scramble=True),
    "grid": lambda seed, _: Grid(seed=seed),
    "random": lambda seed, _: RandomSampler(seed=seed),
}


def sampler(name: str, seed: int, asked: int, trials: int) -> BaseSampler:
    """A sampler for about so many trials, of which it or one before it was asked for some.

    A generator begins at another place then, or it would draw the first points once more.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return SAMPLERS[name](seed if name == "qmc" else seed + asked, trials)


def _share(trials: int, parts: int, most: int) -> int:
    """A part of the trials, 4 to `most`: the first random ones, or a generation."""
    return max(4, min(most, trials // parts))
