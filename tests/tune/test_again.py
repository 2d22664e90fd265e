"""A finished study that is run again with more references."""

from __future__ import annotations

import pytest

from analysis import load_study
from tune.spec.spec import Spec
from tune.study import run

pytestmark = pytest.mark.long

SPEC = {
    "name": "small",
    "experiment": {"data": "embedded", "subset": 400, "pretrain_epochs": 1, "epochs": 1},
    "methods": ["finetune"],
    "trials": 1,
    "slots": 1,
    "oracles": 0,
    "objectives": ["val_error", "val_mia_advantage"],
}


def test_more_retrained_models_are_made_and_no_trial_is_run_again(tmp_path):
    messages: list[str] = []
    run(Spec.model_validate(SPEC), tmp_path, None, messages.append)
    before = set(load_study(tmp_path / "small")["trial_id"])
    for _ in range(2):
        messages.clear()
        run(Spec.model_validate(SPEC | {"oracles": 2}), tmp_path, None, messages.append)
        after = load_study(tmp_path / "small")
        assert set(after["trial_id"]) - before == {"retrain-1", "retrain-2"}
    assert "all trials are there" in messages[-1]
    assert set(after["attempt"]) == {0}
