"""A result row holds its settings, its identity and the stamp of its study."""

from __future__ import annotations

import json
import math

import pytest

from sgu.experiment import DATA_SETTINGS, ORIGINAL_SETTINGS, SETTINGS, Experiment
from sgu.results.rows import plays, result_row, stored
from sgu.results.schema import GAME, GAME_SETTINGS, SCHEMA_VERSION, TRIALS


def test_every_setting_is_of_the_data_the_game_or_the_run():
    of_the_run = {"pretrain_epochs", "seed", "method", "model"} | ORIGINAL_SETTINGS
    assert set(SETTINGS) == DATA_SETTINGS | GAME_SETTINGS | of_the_run


@pytest.mark.parametrize(
    ("method", "reference", "cell"),
    [("sg", None, "x/sg"), ("sg+scrub", None, "x/sg+scrub"), ("ssd", None, "x/ssd"),
     ("sg", "retrain", "x")],
)  # fmt: skip
def test_settings_not_in_use_are_null(method, reference, cell):
    settings = Experiment(method=method).settings()
    measured = {"val_acc": 0.5, "ks": math.nan}
    row = result_row(settings, {"dataset": "x"}, measured, reference=reference, trial_id="0")
    kept = stored(row, "demo")
    game = plays(method) and not reference
    expected = {name: settings[name] if game else None for name in GAME}
    expected |= {"alpha": 0.0} if method == "ssd" else {}
    expected |= {"cell": cell, "method": reference or method, "control": reference is not None}
    expected |= {"schema_version": SCHEMA_VERSION, "study": "demo", "val_acc": 0.5, "ks": None}
    assert list(kept) == TRIALS.names
    assert {name: kept[name] for name in expected} == expected
    assert json.loads(kept["config"]) == json.loads(json.dumps(settings))
