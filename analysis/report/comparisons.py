"""The page's small tables: methods against each other, and what a sweep of sizes shows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.charts.scaling import SIZE_TITLES
from analysis.formats import NONE, plain_text
from analysis.pareto import candidates
from analysis.report.tables import whole
from analysis.scaling import against_retraining, power_laws, speed_up, swept
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


def comparisons(frame: pd.DataFrame, objectives: Sequence[str]) -> list[Comparison]:
    """Return the tables that the study has rows for."""
    tables = []
    proposed = frame[~frame["control"].fillna(False).astype(bool)]  # as many of each method
    if base := _base(proposed, objectives):
        tables.append(_methods(method_differences(proposed, base, objectives), base))
    sweeps = swept(frame)
    if sweeps:
        tables += [_laws(power_laws(frame)), _prices(against_retraining(frame))]
    if "workers" in sweeps and not sweeps["workers"]["method"].isin(REFERENCES).all():
        tables.append(_workers(speed_up(frame)))
    return [table for table in tables if table.rows]


def _base(frame: pd.DataFrame, objectives: Sequence[str]) -> str | None:
    """Return the method to compare others with: the game if present; None without others."""
    rows = candidates(frame, objectives)
    several = rows.groupby("dataset")["method"].transform("nunique") > 1
    methods = sorted(rows.loc[several, "method"].unique(), key=lambda name: (name != "sg", name))
    return methods[0] if methods else None


def _methods(differences: pd.DataFrame, base: str) -> Comparison:
    rows = [
        [row["dataset"], row["method"], f"{row['difference']:+.4f}", _interval(row, "+.4f"),
         str(row["seeds"])]
        for row in differences.to_dict("records")
    ]  # fmt: skip
    note = f"Hypervolume above that of {base}; positive is better. An interval that holds 0 tells "
    note += "no difference."
    columns = ["data set", "method", "difference", "90 % interval", "seeds"]
    return Comparison("methods", f"Methods against {base}", note, columns, rows)


def _laws(laws: pd.DataFrame) -> Comparison:
    rows = [
        [SIZE_TITLES[row["size"]], row["method"], row["metric"], f"{row['exponent']:.2f}",
         _interval(row, ".2f"), str(row["sizes"]), str(row["runs"])]
        for row in laws.to_dict("records")
    ]  # fmt: skip
    note = "metric = factor × size^exponent: with an exponent of 1, twice the size takes twice."
    columns = ["size", "method", "metric", "exponent", "90 % interval", "sizes", "runs"]
    return Comparison("laws", "Powers of the size", note, columns, rows)


def _prices(prices: pd.DataFrame) -> Comparison:
    rows = [
        [SIZE_TITLES[row["size"]], plain_text(whole(row["value"])), row["method"],
         f"{row['ratio']:.3f}", _interval(row, ".3f"), str(row["seeds"])]
        for row in prices.to_dict("records")
    ]  # fmt: skip
    note = "Seconds of a method over those of retraining: below 1, unlearning is cheaper."
    columns = ["size", "value", "method", "of retraining", "90 % interval", "seeds"]
    return Comparison("prices", "Seconds against retraining", note, columns, rows)


def _workers(speeds: pd.DataFrame) -> Comparison:
    rows = [
        [f"{row['workers']:.0f}", str(row["runs"]), f"{row['seconds']:.1f}",
         f"{row['throughput']:.1f}", f"{row['speed_up']:.2f}", f"{row['efficiency']:.2f}"]
        for row in speeds.to_dict("records")
    ]  # fmt: skip
    note = "From the first start to the last end; efficiency is the speed-up a trial at a time."
    columns = ["trials at a time", "runs", "seconds", "runs an hour", "speed-up", "efficiency"]
    return Comparison("workers", "More trials at a time", note, columns, rows)


def _interval(row: Mapping[Hashable, Any], form: str) -> str:
    if pd.isna(row["low"]):
        return NONE
    return f"{row['low']:{form}} to {row['high']:{form}}"
