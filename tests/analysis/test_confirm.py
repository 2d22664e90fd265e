"""Optimism by hand; the best of equal configurations are found to be lucky."""

import numpy as np
import pytest

from analysis import confirmed, mean_optimism


def test_moves_are_signed_by_the_metrics_own_direction(synthetic):
    table = [(0, "search", 0.20, 0.80), (1, "search", 0.30, 0.70), (7, "confirm", 0.30, 0.76),
             (8, "confirm", 0.32, 0.74), (9, "confirm", 0.34, 0.72)]  # fmt: skip
    rows = [
        synthetic.trial("a", seed=seed, phase=phase, val_error=error, val_acc=accuracy)
        for seed, phase, error, accuracy in table
    ]
    rows.append(synthetic.trial("b", val_error=0.1))
    found = confirmed(synthetic.frame(*rows), ["val_error", "val_acc"]).set_index("metric")
    assert list(found["searched"]) == pytest.approx([0.25, 0.75])
    assert list(found["confirmed"]) == pytest.approx([0.32, 0.74])
    assert list(found["optimism"]) == pytest.approx([0.07, 0.01])
    assert set(found["searched_seeds"]) == {2}
    assert set(found["seeds"]) == {3}
    assert (found["low"] < found["optimism"]).all()
    assert (found["optimism"] < found["high"]).all()


def test_the_winners_curse_is_measured(synthetic):
    """The five that look best of 200 equal configurations with noise .05 were lucky."""
    generator = np.random.default_rng(2)
    looked = 0.3 + 0.05 * generator.normal(size=200)
    best = np.argsort(looked)[:5]
    rows = [synthetic.trial(str(at), val_error=value) for at, value in enumerate(looked)]
    rows += [
        synthetic.trial(
            str(at), seed=seed, phase="confirm", val_error=0.3 + 0.05 * generator.normal()
        )
        for at in best for seed in range(1, 6)
    ]  # fmt: skip
    (found,) = mean_optimism(synthetic.frame(*rows), ["val_error"]).to_dict("records")
    assert found["configurations"] == 5
    assert found["low"] <= 0.3 - looked[best].mean() <= found["high"]
    assert found["low"] > 0.03


def test_references_on_fresh_seeds_were_not_picked(synthetic):
    """They are run beside what is confirmed, and would dilute the optimism."""
    rows = [
        synthetic.trial(name, method=method, seed=seed, phase=phase, val_error=error)
        for name, method in (("a", "sg"), ("original", "original"), ("retrain", "retrain"))
        for seed, phase, error in ((0, "search", 0.2), (5, "confirm", 0.24), (6, "confirm", 0.26))
    ]
    (found,) = mean_optimism(synthetic.frame(*rows), ["val_error"]).to_dict("records")
    assert (found["configurations"], found["optimism"]) == (1, pytest.approx(0.05))
    assert list(confirmed(synthetic.frame(*rows), ["val_error"])["trial_id"]) == ["a"]


def test_nothing_confirmed_says_what_to_run(frame):
    for asked in (confirmed, mean_optimism):
        with pytest.raises(ValueError, match="sgu-study confirm NAME"):
            asked(frame)


def test_one_fresh_seed_has_no_interval(synthetic):
    rows = [synthetic.trial("a", seed=seed, phase=phase, val_error=0.1, val_mia_advantage=0.1)
            for seed, phase in enumerate(("search", "confirm"))]  # fmt: skip
    assert confirmed(synthetic.frame(*rows))[["low", "high"]].isna().all(axis=None)
