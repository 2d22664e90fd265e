"""The band holds one more retrained model as often as it promises."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sgu.results.null_band import ASPECTS, band, bands, half_width

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
        assert all(retrained[name].side(value) == "" for name, value in model.items())
    assert retrained["val_acc"].sd == 0
    assert retrained["val_acc"].side(0.6) == ""
    one = retrained["forget_acc"]
    assert one.side(one.high) == ""
    assert one.side(one.high + 1e-6) == "above the band"
    assert one.side(one.low - 1e-6) == "below the band"


def test_every_aspect_is_known():
    assert set(ASPECTS.values()) == {"memory", "utility", "cost"}
