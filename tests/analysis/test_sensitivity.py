"""Effects and ablations by hand; importances of functions whose answer is known."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis import alpha_ablation, effects, importances


def configured(synthetic, trial_id, settings, **columns):
    known = {name: settings[name] for name in ("alpha", "reg", "solve_every") if name in settings}
    row = synthetic.trial(trial_id, **(known | columns))
    return row | {"config": json.dumps(settings)}


@pytest.fixture
def search(synthetic):
    """60 configurations: the error grows with alpha alone, the advantage falls with reg alone."""
    generator, rows = np.random.default_rng(0), []
    for number in range(60):
        settings = {
            "alpha": float(10 ** generator.uniform(-1, 1)), "seed": 0, "update": "joint",
            "reg": float(10 ** generator.uniform(-3, 0)),
            "solve_every": int(generator.choice([4, 8, 16])),
        }  # fmt: skip
        rows.append(configured(
            synthetic, f"{number:04d}", settings,
            val_error=0.2 + 0.1 * np.log10(settings["alpha"]) + 0.005 * generator.normal(),
            val_mia_advantage=0.1 - 0.1 * np.log10(settings["reg"]) + 0.005 * generator.normal(),
        ))  # fmt: skip
    return synthetic.frame(*rows)


def test_effects_are_means_over_bins(search):
    found = effects(search, ["val_error", "val_mia_advantage"])
    alpha = found.query("parameter == 'alpha' and metric == 'val_error'")
    assert list(alpha["configurations"]) == [12] * 5
    ordered = search.sort_values("alpha")["val_error"].to_numpy().reshape(5, 12)
    assert list(alpha["mean"]) == pytest.approx(list(ordered.mean(axis=1)))
    assert (alpha["low"] < alpha["mean"]).all()
    assert (alpha["mean"] < alpha["high"]).all()
    assert alpha["mean"].is_monotonic_increasing
    solves = found.query("parameter == 'solve_every' and metric == 'val_error'")
    assert list(solves["middle"]) == [4, 8, 16]
    assert list(solves["least"]) == list(solves["most"])
    for value, mean in zip(solves["middle"], solves["mean"], strict=True):
        rows = search[search["solve_every"] == value]
        assert mean == pytest.approx(rows["val_error"].mean())


def test_nothing_varied_says_so(search):
    with pytest.raises(ValueError, match="none of alpha, reg, solve_every varies"):
        effects(search.iloc[:1])


@pytest.mark.parametrize("evaluator", ["ped-anova", "fanova"])
def test_importances_find_what_matters(search, evaluator):
    found = importances(search, evaluator=evaluator)
    top = found.sort_values("importance").groupby("metric").tail(1).set_index("metric")
    assert top["parameter"].to_dict() == {"val_error": "alpha", "val_mia_advantage": "reg"}
    assert (top["importance"] > 0.6).all()
    assert list(found.groupby("metric")["importance"].sum()) == pytest.approx([1, 1])
    assert set(found["parameter"]) == {"alpha", "reg", "solve_every"}


def test_importances_of_one_configuration_say_so(search):
    with pytest.raises(ValueError, match="no cell has 4 or more configurations"):
        importances(search.iloc[:3])


def test_the_ablation_keeps_all_else_the_same(synthetic):
    rows = [
        configured(
            synthetic, f"{alpha}", {"alpha": alpha, "reg": 0.1, "seed": seed}, seed=seed,
            val_error=0.1 * alpha + 0.01 * seed,
        )
        for alpha in (0.25, 0.3, 1.0) for seed in range(3)
    ]  # fmt: skip
    rows.append(configured(synthetic, "x", {"alpha": 2.0, "reg": 0.7, "seed": 0}, val_error=0.9))
    for trial, more in (("f", {}), ("g", {"lr": 9.0})):  # the second by another recipe
        rows += [
            configured(
                synthetic, trial, {"alpha": 0.0, "reg": 0.5, "seed": seed, **more}, seed=seed,
                method="finetune", val_error=0.9 if more else 0.05,
            )
            for seed in range(3)
        ]  # fmt: skip
    found = alpha_ablation(synthetic.frame(*rows), ["val_error"])
    assert list(found["alpha"]) == [0, 0.25, 0.3, 1]
    assert list(found["published"]) == [True, True, False, True]
    assert list(found["mean"]) == pytest.approx([0.05, 0.035, 0.04, 0.11])
    assert set(found["seeds"]) == {3}
    assert found["low"].notna().all()


def test_no_ablation_says_what_to_run(search):
    with pytest.raises(ValueError, match="run a study that searches alpha alone"):
        alpha_ablation(search)
    with pytest.raises(ValueError, match="run a study that searches alpha alone"):
        alpha_ablation(search[:0])
    alone = search.iloc[[0]].assign(method="finetune", alpha=0.0)
    with pytest.raises(ValueError, match="run a study that searches alpha alone"):
        alpha_ablation(pd.concat([search[:1], alone]))  # one alpha, and none


def test_a_published_grid_is_found_in_any_number(search):
    """Two alphas with all else the same are enough."""
    other = search.iloc[[0]].assign(trial_id="y", alpha=0.5)
    settings = json.loads(other["config"].iloc[0]) | {"alpha": 0.5}
    other["config"] = json.dumps(settings)
    found = alpha_ablation(pd.concat([search, other], ignore_index=True), ["val_error"])
    assert len(found) == 2
