"""Scenarios and their settings, the estimate of memorisation, and several requests in turn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score

from sgu.data.base import Source, make_source
from sgu.data.examples import Examples
from sgu.data.splits.scenarios import Scenario
from sgu.data.splits.splits import Splits
from sgu.evaluation import all_metrics, score
from sgu.experiment import Experiment
from sgu.metrics import loss_attack
from sgu.networks.memorisation import PAIRS, memorisation
from sgu.networks.references import recipe, reference
from sgu.task import Task
from sgu.unlearning import unlearn

CPU = torch.device("cpu")
EPOCHS = 20
WRONG = 20  # train examples of the noisy source with a wrong target, the first ones


@pytest.fixture(scope="module")
def noisy() -> Source:
    """Four classes of 16x16, a bright stripe each in noise; 200 train and 80 held-out images."""
    generator = torch.Generator().manual_seed(0)

    def stripes(count: int, wrong: int) -> Examples:
        targets = torch.arange(count) % 4
        images = torch.randint(0, 120, (count, 1, 16, 16), generator=generator)
        for stripe in range(4):
            images[targets == stripe, :, 4 * stripe : 4 * stripe + 4] += 60
        targets[:wrong] = (targets[:wrong] + 1) % 4
        return Examples(images.to(torch.uint8), targets)

    return make_source("noisy", stripes(200, WRONG), stripes(80, 0))


CHANGES: list[dict[str, object]] = [{"seed": 1}, {"epochs": 2}, {"pairs": 2}]


def estimated(source: Source, cache: Path, **changes) -> torch.Tensor:
    settings = {"model": "small_cnn", "seed": 0, "epochs": EPOCHS, "device": CPU} | changes
    return memorisation(source, cache=cache, **settings)


class TestMemorisation:
    @pytest.fixture(scope="class")
    def memorised(self, noisy, tmp_path_factory) -> torch.Tensor:
        return estimated(noisy, tmp_path_factory.mktemp("cache"))

    def test_wrong_labels_are_memorised_most(self, memorised):
        """A network that was not trained on a wrong label predicts the right one."""
        assert roc_auc_score(torch.arange(len(memorised)) < WRONG, memorised) > 0.99
        assert memorised[:WRONG].mean() > 0.8
        assert memorised[WRONG:].median() < 0.1

    def test_its_mean_is_what_training_gains_on_the_examples_trained_on(
        self, noisy, memorised, tmp_path: Path
    ):
        """The oracle: confidence on one half less that on the other, by other halves and seeds."""
        task = Task.of(noisy, Scenario(forget_fraction=0.5).splits(noisy, seed=9))
        gaps = []
        for seed in (8, 9, 10):
            retrain = recipe("retrain", "small_cnn", task, seed, EPOCHS)
            model = reference(retrain, task, tmp_path, CPU).model
            trained, untrained = (score(model, task, split) for split in ("retain", "forget"))
            gaps.append(trained.confidence.mean() - untrained.confidence.mean())
        assert float(memorised.mean()) == pytest.approx(sum(gaps) / 3, abs=0.04)

    def test_it_is_kept_by_the_content_of_all_that_decides_it(self, noisy, tmp_path):
        quick: dict[str, Any] = {"epochs": 1, "pairs": 1}
        progress: list[tuple[int, int]] = []
        quick["on_epoch"] = lambda *epochs: progress.append(epochs)
        first = estimated(noisy, tmp_path, **quick)
        (file,) = tmp_path.iterdir()
        assert torch.equal(first, estimated(noisy, tmp_path, **quick))
        assert progress == [(1, 2), (2, 2)]  # nothing was trained the second time
        file.unlink()
        assert torch.equal(first, estimated(noisy, tmp_path, **quick))
        changed = replace(noisy, fingerprint="0" * 16)
        others = [estimated(noisy, tmp_path, **quick | change) for change in CHANGES]
        assert not any(torch.equal(first, other) for other in others)
        assert torch.equal(first, estimated(changed, tmp_path, **quick))
        assert len(list(tmp_path.iterdir())) == 2 + len(CHANGES)
        with safe_open(file, framework="pt") as stored:
            half, *_ = json.loads(stored.metadata()["recipe"])["halves"]
        assert half["data_fingerprint"] == noisy.fingerprint


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scenario": "biased"}, "scenario = 'biased': must be one of random, class"),
        ({"forget_fraction": 0.0}, "forget_fraction = 0.0: must be between 0 and 1"),
        ({"forget_fraction": float("nan")}, "forget_fraction = nan"),
        ({"scenario": "class"}, r"forget_classes = \(\): must be names or numbers of classes"),
        ({"scenario": "subgroup"}, r"forget_classes = \(\): must be names or numbers of classes"),
        ({"forget_classes": 3}, r"forget_classes = \(3,\): must be left out for scenario random"),
        ({"scenario": "most_memorised", "forget_classes": [3]}, "must be left out"),
        ({"scenario": "class", "forget_classes": [3, 3]}, "none twice"),
        ({"scenario": "class", "forget_classes": [-1]}, "numbers of classes"),
        ({"requests": 0}, "requests = 0: must be a whole number >= 1"),
        ({"requests": 1.5}, "requests = 1.5: must be a whole number"),
        ({"scenario": "class", "forget_classes": [3, 5], "requests": 3}, "requests = 3: .* <= 2"),
    ],
    ids=str,
)
def test_settings_that_do_not_go_together_are_refused(settings, message):
    for make in (Scenario, Experiment):
        with pytest.raises(ValueError, match=message) as caught:
            make(**settings)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scenario": "class", "forget_classes": 7}, r"forget_classes = 7: no such class: 0 \(0\)"),
        ({"scenario": "class", "forget_classes": [2, 1, 0]}, "leave one to be retained"),
        ({"scenario": "subgroup", "forget_classes": 1, "forget_fraction": 0.999}, "too few"),
        ({"requests": 16}, r"requests = 16: must be 1\.\.15"),
        ({"scenario": "least_memorised"}, "needs the memorisation of each train example"),
    ],
    ids=str,
)
def test_settings_that_the_data_do_not_allow_are_refused(toy_source, settings, message):
    with pytest.raises(ValueError, match=message):
        Scenario(**settings).splits(toy_source, seed=0)


@pytest.mark.parametrize("classes", [3, [3], (3,)])
def test_classes_may_be_one_or_several(classes):
    experiment = Experiment(scenario="class", forget_classes=classes)
    assert experiment.forget_classes == (3,)
    assert Experiment.of(**json.loads(json.dumps(experiment.settings()))) == experiment


def test_the_most_and_the_least_memorised_have_nothing_in_common(task, tmp_path):
    settings = {"subset": 400, "pretrain_epochs": 1, "forget_fraction": 0.2}
    progress: list[tuple[int, int]] = []
    most, least = (
        Experiment(scenario=name, **settings).task(tmp_path, lambda *done: progress.append(done))
        for name in ("most_memorised", "least_memorised")
    )
    assert progress == [(epoch, 2 * PAIRS) for epoch in range(1, 2 * PAIRS + 1)]  # once for both
    assert len(most.splits.forget) == len(least.splits.forget) == 80
    assert not set(most.splits.forget.tolist()) & set(least.splits.forget.tolist())
    for biased in (most, least):
        for judge in ("audit", "val", "test"):
            assert torch.equal(getattr(biased.splits, judge), getattr(task.splits, judge))


class TestRequests:
    def test_a_single_request_is_the_task_itself(self, task):
        (request,) = task.requests()
        assert request.task is request.so_far is task

    def test_they_share_data_and_judges_and_add_up(self, task):
        plain, task = task, Task.load("embedded", subset=400, requests=3)
        requests = task.requests()
        assert len(requests) == 3
        for request in requests:
            for part in (request.task, request.so_far):
                assert part.source is task.source
                assert part.pipeline is task.pipeline
                assert torch.equal(part.splits.test, plain.splits.test)
        assert torch.equal(requests[-1].so_far.splits.forget, plain.splits.forget)
        assert torch.equal(requests[-1].task.splits.retain, plain.splits.retain)
        retained = set(requests[0].task.splits.retain.tolist())
        assert set(requests[1].task.splits.forget.tolist()) <= retained

    @pytest.mark.parametrize("method", ["sg", "random_label"])
    def test_the_second_request_starts_from_the_result_of_the_first(
        self, task, original, bits, same, method
    ):
        scenario = Scenario(forget_fraction=0.2, requests=2)
        task = Task.of(task.source, scenario.splits(task.source, seed=0))
        experiment = Experiment.of(method=method, epochs=1, lr=0.02, solve_every=2)
        reports: list[dict[str, float]] = []
        outcome = unlearn(experiment, task, original, reports.append)
        assert [report["epoch"] for report in reports] == [0, 1]
        whole, judges = task.splits, (task.splits.audit, task.splits.val, task.splits.test)
        first, second = whole.requests
        model = original
        for retain, forget in ((torch.cat([whole.retain, second]), first), (whole.retain, second)):
            splits = Splits(retain.sort().values, forget, *judges)
            model = unlearn(experiment, Task.of(task.source, splits), model).model
        assert same(bits(outcome.model), bits(model))
        assert outcome.metrics["forget_acc"] == all_metrics(model, task)["forget_acc"]


def test_a_forgotten_class_is_no_longer_predicted(task, original, tmp_path):
    scenario = Scenario(scenario="class", forget_classes=(3,))
    task = Task.of(task.source, scenario.splits(task.source, seed=0))
    experiment = Experiment.of(epochs=8, lr=0.02, solve_every=2)
    before = all_metrics(original, task)
    outcome = unlearn(experiment, task, original)
    retrained = reference(recipe("retrain", "small_cnn", task, 0, 3), task, tmp_path, CPU).model
    assert all_metrics(retrained, task)["forget_acc"] == 0
    assert outcome.metrics["forget_acc"] < before["forget_acc"] / 2


def test_a_forgotten_class_is_compared_with_its_held_out_peers(task, original):
    """The peers of a class that is forgotten whole do not count in test_acc and val_acc."""
    scenario = Scenario(scenario="class", forget_classes=(3,))
    task = Task.of(task.source, scenario.splits(task.source, seed=0))
    metrics = all_metrics(original, task)
    forget, test, val = (score(original, task, split) for split in ("forget", "test", "val"))
    peers, others = test.targets == 3, test.targets != 3
    assert metrics["test_acc"] == test.correct[others].mean()
    assert metrics["val_acc"] == val.correct[val.targets != 3].mean()
    assert metrics["forget_test_gap"] == abs(forget.acc - test.correct[peers].mean())
    assert metrics["ks"] == ks_2samp(forget.losses, test.losses[peers]).statistic
    assert metrics["mia_auc"] == loss_attack(forget.losses, test.losses[peers]).auc
