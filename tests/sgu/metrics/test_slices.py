"""Slices: the examples they compare, planted differences, and parts too small to measure."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sgu.metrics import Scored, slices


def answers(sure: torch.Tensor, seed: int) -> Scored:
    """Return examples of two classes, `sure` (n,) of their target in nats, with noise."""
    targets = torch.arange(len(sure)) % 2
    logits = torch.zeros(len(sure), 2)
    logits[torch.arange(len(sure)), targets] = sure
    noise = torch.randn(logits.shape, generator=torch.Generator().manual_seed(seed))
    return Scored.of(logits + noise, targets)


@pytest.fixture(scope="module")
def planted() -> dict[str, Scored]:
    """Members of class 0 stand out, those of class 1 do not."""
    bonus = torch.where(torch.arange(200) % 2 == 0, 4.0, 0.0)
    return {"forget": answers(1 + bonus, 0), "test": answers(torch.ones(300), 1)}


def test_a_class_is_compared_with_its_own(planted):
    exposed, hidden = slices(planted, "class")
    assert (exposed.by, exposed.name, exposed.members) == ("class", "0", 100)
    assert 60 < exposed.heldout < 140  # of 200 drawn from 300
    assert exposed.auc.low > 0.8
    assert 0.5 in hidden.auc


def test_right_and_wrong_are_judged_apart(planted):
    wrong, right = slices(planted, "correct")
    assert [wrong.name, right.name] == ["wrong", "right"]
    assert wrong.members == (~planted["forget"].correct).sum()
    assert wrong.members + right.members == 200
    assert right.auc.low > 0.5


def test_the_more_memorised_the_more_exposed(planted):
    """The score orders forget as its losses do; all parts face all held-out examples."""
    parts = slices(planted, -planted["forget"].losses)
    assert [part.name for part in parts] == ["0-25 %", "25-50 %", "50-75 %", "75-100 %"]
    assert [(part.members, part.heldout) for part in parts] == [(50, 200)] * 4
    areas = [part.auc.value for part in parts]
    assert areas == sorted(areas)
    assert areas[0] < 0.3 < 0.9 < areas[3]


def test_parts_are_even_where_scores_are_not(planted):
    parts = slices(planted, np.zeros(200), bins=3)
    assert sorted(part.members for part in parts) == [66, 67, 67]


def test_a_small_slice_is_suppressed_with_the_reason(planted):
    small = {"forget": planted["forget"].take(np.arange(36)), "test": planted["test"]}
    for part in slices(small, "class"):
        assert part.auc is None
        assert "18 members" in part.suppressed
        assert "need 20" in part.suppressed


@pytest.mark.parametrize("by", ["colour", np.zeros(7), np.full(200, np.nan)])
def test_what_cannot_slice_is_refused(planted, by):
    with pytest.raises(ValueError, match=r"class, correct|need a finite score"):
        slices(planted, by)
