"""The page's tables: fronts, all trials, what failed, where it comes from."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.charts.chart_parts import in_the_game
from analysis.configurations import configurations
from analysis.formats import arrow, metric_text, plain_text, unit
from analysis.settings import names_of, searched
from analysis.summary import CONFIGURATION, shown_metrics
from sgu.results.schema import STATUSES

PROVENANCE = (
    "code_version",
    "code_dirty",
    "data_fingerprint",
    "split_digest",
    "original_digest",
    "device",
    "threads",
    "host",
    "host_class",
    "versions",
)


def columns(settings: Sequence[str], objectives: Sequence[str]) -> list[dict[str, Any]]:
    """Headings after the trial's: name, unit and direction, and whether it is an objective."""
    plain = [{"name": name, "unit": "", "objective": False} for name in settings]
    return plain + [
        {"name": name, "unit": f"{unit(name)} {arrow(name)}", "objective": name in objectives}
        for name in shown_metrics(objectives)
    ]


def period(frame: pd.DataFrame) -> str:
    """First and last start, and the compute in between."""
    started = frame["started"].dropna()
    if started.empty:
        return ""
    first, last = (f"{moment:%Y-%m-%d %H:%M} UTC" for moment in (started.min(), started.max()))
    return f"started {first} to {last}; {frame['wall_seconds'].sum() / 3600:.2g} trial hours"


def what_was_searched(frame: pd.DataFrame) -> dict[str, str]:
    """Every value, or the range, of what trials share and of each setting that a search varied."""
    rows = in_the_game(frame)
    settings = searched(rows)
    found = {name: _values(rows[name]) for name in ("dataset", "model", "scenario", "method")}
    found |= {name: _values(settings[name]) for name in names_of(settings)}
    seeds = frame[frame["method"].isin(rows["method"]) & (frame["phase"] == "search")]
    return found | {"seed": _values(seeds["seed"])}


def _values(column: pd.Series) -> str:
    values = sorted(column.dropna().unique().tolist(), key=lambda value: (str(type(value)), value))
    if len(values) > 8 and not isinstance(values[0], str):
        return f"{plain_text(values[0])} to {plain_text(values[-1])} ({len(values)} values)"
    return ", ".join(plain_text(value) for value in values) or plain_text(None)


def trial_settings(frame: pd.DataFrame) -> list[str]:
    """The settings shown of every trial: the game's own, then what else was searched."""
    found = [name for name in CONFIGURATION if frame[name].nunique() > 1]
    others = names_of(searched(in_the_game(frame)))
    return [*found, *(name for name in others if name not in frame)][:8]


def trials(frame: pd.DataFrame, objectives: Sequence[str]) -> list[dict[str, Any]]:
    """Every configuration: its shown cells, the values to sort them by, its exact configuration."""
    settings, names = trial_settings(frame), shown_metrics(objectives)
    rows = configurations(frame)
    values = rows.assign(**{n: searched(rows)[n] for n in settings if n not in rows})
    found = []
    for row in values.to_dict("records"):
        keys = [row["trial_id"], *(row[name] for name in (*settings, *names))]
        keys += [row["cell"], row["seeds"], row["status"]]
        texts = [row["trial_id"], *(plain_text(_whole(row[name])) for name in settings)]
        texts += [metric_text(name, row[name]) for name in names]
        texts += [row["cell"], str(row["seeds"]), row["status"]]
        place = [None if pd.isna(row[name]) else row[name] for name in objectives[:2]]
        found.append(
            {
                "cells": [
                    {"text": text, "key": "" if pd.isna(key) else key}
                    for key, text in zip(keys, texts, strict=True)
                ],
                "cell": row["cell"],
                "place": json.dumps(place),
                "config": _pretty(row["config"]),
            }
        )
    return found


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _pretty(config: Any) -> str:
    if not isinstance(config, str) or not config.startswith("{"):
        return plain_text(config)
    return json.dumps(json.loads(config), indent=2, sort_keys=True)


def unfinished(frame: pd.DataFrame) -> list[list[str]]:
    """Cell, trial, status, configuration and reason of what is not complete, failures first."""
    order = frame["status"].map({name: -rank for rank, name in enumerate(STATUSES)})
    rows = frame.assign(_order=order).query("status != 'complete'").sort_values("_order")
    return [
        [
            row["cell"],
            row["trial_id"],
            row["status"],
            _configuration(row),
            plain_text(row["reason"]),
        ]
        for row in rows.to_dict("records")
    ]


def _configuration(row: Mapping[Hashable, Any]) -> str:
    pairs = [f"{name} {plain_text(_whole(row[name]))}" for name in CONFIGURATION]
    return ", ".join([str(row["method"]), *pairs, f"seed {row['seed']}"])


def provenance(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Each field's different values with the number of rows; more than one is worth a look."""
    own = frame["original_digest"].where(frame["method"] != "retrain")  # each of those is another
    rows, fields = frame.assign(original_digest=own), []
    for name in PROVENANCE:
        found = rows[name].dropna().astype(str).value_counts()
        values = [{"text": text, "rows": int(number)} for text, number in found.items()]
        fields.append({"name": name, "values": values, "mixed": len(values) > 1})
    return fields
