"""The page: the sections of a study, rendered to one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader

from analysis.band import null_band
from analysis.charts import residual_chart
from analysis.choose import choose
from analysis.configurations import cells, most_seeds, of_cell
from analysis.pareto import OBJECTIVES, candidates, check_objectives, knee
from analysis.report import figures, tables
from analysis.report.answer import answer, data_sets
from analysis.report.comparisons import comparisons
from analysis.report.study import Study
from analysis.summary import counts, counts_line, notes, shown_metrics
from analysis.table import legend, lines, setting_names
from analysis.volumes import hypervolumes


def write_report(study: Study, path: str | Path, objectives: Sequence[str] = OBJECTIVES) -> Path:
    """Write the page to `path` and return the path.

    A study without a front yet (every trial failed) still gets its page, with the reasons.

    Raises:
        ValueError: an objective is unknown.
    """
    check_objectives(objectives)
    frame, names = study.frame, cells(study.frame)
    sections = [_cell(study, number, cell, objectives) for number, cell in enumerate(names)]
    together = figures.of_all_cells(study, objectives)
    banded = any(null_band(of_cell(frame, cell)) for cell in names)
    answers = [_answer(study, data) for data in data_sets(frame)]
    page = _template().render(
        study=", ".join(frame["study"].unique()),
        counts=counts_line(frame),
        period=tables.period(frame),
        objectives=objectives,
        answers=answers,
        spec=study.spec,
        searched=tables.what_was_searched(frame),
        cells=sections,
        legend=legend(frame, shown_metrics(objectives), objectives, banded),
        figures=together,
        comparisons=comparisons(frame, objectives),
        unfinished=tables.unfinished(frame),
        provenance=tables.provenance(frame),
        columns=tables.columns(tables.trial_settings(frame), objectives),
        trials=tables.trials(frame, objectives),
        bundle=figures.bundle() if together or any("picture" in found for found in answers) else "",
    )
    Path(path).write_text(page, encoding="utf-8")
    return Path(path)


def _template() -> Any:
    loader = FileSystemLoader(Path(__file__).parent)
    return Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).get_template("page.html.j2")


def _cell(study: Study, number: int, cell: str, objectives: Sequence[str]) -> dict[str, Any]:
    """Return one cell's section: front, notes and figures; without a front, only notes."""
    frame = of_cell(study.frame, cell)
    trials = frame[frame["cell"] == cell]
    section: dict[str, Any] = {
        "id": f"cell-{number}",
        "name": cell,
        "counts": counts(trials),
        "front": [],
        "seeds": most_seeds(trials),
        "notes": notes(frame, objectives),
    }
    if candidates(frame, objectives).empty:
        return section
    front = lines(frame, objectives)
    (reached,) = hypervolumes(frame, objectives, by=["study"]).to_dict("records")
    return section | {
        "front": front,
        "columns": tables.columns(setting_names(frame), objectives),
        "size": sum(line.kind == "trial" for line in front),
        "hypervolume": f"{reached['hypervolume']:.4f}",
        "interval": f"{reached['low']:.4f} to {reached['high']:.4f}",
        "chosen": _chosen(frame),
        "knee": knee(frame, objectives)["trial_id"],
        "figures": figures.of_the_cell(study, cell, objectives),
    }


def _answer(study: Study, data: str) -> dict[str, Any]:
    """Return the answer for one data set with its picture."""
    found = answer(study, data)
    rows = study.frame[study.frame["dataset"] == data]
    chart = residual_chart(rows, found.get("chosen"))
    return found | ({"picture": figures.figure("answer", chart)} if chart is not None else {})


def _chosen(frame: pd.DataFrame) -> str:
    """Return the trial that may be chosen; "" for none."""
    try:
        return str(choose(frame).row["trial_id"])
    except ValueError:
        return ""
