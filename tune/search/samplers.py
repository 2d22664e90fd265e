"""Optuna's samplers by the names of a specification."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from optuna import Study, samplers
from optuna.exceptions import ExperimentalWarning


class Grid(samplers.BruteForceSampler):
    """Proposes every point of the space once, in an order that the seed draws."""

    def after_trial(self, *_: object) -> None:
        """Do nothing: Optuna's would stop a loop that is not running; the budget ends a study."""


class Sobol(samplers.QMCSampler):
    """Draws one scrambled sequence for a whole study, however often its driver restarts."""

    def _find_sample_id(self, study: Study, _: object) -> int:
        """Return the next place in the sequence; the last trial is the one being sampled."""
        return len(study.get_trials(deepcopy=False)) - 1


SAMPLERS: dict[str, Callable[[int, int], samplers.BaseSampler]] = {
    "tpe": lambda seed, n: samplers.TPESampler(seed=seed, n_startup_trials=_share(n, 3, 10)),
    "nsga2": lambda seed, n: samplers.NSGAIISampler(seed=seed, population_size=_share(n, 4, 50)),
    "nsga3": lambda seed, n: samplers.NSGAIIISampler(seed=seed, population_size=_share(n, 4, 50)),
    "gp": lambda seed, n: samplers.GPSampler(seed=seed, n_startup_trials=_share(n, 3, 10)),
    "qmc": lambda seed, _: Sobol(seed=seed, scramble=True),
    "grid": lambda seed, _: Grid(seed=seed),
    "random": lambda seed, _: samplers.RandomSampler(seed=seed),
}
"""By name, a function of the seed and the number of trials."""


def sampler(name: str, seed: int, proposed: int, trials: int) -> samplers.BaseSampler:
    """Return a sampler for about `trials` trials, `proposed` of which earlier samplers proposed.

    Its generator then starts from another seed, or it would draw the first points again.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return SAMPLERS[name](seed if name == "qmc" else seed + proposed, trials)


def _share(trials: int, parts: int, most: int) -> int:
    """Return 1 / parts of the trials, between 4 and `most`: random ones, or a generation."""
    return max(4, min(most, trials // parts))
