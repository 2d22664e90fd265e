"""Coverage of the 90 % intervals of analysis, by simulation.

    python benchmarks/interval_coverage.py [--rounds 4000]

Means over 3, 5 and 10 seeds of values of growing skewness, beside what a plain percentile bootstrap
and Student's t do; differences of methods with and without shared seeds; hypervolumes of few
configurations far apart and of many near the front, and their differences between methods, with how
often the truth lies below the interval and above it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t

from analysis import hypervolumes, method_differences
from analysis.pareto import volume
from analysis.resample import Drawn, Resampling
from sgu.results.schema import METRICS

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
FEW = np.stack([AT, 0.7 - 0.5 * np.sqrt(AT)], axis=1)
AT = np.random.default_rng(1).uniform(0.05, 0.95, 100)
BEHIND = np.abs(np.random.default_rng(2).normal(0, 0.01, (100, 2)))
MANY = np.stack([0.3 + 0.1 * AT, 0.5 * (1 - AT) ** 2 + 0.02], axis=1) + BEHIND
"""The configurations of a search: a smooth trade-off, and a little behind it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=4000)
    rounds = parser.parse_args().rounds
    generator = np.random.default_rng(0)
    print(f"share of 90 % intervals that cover, {rounds:,} simulations a cell, at {SEEDS} seeds")
    for name, (draw, truth) in VALUES.items():
        shares = [means(draw(generator, (rounds, seeds)), truth, generator) for seeds in SEEDS]
        for at, method in enumerate(("ours", "Student's t", "percentile")):
            say(f"mean of {name}, {method}", [by_method[at] for by_method in shares])
    for shared in (True, False):
        covered = [differences(rounds, seeds, shared, generator) for seeds in SEEDS]
        say(f"difference, {'shared' if shared else 'other'} seeds", covered)
    few = max(rounds // 10, 1)
    print(f"hypervolumes, {few:,} simulations a cell: covers (truth below, above)")
    for front, noises in ((FEW, (0.01, 0.05)), (MANY, (0.01, 0.02))):
        for noise in noises:
            what = f"of {len(front)} configurations, noise {noise}"
            pairs = [studies(few, seeds, noise, front, generator) for seeds in SEEDS]
            say(what, [whole for whole, _ in pairs])
            say(f"{what}: less an eighth of them", [difference for _, difference in pairs])


def say(what: str, covered: list[float] | list[Array]) -> None:
    cells = [
        f"{share:7.3f}" if isinstance(share, float)
        else f"  {share[0]:.3f} ({share[1]:.2f}, {share[2]:.2f})"
        for share in covered
    ]  # fmt: skip
    print(f"  {what:60}" + "".join(cells), flush=True)


def means(values: Array, truth: float, generator: np.random.Generator) -> tuple[float, ...]:
    """Return coverage by our interval, by Student's and by percentiles of resampled means."""
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
    """Return coverage for two methods; the effect of the split is twice that of the method."""
    sides = generator.normal(size=(2, rounds, seeds)) / 2
    sides += generator.normal(size=(1 if shared else 2, rounds, seeds))
    both = drawn(sides.reshape(2 * rounds, seeds), apart=not shared)
    first = np.arange(rounds)
    common = np.full(rounds, seeds if shared else 0)
    return covering(both.at(first).less(both.at(first + rounds), common), 0.0)


def studies(
    rounds: int, seeds: int, noise: float, front: Array, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Return the shares covered, with the truth below and above: of a method's hypervolume, and of
    its difference from that of every eighth of its configurations, which flatters less."""
    volumes = [volume(points, OBJECTIVES) for points in (front, front[::8])]
    shares = []
    for start in range(0, rounds, 10):
        names = range(start, min(start + 10, rounds))
        frame = pd.concat([study(str(n), seeds, noise, front, generator) for n in names])
        one = hypervolumes(frame).query("method == 'a'")
        apart = method_differences(frame, "b").query("dataset != 'all'")
        shares.append([sides(one, volumes[0]), sides(apart, volumes[0] - volumes[1])])
    one, apart = np.concatenate(shares, axis=2).mean(axis=2)
    return one, apart


def sides(intervals: pd.DataFrame, truth: float) -> Array:
    """Return 1 where the truth is inside, below or above each interval, shape (3, intervals)."""
    low, high = intervals["low"].to_numpy(), intervals["high"].to_numpy()
    return np.array([(low <= truth) & (truth <= high), truth < low, high < truth], float)


def study(
    name: str, seeds: int, noise: float, front: Array, generator: np.random.Generator
) -> pd.DataFrame:
    """Return rows of single seeds of two methods on the data set `name`."""
    parts = []
    for method, true in (("a", front), ("b", front[::8])):
        measured = true + noise * generator.normal(size=(seeds, *true.shape))
        columns = dict.fromkeys([*METRICS, "wall_seconds", "device_seconds"], np.nan)
        columns |= {"study": "s", "dataset": name, "method": method, "cell": f"{name}/{method}"}
        columns |= {"phase": "search", "status": "complete", "started": pd.Timestamp(0, tz="UTC")}
        columns |= {"seed": np.repeat(np.arange(seeds), len(true))}
        columns |= {"trial_id": np.tile(np.arange(len(true)).astype(str), seeds)}
        columns |= dict(zip(OBJECTIVES, measured.reshape(-1, 2).T, strict=True))
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts)


def covering(resampled: Drawn, truth: float) -> float:
    low, high = resampled.ends()
    return float(((low <= truth) & (truth <= high)).mean())


def drawn(values: Array, apart: bool = False) -> Drawn:
    """Return the resampled means of the rows of `values`, whose columns are seeds; apart: the
    second half of the rows has other seeds."""
    groups, seeds = values.shape
    group = np.repeat(np.arange(groups), seeds)
    seed = np.tile(np.arange(seeds), groups) + (seeds * (2 * group >= groups) if apart else 0)
    frame = pd.DataFrame({"dataset": "x", "seed": seed, "value": values.ravel()})
    return Resampling(frame, draws=1000).means(frame["value"], group)


if __name__ == "__main__":
    main()
