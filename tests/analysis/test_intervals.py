"""Means and differences by hand, against Student's; coverage by simulation, seeds fixed."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from analysis import difference, hypervolumes, mean_intervals, method_differences
from analysis.pareto import OBJECTIVES, volume
from analysis.resample import Resampling
from analysis.volumes import front_intervals
from sgu.results.schema import METRICS


def rows(**columns):
    """Complete rows of single seeds."""
    given = {"study": "s", "cell": "x/a", "dataset": "x", "method": "a", "trial_id": "0"}
    given |= {"seed": 0, "phase": "search", "status": "complete"}
    given |= {"started": pd.Timestamp("2026-01-01", tz="UTC")}
    numbers = dict.fromkeys([*METRICS, "wall_seconds", "device_seconds"], np.nan)
    return pd.DataFrame(numbers | given | columns)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_draws_have_the_variance_of_a_mean(seeds):
    values = np.random.default_rng(0).normal(size=seeds)
    frame = rows(seed=range(seeds), val_acc=values)
    drawn = Resampling(frame, draws=40_000).means(frame["val_acc"], np.zeros(seeds, dtype=int))
    assert drawn.draws.var() == pytest.approx(values.var(ddof=1) / seeds, rel=0.03)
    assert drawn.draws.mean() == pytest.approx(values.mean(), abs=0.01)


def test_an_interval_is_near_students_for_many_normal_seeds():
    values = np.random.default_rng(1).normal(0.5, 0.1, 60)
    (found,) = mean_intervals(rows(seed=range(60), val_acc=values), ["val_acc"]).to_dict("records")
    reach = t.ppf(0.95, 59) * values.std(ddof=1) / np.sqrt(60)
    assert found["mean"] == pytest.approx(values.mean())
    assert found["low"] == pytest.approx(values.mean() - reach, abs=0.15 * reach)
    assert found["high"] == pytest.approx(values.mean() + reach, abs=0.15 * reach)
    assert found["seeds"] == 60


@pytest.mark.parametrize("draw", ["normal", "gamma"])
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_nine_of_ten_intervals_of_a_mean_cover_it(draw, seeds):
    """Normal values, and gamma ones of skewness 1; see benchmarks/coverage.py for more."""
    generator, groups = np.random.default_rng(3), 3000
    values = {"normal": generator.normal(size=(groups, seeds)) + 4,
              "gamma": generator.gamma(4, size=(groups, seeds))}[draw]  # fmt: skip
    frame = rows(
        trial_id=np.repeat(np.arange(groups).astype(str), seeds),
        seed=np.tile(range(seeds), groups),
        val_acc=values.ravel(),
    )
    found = mean_intervals(frame, ["val_acc"])
    assert 0.86 <= ((found["low"] <= 4) & (found["high"] >= 4)).mean() <= 0.94


def test_a_single_seed_says_so():
    found = mean_intervals(rows(val_acc=[0.5]), ["val_acc"])
    assert list(found["seeds"]) == [1]
    assert found[["low", "high"]].isna().all(axis=None)


def test_fresh_seeds_are_left_out():
    phases = ["search", "search", "confirm", "confirm", "confirm"]
    frame = rows(seed=range(5), phase=phases, val_acc=[0.1, 0.3, 0.6, 0.7, 0.8])
    (searched,) = mean_intervals(frame, ["val_acc"]).to_dict("records")
    assert (searched["mean"], searched["seeds"]) == (pytest.approx(0.2), 2)


def test_seeds_that_agree_leave_no_width():
    found = mean_intervals(rows(seed=range(3), val_acc=0.25), ["val_acc"])
    assert tuple(found.loc[0, ["low", "high"]]) == pytest.approx((0.25, 0.25))


def test_data_sets_weigh_the_same():
    frame = pd.concat([
        rows(seed=range(8), val_acc=np.linspace(0.1, 0.3, 8)),
        rows(seed=range(2), dataset="y", cell="y/a", val_acc=[0.6, 0.8]),
    ], ignore_index=True)  # fmt: skip
    found = mean_intervals(frame, ["val_acc"], by=["method"])
    assert list(found["mean"]) == pytest.approx([0.45])
    assert list(found["seeds"]) == [2]


def test_what_seeds_share_cancels_in_a_difference():
    common = np.random.default_rng(0).normal(0, 0.1, 5)
    own = 0.001 * np.arange(5)
    left, right = rows(seed=range(5), val_acc=0.6 + common + own), rows(seed=range(5), val_acc=0.5)
    right["val_acc"] += common
    found = difference(left, right, "val_acc")
    assert found.value == pytest.approx(0.102)
    assert found.high - found.low < 0.004
    apart = difference(left, right.assign(seed=range(5, 10)), "val_acc")
    assert apart.value == found.value
    assert apart.high - apart.low > 0.1


@pytest.mark.long
@pytest.mark.parametrize("shared", [True, False])
def test_differences_cover_over_two_data_sets(shared):
    generator, rounds, inside, seeds = np.random.default_rng(4), 200, 0, 3
    sides = [
        rows(dataset=np.repeat(["x", "y"], seeds), seed=np.tile(np.arange(seeds) + first, 2))
        for first in (0, 0 if shared else 100)
    ]
    deviations = np.repeat([1.0, 2.0], seeds)
    for _ in range(rounds):
        drawn = [
            side.assign(val_acc=mean + deviations * generator.normal(size=2 * seeds))
            for side, mean in zip(sides, (0.1, 0.0), strict=True)
        ]
        inside += 0.1 in difference(*drawn, "val_acc")
    assert 0.86 <= inside / rounds <= 0.95


def test_sides_of_other_data_sets_are_refused():
    with pytest.raises(ValueError, match=r"\['x'\] and of \['y'\] do not compare"):
        difference(rows(val_acc=[0.5]), rows(dataset="y", val_acc=[0.5]), "val_acc")
    with pytest.raises(ValueError, match=r"\[\] and of \['x'\] do not compare"):
        difference(rows(val_acc=[0.5])[:0], rows(val_acc=[0.5]), "val_acc")


def searched(synthetic_front, seeds, noise, generator, **columns):
    """Rows of the configurations (k, 2) with noise, on `seeds` seeds."""
    values = synthetic_front + noise * generator.normal(size=(seeds, *synthetic_front.shape))
    count = len(synthetic_front)
    return rows(
        trial_id=np.tile(np.arange(count).astype(str), seeds),
        seed=np.repeat(range(seeds), count),
        val_error=values[..., 0].ravel(),
        val_mia_advantage=values[..., 1].ravel(),
        **columns,
    )


TRUE = np.stack([np.linspace(0.1, 0.9, 12), 0.7 - 0.5 * np.sqrt(np.linspace(0.1, 0.9, 12))], 1)
VOLUME = float(np.sum(np.diff([*TRUE[:, 0], 1.0]) * (1 - TRUE[:, 1])))


@pytest.mark.long
@pytest.mark.parametrize(("seeds", "noise"), [(3, 0.02), (5, 0.05)])
def test_hypervolumes_are_covered(seeds, noise):
    """Also where the front of noisy means flatters (at 0.05, by up to half its deviation)."""
    generator = np.random.default_rng(6)
    parts = [
        searched(TRUE, seeds, noise, generator, dataset=str(at), cell=f"{at}/a")
        for at in range(100)
    ]
    found = hypervolumes(pd.concat(parts, ignore_index=True))
    covered = ((found["low"] <= VOLUME) & (found["high"] >= VOLUME)).mean()
    assert 0.84 <= covered <= 0.96
    assert ((found["low"] < found["hypervolume"]) & (found["hypervolume"] < found["high"])).all()


AT = np.linspace(0.05, 0.95, 60)
NEAR = np.stack([0.3 + 0.1 * AT, 0.5 * (1 - AT) ** 2 + 0.02], axis=1)


@pytest.mark.long
@pytest.mark.parametrize("seeds", [3, 10])
def test_hypervolumes_of_many_configurations_are_covered(seeds):
    """Most of them near the front, whose means flatter by more than the draws' deviation."""
    generator, truth = np.random.default_rng(9), volume(NEAR, OBJECTIVES)
    parts = [
        searched(NEAR, seeds, 0.02, generator, dataset=str(at), cell=f"{at}/a") for at in range(25)
    ]
    found = hypervolumes(pd.concat(parts, ignore_index=True))
    assert (found["hypervolume"] > truth).all()
    assert ((found["low"] <= truth) & (truth <= found["high"])).mean() >= 0.8


def test_a_difference_of_hypervolumes_is_corrected_for_the_method_that_flatters_more():
    """All configurations against every tenth."""
    generator, truth = np.random.default_rng(10), volume(NEAR, OBJECTIVES)
    truth -= volume(NEAR[::10], OBJECTIVES)
    parts = [
        searched(each, 5, 0.02, generator, dataset=str(at), cell=f"{at}/{name}", method=name)
        for at in range(25) for name, each in (("a", NEAR), ("b", NEAR[::10]))
    ]  # fmt: skip
    found = method_differences(pd.concat(parts, ignore_index=True), "b")[:25]
    assert found["difference"].mean() > truth
    assert ((found["low"] <= truth) & (truth <= found["high"])).mean() >= 0.8


def test_methods_differ_by_what_their_fronts_differ():
    generator = np.random.default_rng(7)
    frame = pd.concat([
        searched(TRUE + shift, 4, 0.002, generator, dataset=data, method=method, cell=data + method)
        for data in "xy" for method, shift in (("a", 0.0), ("b", 0.1))
    ], ignore_index=True)  # fmt: skip
    found = method_differences(frame, "a")
    volumes = hypervolumes(frame).set_index(["dataset", "method"])["hypervolume"]
    expected = [volumes[name, "b"] - volumes[name, "a"] for name in "xy"]
    assert list(found["dataset"]) == ["x", "y", "all"]
    assert list(found["difference"]) == pytest.approx([*expected, np.mean(expected)])
    assert (found["high"] < 0).all()
    with pytest.raises(ValueError, match="no data set has c beside another method: there are a, b"):
        method_differences(frame, "c")


def test_a_front_point_that_rests_on_one_seed_says_so():
    frame = searched(TRUE, 3, 0.001, np.random.default_rng(8))
    frame = frame[(frame["trial_id"] != "0") | (frame["seed"] == 0)]
    front = front_intervals(frame).set_index("trial_id")
    lone = front.loc["0"]
    assert lone["seeds"] == 1
    assert lone[["val_error_low", "val_error_high"]].isna().all()
    others = front.drop("0")
    assert (others["val_error_low"] < others["val_error"]).all()
    assert (others["val_error"] < others["val_error_high"]).all()
    assert (others["stays"] > 0.9).all()
    assert hypervolumes(frame)[["low", "high"]].isna().all(axis=None)
