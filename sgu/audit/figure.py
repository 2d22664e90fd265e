"""The residual memory of each model with its interval, as bars on a line from 0 to 100 %."""

from __future__ import annotations

from dataclasses import dataclass

from sgu.audit.findings import Audit
from sgu.audit.tables import residual_of
from sgu.results.verdicts import MARGIN


@dataclass(frozen=True)
class Bar:
    """A model's name, verdict and residual memory in words; places in per cent of the width."""

    model: str
    verdict: str
    text: str
    left: float
    width: float
    at: float


@dataclass(frozen=True)
class Figure:
    """The bars, the shaded margin, and the ticks with their places in per cent of the width."""

    bars: list[Bar]
    margin: tuple[float, float]
    ticks: list[tuple[str, float]]


def figure(audit: Audit) -> Figure | None:
    """Return the drawing; None without a verdict."""
    found = {name: residual_of(findings, "joint") for name, findings in audit.models.items()}
    known = {name: residual for name, residual in found.items() if residual}
    if not known:
        return None
    low = min(-2 * MARGIN, *(residual.low for residual in known.values()))
    high = max(1 + MARGIN, *(residual.high for residual in known.values()))

    def place(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    bars = []
    for name, residual in known.items():
        value, *ends = residual.per_cent()
        text = f"{value} % ({' to '.join(ends)})"
        left = place(residual.low)
        width = round(place(residual.high) - left, 2)
        bars.append(Bar(name, residual.verdict, text, left, width, place(residual.value)))
    shade = place(-MARGIN), round(place(MARGIN) - place(-MARGIN), 2)
    ticks = {"0 %, retrained": 0.0, "100 %, original": 1.0}
    return Figure(bars, shade, [(text, place(value)) for text, value in ticks.items()])
