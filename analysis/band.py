"""The null band: where a retrained model's metrics lie, from the rows of retrained models.

Seed j has K_j retrained models with mean m_j; s pools their deviations within seeds, on
v = sum (K_j - 1) degrees of freedom. The mean over J seeds of one more retrained model each lies
with probability .95 in the prediction interval

    mean_j m_j +- t_{v, .975} s sqrt(sum_j (1 + 1/K_j)) / J

(exact for normal values; cut to the metric's range), which for one seed is
m +- t_{N-1, .975} s sqrt(1 + 1/N). Where no seed has two retrained models, the seeds' models are
taken as one ensemble: its band is wider by what the seeds' splits differ in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t

from analysis.configurations import configurations

Verdict = Literal["inside", "under-forgotten", "over-forgotten", "better", "worse"]
Kind = Literal["memory", "attack", "utility", "cost"]

KINDS: dict[str, Kind] = {
    # higher = more of forget is remembered: outside, the side says which failure it is
    **dict.fromkeys(("forget_acc", "tpr_at_1", "tpr_at_01", "rmia_auc", "lira_auc"), "memory"),
    # higher = forget can be told from held-out examples, whichever way it differs: no side says it
    **dict.fromkeys(
        [f"{prefix}_{name}" for prefix in ("mia", "val_mia") for name in ("acc", "auc", "f1")]
        + ["mia_advantage", "val_mia_advantage", "ks", "wasserstein", "forget_test_gap"]
        + ["u_lira_auc"],
        "attack",
    ),
    **dict.fromkeys(("retain_acc", "test_acc", "val_acc", "utility_paper", "tow"), "utility"),
    **dict.fromkeys(("val_error", "avg_gap"), "cost"),
}
"""Metrics that have a band, as `sgu.results.null_band` has them (a test holds the two together)."""

RANGES = {"wasserstein": (0.0, math.inf), "utility_paper": (-1.0, 1.0)}
"""All others are in 0..1."""

TASK = ("study", "dataset", "model", "scenario", "forget_fraction", "requests")
"""What retrained models must share with a configuration to be its null."""

SLACK = 1e-9  # what rounding may do to a value that is the band's end


class Band(NamedTuple):
    """Mean and deviation of a metric over retrained models; what they promise is in low..high."""

    mean: float
    sd: float
    low: float
    high: float
    models: int
    seeds: int


def null_bands(frame: pd.DataFrame, seeds: int = 1) -> pd.DataFrame:
    """The band of each metric in each task of `frame`: where the mean over `seeds` seeds of a
    retrained model lies.

    Columns: those of `TASK`, metric and those of `Band`: mean, sd, low, high, models (retrained
    ones) and seeds (that they have). A metric that fewer than two of them have has no row.

    Raises:
        ValueError: no metric of any task has two retrained models.
    """
    found = [
        [*task, name, *band]
        for task, rows in _by_task(retrained(frame)).items()
        for name, band in bands_of(rows, seeds).items()
    ]
    if not found:
        raise ValueError(
            "a null band takes 2 or more retrained models of one data set, and there are fewer: "
            "run the study with oracles: 3, or with several seeds"
        )
    return pd.DataFrame(found, columns=[*TASK, "metric", *Band._fields])


def bands_of(rows: pd.DataFrame, seeds: int = 1) -> dict[str, Band]:
    """By metric, from the rows of one task's retrained models; see `null_bands`."""
    values = {name: rows[["seed", name]].dropna() for name in KINDS}
    return {name: band_of(name, own, seeds) for name, own in values.items() if len(own) >= 2}


def band_of(name: str, known: pd.DataFrame, seeds: int) -> Band:
    """Of one metric, from the retrained models' values in `known`, beside their seed."""
    groups = known.groupby("seed")[name]
    sizes, means = groups.size().to_numpy(), groups.mean().to_numpy()
    freedom, mean = int((sizes - 1).sum()), float(means.mean())
    if freedom:
        sd = math.sqrt(((known[name] - groups.transform("mean")) ** 2).sum() / freedom)
        others = float((1 / sizes).mean())
    else:
        freedom, sd, others = len(known) - 1, float(known[name].std(ddof=1)), seeds / len(known)
    reach = float(t.ppf(0.975, freedom)) * sd * math.sqrt((1 + others) / seeds)
    least, most = RANGES.get(name, (0.0, 1.0))
    low, high = max(least, mean - reach), min(most, mean + reach)
    return Band(mean, sd, low, high, len(known), len(sizes))


def limits(frame: pd.DataFrame, rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The ends, low and high, of the band that each of the configurations `rows` is judged by;
    `frame` has the retrained models. NaN where there is no band."""
    found = pd.DataFrame(math.nan, index=rows.index, columns=["low", "high"])
    for group, bands in _with_bands(frame, rows):
        if metric in bands:
            found.loc[group.index] = [bands[metric].low, bands[metric].high]
    return found


def _with_bands(
    frame: pd.DataFrame, rows: pd.DataFrame
) -> Iterator[tuple[pd.DataFrame, dict[str, Band]]]:
    """Configurations that share a task and a number of seeds, with their bands."""
    tasks = _by_task(retrained(frame))
    for seeds in sorted(set(rows["seeds"]) - {0}):
        same = rows[rows["seeds"] == seeds]
        for task, group in _by_task(same).items():
            if task in tasks:
                yield group, bands_of(tasks[task], seeds)


def uninformative(frame: pd.DataFrame) -> list[str]:
    """Metrics of memory or attack by which the original, which has forgotten nothing, is inside the
    null band of a mean over its seeds: to be inside as well shows no forgetting."""
    tasks, found = _by_task(retrained(frame)), set[str]()
    for task, rows in _by_task(_complete(frame, "original")).items():
        for name, band in bands_of(tasks.get(task, rows[:0]), rows["seed"].nunique()).items():
            within = band.low - SLACK <= rows[name].mean() <= band.high + SLACK
            if within and KINDS[name] in ("memory", "attack"):
                found.add(name)
    return [name for name in KINDS if name in found]


def retrained(frame: pd.DataFrame) -> pd.DataFrame:
    """Complete rows of a search's retrained models; those of a sweep of sizes are others, and those
    of fresh seeds must not move what was chosen before them."""
    return _complete(frame, "retrain")


def _complete(frame: pd.DataFrame, method: str) -> pd.DataFrame:
    return frame[
        (frame["method"] == method) & (frame["status"] == "complete") & (frame["phase"] == "search")
    ]


def _by_task(rows: pd.DataFrame) -> dict[tuple[Any, ...], pd.DataFrame]:
    """The rows of each task; what it does not say is ""."""
    keys = rows[list(TASK)].astype(object)
    keys = keys.where(keys.notna(), "")
    return dict(iter(rows.groupby([keys[name] for name in TASK])))


def verdicts(frame: pd.DataFrame, metrics: Sequence[str] = tuple(KINDS)) -> pd.DataFrame:
    """Each configuration's verdict on each of `metrics`: inside, under-forgotten, over-forgotten,
    better or worse; None where it has no value or its task no band.

    Columns: study, cell, trial_id, seeds and the metrics. The band is that of a mean over as many
    seeds as the configuration has.

    An attack tells that forget differs from held-out examples and not how, and where retrained
    models differ from them, too, a model that still remembers may lie on either side of the band:
    outside it is under-forgotten whose lead, forget_acc - test_acc (val_acc, for what is against
    val), is above the retrained models' mean lead, and over-forgotten whose lead is below.

    Raises:
        ValueError: a metric can have no band.
    """
    strange = [name for name in metrics if name not in KINDS]
    if strange:
        raise ValueError(f"{strange} have no null band: choose from {', '.join(KINDS)}")
    rows = configurations(frame)
    found = rows[["study", "cell", "trial_id", "seeds"]].assign(**dict.fromkeys(metrics))
    for group, bands in _with_bands(frame, rows):
        for name in metrics:
            if name in bands:
                found.loc[group.index, name] = _verdicts(group, name, bands)
    return found


def _verdicts(rows: pd.DataFrame, name: str, bands: dict[str, Band]) -> pd.Series:
    """On one metric, of rows of one task."""
    value, band, kind = rows[name], bands[name], KINDS[name]
    above, below = value > band.high + SLACK, value < band.low - SLACK
    if kind in ("utility", "cost"):
        high, low = ("better", "worse") if kind == "utility" else ("worse", "better")
        said = np.select([above, below], [high, low], "inside")
    else:
        lead = _lead(rows, name, bands) if kind == "attack" else 0 * value
        remembered = np.where(lead.abs() > SLACK, lead > 0, above)
        said = np.where(remembered, "under-forgotten", "over-forgotten")
        said = np.where(above | below, said, "inside")
    return pd.Series(said, rows.index, dtype=object).where(value.notna(), None)


def _lead(rows: pd.DataFrame, name: str, bands: dict[str, Band]) -> pd.Series:
    """forget_acc less the other accuracy, above the retrained models' mean of that; 0: unknown."""
    other = "val_acc" if name.startswith("val_") else "test_acc"
    if not {"forget_acc", other} <= bands.keys():
        return pd.Series(0.0, rows.index)
    theirs = bands["forget_acc"].mean - bands[other].mean
    return (rows["forget_acc"] - rows[other] - theirs).fillna(0.0)
