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
    left: float
    right: float
    height: float


def figure(found: Audit) -> Figure | None:
    """None where no attack found anything to draw."""
    by = {model: {r.attack: r for r in made.attacks} for model, made in found.models.items()}
    attacks = list(dict.fromkeys(attack for records in by.values() for attack in records))
    areas = [record.auc for records in by.values() for record in records.values()]
    if not areas:
        return None
    low, high = min(0.4, *(a.low for a in areas)), max(0.6, *(a.high for a in areas))

    def x(value: float) -> float:
        return LEFT + WIDTH * (value - low) / (high - low)

    colours = dict(zip(by, COLOURS * len(by), strict=False))
    marks, labels, y = list[Mark](), list[tuple[str, float]](), float(TOP)
    for attack in attacks:
        having = [model for model, records in by.items() if attack in records]
        labels.append((attack, y + STEP * (len(having) - 1) / 2))
        for model in having:
            auc = by[model][attack].auc
            text = f"{model}, {attack}: {auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]"
            marks.append(Mark(x(auc.value), x(auc.low), x(auc.high), y, colours[model], text))
            y += STEP
        y += GAP
    tenths = range(round(10 * low + 0.4999), int(10 * high) + 1)
    return Figure(
        marks=marks,
        labels=labels,
        ticks=[(f"{n / 10:.1f}", x(n / 10)) for n in tenths],
        legend=list(colours.items()),
        chance=x(0.5),
        left=LEFT,
        right=LEFT + WIDTH,
        height=y,
    )
