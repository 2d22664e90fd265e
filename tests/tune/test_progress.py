"""How far a study is, in the live view and in another shell."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pandas as pd
import pytest

from sgu.duration import to_go
from tune.live import NAME, Watch, live, on_a_terminal, report
from tune.progress import views
from tune.spec.spec import Spec
from tune.storage.store import Store
from tune.storage.study_folder import rows_of

CELL = "embedded/sg"


def spec_of(**changes) -> Spec:
    content = {
        "name": "small",
        "search": {"alpha": {"low": 0.1, "high": 1.0}},
        "trials": 4,
        "oracles": 0,
    }
    return Spec.model_validate(content | changes)


@pytest.fixture
def rows(tmp_path, trial_row) -> pd.DataFrame:
    """Return rows of a retrained model, two controls, two trials and a failed one."""
    store, control = Store(tmp_path, "small"), {"control": True, "val_error": 0.9}
    reference = {"method": "retrain", "cell": "embedded", "control": True, "val_error": 0.2}
    store.trial(trial_row("retrain", reference))
    store.trial(trial_row("0000", control | {"wall_seconds": 4.0}, method="finetune"))
    store.trial(trial_row("0001", control | {"wall_seconds": 4.0}))
    store.trial(
        trial_row("0002", {"val_error": 0.5, "val_mia_advantage": 0.5, "wall_seconds": 2.0})
    )
    store.trial(
        trial_row("0003", {"val_error": 0.3, "val_mia_advantage": 0.9, "wall_seconds": 2.0})
    )
    store.trial(trial_row("0004", {"status": "failed", "reason": "Diverged", "wall_seconds": 3.0}))
    return rows_of(tmp_path).assign(
        cell=lambda f: f["cell"].where(f["trial_id"] == "retrain", CELL)
    )


def test_a_view_counts_and_measures(rows):
    (view,) = views(spec_of(), rows, {CELL: 1}, slots=2)
    assert (view.budget.done, view.running, view.failed) == (3, 1, 1)
    assert view.eta == pytest.approx(1 * (4 + 4 + 2 + 2 + 3) / 5 / 2)  # one run left, two slots
    # controls reach 0.1 x 0.75; the others 0.5 x 0.5 and 0.7 x 0.1: the union of the boxes
    assert view.hypervolume == pytest.approx(0.1 * 0.75 + 0.4 * 0.5 + 0.2 * 0.1)
    assert view.best == "val_error 0.3 (0003)"
    assert str(view).startswith(f"{CELL}: 3 of 4 trials, 1 running, 1 failed, 2 s to go; hyper")


@pytest.mark.parametrize(
    ("bound", "best"),
    [
        ({"val_mia_advantage": {"at_most": 0.6}}, "val_error 0.5 (0002)"),
        ({"val_error": {"at_most": 0.2, "above": "retrain"}}, "val_error 0.3 (0003)"),
        ({"val_error": {"at_most": 0.05, "above": "retrain"}}, "none keeps to the constraints"),
    ],
)
def test_the_best_keeps_to_the_constraints(rows, bound, best):
    (view,) = views(spec_of(constraints=bound), rows, {}, slots=1)
    assert view.best == best


def test_before_the_first_row_nothing_is_claimed(tmp_path):
    (view,) = views(spec_of(), rows_of(tmp_path), {}, slots=2)
    assert (view.eta, view.hypervolume, view.best) == (None, None, "–")


def test_a_budget_of_seconds_has_its_own_end(rows):
    (view,) = views(spec_of(trials=None, seconds=27.0), rows, {}, slots=2)
    assert view.eta == pytest.approx((27 - 2 - 2 - 3) / 2)


def trial(name: str) -> SimpleNamespace:
    return SimpleNamespace(trial_id=name, config={"cell": CELL})


def test_what_runs_is_written_down_for_other_shells(tmp_path, capsys, rows, trial_row):
    watch = Watch(spec_of(), rows, 2, tmp_path)
    for name in "ab":
        watch.on_trial_start(0, [], trial(name))
    watch.on_trial_complete(0, [], trial("a"))
    assert json.loads((tmp_path / NAME).read_text())["running"] == {CELL: 1}
    report(watch.spec, rows, tmp_path, "process 7 on here since noon")
    first, last = capsys.readouterr().out.splitlines()
    assert f"{CELL}: 3 of 4 trials, 1 running" in first
    assert re.fullmatch("process 7 on here since noon is at work on it; last heard of .+ ago", last)
    report(watch.spec, rows, tmp_path, None)
    first, last = capsys.readouterr().out.splitlines()
    assert "0 running" in first  # it was killed: what it wrote last no longer holds
    assert "sgu-study resume small" in last
    watch.ended(trial_row("0005", {"cell": CELL}))
    assert views(watch.spec, watch.rows, {}, 2)[0].budget.finished
    assert watch.table().row_count == 1


def test_a_full_disk_does_not_stop_the_study(tmp_path, rows):
    (tmp_path / "file").touch()
    Watch(spec_of(), rows, 2, tmp_path / "file").on_trial_start(0, [], trial("a"))


def test_without_a_terminal_nothing_is_drawn(tmp_path, rows, capsys):
    assert not on_a_terminal()
    with live(Watch(spec_of(), rows, 2, tmp_path)):
        print("a line")
    assert capsys.readouterr().out == "a line\n"


def test_the_rest_takes_as_long_for_each_job_as_those_that_are_done():
    assert to_go(1, 4, 20.0) == ", 60 s to go"
    assert to_go(3, 5, 540.0) == ", 6.0 min to go"
    assert to_go(4, 4, 80.0) == ""
