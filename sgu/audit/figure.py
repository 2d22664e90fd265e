"""The attacks' areas with their intervals, model by model, as one SVG drawing."""

from __future__ import annotations

from dataclasses import dataclass

from sgu.audit.findings import Audit

COLOURS = ("#1b1b1b", "#c2571a", "#0b5c8a", "#2f7d4f", "#8a3b78", "#7a6a00")
LEFT, WIDTH, STEP, GAP, TOP = 110, 560, 11, 12, 26


@dataclass(frozen=True)
class Mark:
    """A value at x with its interval x1..x2, on line y."""

    x: float
    x1: float
    x2: float
    y: float
    colour: str
    text: str


@dataclass(frozen=True)
class Figure:
    """labels: attack and where its lines are; ticks: value and x; legend: model and colour."""

    marks: list[Mark]
    labels: list[tuple[str, float]]
    ticks: list[tuple[str, float]]
    legend: list[tuple[str, str]]
    chance: float
    height: float
    left: float = LEFT
    right: float = LEFT + WIDTH


def figure(audit: Audit) -> Figure | None:
    """Return the drawing; None if no attack found anything to draw."""
    by_model = {name: findings.by_attack for name, findings in audit.models.items()}
    areas = [record.auc for records in by_model.values() for record in records.values()]
    if not areas:
        return None
    low, high = min(0.4, *(a.low for a in areas)), max(0.6, *(a.high for a in areas))

    def x(value: float) -> float:
        return LEFT + WIDTH * (value - low) / (high - low)

    colours = dict(zip(by_model, COLOURS * len(by_model), strict=False))
    marks, labels, y = list[Mark](), list[tuple[str, float]](), float(TOP)
    for attack in audit.attacks:
        models = [model for model, records in by_model.items() if attack in records]
        labels.append((attack, y + STEP * (len(models) - 1) / 2))
        for model in models:
            auc = by_model[model][attack].auc
            text = f"{model}, {attack}: {auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]"
            marks.append(Mark(x(auc.value), x(auc.low), x(auc.high), y, colours[model], text))
            y += STEP
        y += GAP
    tenths = range(round(10 * low + 0.4999), int(10 * high) + 1)
    ticks = [(f"{n / 10:.1f}", x(n / 10)) for n in tenths]
    return Figure(marks, labels, ticks, list(colours.items()), x(0.5), y)
