"""What a study amounts to in numbers: its controls, its counts and what may be read from it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.band import uninformative
from analysis.configurations import configurations
from analysis.pareto import candidates, hypervolume
from sgu.results.schema import METRICS, REFERENCES

CONFIGURATION = ("alpha", "reg", "solve_every", "update")
"""The game's own parameters, in the order tables show them."""

REPORTED = (
    "val_mia_acc",
    "test_acc",
    "forget_acc",
    "retain_acc",
    "mia_acc",
    "seconds",
    "game_seconds",
)
"""Metrics shown beside the objectives of every front."""

EXPLAINED = {
    "alpha": "weight of the auditor's term in the unlearner's loss; 0 is plain fine-tuning",
    "reg": "regularisation of the auditor",
    "solve_every": "optimiser steps between two solves of the auditor",
    "update": "how the game's gradient enters the unlearner's step",
    "seed": "seed of the trial's random choices",
}
"""What a newcomer needs to know of each configuration column."""

NO_FRONT = "No complete trial has every objective yet, so there is no front."


def shown_metrics(objectives: Sequence[str]) -> list[str]:
    """The objectives, then the reported metrics that are not among them."""
    return [*objectives, *(name for name in REPORTED if name not in objectives)]


def is_no_game(frame: pd.DataFrame) -> pd.Series:
    """True where a trial ran without the game: alpha is 0 and the method is no reference."""
    return (frame["alpha"] == 0) & ~frame["method"].isin(REFERENCES)


def controls(frame: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """What candidates are compared with: one row for each reference and each method at alpha 0,
    of the search: fresh seeds and sizes are others.

    Columns: name, runs, and for each metric its mean and `<metric>_spread`, the standard deviation
    over the runs (NaN for a single one).
    """
    complete = frame[(frame["status"] == "complete") & (frame["phase"] == "search")]
    named = [(name, complete[complete["method"] == name]) for name in REFERENCES]
    named += [(f"{name}, alpha 0", rows) for name, rows in _no_game_methods(complete)]
    records = [_control(name, rows, metrics) for name, rows in named if len(rows)]
    spreads = [f"{metric}_spread" for metric in metrics]
    return pd.DataFrame(records, columns=["name", "runs", *metrics, *spreads])


def _no_game_methods(complete: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    rows = complete[is_no_game(complete)]
    return [(str(method), group) for method, group in rows.groupby("method")]


def _control(name: str, rows: pd.DataFrame, metrics: Sequence[str]) -> dict[str, object]:
    means = {metric: rows[metric].mean() for metric in metrics}
    spreads = {f"{metric}_spread": rows[metric].std(ddof=1) for metric in metrics}
    return {"name": name, "runs": len(rows), **means, **spreads}


def counts(frame: pd.DataFrame) -> dict[str, int]:
    """Number of trials of the search, controls included, by status; each counts once, however
    many seeds it ran with."""
    status = configurations(frame)["status"]
    return {name: int((status == name).sum()) for name in ("complete", "failed", "pruned")}


def counts_line(frame: pd.DataFrame) -> str:
    """Such as "41 complete trials, 1 failed, 4 pruned"."""
    number = counts(frame)
    noun = "trial" if number["complete"] == 1 else "trials"
    return (
        f"{number['complete']} complete {noun}, {number['failed']} failed, "
        f"{number['pruned']} pruned"
    )


def seeds_line(rows: pd.DataFrame) -> str:
    """What the number of seeds lets a reader conclude; rows: of `configurations`."""
    seeds = rows.loc[~is_no_game(rows), "seeds"]
    if seeds.empty or seeds.max() == 1:
        return "Each trial is one run of one seed: its spread is not known."
    if seeds.min() == seeds.max():
        return f"Each trial is the mean over {seeds.max()} seeds."
    return f"Each trial is the mean over its seeds, {seeds.min()} to {seeds.max()}."


def hypervolume_line(frame: pd.DataFrame, objectives: Sequence[str]) -> str:
    """The front's hypervolume and the fixed reference it is measured from."""
    reference = ", ".join(f"{name} = {METRICS[name].reference_point:g}" for name in objectives)
    return f"Hypervolume {hypervolume(frame, objectives):.5g} (reference {reference})."


def notes(frame: pd.DataFrame, objectives: Sequence[str]) -> list[str]:
    """Sentences that belong under every front, most important first."""
    rows = candidates(frame, objectives)
    if rows.empty:
        return [NO_FRONT, f"{counts_line(frame)}."]
    lines = [hypervolume_line(frame, objectives), f"{counts_line(frame)}.", seeds_line(rows)]
    unsolved = rows[rows["unsolved"] > 0]
    if len(unsolved):
        lines.append(f"{len(unsolved)} of these trials had auditor problems left unsolved.")
    untold = [name for name in uninformative(frame) if name in shown_metrics(objectives)]
    if untold:
        lines.append(
            f"The original, which has forgotten nothing, is inside the null band of "
            f"{', '.join(untold)}, too: to be inside shows no forgetting there. More retrained "
            "models (oracles) make a band narrower."
        )
    return lines
