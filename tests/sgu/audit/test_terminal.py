"""What an audit prints: all of it at any width, and why a number is not there."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from sgu.audit.figure import figure
from sgu.audit.findings import Audit, Audited
from sgu.audit.relearn import Relearned
from sgu.audit.report import claims
from sgu.audit.tables import summary
from sgu.audit.terminal import show
from sgu.metrics import ATTACKS, Estimate, Record
from sgu.results.null_band import bands
from sgu.results.verdicts import References, judge

FEW = "40 non-members; a rate at 0.001 false positives needs 4000 or more"
RETRAINED = [{"forget_acc": 0.88 + d, "mia_auc": 0.5 + d} for d in (0.0, 0.01, 0.02)]


def record(attack: str) -> Record:
    area = Estimate(0.512, 0.45, 0.57)
    return Record(
        attack=attack,
        acc=0.5,
        auc=area,
        f1=0.5,
        advantage=0.0,
        tpr_at_1=area,
        tpr_at_01=None,
        suppressed={"tpr_at_01": FEW},
        members=40,
        heldout=40,
        retain_mia_auc=area,
    )


def judged(metrics: dict[str, float], original: dict[str, float]):
    group = References(original=original, retrained=RETRAINED)
    return judge([metrics], [group], ("forget_acc",), forgotten=400, classes=10)


def audited(steps: tuple[int | None, ...]) -> Audited:
    metrics = {"forget_acc": 1.0, "mia_auc": 0.512}
    single = judged(metrics, metrics)
    return Audited(
        metrics=metrics,
        bands=bands(RETRAINED),
        attacks=[record(name) for name in (*ATTACKS, "rmia", "u_lira")],
        slices=[],
        relearned=Relearned(steps),
        klom=None,
        judgement=single,
        residuals={"forget_acc": single.by_metric["forget_acc"]},
        blind=("mia_auc",),
    )


def audit_of(*names: str, steps: tuple[int | None, ...] = (4, 4, 6)) -> Audit:
    return Audit(models={name: audited(steps) for name in names}, seeds={}, notes=[])


def shown(audit: Audit, width: int) -> str:
    console = Console(width=width, file=StringIO(), record=True)
    show(audit, console)
    return console.export_text()


def beginning(lines: list[str], word: str) -> int:
    """Return the number of the first line that begins with a word."""
    return next(n for n, line in enumerate(lines) if line.startswith(f"{word} "))


FOUR = ("original", "finetune", "sg", "retrained")


@pytest.mark.parametrize(("names", "width"), [(FOUR, 80), ((*FOUR, "scrub", "salun"), 100)])
def test_no_table_is_cut_or_too_wide(names, width):
    lines = shown(audit_of(*names), width).splitlines()
    assert not [line for line in lines if "…" in line]
    assert max(map(len, lines)) <= width
    at = beginning(lines, "linear_svc")
    assert lines[at].split() == ["linear_svc", "AUC", *["0.512"] * len(names)]
    assert lines[at + 1].split() == ["[.45", ".57]"] * len(names)
    metrics = lines[lines.index("Metrics, beside the null band of retrained models") :]
    assert metrics[beginning(metrics, "forget_acc")].count("1.000") == len(names)
    text = " ".join(" ".join(lines).split())
    assert "No power at this size, so not counted: mia_auc." in text


def test_where_there_is_room_a_row_is_one_line():
    lines = shown(audit_of(*FOUR), 120).splitlines()
    line = lines[beginning(lines, "linear_svc")]
    assert line.count("0.512 [.45 .57]") == 4


def test_names_that_no_terminal_has_room_for_are_shown_whole():
    names = [f"a-model-of-a-long-name-{number}" for number in range(6)]
    lines = shown(audit_of("original", *names, "retrained"), 80).splitlines()
    header = lines[beginning(lines, "attack")]
    assert header.split() == ["attack", "original", *names, "retrained"]
    assert lines[beginning(lines, "linear_svc")].count("0.512") == 8
    assert not [line for line in lines if "…" in line]


def test_what_was_not_relearned_is_explained():
    audit = audit_of("original", "sg")
    models = {**audit.models, "sg": audited((4, None, 6))}
    line = "relearn_steps: not back within 100 steps (sg)"
    assert line not in audit.suppressed()
    both = Audit(models=models, seeds={}, notes=[])
    assert line in both.suppressed()
    assert line in shown(both, 80)


def test_the_joint_verdict_comes_first_with_its_residual_memory_in_every_form():
    audit = audit_of("original", "sg")
    found = judged({"forget_acc": 0.885}, {"forget_acc": 1.5})
    single = {"forget_acc": found.by_metric["forget_acc"]}
    like = replace(audit.models["sg"], judgement=found, residuals=single)
    audit = replace(audit, models={**audit.models, "sg": like})
    lines = shown(audit, 130).splitlines()
    row = lines[beginning(lines, "joint")]
    assert row.split()[:3] == ["joint", "100", "%"]
    assert row.count("remembers") == row.count("like retrained") == 1
    assert summary(audit)["original"][0].startswith("Remembers: residual memory 100 % (")
    assert summary(audit)["sg"][0].startswith("Like retrained: residual memory -1 % (")
    rows = [row for row in audit.rows() if row["kind"] == "residual" and not row.get("suppressed")]
    assert [(row["model"], row["name"], row["verdict"]) for row in rows] == [
        ("original", "joint", "remembers"), ("original", "forget_acc", "remembers"),
        ("sg", "joint", "like retrained"), ("sg", "forget_acc", "like retrained"),
    ]  # fmt: skip
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)


def test_the_drawing_and_the_claims_say_what_the_numbers_say():
    audit = audit_of("original", "sg", "retrained")
    like = replace(audit.models["sg"], judgement=judged({"forget_acc": 0.885}, {"forget_acc": 1.5}))
    audit = replace(audit, models={**audit.models, "sg": like})
    drawing = figure(audit)
    assert drawing is not None
    (_, zero), (_, one) = drawing.ticks
    places = {bar.model: (bar.at - zero) / (one - zero) for bar in drawing.bars}
    assert places == pytest.approx({"original": 1, "sg": -0.005 / 0.61, "retrained": 1}, abs=1e-3)
    assert drawing.margin[1] / (one - zero) == pytest.approx(0.4, abs=1e-3)
    assert all(bar.left < bar.at < bar.left + bar.width for bar in drawing.bars)
    (claim,) = claims(audit)
    assert claim.startswith("sg is like retrained within ±20 %. Its residual memory is -1 % (-9 to")
    assert "3 retrained models see" in claim


def test_where_there_is_no_verdict_the_rows_say_why():
    none = judge([{}], [References(original={}, retrained=[])], (), forgotten=400, classes=10)
    (row, *_) = [
        row for row in replace(audited((4,)), judgement=none).rows() if row["kind"] == "residual"
    ]
    assert row["value"] is None
    assert row["suppressed"] == "0 retrained models; need 3 or more"
