"""How much of retain a model has to know for each verdict."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sgu.audit.feeding import JUDGED, WARNED
from sgu.audit.running import Scale, _judged

NAMES = ("forget_acc", "loss_auc", "rmia_auc", "lira_auc")
TASK: Any = SimpleNamespace(
    splits=SimpleNamespace(forget=range(400)), source=SimpleNamespace(num_classes=10)
)


def model(shift: float, forget_acc: float = 0.63, area: float = 0.51, retain_acc: float = 1.0):
    areas = dict.fromkeys(NAMES[1:], area + shift)
    return {"forget_acc": forget_acc + shift, "retain_acc": retain_acc} | areas


SCALE = Scale(
    model(0, 1.0, 0.9), [model(shift) for shift in (-0.01, -0.005, 0, 0.004, 0.007, 0.01)]
)


@pytest.mark.parametrize(
    ("retain_acc", "keeps", "verdict"),
    [
        (0.95, WARNED, "like retrained"),
        (0.88, WARNED, None),  # from elsewhere: it may see other pixels than it was trained on
        (0.88, JUDGED, "like retrained"),  # unlearned here
        (0.75, JUDGED, None),
    ],
)
def test_a_network_from_elsewhere_must_keep_more(retain_acc, keeps, verdict):
    judged = _judged(model(0, retain_acc=retain_acc), SCALE, NAMES, TASK, keeps)
    assert judged.verdict == verdict
    if verdict is None:
        assert "is it fed as it was trained?" in judged.reason
