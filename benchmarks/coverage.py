"""How often the 90 % intervals of analysis cover the truth, by simulation.

    python benchmarks/coverage.py [--rounds 4000]

Means over 3, 5 and 10 seeds of values of growing skewness, beside what a plain percentile bootstrap
and Student's t do; differences of methods with and without shared seeds; hypervolumes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t

from analysis.pareto import volume
from analysis.resample import Drawn, Resampling

SEEDS = (3, 5, 10)
Array = NDArray[np.float64]
VALUES: dict[str, tuple[Callable[[np.random.Generator, tuple[int, ...]], Array], float]] = {
    "normal": (lambda g, shape: g.normal(size=shape), 0.0),
    "beta(2, 8), skewness .8": (lambda g, shape: g.beta(2, 8, shape), 0.2),
    "gamma(4), skewness 1": (lambda g, shape: g.gamma(4, size=shape), 4.0),
    "exponential, skewness 2": (lambda g, shape: g.exponential(size=shape), 1.0),
}
OBJECTIVES = ("val_error", "val_mia_advantage")
AT = np.linspace(0.1, 0.9, 12)
FRONT = np.stack([AT, 0.7 - 0.5 * np.sqrt(AT)], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=4000)
    rounds = parser.parse_args().rounds
    generator = np.random.default_rng(0)
    print(f"share of 90 % intervals that cover, {rounds:,} simulations a cell, at {SEEDS} seeds")
    for name, (draw, truth) in VALUES.items():
        found = [means(draw(generator, (rounds, seeds)), truth, generator) for seeds in SEEDS]
        for at, method in enumerate(("ours", "Student's t", "percentile")):
            say(f"mean of {name}, {method}", [each[at] for each in found])
    for shared in (True, False):
        found = [differences(rounds, seeds, shared, generator) for seeds in SEEDS]
        say(f"difference, {'shared' if shared else 'other'} seeds", found)
    for noise in (0.01, 0.05):
        found = [hypervolumes(rounds // 10, seeds, noise, generator) for seeds in SEEDS]
        say(f"hypervolume of 12 configurations, noise {noise} (a tenth of the rounds)", found)


def say(what: str, covered: list[float]) -> None:
    print(f"  {what:68}" + "".join(f"{share:7.3f}" for share in covered), flush=True)


def means(values: Array, truth: float, generator: np.random.Generator) -> tuple[float, ...]:
    """Coverage by our interval, by Student's and by percentiles of resampled means."""
    seeds = values.shape[1]
    ours = drawn(values)
    reach = t.ppf(0.95, seeds - 1) * values.std(axis=1, ddof=1) / np.sqrt(seeds)
    counts = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=1000) / seeds
    low, high = np.quantile(values @ counts.T, [0.05, 0.95], axis=1)
    return (
        covering(ours, truth),
        float((np.abs(values.mean(axis=1) - truth) <= reach).mean()),
        float(((low <= truth) & (truth <= high)).mean()),
    )


def differences(rounds: int, seeds: int, shared: bool, generator: np.random.Generator) -> float:
    """Of two methods on the same splits, whose effect (deviation 1) is twice the methods' own."""
    sides = generator.normal(size=(2, rounds, seeds)) / 2
    sides += generator.normal(size=(1 if shared else 2, rounds, seeds))
    both = drawn(sides.reshape(2 * rounds, seeds), apart=not shared)
    here = np.arange(rounds)
    common = np.full(rounds, seeds if shared else 0)
    return covering(both.at(here).less(both.at(here + rounds), common), 0.0)


def hypervolumes(rounds: int, seeds: int, noise: float, generator: np.random.Generator) -> float:
    truth, inside = volume(FRONT, OBJECTIVES), 0
    for _ in range(rounds):
        seen = FRONT + noise * generator.normal(size=(seeds, *FRONT.shape))
        points = [drawn(seen[..., at].T) for at in range(2)]
        value = np.stack([each.value for each in points], axis=1)
        draws = np.stack([each.draws for each in points], axis=2)
        found = Drawn(
            value=np.array([volume(value, OBJECTIVES)]),
            draws=np.array([[volume(draw, OBJECTIVES)] for draw in draws]),
            units=np.array([seeds]),
            freedom=np.array([seeds - 1.0]),
        )
        inside += covering(found, truth) == 1
    return inside / rounds


def covering(found: Drawn, truth: float) -> float:
    low, high = found.ends()
    return float(((low <= truth) & (truth <= high)).mean())


def drawn(values: Array, apart: bool = False) -> Drawn:
    """Means of the rows of `values`, whose columns are seeds; apart: other ones in the second
    half."""
    groups, seeds = values.shape
    group = np.repeat(np.arange(groups), seeds)
    seed = np.tile(np.arange(seeds), groups) + (seeds * (2 * group >= groups) if apart else 0)
    frame = pd.DataFrame({"dataset": "x", "seed": seed, "value": values.ravel()})
    return Resampling(frame, draws=1000).means(frame["value"], group)


if __name__ == "__main__":
    main()
