"""Successive halving by fronts, compared with brute force."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from ray.tune.schedulers import TrialScheduler

from tune.search.asha import FrontAsha, better
from tune.spec.sections import Asha

OBJECTIVES = ("val_error", "val_acc")  # smaller and larger is better


def trial(name: str, cell: str = "embedded/sg", control: bool = False) -> SimpleNamespace:
    config = {"cell": cell, "control": control, "settings": {"epochs": 5, "requests": 2}}
    return SimpleNamespace(trial_id=name, config=config)


def report(epoch: int, error: float, acc: float) -> dict[str, float]:
    return {"epoch/epoch": epoch, "epoch/val_error": error, "epoch/val_acc": acc}


def test_better_is_how_many_lie_on_earlier_fronts():
    """The oracle peels fronts off one by one: those that nothing left dominates."""
    values = np.random.default_rng(0).random((40, 2)).round(1)
    rung = {str(number): list(value) for number, value in enumerate(values)}
    ranks, left = np.full(len(values), -1), set(range(len(values)))
    while left:
        front = {
            q for q in left
            if not any(
                (values[p] <= values[q]).all() and (values[p] < values[q]).any() for p in left
            )
        }  # fmt: skip
        ranks[list(front)] = ranks.max() + 1
        left -= front
    for number, rank in enumerate(ranks):
        assert better(rung, str(number)) == (ranks < rank).sum()


def test_a_run_goes_on_with_the_best_third():
    asha = FrontAsha(Asha(grace=2, factor=3), OBJECTIVES)
    decided = []
    for number, error in enumerate((0.5, 0.4, 0.6, 0.3, 0.7, 0.35)):
        one = trial(str(number))
        assert asha.on_trial_result(None, one, report(0, error, 0.5)) == TrialScheduler.CONTINUE
        decided.append(asha.on_trial_result(None, one, report(1, error, 0.5)))
    # each against those before it: the first and the best always go on, and 0.35 is second of six
    assert decided == ["CONTINUE", "CONTINUE", "STOP", "CONTINUE", "STOP", "CONTINUE"]
    assert asha.on_trial_result(None, trial("0"), report(5, 0.5, 0.5)) == "CONTINUE"
    assert set(asha.rungs) == {("embedded/sg", 1), ("embedded/sg", 5)}


def test_what_nothing_dominates_and_controls_go_on_and_cells_are_apart():
    asha = FrontAsha(Asha(grace=1, factor=3), OBJECTIVES)
    for number in range(9):
        at = number / 10
        one = trial(str(number))
        assert asha.on_trial_result(None, one, report(0, at, at)) == "CONTINUE"
    worst = report(0, 1.0, 0.0)
    assert asha.on_trial_result(None, trial("a", control=True), worst) == "CONTINUE"
    assert asha.on_trial_result(None, trial("b", cell="embedded/scrub"), worst) == "CONTINUE"
    assert asha.on_trial_result(None, trial("c"), worst) == "STOP"


def test_a_run_whose_last_epoch_is_a_rung_is_complete():
    """A run ends with its tenth epoch, five for each of two requests."""
    asha = FrontAsha(Asha(grace=5, factor=2), OBJECTIVES)
    for epoch, decided in ((4, "STOP"), (9, "CONTINUE")):
        assert asha.on_trial_result(None, trial("a"), report(epoch, 0.1, 0.9)) == "CONTINUE"
        assert asha.on_trial_result(None, trial("b"), report(epoch, 0.9, 0.1)) == decided


def test_a_report_that_comes_again_counts_once():
    """A run that goes on from its checkpoint reports its epochs again."""
    asha = FrontAsha(Asha(), OBJECTIVES)
    for _ in range(3):
        assert asha.on_trial_result(None, trial("0"), report(0, 0.5, 0.5)) == "CONTINUE"
    assert len(asha.rungs["embedded/sg", 0]) == 1
    assert asha.on_trial_result(None, trial("0"), {"row/val_error": 0.5}) == "CONTINUE"
