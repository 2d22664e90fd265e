"""The scoring pass: features against loops and limits, one pass a split, test not touched."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from sgu.evaluation import all_metrics, score, score_task, selection_metrics
from sgu.metrics import Scored, attack_table, loss_histograms, metrics_of
from sgu.metrics.evaluate import SELECTING
from sgu.task import Task


def drawn(size: int = 40, classes: int = 5) -> Scored:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(size, classes, generator=generator)
    return Scored.of(logits, torch.randint(0, classes, (size,), generator=generator))


def one(logits: list[float], target: int = 0) -> Scored:
    return Scored.of(torch.tensor([logits], dtype=torch.float64), torch.tensor([target]))


class TestFeatures:
    def test_each_is_its_formula_term_by_term(self):
        """Written as in the paper, example by example and class by class."""
        scored = drawn()
        for k in range(len(scored)):
            powers = [math.exp(value) for value in scored.logits[k]]
            p, y = [power / sum(powers) for power in powers], int(scored.targets[k])
            others = sum(p[i] * math.log(1 - p[i]) for i in range(len(p)) if i != y)
            modified = -(1 - p[y]) * math.log(p[y]) - others
            assert scored.confidence[k] == pytest.approx(p[y])
            assert scored.losses[k] == pytest.approx(-math.log(p[y]))
            assert scored.entropy[k] == pytest.approx(-sum(q * math.log(q) for q in p))
            assert scored.modified_entropy[k] == pytest.approx(modified)
            assert scored.correct[k] == (p[y] == max(p))

    def test_two_even_classes_have_their_closed_forms(self):
        """p = (1/2, 1/2): entropy log 2, modified entropy 1/2 log 2 + 1/2 log 2."""
        scored = one([0.0, 0.0])
        assert scored.entropy[0] == pytest.approx(math.log(2))
        assert scored.modified_entropy[0] == pytest.approx(math.log(2))

    def test_a_sure_right_answer_has_no_modified_entropy_and_a_wrong_one_any(self):
        """Wrong by a gap of g nats: modified entropy -> 2 g, while entropy -> 0."""
        for gap in (50.0, 500.0, 5000.0):
            right, wrong = one([gap, 0.0, 0.0], 0), one([gap, 0.0], 1)
            assert right.modified_entropy[0] == pytest.approx(0, abs=1e-15)
            assert wrong.modified_entropy[0] == pytest.approx(2 * gap)
            assert wrong.entropy[0] == pytest.approx(0, abs=1e-15)

    def test_it_is_not_the_formula_that_is_widely_copied(self):
        """-sum_i (1 - p_i) log p_i: log p for log(1 - p), every column for the target's own."""
        p = np.array([0.7, 0.2, 0.1])
        ours = one(list(np.log(p)))
        copied = float(-((1 - p) * np.log(p)).sum())
        paper = -0.3 * math.log(0.7) - 0.2 * math.log(0.8) - 0.1 * math.log(0.9)
        assert ours.modified_entropy[0] == pytest.approx(paper)
        assert abs(copied - paper) > 3

    def test_a_part_is_what_its_examples_alone_would_be(self):
        scored = drawn()
        part = scored.take(np.array([7, 3]))
        alone = Scored.of(
            torch.from_numpy(scored.logits[[7, 3]]), torch.from_numpy(scored.targets[[7, 3]])
        )
        assert len(part) == 2
        for name in ("losses", "correct", "confidence", "entropy", "modified_entropy", "scores"):
            np.testing.assert_allclose(getattr(part, name), getattr(alone, name), atol=1e-12)


class Counted(nn.Module):
    """A model that counts the examples it answers."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner, self.answered = inner, 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.answered += len(inputs)
        return self.inner(inputs)


def sizes(task: Task, *splits: str) -> int:
    return sum(len(getattr(task.splits, split)) for split in splits)


def test_each_split_is_scored_once(task, original):
    model = Counted(original)
    scored = score_task(model, task)
    assert model.answered == sizes(task, "forget", "val", "test", "retain")
    metrics_of(scored)
    attack_table(scored, names=["loss"])
    assert model.answered == sizes(task, "forget", "val", "test", "retain")
    for measure, splits in ((all_metrics, tuple(scored)), (selection_metrics, SELECTING)):
        model.answered = 0
        measure(model, task)
        assert model.answered == sizes(task, *splits)


def test_histograms_count_every_loss_once(task, original):
    scored = score_task(original, task)
    bins = pd.DataFrame(loss_histograms(scored))
    for split, counted in bins.groupby("split"):
        losses = scored[split].losses
        assert counted["count"].sum() == len(losses)
        below = (losses < 0.1).sum()
        assert counted.loc[counted["high"] < 0.101, "count"].sum() == below
    assert set(bins["split"]) == {"forget", "val", "test"}


def test_scored_is_what_the_network_answers(task, original):
    scored, (heldout, val) = score(original, task, "val"), task.part("val")
    with torch.no_grad():
        logits = original.eval()(task.pipeline.prepare(heldout.inputs[val]))
    np.testing.assert_allclose(scored.logits, logits.numpy(), atol=1e-5)
    assert scored.logits.dtype == scored.losses.dtype == np.float64
    assert scored.targets.tolist() == heldout.targets[val].tolist()


class Sealed:
    """Splits that fail when test is read."""

    def __init__(self, splits):
        self._splits = splits

    def __getattr__(self, name: str):
        if name == "test":
            raise AssertionError("the test split was touched")
        return getattr(self._splits, name)


def test_what_selects_does_not_touch_test(task, original):
    sealed = Task(task.source, Sealed(task.splits), task.pipeline)
    assert selection_metrics(original, sealed) == selection_metrics(original, task)
    with pytest.raises(AssertionError, match="touched"):
        all_metrics(original, sealed)
