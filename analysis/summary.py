"""A study in short: its controls, its counts and the notes under its fronts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd

from analysis.configurations import complete, configurations
from analysis.pareto import candidates, hypervolume
from analysis.residual import judgements
from sgu.results.schema import METRICS, REFERENCES
from sgu.results.verdicts import Judgement

REPORTED = (
    "val_mia_acc", "test_acc", "forget_acc", "retain_acc", "mia_acc", "seconds", "game_seconds"
)  # fmt: skip
"""Metrics shown beside the objectives of every front."""

EXPLAINED = {
    "alpha": "weight of the auditor's term in the unlearner's loss; 0: without the game",
    "reg": "regularisation of the auditor",
    "solve_every": "optimiser steps between two solves of the auditor",
    "update": "how the game's gradient enters the unlearner's step",
    "seed": "seed of the trial's random choices",
}
"""The meaning of each configuration column."""

NO_FRONT = "No complete trial has every objective yet, so there is no front."


def shown_metrics(objectives: Sequence[str]) -> list[str]:
    """Return the objectives, then the reported metrics that are not among them."""
    return [*objectives, *(name for name in REPORTED if name not in objectives)]


def is_no_game(frame: pd.DataFrame) -> pd.Series:
    """Return True for trials without the game: alpha is 0 and the method is no reference."""
    return (frame["alpha"] == 0) & ~frame["method"].isin(REFERENCES)


def controls(frame: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return the search's controls: one row for each reference and each method at alpha 0.

    Columns: name, runs, and for each metric its mean and `<metric>_spread`, the standard deviation
    over the runs (NaN for a single one).
    """
    rows = complete(frame)
    named = [(name, rows[rows["method"] == name]) for name in REFERENCES]
    no_game = rows[is_no_game(rows)]
    named += [(f"{name}, alpha 0", runs) for name, runs in no_game.groupby("method")]
    records = [
        [name, len(runs), *(runs[metric].mean() for metric in metrics),
         *(runs[metric].std(ddof=1) for metric in metrics)]
        for name, runs in named if len(runs)
    ]  # fmt: skip
    spreads = [f"{metric}_spread" for metric in metrics]
    return pd.DataFrame(records, columns=["name", "runs", *metrics, *spreads])


def counts(frame: pd.DataFrame) -> dict[str, int]:
    """Return the number of the search's trials by status, controls included; each counts once,
    however many seeds it ran with."""
    status = configurations(frame)["status"]
    return {name: int((status == name).sum()) for name in ("complete", "failed", "pruned")}


def counts_line(frame: pd.DataFrame) -> str:
    """Return the counts in words: "41 complete trials, 1 failed, 4 pruned"."""
    number = counts(frame)
    noun = "trial" if number["complete"] == 1 else "trials"
    return (
        f"{number['complete']} complete {noun}, {number['failed']} failed, "
        f"{number['pruned']} pruned"
    )


def seeds_line(rows: pd.DataFrame) -> str:
    """Return a sentence on the seeds behind each trial; rows: of `configurations`."""
    seeds = rows.loc[~is_no_game(rows), "seeds"]
    if seeds.empty or seeds.max() == 1:
        return "Each trial is one run of one seed: its spread is not known."
    if seeds.min() == seeds.max():
        return f"Each trial is the mean over {seeds.max()} seeds."
    return f"Each trial is the mean over its seeds, {seeds.min()} to {seeds.max()}."


def notes(frame: pd.DataFrame, objectives: Sequence[str]) -> list[str]:
    """Return the sentences that belong under every front, the most important first."""
    rows = candidates(frame, objectives)
    if rows.empty:
        return [NO_FRONT, f"{counts_line(frame)}."]
    point = ", ".join(f"{name} = {METRICS[name].reference_point:g}" for name in objectives)
    reached = f"Hypervolume {hypervolume(frame, objectives):.5g} (reference point {point})."
    lines = [reached, f"{counts_line(frame)}.", seeds_line(rows)]
    unsolved = rows[rows["unsolved"] > 0]
    if len(unsolved):
        lines.append(f"{len(unsolved)} of these trials had auditor problems left unsolved.")
    return lines + power(judgements(frame).values())


def power(judged: Iterable[Judgement]) -> list[str]:
    """Return what verdicts of this size can see, or why there is none; each sentence once."""
    sentences = Counter(map(_power, judged))
    several = len(sentences) > 1
    return [f"{text}{f' ({number} trials)' if several else ''}." for text, number in
            sentences.items()]  # fmt: skip


def _power(judgement: Judgement) -> str:
    if judgement.verdict is None:
        return f"No verdict: {judgement.reason}"
    blind = f"; no power at this size: {', '.join(judgement.blind)}" if judgement.blind else ""
    return (
        f"{judgement.models} retrained models see a residual memory of "
        f"{100 * judgement.sees:.0f} % or more, beside a margin of "
        f"{100 * judgement.margin:.0f} %{blind}"
    )
