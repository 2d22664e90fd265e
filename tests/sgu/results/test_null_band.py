"""The band holds one more retrained model as often as it promises; verdicts point the right way."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sgu.results.null_band import ASPECTS, Band, band, bands, half_width, verdicts

MODELS = [
    {"forget_acc": 0.60, "test_acc": 0.61, "val_acc": 0.6, "mia_acc": 0.50, "val_error": 0.4},
    {"forget_acc": 0.62, "test_acc": 0.62, "val_acc": 0.6, "mia_acc": 0.51, "val_error": 0.4},
    {"forget_acc": 0.61, "test_acc": 0.63, "val_acc": 0.6, "mia_acc": 0.52, "val_error": 0.4},
]


@pytest.mark.parametrize("models", [2, 3, 5, 10])
def test_one_more_normal_value_is_inside_95_times_in_100(models: int):
    """20,000 samples: within 4 deviations of a binomial share."""
    samples = np.random.default_rng(models).normal(0.5, 0.01, (20_000, models + 1))
    mean, sd = samples[:, :-1].mean(1), samples[:, :-1].std(1, ddof=1)
    share = (abs(samples[:, -1] - mean) <= half_width(models - 1, 1 + 1 / models) * sd).mean()
    assert share == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 20_000))


def test_it_is_what_the_formula_gives_by_hand():
    """t_{2, .975} = 4.302653 (tables)."""
    made = band("forget_acc", [0.60, 0.62, 0.61])
    reach = 4.302653 * 0.01 * math.sqrt(4 / 3)
    assert (made.mean, made.sd, made.models) == (pytest.approx(0.61), pytest.approx(0.01), 3)
    assert (made.low, made.high) == (pytest.approx(0.61 - reach), pytest.approx(0.61 + reach))


@pytest.mark.parametrize(
    ("name", "values", "low", "high"),
    [
        ("retain_acc", [0.9, 1.0], 0.0, 1.0),
        ("wasserstein", [0.1, 5.0], 0.0, math.inf),
        ("utility_paper", [-0.9, 0.9], -1.0, 1.0),
    ],
)
def test_it_stays_within_the_metric_s_range(name, values, low, high):
    made = band(name, values)
    assert made.low == low
    assert made.high == high if high < math.inf else 5.0 < made.high < math.inf


def test_one_model_makes_no_band():
    with pytest.raises(ValueError, match="2 or more"):
        bands(MODELS[:1])


def test_a_metric_that_one_model_has_not_gets_none():
    some = [*MODELS[:2], {**MODELS[2], "mia_acc": None}]
    assert set(bands(some)) == set(MODELS[0]) - {"mia_acc"}
    assert "seconds" not in bands([{**each, "seconds": 1.0} for each in MODELS])


def test_each_of_the_models_is_inside_and_so_is_the_end():
    of = bands(MODELS)
    for each in MODELS:
        assert set(verdicts(each, of).values()) == {"inside"}
    assert of["val_acc"].sd == 0
    assert of["val_acc"].verdict(0.6) == "inside"
    assert of["forget_acc"].verdict(of["forget_acc"].high) == "inside"


def one(name: str) -> Band:
    return Band(name=name, mean=0.5, sd=0.01, low=0.45, high=0.55, models=3)


@pytest.mark.parametrize(
    ("name", "above", "below"),
    [
        ("forget_acc", "under-forgotten", "over-forgotten"),
        ("tpr_at_1", "under-forgotten", "over-forgotten"),
        ("rmia_auc", "under-forgotten", "over-forgotten"),
        ("mia_acc", "under-forgotten", "over-forgotten"),
        ("test_acc", "better", "worse"),
        ("retain_acc", "better", "worse"),
        ("val_error", "worse", "better"),
        ("avg_gap", "worse", "better"),
    ],
)
def test_the_side_says_which_failure_it_is(name, above, below):
    assert one(name).verdict(0.6) == above
    assert one(name).verdict(0.4) == below
    assert one(name).verdict(0.5) == "inside"


def test_an_attack_finds_over_forgetting_too():
    """It stands out by being known too little: nobody should call that under-forgotten."""
    of = bands(MODELS)
    known = {"forget_acc": 0.95, "test_acc": 0.62, "mia_acc": 0.7}
    wiped = {"forget_acc": 0.10, "test_acc": 0.62, "mia_acc": 0.9}
    assert verdicts(known, of)["mia_acc"] == "under-forgotten"
    assert verdicts(wiped, of)["mia_acc"] == "over-forgotten"
    assert verdicts(wiped, of)["forget_acc"] == "over-forgotten"
    assert verdicts(wiped, of)["val_acc"] is None


ATTACKS = [name for name, kind in ASPECTS.items() if kind == "attack"]


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("value", [0.4, 0.6])
def test_what_an_attack_finds_on_either_side_is_told_by_the_lead(name, value):
    assert one(name).verdict(value, lead=0.1) == "under-forgotten"
    assert one(name).verdict(value, lead=-0.1) == "over-forgotten"
    assert one(name).verdict(0.5, lead=0.1) == "inside"


@pytest.mark.parametrize("name", [name for name, kind in ASPECTS.items() if kind == "memory"])
@pytest.mark.parametrize("lead", [-0.1, 0.1])
def test_where_higher_is_more_remembered_the_side_alone_tells(name, lead):
    assert one(name).verdict(0.6, lead) == "under-forgotten"
    assert one(name).verdict(0.4, lead) == "over-forgotten"


def test_a_model_that_remembers_what_retrained_ones_find_hard_is_under_forgotten():
    """The most memorised are forgotten: retrained models fail the attack, and a model that half
    remembers them knows them about as well as test."""
    hard = [
        {
            "forget_acc": 0.2 + k / 100,
            "test_acc": 0.6,
            "mia_acc": 0.7 + k / 100,
            "ks": 0.4 + k / 100,
        }
        for k in range(3)
    ]
    half = {"forget_acc": 0.6, "test_acc": 0.6, "mia_acc": 0.5, "ks": 0.05}
    original = {"forget_acc": 1.0, "test_acc": 0.6, "mia_acc": 0.9, "ks": 0.8}
    wiped = {"forget_acc": 0.0, "test_acc": 0.6, "mia_acc": 0.9, "ks": 0.8}
    for model, said in (
        (half, "under-forgotten"), (original, "under-forgotten"), (wiped, "over-forgotten")
    ):  # fmt: skip
        found = verdicts(model, bands(hard))
        assert (found["mia_acc"], found["ks"], found["forget_acc"]) == (said,) * 3


def test_a_model_that_lost_what_retrained_ones_find_easy_is_over_forgotten():
    """The least memorised are forgotten: it knows them no better than test."""
    easy = [
        {"forget_acc": 0.97 + k / 100, "test_acc": 0.6, "mia_acc": 0.7 + k / 100} for k in range(3)
    ]
    found = verdicts({"forget_acc": 0.6, "test_acc": 0.6, "mia_acc": 0.5}, bands(easy))
    assert found["mia_acc"] == found["forget_acc"] == "over-forgotten"


def test_a_value_that_is_none_is_no_verdict():
    with pytest.raises(ValueError, match="need a number"):
        one("ks").verdict(math.nan)


def test_every_kind_is_known():
    assert set(ASPECTS.values()) == {"memory", "attack", "utility", "cost"}
