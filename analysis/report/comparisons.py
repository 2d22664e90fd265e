"""The page's small tables: methods against each other, and what a sweep of sizes shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.configurations import CONFIGURED
from analysis.confirm import on_fresh_seeds
from analysis.formats import NONE, memory_text, setting_text
from analysis.pareto import candidates
from analysis.residual import judgements, with_verdicts
from analysis.scaling import against_retraining, power_laws, size_title, speed_up, swept
from analysis.summary import power
from analysis.volumes import method_differences
from sgu.results.schema import REFERENCES


@dataclass(frozen=True)
class Comparison:
    """A small table with its heading and a sentence on how to read it."""

    name: str
    title: str
    note: str
    columns: list[str]
    rows: list[list[str]]


WORDS = {"size": size_title, "value": setting_text}
INTERVAL = "90 % interval"
DIFFERENCES = {
    "data set": "{dataset}", "method": "{method}", "difference": "{difference:+.4f}",
    INTERVAL: "{low:+.4f} to {high:+.4f}", "seeds": "{seeds}",
}  # fmt: skip
FRESH = {
    "trial": "{trial_id}", "cell": "{cell}", "verdict of the search": "{searched}",
    "verdict on fresh seeds": "{verdict}", "residual memory, %": "{memory}", "seeds": "{seeds}",
}  # fmt: skip
LAWS = {
    "size": "{size}", "method": "{method}", "metric": "{metric}", "exponent": "{exponent:.2f}",
    INTERVAL: "{low:.2f} to {high:.2f}", "sizes": "{sizes}", "runs": "{runs}",
}  # fmt: skip
PRICES = {
    "size": "{size}", "value": "{value}", "method": "{method}", "of retraining": "{ratio:.3f}",
    INTERVAL: "{low:.3f} to {high:.3f}", "seeds": "{seeds}",
}  # fmt: skip
SPEED_UPS = {
    "trials at a time": "{workers:.0f}", "runs": "{runs}", "seconds": "{seconds:.1f}",
    "runs an hour": "{throughput:.1f}", "speed-up": "{speed_up:.2f}",
    "efficiency": "{efficiency:.2f}",
}  # fmt: skip


def comparisons(frame: pd.DataFrame, objectives: Sequence[str]) -> list[Comparison]:
    """Return the tables that the study has rows for."""
    tables = []
    proposed = frame[~frame["control"].fillna(False).astype(bool)]  # as many of each method
    if base := _base(proposed, objectives):
        note = f"Hypervolume above that of {base}; positive is better. An interval that holds 0 "
        rows = method_differences(proposed, base, objectives)
        title = f"Methods against {base}"
        tables.append(_table("methods", title, f"{note}tells no difference.", DIFFERENCES, rows))
    fresh = _on_fresh_seeds(frame)
    note = " ".join(power(judgements(frame, "confirm").values()))
    tables.append(_table("fresh", "Verdicts on fresh seeds", note, FRESH, fresh))
    sweeps = swept(frame)
    if sweeps:
        note = "metric = factor × size^exponent: with an exponent of 1, twice the size takes twice."
        tables.append(_table("laws", "Powers of the size", note, LAWS, power_laws(frame)))
        note = "Seconds of a method over those of retraining: below 1, unlearning is cheaper."
        rows = against_retraining(frame)
        tables.append(_table("prices", "Seconds against retraining", note, PRICES, rows))
    if "workers" in sweeps and not sweeps["workers"]["method"].isin(REFERENCES).all():
        note = "From the first start to the last end; efficiency is the speed-up a trial at a time."
        tables.append(_table("workers", "More trials at a time", note, SPEED_UPS, speed_up(frame)))
    return [table for table in tables if table.rows]


def _on_fresh_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the configurations run on fresh seeds, with their verdicts before and there."""
    runs = on_fresh_seeds(frame, "val_acc")
    rows = runs.groupby(list(CONFIGURED), as_index=False).agg(seeds=("seed", "nunique"))
    before = with_verdicts(rows, judgements(frame))["verdict"].fillna(NONE)
    rows = with_verdicts(rows, judgements(frame, "confirm"))
    memory = [memory_text(row) for row in rows.to_dict("records")]
    return rows.assign(searched=before, verdict=rows["verdict"].fillna(NONE), memory=memory)


def _table(
    name: str, title: str, note: str, columns: Mapping[str, str], rows: pd.DataFrame
) -> Comparison:
    texts = [[_text(form, row) for form in columns.values()] for row in rows.to_dict("records")]
    return Comparison(name, title, note, list(columns), texts)


def _text(form: str, row: dict[Any, Any]) -> str:
    """Return the columns of a row in a format; a dash for the interval of a single seed."""
    if "{low" in form and pd.isna(row["low"]):
        return NONE
    return form.format_map(
        row | {name: WORDS[name](row[name]) for name in WORDS.keys() & row.keys()}
    )


def _base(frame: pd.DataFrame, objectives: Sequence[str]) -> str | None:
    """Return the method to compare others with: the game if present; None without others."""
    rows = candidates(frame, objectives)
    several = rows.groupby("dataset")["method"].transform("nunique") > 1
    methods = sorted(rows.loc[several, "method"].unique(), key=lambda name: (name != "sg", name))
    return methods[0] if methods else None
