"""A page and a table in the terminal are made from whatever a study holds so far."""

import json
import re
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from analysis import front_chart, load_study, read_study, write_report
from analysis.configurations import cells
from analysis.summary import NO_FRONT
from analysis.table import front_table
from sgu.results.schema import EPOCHS, HISTOGRAMS, METRICS, TRIALS

GAME = {"solve_every": 4, "update": "joint"}


def controls(synthetic):
    return [row for row in synthetic.study_rows() if row["control"]]


def games(synthetic, alphas, regs, **columns):
    """One trial for each pair of an alpha and a reg; the exact configuration has both."""
    generator, rows = np.random.default_rng(0), []
    for number, (alpha, reg) in enumerate(zip(alphas, regs, strict=True)):
        measured = synthetic.measured(generator, 0.1 + 0.01 * number, 0.1 - 0.01 * number)
        row = synthetic.trial(f"t{number}", alpha=alpha, reg=reg, **GAME, **measured | columns)
        rows.append(row | {"config": json.dumps({"alpha": alpha, "reg": reg, "seed": 0})})
    return rows


def failed(synthetic, number=3, **columns):
    return [
        synthetic.trial(f"x{at}", status="failed", reason="loss is NaN", alpha=1.0 + at, **columns)
        for at in range(number)
    ]


def sized(synthetic, sizes, **columns):
    (row,) = games(synthetic, [1.0], [0.1], phase="scaling", **columns)
    return [
        row | {"dataset": f"subset-{size}", "cell": f"subset-{size}/sg", "train_examples": size}
        for size in sizes
    ]


def without(rows, *metrics):
    return [row | dict.fromkeys(metrics) for row in rows]


def sampled_beside_the_published(synthetic):
    rows = games(synthetic, (0.1, 0.5, 2.0, 1.0), (0.1, 0.2, 0.3, 0.4))
    return [*controls(synthetic), *rows[:3], rows[3] | {"control": True}]


SIX, REGS = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0), (0.01, 0.3, 0.02, 0.1, 0.2, 0.05)
ELSEWHERE = {"dataset": "letters", "cell": "letters/sg"}
SCRUB = {"method": "scrub", "cell": "digits/scrub"}

PARTIAL = {
    "controls only": controls,
    "references only": lambda s: [row for row in controls(s) if row["method"] != "sg"],
    "two trials, a data set failed": lambda s: [
        *games(s, [1.0, 2.0], [0.1, 0.2]),
        *failed(s, **ELSEWHERE),
    ],
    "alpha fixed": lambda s: [*controls(s), *games(s, [1.0] * 6, REGS)],
    "three sampled and the published": sampled_beside_the_published,
    "all failed": failed,
    "fresh seeds lack an objective": lambda s: [
        *(rows := games(s, SIX, REGS)),
        *without([rows[0] | {"phase": "confirm", "seed": 1}], "val_error"),
        *failed(s, 1, phase="confirm"),
    ],
    "one size": lambda s: sized(s, [500]),
    "failed sizes": lambda s: failed(s, phase="scaling", **ELSEWHERE),
    "sizes without accuracy": lambda s: without(sized(s, [500, 1000]), "test_acc"),
    "no method in two cells": lambda s: [
        *games(s, [1.0, 1.0], [0.1, 0.1]),
        *games(s, [2.0, 2.0], [0.1, 0.1], **ELSEWHERE),
    ],
    **{
        f"no {', '.join(lacking)}": lambda s, lacking=lacking: without(
            [*controls(s), *games(s, SIX, REGS)], *lacking
        )
        for lacking in (
            ["val_error"],
            ["test_acc", "forget_acc", "val_mia_acc", "seconds"],
        )
    },
}  # fmt: skip


@pytest.fixture
def folder(synthetic, tmp_path):
    """Return a function that writes rows as a study, with all that complete trials leave."""

    def written(rows):
        complete = [row for row in rows if row["status"] == "complete"]
        synthetic.write_rows(tmp_path / "trials", "part-0.parquet", rows, TRIALS)
        if complete:
            curves, bins = synthetic.epoch_rows(complete), synthetic.loss_rows(complete)
            synthetic.write_rows(tmp_path / "epochs", "part-0.parquet", curves, EPOCHS)
            synthetic.write_rows(tmp_path / "losses", "part-0.parquet", bins, HISTOGRAMS)
        return tmp_path

    return written


def page_of(folder):
    return write_report(read_study(folder), folder / "report.html").read_text(encoding="utf-8")


def figures(page):
    specs = re.findall(r'data-name="(\w+)".*?<script type="application/json">(.*?)</script>',
                       page, re.DOTALL)  # fmt: skip
    return {name: json.loads(spec) for name, spec in specs}


DRAWN = {
    "controls only": ({"linked", "split", "hypervolume"}, {"importance", "alpha", "epochs"}),
    "references only": (set(), {"linked", "hypervolume", "confirm"}),
    "two trials, a data set failed": ({"linked", "alpha"}, {"importance"}),
    "alpha fixed": ({"importance"}, {"alpha"}),
    "no method in two cells": ({"fronts"}, set()),
    "three sampled and the published": ({"alpha"}, {"importance"}),
    "fresh seeds lack an objective": ({"linked"}, {"confirm"}),
    "one size": (set(), {"scaling"}),
    "sizes without accuracy": ({"scaling"}, set()),
    "no test_acc, forget_acc, val_mia_acc, seconds": ({"epochs"}, {"alpha", "split"}),
}
"""Figures that must, and that must not, stand on the page of such a study."""


@pytest.mark.long
@pytest.mark.parametrize("name", PARTIAL)
def test_a_page_and_a_table_are_made(name, synthetic, folder):
    study = folder(PARTIAL[name](synthetic))
    page = page_of(study)
    drawn = figures(page)
    for figure, spec in drawn.items():
        assert any(spec["datasets"].values()), f"{figure} draws nothing"
    frame = load_study(study)
    assert re.findall(r'<h2 id="cell-\d">([\w/]+):', page) == cells(frame)
    shown, hidden = DRAWN.get(name, (set(), set()))
    assert shown <= drawn.keys()
    assert not hidden & drawn.keys()
    if 'aria-label="front of' in page:
        Console(file=StringIO()).print(front_table(frame))
        front_chart(frame).to_dict()
    else:
        for made in (front_table, front_chart):
            with pytest.raises(ValueError, match="let the study finish a trial"):
                made(frame)


@pytest.mark.long
def test_what_was_measured_keeps_its_curve(synthetic, folder):
    """One metric that is wholly null takes no other's curve away."""
    rows = without([*controls(synthetic), *games(synthetic, SIX, REGS)], "test_acc")
    spec = figures(page_of(folder(rows)))["alpha"]
    titles = [panel["title"]["text"] for panel in spec["concat"]]
    assert titles == [METRICS[name].title for name in ("forget_acc", "val_mia_acc", "seconds")]
    for panel in spec["concat"]:
        assert "line" in [layer["mark"]["type"] for layer in panel["layer"]]


def test_a_cell_without_a_front_leaves_the_others_in_the_terminal(synthetic):
    rows = [*synthetic.study_rows(), *failed(synthetic, **SCRUB)]
    frame = synthetic.frame(*rows)
    said = StringIO()
    Console(width=200, file=said).print(front_table(frame))
    before, after = said.getvalue().split("digits/sg\n")
    assert NO_FRONT in before
    assert "0 complete trials, 3 failed" not in after
    assert "a1b2c_00" in after


def test_what_was_pruned_without_a_reason_has_a_dash(synthetic, folder):
    page = page_of(folder([*failed(synthetic), synthetic.trial("z", status="pruned")]))
    (row,) = [row for row in page.split("<tr>") if "<td>z</td>" in row and "pruned" in row]
    assert "<td>–</td></tr>" in row
