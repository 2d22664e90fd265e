"""What an audit found as tables of words, for a terminal and a page alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sgu.audit.findings import Audit, Audited
from sgu.metrics import Estimate

GROUPS = {
    "forgetting": (
        "forget_acc", "mia_acc", "mia_auc", "mia_advantage", "ks", "wasserstein", "tpr_at_1",
        "tpr_at_01", "rmia_auc", "lira_auc", "u_lira_auc", "klom", "relearn_steps",
    ),
    "accuracy": ("retain_acc", "test_acc", "val_acc", "avg_gap", "tow"),
    "those who stay": ("retain_mia_auc",),
}  # fmt: skip
RATES = {"auc": "AUC", "tpr_at_1": "TPR 1 %", "tpr_at_01": "TPR .1 %"}
ALONE = {"original", "retrained"}


class Cell(NamedTuple):
    """A value in words, and a verdict on it where there is one."""

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


def sheets(found: Audit) -> list[Sheet]:
    """All tables of an audit that have something to show."""
    made = [main(found), attacks(found), exposed(found), slices(found)]
    return [each for each in made if each.rows]


def main(found: Audit) -> Sheet:
    """Metrics beside the null band, with a verdict on each."""
    models, rows = list(found.models), list[list[Cell]]()
    for group, metrics in GROUPS.items():
        lines = [line for name in metrics for line in _lines(found, name)]
        rows += [[Cell(group)], *lines] if lines else []
    return Sheet(
        "Metrics, beside the null band of retrained models",
        "The band: mean ± standard deviation of models that never saw forget. Inside: no farther "
        "off than one more of them would be in 95 of 100 cases; so of 20 metrics one may be "
        "outside by chance. Under(-forgotten): it still remembers; over(-forgotten): it stands out "
        "by knowing too little.",
        ["metric", "null band", *models],
        rows,
    )


def _lines(found: Audit, name: str) -> list[list[Cell]]:
    """A metric's line; u_lira_auc has one for each method, as each has its own shadow models."""
    having = [model for model, made in found.models.items() if name in made.metrics]
    if name != "u_lira_auc":
        return [_line(found, name, name, having)] if having else []
    known = [model for model in having if model not in ALONE]
    label = "u_lira ({1})" if len(known) > 1 else "{0}"
    return [_line(found, name, label.format(name, model), [model]) for model in known]


def _line(found: Audit, name: str, label: str, having: Sequence[str]) -> list[Cell]:
    first = found.models[having[0]]
    cells = [_judged(made, name) if m in having else NONE for m, made in found.models.items()]
    return [Cell(label), Cell(_band(first, name)), *cells]


def _band(made: Audited, name: str) -> str:
    if name == "klom" and made.klom:
        return f"chance {made.klom.nothing.mean:.3f}"
    band = made.bands.get(name)
    return f"{band.mean:.3f} ±{band.sd:.3f}" if band else NONE.text


def _judged(made: Audited, name: str) -> Cell:
    value, verdict = made.metrics[name], made.verdicts.get(name)
    return Cell(f"{value:.1f}" if name == "relearn_steps" else f"{value:.3f}", verdict or "")


def attacks(found: Audit) -> Sheet:
    """What each attack finds of each model, with intervals and why a rate is not there."""
    by = [{record.attack: record for record in made.attacks} for made in found.models.values()]
    rows = []
    for attack in dict.fromkeys(name for records in by for name in records):
        for quantity, title in RATES.items():
            cells = [Cell(_estimate(getattr(r.get(attack), quantity, None))) for r in by]
            if quantity == "auc" or any(cell != NONE for cell in cells):
                label = attack if quantity == "auc" else ""
                rows.append([Cell(label), Cell(title), *cells])
    return Sheet(
        "Attacks, forget against test",
        "Value [95 % interval]. AUC: how often the attack ranks a forgotten example above one "
        "never seen; .5 is a guess. TPR: the share of forget that it finds while it wrongly "
        "accuses 1 % or .1 % of the others. rmia, lira and u_lira have shadow models, the others "
        "see one model's answers.",
        ["attack", "", *found.models],
        rows,
    )


def exposed(found: Audit) -> Sheet:
    """The same attacks on those who stay."""
    by = [{record.attack: record for record in made.attacks} for made in found.models.values()]
    names = [name for name, record in by[0].items() if record.retain_mia_auc]
    return Sheet(
        "Those who stay: the attacks on retain against test, AUC",
        "Retain was trained on, so it can be told from test; what counts is whether unlearning "
        "makes that easier than it is in the original and in the retrained model.",
        ["attack", *found.models],
        [[Cell(n), *(Cell(_estimate(r[n].retain_mia_auc)) for r in by)] for n in names],
    )


def slices(found: Audit) -> Sheet:
    """The loss attack by part of forget."""
    by = [{f"{part.by} {part.name}": part.auc for part in m.slices} for m in found.models.values()]
    names = dict.fromkeys(name for parts in by for name, auc in parts.items() if auc)
    rows = [[Cell(name), *(Cell(_estimate(parts.get(name))) for parts in by)] for name in names]
    return Sheet(
        "Whom it reaches: the loss attack by part of forget, AUC",
        "correct: by whether the model is right; percentile: by how much the example is memorised, "
        "as the shadow models tell; class: by label. Compare with the retrained model: what is "
        "easy looks like a member to any attack.",
        ["part", *found.models],
        rows,
    )


def summary(found: Audit) -> dict[str, list[str]]:
    """Of each model, how many metrics are inside and which are not, by verdict."""
    said = {}
    for model, made in found.models.items():
        judged = {n: v for metrics in GROUPS.values() for n in metrics if (v := _of(made, n))}
        if not judged:
            continue
        inside = sum(verdict == "inside" for verdict in judged.values())
        lines = [f"inside the band in {inside} of {len(judged)} metrics"]
        for kind in ("under-forgotten", "over-forgotten", "worse", "better"):
            names = [name for name, verdict in judged.items() if verdict == kind]
            lines += [f"{kind}: {', '.join(names)}"] if names else []
        said[model] = lines
    return said


def _of(made: Audited, name: str) -> str | None:
    return made.verdicts.get(name)


def every_metric(found: Audit) -> Sheet:
    """Each metric that a model has, and the ends of its band."""
    names = dict.fromkeys(name for made in found.models.values() for name in made.metrics)
    rows = []
    for name in names:
        having = [model for model, made in found.models.items() if name in made.metrics]
        band = found.models[having[0]].bands.get(name)
        ends = f"{band.low:.3f} to {band.high:.3f}" if band else NONE.text
        cells = [_judged(made, name) if m in having else NONE for m, made in found.models.items()]
        rows.append([Cell(name), Cell(ends), *cells])
    return Sheet("Every metric", "", ["metric", "band", *found.models], rows)


def _estimate(found: Estimate | None) -> str:
    if found is None:
        return NONE.text
    low, high = (f"{end:.2f}".removeprefix("0") for end in (found.low, found.high))
    return f"{found.value:.3f} [{low} {high}]"
