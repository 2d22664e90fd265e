"""A chart as a file, written without a browser or a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis.charts.chart_parts import Chart


def save(chart: Chart, path: str | Path) -> Path:
    """Write `chart` as .png (two pixels a point), .svg or .html, offline; return the path.

    Raises:
        ValueError: the path ends in something else.
    """
    path = Path(path)
    if path.suffix not in (".png", ".svg", ".html"):
        raise ValueError(f"cannot write a chart to {path.name}: end it in .png, .svg or .html")
    options: dict[str, Any] = {"inline": True} if path.suffix == ".html" else {"scale_factor": 2}
    chart.save(str(path), **options)
    return path
