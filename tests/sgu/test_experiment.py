"""One run is repeatable, finite and timed; impossible settings are refused by name."""

from __future__ import annotations

import json
import math
import time

import pytest

from sgu.auditor import AuditorError
from sgu.evaluation import all_metrics
from sgu.experiment import Experiment
from sgu.metrics import metrics_of
from sgu.results.schema import METRICS
from sgu.training.loop import Diverged
from sgu.unlearning import unlearn

SHORT = {"epochs": 2, "lr": 0.02, "solve_every": 1, "subset": 400}


@pytest.fixture(scope="module")
def outcome(task, original):
    return unlearn(Experiment.of(**SHORT), task, original)


def untimed(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if "seconds" not in name}


def test_a_seed_gives_the_same_metrics(task, original, outcome):
    again = unlearn(Experiment.of(**SHORT), task, original)
    other = unlearn(Experiment.of(**SHORT, seed=1), task, original)
    assert untimed(again.metrics) == untimed(outcome.metrics)
    assert untimed(other.metrics) != untimed(outcome.metrics)


def test_metrics_are_those_of_the_schema_and_finite(outcome):
    needs_others = {"avg_gap", "tow", "rmia_auc", "lira_auc", "u_lira_auc", "klom"}
    needs_others |= {"val_rmia_auc", "val_lira_auc", "val_residual"}
    suppressed = {"tpr_at_1", "tpr_at_01"}  # 80 test images are too few
    elsewhere = {"relearn_steps", "peak_memory", "reference_seconds"}
    assert set(outcome.metrics) == set(METRICS) - needs_others - suppressed - elsewhere
    assert all(math.isfinite(value) for value in outcome.metrics.values())
    assert outcome.unsolved >= 0


def test_the_game_is_part_of_the_time_and_the_solve_part_of_the_game(outcome):
    times = [outcome.metrics[name] for name in ("seconds", "game_seconds", "solve_seconds")]
    assert times == sorted(times, reverse=True)
    assert times[2] > 0


def test_finetuning_has_no_game(task, original):
    metrics = unlearn(Experiment.of(**SHORT, method="finetune"), task, original).metrics
    assert metrics["seconds"] > 0
    assert metrics["game_seconds"] == metrics["solve_seconds"] == 0


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"method": "sg", "epochs": 2, "solve_every": 2}, 2 * 360 + 3 * 80),  # 3 steps an epoch
        ({"method": "sg", "epochs": 1, "update": "alternate"}, 360 + 80),
        ({"method": "scrub", "epochs": 3, "max_epochs": 2}, 3 * 360 + 2 * 40),
        # the reference, retain, and a batch of forget in every second of 3 steps
        ({"method": "reference_distill", "epochs": 2, "distill_batch": 20}, 3 * 360 + 2 * 380),
        ({"method": "fisher", "draws": 2}, 2 * 360),
        ({"method": "ssd"}, 400 + 40),  # train, and forget again
        ({"method": "influence", "iterations": 2}, 400 + 2 * 360),
        ({"method": "salun", "epochs": 0}, 40),
    ],
    ids=str,
)
def test_every_example_that_goes_forward_and_backward_is_counted(
    task, original, settings, expected
):
    """Retain has 360, forget 40; a round of the game takes these and as many of audit."""
    outcome = unlearn(Experiment.of(subset=400, **settings), task, original)
    assert outcome.metrics["examples_seen"] == expected


def test_the_outcome_answers_as_its_model_does(task, outcome):
    metrics = metrics_of(outcome.logits.scored(task))
    assert metrics == pytest.approx(all_metrics(outcome.model, task), abs=1e-6)
    assert metrics.items() <= outcome.metrics.items()
    assert outcome.logits.seconds == outcome.metrics["seconds"]


def test_reports_change_nothing_and_their_time_is_left_out(task, original, outcome):
    reports: list[dict[str, float]] = []

    def slow(report: dict[str, float]) -> None:
        reports.append(report)
        time.sleep(0.5)

    begin = time.perf_counter()
    metrics = unlearn(Experiment.of(**SHORT), task, original, slow).metrics
    assert metrics["seconds"] < time.perf_counter() - begin - 1
    assert untimed(metrics) == untimed(outcome.metrics)
    assert [report["epoch"] for report in reports] == [0, 1]
    assert [report["solves"] for report in reports] == [3, 3]
    assert metrics["val_acc"] == reports[-1]["val_acc"]


@pytest.mark.parametrize("settings", [{"method": "finetune"}, {"alpha": 1.0}, {"alpha": 1e30}])
def test_a_run_that_breaks_down_is_named(task, original, settings):
    lr = 1e4 if settings.get("alpha") != 1e30 else 0.02
    with pytest.raises((Diverged, AuditorError), match="lower"):
        unlearn(Experiment.of(**(SHORT | {"lr": lr, "epochs": 5} | settings)), task, original)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"data": "x", "subset": 7, "audit_batch": 80, "solve_every": "epoch"},
        {"method": "finetune"},
    ],
    ids=str,
)
def test_settings_make_the_same_experiment_again(settings):
    experiment = Experiment.of(**settings)
    assert Experiment.of(**json.loads(json.dumps(experiment.settings()))) == experiment
    assert experiment.settings().items() >= settings.items()


@pytest.mark.parametrize("auditor", ["linear", "cvxpy", "mlp"])
def test_settings_reach_game_and_auditor(auditor):
    experiment = Experiment.of(alpha=0.3, reg=0.7, auditor=auditor, game_lr=0.2, epochs=9, folds=2)
    game, optimisation = experiment.game(), experiment.unlearner()
    assert (game.alpha, game.auditor.reg, game.lr, game.folds) == (0.3, 0.7, 0.2, 2)
    assert optimisation.epochs == 9
    assert Experiment.of(update="alternate", solve_every=3).game().by_the_epoch
    assert not Experiment.of(solve_every=3).game().by_the_epoch
    assert Experiment.of(method="finetune").game() is None


def test_settings_left_out_are_as_published_and_part_of_the_settings():
    settings = Experiment.of(method="sg", lr=0.3).settings()
    assert (settings["lr"], settings["epochs"], settings["batch_size"]) == (0.3, 30, 128)


def test_the_control_is_the_method_without_the_game():
    control = Experiment.of(alpha=2.0, lr=0.3, epochs=4).control()
    assert (control.method, control.alpha, control.options["lr"]) == ("finetune", 0, 0.3)
    assert Experiment.of(method="sg+finetune").control().method == "finetune"
    assert control.control() == control


def test_the_auditor_sees_the_reference_of_a_method_that_has_one():
    assert Experiment().view == "logits+loss"
    over = Experiment(method="sg+reference_distill")
    assert over.view == over.game().view == "calibrated"
    assert over.control().game() is None
    plain = Experiment(method="sg+reference_distill", view="loss")
    assert plain.game().view == "loss"
    with pytest.raises(ValueError, match=r"^view = calibrated: sg\+scrub has no reference: choose"):
        Experiment(method="sg+scrub", view="calibrated")


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "large_cnn"},
        {"method": "forget"},
        {"auditor": "oracle"},
        {"forget_fraction": 0.0},
        {"forget_fraction": 1.0},
        {"subset": 0},
        {"pretrain_epochs": 0},
        {"epochs": -1},
        {"epochs": 0},  # and a game to be played in them
        {"temperature": 2.0},
        {"lr": -1.0},
        {"momentum": 1.0},
        {"weight_decay": -1.0},
        {"batch_size": 1},
        {"schedule": "none"},
        {"alpha": -1.0},
        {"reg": 0.0},
        {"solve_every": 0},
        {"update": "both"},
        {"loss": "zero_one"},
        {"penalty": "l0"},
        {"view": "images"},
        {"statistics": "none"},
        {"folds": 0},
        {"audit_batch": 1},
    ],
    ids=str,
)
def test_an_impossible_experiment_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))) as caught:
        Experiment.of(**wrong)
    assert "\n" not in str(caught.value)
