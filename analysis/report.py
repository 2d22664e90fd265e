"""One self-contained page about a study: it opens without a network and asks nothing of one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import vl_convert
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from analysis.charts import effect_chart, epochs_chart, front_chart, split_chart
from analysis.formats import arrow, plain_text, unit
from analysis.marks import in_the_game
from analysis.pareto import OBJECTIVES, candidates, pareto_front
from analysis.schema import STATUSES
from analysis.summary import CONFIGURATION, controls, counts_line, notes, shown_metrics
from analysis.table import control_cells, legend, trial_cells

PROVENANCE = (
    "code_version",
    "code_dirty",
    "data_fingerprint",
    "split_digest",
    "original_digest",
    "device",
    "threads",
    "host",
    "versions",
)


def write_report(
    frame: pd.DataFrame,
    epochs: pd.DataFrame | None,
    objectives: Sequence[str] = OBJECTIVES,
    path: str | Path = "report.html",
    spec_text: str | None = None,
) -> Path:
    """Writes the page to `path` and returns it; `epochs` and `spec_text` are left out if None.

    A study without a front yet (every trial failed) still gets its page, with the reasons.

    Raises:
        ValueError: an objective is unknown.
    """
    found = not candidates(frame, objectives).empty
    page = _template().render(
        study=", ".join(frame["study"].unique()),
        counts=counts_line(frame),
        period=_period(frame),
        objectives=objectives,
        spec=spec_text,
        searched=_searched(frame),
        notes=notes(frame, objectives),
        found=found,
        front=_front_rows(frame, objectives) if found else [],
        columns=_columns(objectives),
        legend=legend(shown_metrics(objectives), objectives),
        figures=_figures(frame, epochs, objectives) if found else [],
        unfinished=_unfinished(frame),
        provenance=_provenance(frame),
        trials=_trials(frame, objectives),
        bundle=_bundle() if found else "",
    )
    Path(path).write_text(page, encoding="utf-8")
    return Path(path)


def _template() -> Any:
    loader = FileSystemLoader(Path(__file__).parent)
    return Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).get_template("report.html.j2")


def _period(frame: pd.DataFrame) -> str:
    """First and last start, and the compute in between."""
    started = frame["started"].dropna()
    if started.empty:
        return ""
    first, last = (f"{moment:%Y-%m-%d %H:%M} UTC" for moment in (started.min(), started.max()))
    return f"started {first} to {last}; {frame['wall_seconds'].sum() / 3600:.2g} trial hours"


def _searched(frame: pd.DataFrame) -> dict[str, str]:
    """Every value, or the range, of each configuration column over the trials of the game."""
    rows = frame[frame["method"].isin(in_the_game(frame)["method"])]
    return {
        name: _values(rows[name]) for name in ("dataset", "model", "method", *CONFIGURATION, "seed")
    }


def _values(column: pd.Series) -> str:
    values = sorted(column.dropna().unique().tolist())
    if len(values) > 8 and not isinstance(values[0], str):
        return f"{plain_text(values[0])} to {plain_text(values[-1])} ({len(values)} values)"
    return ", ".join(plain_text(value) for value in values) or plain_text(None)


def _columns(objectives: Sequence[str]) -> list[dict[str, Any]]:
    """Headings after the trial's: name, unit and direction, and whether it is an objective."""
    plain = [{"name": name, "unit": "", "objective": False} for name in CONFIGURATION]
    return plain + [
        {"name": name, "unit": f"{unit(name)} {arrow(name)}", "objective": name in objectives}
        for name in shown_metrics(objectives)
    ]


def _front_rows(frame: pd.DataFrame, objectives: Sequence[str]) -> list[dict[str, Any]]:
    names = shown_metrics(objectives)
    references = [
        {"control": True, "cells": control_cells(row, names)}
        for _, row in controls(frame, names).iterrows()
    ]
    return references + [
        {"control": False, "cells": trial_cells(row, names)}
        for _, row in pareto_front(frame, objectives).iterrows()
    ]


def _figures(
    frame: pd.DataFrame, epochs: pd.DataFrame | None, objectives: Sequence[str]
) -> list[dict[str, Any]]:
    """Id, heading, note and Vega-Lite specification of each figure, in reading order.

    An interval drawn in `front` is handed by the page to `effect` as its parameter `chosen`.
    """
    x, y = objectives[:2]
    inside = " && ".join(f"inrange(datum.{name}, chosen.{name})" for name in (x, y))
    front = front_chart(frame, objectives).add_params(alt.selection_interval(name="brush"))
    charts: dict[str, Any] = {"front": front}
    if len(in_the_game(frame)):
        charts["effect"] = effect_chart(frame, objectives, where=f"!chosen || ({inside})")
    charts["split"] = split_chart(frame)
    if epochs is not None and len(in_the_game(frame)):
        charts["epochs"] = epochs_chart(epochs, frame, objectives)
    return [_figure(name, chart.to_dict()) for name, chart in charts.items()]


def _figure(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """The page sets title and width: a heading breaks its lines where a chart's cannot."""
    title = spec.pop("title")
    spec.pop("$schema")
    if "layer" in spec:
        spec["width"] = "container"
    if name == "effect":
        spec["params"] = [*spec.get("params", []), {"name": "chosen", "value": None}]
    note = title["subtitle"]
    return {"name": name, "title": title["text"], "note": note, "spec": _inline_json(spec)}


def _inline_json(value: Any) -> Markup:
    """JSON to stand unescaped in a script element: no `<` is left to close or open anything."""
    return Markup(json.dumps(value).replace("<", "\\u003c"))


@cache
def _bundle() -> Markup:
    """Vega, Vega-Lite and Vega-Embed as one script, offering `vegaEmbed`."""
    code = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return Markup(code.replace("</script", "<\\/script"))


def _unfinished(frame: pd.DataFrame) -> list[list[str]]:
    """Trial, status, configuration and reason of what is not complete, failures first."""
    order = frame["status"].map({name: -rank for rank, name in enumerate(STATUSES)})
    rows = frame.assign(_order=order).query("status != 'complete'").sort_values("_order")
    return [
        [row["trial_id"], row["status"], _configuration(row), plain_text(row["reason"])]
        for _, row in rows.iterrows()
    ]


def _configuration(row: pd.Series) -> str:
    pairs = [f"{name} {plain_text(row[name])}" for name in CONFIGURATION]
    return ", ".join([str(row["method"]), *pairs, f"seed {row['seed']}"])


def _provenance(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Each field's different values with the number of trials; more than one is worth a look."""
    fields = []
    for name in PROVENANCE:
        found = frame[name].dropna().astype(str).value_counts()
        values = [{"text": text, "trials": int(number)} for text, number in found.items()]
        fields.append({"name": name, "values": values, "mixed": len(values) > 1})
    return fields


def _trials(frame: pd.DataFrame, objectives: Sequence[str]) -> list[dict[str, Any]]:
    """Every trial: its shown cells, the numbers to sort them by, and its exact configuration."""
    names = shown_metrics(objectives)
    keys = ["trial_id", *CONFIGURATION, *names, "method", "seed", "status"]
    rows = []
    for _, row in frame.iterrows():
        texts = [*trial_cells(row, names), row["method"], str(row["seed"]), row["status"]]
        cells = [
            {"text": text, "key": "" if pd.isna(row[key]) else row[key]}
            for key, text in zip(keys, texts, strict=True)
        ]
        place = [None if pd.isna(row[name]) else row[name] for name in objectives[:2]]
        rows.append({"cells": cells, "place": json.dumps(place), "config": _pretty(row["config"])})
    return rows


def _pretty(config: Any) -> str:
    if not isinstance(config, str) or not config.startswith("{"):
        return plain_text(config)
    return json.dumps(json.loads(config), indent=2, sort_keys=True)
