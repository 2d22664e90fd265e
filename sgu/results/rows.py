"""Result rows: dicts of plain values, with the columns that `sgu.results.schema` names."""

from __future__ import annotations

import json
import math
from typing import Any

import pyarrow as pa

from sgu.results.schema import GAME, REFERENCES, SCHEMA_VERSION, TRIALS

Row = dict[str, Any]
COMPLETE: Row = {"status": "complete", "reason": None, "phase": "search", "attempt": 0}


def result_row(
    settings: Row, shared: Row, measured: Row, *, reference: str | None = None, **identity: Any
) -> Row:
    """Return the whole row of a run; where two parts hold a column, the later one counts.

    settings: as `Experiment.settings` gives them; shared: columns that all rows on a task share;
    measured: metrics, costs and provenance; reference: original or retrain, for the row of such a
    network; identity: trial_id and, where the defaults do not hold, cell, seed, control and phase.
    """
    row = COMPLETE | shared | described(settings, reference) | {"control": reference is not None}
    row["cell"] = cell_of(row["dataset"], row["method"])
    return row | measured | identity


def epoch_rows(row: Row, epochs: list[Row], identity: tuple[str, ...]) -> list[Row]:
    """Return the rows of a run's epochs, with those columns of its own row."""
    return [{"attempt": 0} | epoch | {name: row[name] for name in identity} for epoch in epochs]


def stored(row: Row, study: str, schema: pa.Schema = TRIALS) -> Row:
    """Return a row as it is stored: the schema's columns, stamped with its version and the study.

    NaN becomes null, a mapping JSON.
    """
    stamped = {"schema_version": SCHEMA_VERSION, "study": study} | row
    return {name: _plain(stamped.get(name)) for name in schema.names}


def cell_of(dataset: str, method: str) -> str:
    """Return the cell of a row: data/method; for a reference the data alone."""
    return dataset if method in REFERENCES else f"{dataset}/{method}"


def plays(method: str) -> bool:
    """Return True if the method plays the game: `sg`, or `sg+` and the method that carries it."""
    return method.split("+")[0] == "sg"


def described(settings: Row, reference: str | None = None) -> Row:
    """Return the columns of a configuration; a setting that its method does not use is null.

    solve_every is null if it is "epoch": the run itself reports how many steps that is.
    """
    row = {"method": reference or settings["method"], "seed": settings["seed"], "config": settings}
    if reference:
        return row
    if not plays(settings["method"]):
        return row | {"alpha": 0.0}
    row |= {name: settings[name] for name in GAME}
    counted = settings["update"] == "joint" and settings["solve_every"] != "epoch"
    return row if counted else row | {"solve_every": None}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    if isinstance(value, float) and math.isnan(value):
        return None
    return value
