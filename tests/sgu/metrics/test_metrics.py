"""Metrics against closed forms, scipy and rank statistics; selection never reads test."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binom, norm
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit, cross_validate
from torch import nn
from torch.nn import functional as F

from sgu.data.sources import Examples
from sgu.data.splits.splits import class_splits, random_splits
from sgu.evaluation import all_metrics, context, selection_metrics
from sgu.experiment import Experiment
from sgu.metrics import Scored, against_retrained, loss_attack, metrics_of
from sgu.metrics.evaluate import against_others, mean_of
from sgu.metrics.loss_attack import equal_sizes
from sgu.results.null_band import bands
from sgu.results.schema import METRICS, SELECTABLE
from sgu.task import Task

ACCURACIES = {"retain_acc", "forget_acc", "val_acc", "val_error", "test_acc", "forget_test_gap"}
ATTACKED = {f"{on}mia_{what}" for on in ("", "val_") for what in ("acc", "auc", "f1", "advantage")}
AREAS = {"loss_auc", "val_loss_auc"}
DISTANCES = {"ks", "ks_p", "wasserstein", "utility_paper"}


@pytest.fixture(scope="module")
def measured(task, original) -> dict[str, float]:
    return all_metrics(original, task)


class TestAttack:
    def test_alike_is_a_guess(self):
        """Ten splits of a tenth each are no more certain than one judgement of all."""
        rng = np.random.default_rng(0)
        for _ in range(5):
            attack = loss_attack(*(rng.exponential(size=500) for _ in range(2)))
            low, high = binom.interval(0.9999, 100, 0.5)
            assert low / 100 <= attack.acc <= high / 100
            assert abs(attack.auc - 0.5) < 0.2

    def test_apart_is_certain(self):
        attack = loss_attack(np.linspace(0, 1, 50), np.linspace(5, 6, 50))
        assert (attack.acc, attack.auc, attack.f1, attack.advantage) == (1, 1, 1, 1)

    def test_normal_losses_give_the_normal_area(self):
        """N(0, 1) against N(delta, 1): AUC = Phi(delta / sqrt 2), best accuracy Phi(delta / 2)."""
        rng, delta = np.random.default_rng(0), 1.5
        attack = loss_attack(rng.normal(0, 1, 20_000), rng.normal(delta, 1, 20_000))
        assert attack.auc == pytest.approx(norm.cdf(delta / math.sqrt(2)), abs=0.01)
        assert attack.acc == pytest.approx(norm.cdf(delta / 2), abs=0.01)
        assert attack.f1 == pytest.approx(norm.cdf(delta / 2), abs=0.01)  # errors are balanced
        assert attack.advantage == pytest.approx(abs(2 * attack.acc - 1))

    @pytest.mark.parametrize("sizes", [(60, 60), (80, 50), (43, 90)])
    def test_it_is_what_scikit_learn_s_cross_validation_finds(self, sizes):
        """The numbers are equal to rounding on the same examples."""
        rng = np.random.default_rng(sum(sizes))
        forget, heldout = rng.exponential(0.5, sizes[0]), rng.exponential(1.0, sizes[1])
        indices = equal_sizes(*sizes, seed=3)
        losses = np.concatenate([forget[indices[0]], heldout[indices[1]]])[:, None]
        members = np.repeat([1, 0], len(losses) // 2)
        judged = math.ceil(0.1 * len(members))
        expected = cross_validate(
            LogisticRegression(),
            losses,
            members,
            cv=StratifiedShuffleSplit(10, test_size=judged, random_state=3),
            scoring=("accuracy", "roc_auc", "f1"),
        )
        attack = loss_attack(forget, heldout, seed=3)
        for name, ours in (("accuracy", attack.acc), ("roc_auc", attack.auc), ("f1", attack.f1)):
            assert ours == pytest.approx(expected[f"test_{name}"].mean(), abs=1e-12)

    def test_it_does_not_matter_who_has_the_higher_losses(self):
        rng = np.random.default_rng(1)
        low, high = rng.normal(0, 1, 300), rng.normal(2, 1, 300)
        lower, higher = loss_attack(low, high), loss_attack(high, low)
        assert lower.auc > 0.85
        assert higher.auc > 0.85
        assert abs(lower.acc - higher.acc) < 0.05

    def test_sides_are_thinned_to_one_size(self):
        """Without thinning, always answering "held out" would be right nine times in ten."""
        rng = np.random.default_rng(0)
        attack = loss_attack(rng.normal(size=200), rng.normal(size=1800))
        assert abs(attack.acc - 0.5) < 0.15

    def test_a_seed_decides(self):
        rng = np.random.default_rng(0)
        sides = rng.normal(0, 1, 100), rng.normal(0.5, 1, 150)
        assert loss_attack(*sides) == loss_attack(*sides)
        assert loss_attack(*sides) != loss_attack(*sides, seed=1)

    def test_losses_that_are_no_numbers_are_refused(self):
        with pytest.raises(ValueError, match="NaN"):
            loss_attack(np.full(20, np.nan), np.zeros(20))


def examples_of(task: Task, split: str) -> Examples:
    examples, indices = task.part(split)
    return examples.take(indices)


def losses(model, task: Task, split: str) -> np.ndarray:
    images = examples_of(task, split)
    with torch.no_grad():
        logits = model.eval()(task.pipeline.prepare(images.inputs))
    return F.cross_entropy(logits, images.targets, reduction="none").numpy()


def test_names_are_those_of_the_schema(measured):
    """Rates at few false positives are left out: test is too small for them here."""
    assert set(measured) == ACCURACIES | ATTACKED | DISTANCES | AREAS
    assert {*measured, "tpr_at_1", "tpr_at_01", "avg_gap", "tow"} <= set(METRICS)
    assert all(math.isfinite(value) for value in measured.values())


def test_accuracies_are_shares_of_right_answers(task, original, measured):
    for split in ("retain", "forget", "val", "test"):
        images = examples_of(task, split)
        with torch.no_grad():
            answers = original.eval()(task.pipeline.prepare(images.inputs)).argmax(1)
        right = sum(int(a == t) for a, t in zip(answers, images.targets, strict=True))
        assert measured[f"{split}_acc"] == pytest.approx(right / len(images))
    assert measured["val_error"] == pytest.approx(1 - measured["val_acc"])
    gap = abs(measured["forget_acc"] - measured["test_acc"])
    assert measured["forget_test_gap"] == pytest.approx(gap)
    assert measured["utility_paper"] == pytest.approx(measured["val_acc"] - measured["mia_acc"])


def test_distances_are_those_of_the_empirical_distributions(task, original, measured):
    """KS = max |F - G| and W1 = integral |F - G|, on the merged losses."""
    forget, test = (losses(original, task, split) for split in ("forget", "test"))
    points = np.sort(np.concatenate([forget, test]))
    gaps = np.array([abs((forget <= x).mean() - (test <= x).mean()) for x in points])
    assert measured["ks"] == pytest.approx(gaps.max(), abs=1e-6)
    assert measured["wasserstein"] == pytest.approx((gaps[:-1] * np.diff(points)).sum(), rel=1e-4)
    assert 0 <= measured["ks_p"] <= 1


@pytest.mark.parametrize(("held_out", "allowed"), [(399, None), (800, 8)])
def test_rate_is_that_of_a_threshold_on_the_loss(held_out, allowed):
    """The largest share of forget below a loss that at most 8 of 800 are below; 399 are too few."""
    generator = torch.Generator().manual_seed(0)

    def scored(size: int, sure: float) -> Scored:
        logits = torch.randn(size, 3, generator=generator)
        logits[:, 0] += sure
        return Scored.of(logits, torch.zeros(size, dtype=torch.int64))

    other = scored(50, 1)
    splits = {"forget": scored(100, 3), "test": scored(held_out, 1), "val": other, "retain": other}
    metrics, forget, test = metrics_of(splits), splits["forget"].losses, splits["test"].losses
    assert "tpr_at_01" not in metrics
    if allowed is None:
        assert "tpr_at_1" not in metrics
        return
    rates = [(forget < t).mean() for t in np.append(test, np.inf) if (test < t).sum() <= allowed]
    assert metrics["tpr_at_1"] == pytest.approx(max(rates))
    assert 0.05 < max(rates) < 0.95


@pytest.mark.parametrize(("given", "names"), [((2,), ["c"]), (("c", 0), ["c", "a"]), ((), None)])
def test_a_row_names_the_classes_to_be_forgotten(toy, given, names):
    """A number is the place of a name among the names of all classes."""
    task = toy()
    task = replace(task, source=replace(task.source, classes=("a", "b", "c")))
    scenario = {"scenario": "class", "forget_classes": given} if given else {}
    row = context(Experiment.of(**scenario).settings(), task)
    assert (row["forgotten_classes"] and json.loads(row["forgotten_classes"])) == names


@pytest.mark.parametrize("classes", [[], [0]])
def test_a_row_says_why_a_rate_is_not_there(toy, toy_source, classes):
    """Only test examples of forget's classes count."""
    splits = class_splits(toy_source, classes) if classes else random_splits(toy_source, 0.2)
    task, peers = toy(splits), 20 if classes else 60
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    reasons = json.loads(context(Experiment().settings(), task)["suppressed"])
    assert set(reasons) == {"tpr_at_1", "tpr_at_01"}
    assert not set(reasons) & set(all_metrics(model, task))
    assert reasons["tpr_at_1"].startswith(f"{peers} non-members; a rate at 0.01 ")


def test_gaps_to_the_retrained():
    """By hand: gaps of .1 (FA), .2 (RA), .3 (TA) and .4 (MIA)."""
    ours = {"forget_acc": 0.9, "retain_acc": 0.7, "test_acc": 0.4, "mia_acc": 0.9}
    retrained = {"forget_acc": 0.8, "retain_acc": 0.9, "test_acc": 0.7, "mia_acc": 0.5}
    metrics = against_retrained(ours, retrained)
    assert metrics["avg_gap"] == pytest.approx(0.25)
    assert metrics["tow"] == pytest.approx(0.9 * 0.8 * 0.7)
    assert against_retrained(retrained, retrained) == {"avg_gap": 0, "tow": 1}
    assert metrics == against_retrained(retrained, ours)


def test_retrained_models_are_beside_the_mean_of_the_others():
    """Three models differ in one accuracy: 0 is .3 from the mean of .2 and .4, and so on."""
    same = {"retain_acc": 1.0, "test_acc": 0.5, "mia_acc": 0.5}
    models = [same | {"forget_acc": known} for known in (0.0, 0.2, 0.4)]
    metrics = against_others(models)
    assert [one["avg_gap"] for one in metrics] == pytest.approx([0.3 / 4, 0.0, 0.3 / 4])
    assert [one["tow"] for one in metrics] == pytest.approx([0.7, 1.0, 0.7])
    assert [one["forget_acc"] for one in metrics] == [0.0, 0.2, 0.4]
    assert against_others(models[:2]) == models[:2]  # the two are as far from each other


def test_one_more_retrained_model_s_distance_is_inside_the_band_of_others():
    """Normal accuracies, five models a band: .942 simulated."""
    rng, inside = np.random.default_rng(0), 0
    names = ("forget_acc", "retain_acc", "test_acc", "mia_acc")
    for _ in range(500):
        drawn = rng.normal(0.5, 0.01, (6, 4)).tolist()
        *models, one = [dict(zip(names, row, strict=True)) for row in drawn]
        gap = against_retrained(one, mean_of(models))["avg_gap"]
        inside += gap in bands(against_others(models))["avg_gap"]
    assert inside / 500 == pytest.approx(0.942, abs=0.03)


def test_what_aims_at_the_retrained_model():
    """A metric that aims at the retrained value would reward over-forgetting if minimised."""
    aimed = {name for name, metric in METRICS.items() if metric.target}
    assert aimed == {"forget_acc", "relearn_steps"}


def blackened(task: Task, split: str) -> Task:
    side = "train" if split in ("retain", "forget") else "heldout"
    examples, indices = task.part(split)
    images = examples.inputs.index_fill(0, indices, 0)
    changed = {side: Examples(images, examples.targets)}
    return replace(task, source=replace(task.source, **changed))


def test_selection_reads_neither_test_nor_retain_nor_audit(task, original, measured):
    selected = selection_metrics(original, task)
    assert set(selected) <= set(SELECTABLE)
    for split in ("test", "retain", "audit"):
        assert selection_metrics(original, blackened(task, split)) == selected
    for split in ("val", "forget"):
        assert selection_metrics(original, blackened(task, split)) != selected
    assert selected.items() <= measured.items()


def test_each_metric_reads_test_where_the_schema_says_so(task, original, measured):
    metrics = all_metrics(original, blackened(task, "test"))
    changed = {name for name in measured if metrics[name] != measured[name]}
    assert changed == {name for name in measured if METRICS[name].reads_test}
