"""The page's tables: fronts, all trials, failures and provenance."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.charts.chart_parts import in_the_game
from analysis.configurations import configurations, searched
from analysis.formats import NONE, arrow, memory_text, metric_text, plain_text, setting_text, unit
from analysis.residual import judgements, with_verdicts
from analysis.summary import shown_metrics
from sgu.results.schema import GAME, STATUSES

PROVENANCE = (
    "code_version", "code_dirty", "data_fingerprint", "split_digest", "original_digest",
    "device", "threads", "host", "host_class", "versions",
)  # fmt: skip


def columns(settings: Sequence[str], objectives: Sequence[str]) -> list[dict[str, Any]]:
    """Return the headings after the trial's: name, unit with direction, and if an objective."""
    plain = [
        {"name": name, "unit": "%" if name == "residual memory" else "", "objective": False}
        for name in ("verdict", "residual memory", *settings)
    ]
    return plain + [
        {"name": name, "unit": f"{unit(name)} {arrow(name)}", "objective": name in objectives}
        for name in shown_metrics(objectives)
    ]


def period(frame: pd.DataFrame) -> str:
    """Return the first and the last start, and the trial hours in between."""
    started = frame["started"].dropna()
    if started.empty:
        return ""
    first, last = (f"{moment:%Y-%m-%d %H:%M} UTC" for moment in (started.min(), started.max()))
    return f"started {first} to {last}; {frame['wall_seconds'].sum() / 3600:.2g} trial hours"


def what_was_searched(frame: pd.DataFrame) -> dict[str, str]:
    """Return all values, or the range, of what trials share and of each searched setting."""
    rows = in_the_game(frame)
    settings = searched(rows)
    texts = {name: _values(rows[name]) for name in ("dataset", "model", "scenario", "method")}
    texts |= {name: _values(settings[name]) for name in settings.columns}
    seeds = frame[frame["method"].isin(rows["method"]) & (frame["phase"] == "search")]
    return texts | {"seed": _values(seeds["seed"])}


def _values(column: pd.Series) -> str:
    values = sorted(column.dropna().unique().tolist(), key=lambda value: (str(type(value)), value))
    if len(values) > 8 and not isinstance(values[0], str):
        return f"{plain_text(values[0])} to {plain_text(values[-1])} ({len(values)} values)"
    return ", ".join(plain_text(value) for value in values) or plain_text(None)


def trial_settings(frame: pd.DataFrame) -> list[str]:
    """Return the settings shown for every trial: the game's, then others that were searched."""
    game = [name for name in GAME if frame[name].nunique() > 1]
    others = [name for name in searched(in_the_game(frame)).columns if name not in frame]
    return [*game, *others][:8]


def trials(frame: pd.DataFrame, objectives: Sequence[str]) -> list[dict[str, Any]]:
    """Return each configuration's shown texts, the keys that sort them, and its exact settings."""
    settings, names = trial_settings(frame), shown_metrics(objectives)
    rows = with_verdicts(configurations(frame), judgements(frame))
    rows = rows.assign(**{name: searched(rows)[name] for name in settings if name not in rows})
    return [_trial(row, settings, names, objectives) for row in rows.to_dict("records")]


def _trial(
    row: Mapping[Hashable, Any],
    settings: Sequence[str],
    metrics: Sequence[str],
    objectives: Sequence[str],
) -> dict[str, Any]:
    texts = {"trial_id": row["trial_id"], "verdict": row["verdict"] or NONE}
    texts |= {"residual": memory_text(row)}
    texts |= {name: setting_text(row[name]) for name in settings}
    texts |= {name: metric_text(name, row[name]) for name in metrics}
    texts |= {"cell": row["cell"], "seeds": str(row["seeds"]), "status": row["status"]}
    keys = {name: "" if pd.isna(row[name]) else row[name] for name in texts}
    return {
        "cells": [{"text": text, "key": keys[name]} for name, text in texts.items()],
        "cell": row["cell"],
        "place": json.dumps([keys[name] if keys[name] != "" else None for name in objectives[:2]]),
        "config": _pretty(row["config"]),
    }


def _pretty(config: Any) -> str:
    if not isinstance(config, str) or not config.startswith("{"):
        return plain_text(config)
    return json.dumps(json.loads(config), indent=2, sort_keys=True)


def unfinished(frame: pd.DataFrame) -> list[list[str]]:
    """Return cell, trial, status, configuration and reason of failed, then of pruned trials."""
    order = frame["status"].map({name: -rank for rank, name in enumerate(STATUSES)})
    rows = frame.assign(_order=order).query("status != 'complete'").sort_values("_order")
    return [
        [*(row[name] for name in ("cell", "trial_id", "status")), _configuration(row),
         plain_text(row["reason"])]
        for row in rows.to_dict("records")
    ]  # fmt: skip


def _configuration(row: Mapping[Hashable, Any]) -> str:
    pairs = [f"{name} {setting_text(row[name])}" for name in GAME]
    return ", ".join([str(row["method"]), *pairs, f"seed {row['seed']}"])


def provenance(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return each field's different values with their numbers of rows; several are marked."""
    digests = frame["original_digest"].where(frame["method"] != "retrain")  # each has its own
    rows, fields = frame.assign(original_digest=digests), []
    for name in PROVENANCE:
        counts = rows[name].dropna().astype(str).value_counts()
        values = [{"text": text, "rows": int(number)} for text, number in counts.items()]
        fields.append({"name": name, "values": values, "mixed": len(values) > 1})
    return fields
