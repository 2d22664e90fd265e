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


@pytest.mark.parametrize(("models", "seeds"), [(3, 1), (2, 3), (3, 5), (1, 6)])
def test_a_mean_over_seeds_is_inside_as_often_as_promised(models, seeds):
    """Normal values; if a seed has one model, those of all seeds are one ensemble."""
    generator, inside, rounds = np.random.default_rng(5), 0, 1000
    shift = 0.0 if models == 1 else 0.02
    for _ in range(rounds):
        centres = 0.5 + shift * generator.normal(size=seeds)
        values = centres[:, None] + 0.01 * generator.normal(size=(seeds, models))
        retrained = band("val_acc", values.ravel(), np.repeat(range(seeds), models), seeds)
        inside += (centres + 0.01 * generator.normal(size=seeds)).mean() in retrained
    assert inside / rounds == pytest.approx(0.95, abs=0.02)


def test_the_band_is_what_the_formula_gives_by_hand():
    """t_{2, .975} = 4.302653 (tables)."""
    by_hand = band("forget_acc", [0.60, 0.62, 0.61])
    reach = 4.302653 * 0.01 * math.sqrt(4 / 3)
    assert (by_hand.mean, by_hand.sd) == (pytest.approx(0.61), pytest.approx(0.01))
    assert (by_hand.low, by_hand.high) == (pytest.approx(0.61 - reach), pytest.approx(0.61 + reach))
    assert (by_hand.models, by_hand.seeds) == (3, 1)


@pytest.mark.parametrize(
    ("name", "values", "low", "high"),
    [
        ("retain_acc", [0.9, 1.0], 0.0, 1.0),
        ("wasserstein", [0.1, 5.0], 0.0, math.inf),
        ("utility_paper", [-0.9, 0.9], -1.0, 1.0),
    ],
)
def test_the_band_stays_within_the_metric_s_range(name, values, low, high):
    wide = band(name, values)
    assert wide.low == low
    assert wide.high == high if high < math.inf else 5.0 < wide.high < math.inf


def test_one_model_makes_no_band():
    with pytest.raises(ValueError, match="2 or more"):
        bands(MODELS[:1])


def test_a_metric_that_one_model_lacks_has_no_band():
    some = [*MODELS[:2], {**MODELS[2], "mia_acc": None}]
    assert set(bands(some)) == set(MODELS[0]) - {"mia_acc"}
    assert "seconds" not in bands([{**model, "seconds": 1.0} for model in MODELS])


def test_every_model_of_the_band_is_inside_and_so_is_its_end():
    retrained = bands(MODELS)
    for model in MODELS:
        assert set(verdicts(model, retrained).values()) == {"inside"}
    assert retrained["val_acc"].sd == 0
    assert retrained["val_acc"].verdict(0.6) == "inside"
    assert retrained["forget_acc"].verdict(retrained["forget_acc"].high) == "inside"


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
    assert [one(name).verdict(value) for value in (0.6, 0.4, 0.5)] == [above, below, "inside"]
    assert list(one(name).verdicts([0.6, 0.4, 0.5, math.nan])) == [above, below, "inside", None]


def test_an_attack_finds_over_forgetting_too():
    """A model may stand out by knowing forget too little: that is not under-forgotten."""
    retrained = bands(MODELS)
    known = {"forget_acc": 0.95, "test_acc": 0.62, "mia_acc": 0.7}
    wiped = {"forget_acc": 0.10, "test_acc": 0.62, "mia_acc": 0.9}
    assert verdicts(known, retrained)["mia_acc"] == "under-forgotten"
    assert verdicts(wiped, retrained)["mia_acc"] == "over-forgotten"
    assert verdicts(wiped, retrained)["forget_acc"] == "over-forgotten"
    assert verdicts(wiped, retrained)["val_acc"] is None


@pytest.mark.parametrize("name", [name for name, what in ASPECTS.items() if what == "attack"])
@pytest.mark.parametrize("value", [0.4, 0.6])
def test_the_lead_tells_what_an_attack_finds_on_either_side(name, value):
    assert one(name).verdict(value, lead=0.1) == "under-forgotten"
    assert one(name).verdict(value, lead=-0.1) == "over-forgotten"
    assert one(name).verdict(0.5, lead=0.1) == "inside"


@pytest.mark.parametrize("name", [name for name, what in ASPECTS.items() if what == "memory"])
@pytest.mark.parametrize("lead", [-0.1, 0.1])
def test_the_side_alone_tells_if_higher_is_more_remembered(name, lead):
    assert one(name).verdict(0.6, lead) == "under-forgotten"
    assert one(name).verdict(0.4, lead) == "over-forgotten"


@pytest.mark.parametrize(
    ("forget_acc", "mia_acc", "ks", "verdict"),
    [
        (0.6, 0.5, 0.05, "under-forgotten"),  # half forgotten
        (1.0, 0.9, 0.8, "under-forgotten"),  # the original
        (0.0, 0.9, 0.8, "over-forgotten"),  # wiped
        (0.1, 0.5, 0.05, "over-forgotten"),  # lost more than retrained models
    ],
)
def test_a_model_that_remembers_what_retrained_ones_find_hard(forget_acc, mia_acc, ks, verdict):
    """The most memorised are forgotten: retrained models fail the attack, and a model that half
    remembers them knows them about as well as test."""
    hard = [
        {"forget_acc": 0.2 + d, "test_acc": 0.6, "mia_acc": 0.7 + d, "ks": 0.4 + d}
        for d in (0.0, 0.01, 0.02)
    ]
    model = {"forget_acc": forget_acc, "test_acc": 0.6, "mia_acc": mia_acc, "ks": ks}
    judged = verdicts(model, bands(hard))
    assert (judged["mia_acc"], judged["ks"], judged["forget_acc"]) == (verdict,) * 3


def test_a_model_that_lost_what_retrained_ones_find_easy_is_over_forgotten():
    """The least memorised are forgotten: the model knows them no better than test."""
    easy = [
        {"forget_acc": 0.97 + k / 100, "test_acc": 0.6, "mia_acc": 0.7 + k / 100} for k in range(3)
    ]
    judged = verdicts({"forget_acc": 0.6, "test_acc": 0.6, "mia_acc": 0.5}, bands(easy))
    assert judged["mia_acc"] == judged["forget_acc"] == "over-forgotten"


def test_nan_of_one_model_has_no_verdict():
    with pytest.raises(ValueError, match="need a number"):
        one("ks").verdict(math.nan)


def test_every_aspect_is_known():
    assert set(ASPECTS.values()) == {"memory", "attack", "utility", "cost"}
