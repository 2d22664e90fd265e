"""The findings of an audit as tables of words, for a terminal and a page alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sgu.audit.findings import Audit, Audited
from sgu.metrics import Estimate
from sgu.results.null_band import MEMORY
from sgu.results.verdicts import MARGIN, REPORTING, Residual

GROUPS = {
    "forgetting": (
        "forget_acc", "mia_acc", "mia_auc", "mia_advantage", "loss_auc", "ks", "wasserstein",
        "tpr_at_1", "tpr_at_01", "rmia_auc", "lira_auc", "u_lira_auc", "klom", "relearn_steps",
    ),
    "accuracy": ("retain_acc", "test_acc", "val_acc", "avg_gap", "tow"),
    "those who stay": ("retain_mia_auc",),
}  # fmt: skip
RATES = {"auc": "AUC", "tpr_at_1": "TPR 1 %", "tpr_at_01": "TPR .1 %"}
ALONE = {"original", "retrained"}


class Cell(NamedTuple):
    """A value in words, and a verdict on it, or its side of the band, if there is one."""

    text: str
    verdict: str = ""


NONE = Cell("–")


@dataclass(frozen=True)
class Sheet:
    """A table: what it says, its columns, and its rows; a row of one cell is a heading."""

    title: str
    note: str
    columns: list[str]
    rows: list[list[Cell]]


def sheets(audit: Audit) -> list[Sheet]:
    """Return all tables of an audit that have something to show."""
    tables = [residual_memory(audit), main(audit), attacks(audit), exposed(audit), slices(audit)]
    return [sheet for sheet in tables if sheet.rows]


def residual_memory(audit: Audit) -> Sheet:
    """Return the residual memory of each model, jointly and by each metric that has power."""
    models, rows = audit.models.values(), []
    others = [name for name in MEMORY if name not in REPORTING]
    for name in ("joint", *REPORTING, *others):
        cells = [_residual(residual_of(findings, name)) for findings in models]
        rows += [[Cell(name), *cells]] if any(cell != NONE for cell in cells) else []
    blind = dict.fromkeys(name for findings in models for name in findings.blind)
    without = f" No power at this size, so not counted: {', '.join(blind)}." if blind else ""
    return Sheet(
        "Residual memory: 0 % is like retraining, 100 % like the original",
        "The share of what the original knows of forget that a model still knows [95 % interval, "
        "from the retrained models' spread]. Like retrained: all of it is within "
        f"±{100 * MARGIN:.0f} %, which shows equality. Remembers, over-forgotten: it is beyond 0 "
        f"and reaches past that. The joint verdict rests on {', '.join(REPORTING)}, on their mean "
        "and on each of them, so that a retrained model is accused in one of 20 audits at most; "
        f"the others explain it.{without}",
        ["metric", *audit.models],
        rows,
    )


def residual_of(findings: Audited, name: str) -> Residual | None:
    """Return the residual memory of a model by a metric, or jointly; None without one."""
    if name == "joint":
        return findings.judgement.by_metric.get(name) if findings.judgement else None
    return findings.residuals.get(name)


def _residual(residual: Residual | None) -> Cell:
    if residual is None:
        return NONE
    value, low, high = residual.per_cent()
    return Cell(f"{value} % [{low} {high}]", residual.verdict)


def main(audit: Audit) -> Sheet:
    """Return the metrics beside the null band of the retrained models."""
    rows = list[list[Cell]]()
    for group, metrics in GROUPS.items():
        lines = [line for name in metrics for line in _lines(audit, name)]
        rows += [[Cell(group)], *lines] if lines else []
    return Sheet(
        "Metrics, beside the null band of retrained models",
        "The band: mean ± standard deviation of models that never saw forget. Accuracies below or "
        "above it are farther off than one more of them would be in 95 of 100 cases. What the "
        "metrics of forgetting mean is said above, as residual memory.",
        ["metric", "null band", *audit.models],
        rows,
    )


def _lines(audit: Audit, name: str) -> list[list[Cell]]:
    """Return a metric's line; u_lira_auc has one for each method, as each has its own shadow
    models."""
    models = [model for model, findings in audit.models.items() if name in findings.metrics]
    if name != "u_lira_auc":
        return [_line(audit, name, name, models)] if models else []
    known = [model for model in models if model not in ALONE]
    label = "u_lira ({1})" if len(known) > 1 else "{0}"
    return [_line(audit, name, label.format(name, model), [model]) for model in known]


def _line(audit: Audit, name: str, label: str, models: Sequence[str]) -> list[Cell]:
    return [Cell(label), Cell(_band(audit.models[models[0]], name)), *_cells(audit, name, models)]


def _cells(audit: Audit, name: str, models: Sequence[str]) -> list[Cell]:
    """Return a metric's values, and on which side of the band they lie; of other models, none."""
    digits = 1 if name == "relearn_steps" else 3
    return [
        Cell(f"{m.metrics[name]:.{digits}f}", m.side(name)) if k in models else NONE
        for k, m in audit.models.items()
    ]


def _band(findings: Audited, name: str) -> str:
    if name == "klom" and findings.klom:
        return f"chance {findings.klom.nothing.mean:.3f}"
    band = findings.bands.get(name)
    return f"{band.mean:.3f} ±{band.sd:.3f}" if band else NONE.text


def attacks(audit: Audit) -> Sheet:
    """Return what each attack finds of each model, with intervals."""
    by_model = [findings.by_attack for findings in audit.models.values()]
    rows = []
    for attack in audit.attacks:
        for quantity, title in RATES.items():
            cells = [_estimate(getattr(r.get(attack), quantity, None)) for r in by_model]
            if quantity == "auc" or any(cell != NONE for cell in cells):
                label = attack if quantity == "auc" else ""
                rows.append([Cell(label), Cell(title), *cells])
    return Sheet(
        "Attacks, forget against test",
        "Value [95 % interval]. AUC: how often the attack ranks a forgotten example above one "
        "never seen; .5 is a guess. TPR: the share of forget that it finds while it wrongly "
        "accuses 1 % or .1 % of the others. rmia, lira and u_lira have shadow models, the others "
        "see one model's answers.",
        ["attack", "", *audit.models],
        rows,
    )


def exposed(audit: Audit) -> Sheet:
    """Return what the same attacks find of those who stay."""
    by_model = [findings.by_attack for findings in audit.models.values()]
    names = [name for name, record in by_model[0].items() if record.retain_mia_auc]
    return Sheet(
        "Those who stay: the attacks on retain against test, AUC",
        "Retain was trained on, so it can be told from test; what counts is whether unlearning "
        "makes that easier than it is in the original and in the retrained model.",
        ["attack", *audit.models],
        [[Cell(n), *(_estimate(records[n].retain_mia_auc) for records in by_model)] for n in names],
    )


def slices(audit: Audit) -> Sheet:
    """Return what the loss attack finds of the parts of forget."""
    by_model = [
        {f"{part.by} {part.name}": part.auc for part in findings.slices}
        for findings in audit.models.values()
    ]
    names = dict.fromkeys(name for parts in by_model for name, auc in parts.items() if auc)
    return Sheet(
        "Whom it reaches: the loss attack by part of forget, AUC",
        "correct: by whether the model is right; percentile: by how much the example is memorised, "
        "as the shadow models tell; class: by label. Compare with the retrained model: what is "
        "easy looks like a member to any attack.",
        ["part", *audit.models],
        [[Cell(name), *(_estimate(parts.get(name)) for parts in by_model)] for name in names],
    )


def summary(audit: Audit) -> dict[str, list[str]]:
    """Return for each model its joint verdict, what the single metrics say, and which accuracies
    lie outside the band."""
    return {
        model: [found.judgement.text(), *_single(found)]
        for model, found in audit.models.items()
        if found.judgement
    }


def _single(found: Audited) -> list[str]:
    said = dict[str, list[str]]()
    for name, residual in found.residuals.items():
        said.setdefault(residual.verdict, []).append(name)
    for name in (name for names in GROUPS.values() for name in names if name in found.metrics):
        if side := found.side(name):
            said.setdefault(side, []).append(name)
    return [f"{word}: {', '.join(names)}" for word, names in said.items()]


def every_metric(audit: Audit) -> Sheet:
    """Return each metric that a model has, and the ends of its band."""
    rows = []
    for name in dict.fromkeys(name for m in audit.models.values() for name in m.metrics):
        models = [model for model, findings in audit.models.items() if name in findings.metrics]
        band = audit.models[models[0]].bands.get(name)
        ends = f"{band.low:.3f} to {band.high:.3f}" if band else NONE.text
        rows.append([Cell(name), Cell(ends), *_cells(audit, name, models)])
    return Sheet("Every metric", "", ["metric", "band", *audit.models], rows)


def _estimate(estimate: Estimate | None) -> Cell:
    if estimate is None:
        return NONE
    low, high = (f"{end:.2f}".removeprefix("0") for end in (estimate.low, estimate.high))
    return Cell(f"{estimate.value:.3f} [{low} {high}]")
