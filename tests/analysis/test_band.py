"""Each task has a band of its own; the mathematics has tests in tests/sgu/results."""

import numpy as np
import pandas as pd
import pytest

from analysis import configurations, null_bands
from analysis.band import BANDED, limits
from sgu.results import null_band


def metrics(generator, reach=0.3):
    return {name: generator.uniform(0.5 - reach, 0.5 + reach) for name in BANDED}


def ensemble(synthetic, generator, models=4):
    return [
        synthetic.trial(f"retrain-{n}", method="retrain", control=True, cell="digits", **values)
        for n, values in enumerate(metrics(generator, 0.05) for _ in range(models))
    ]


@pytest.mark.parametrize("seed", range(4))
def test_the_band_of_one_seed_is_an_audit_s(synthetic, seed):
    generator = np.random.default_rng(seed)
    retrained = ensemble(synthetic, generator)
    frame = synthetic.frame(*retrained)
    expected = null_band.bands(retrained)
    table = null_bands(frame).set_index("metric")
    assert list(expected) == list(table.index) == list(BANDED)
    for name, band in expected.items():
        row = table.loc[name, ["mean", "sd", "low", "high", "models"]]
        assert tuple(row) == (band.mean, band.sd, band.low, band.high, band.models)


@pytest.mark.parametrize("phase", ["confirm", "scaling"])
def test_what_comes_after_the_search_moves_no_band(synthetic, phase):
    generator = np.random.default_rng(1)
    retrained = ensemble(synthetic, generator)
    found = [synthetic.trial(f"{n}", **metrics(generator)) for n in range(10)]
    later = [row | {"phase": phase, "seed": 7} for row in ensemble(synthetic, generator)]
    before, after = (
        synthetic.frame(*retrained, *found),
        synthetic.frame(*retrained, *found, *later),
    )
    pd.testing.assert_frame_equal(null_bands(before), null_bands(after))


def test_more_seeds_are_judged_by_a_narrower_band(synthetic):
    rows = ensemble(synthetic, np.random.default_rng(0))
    frame = synthetic.frame(*rows)
    one, four = (null_bands(frame, seeds).set_index("metric") for seeds in (1, 4))
    widths = [(band["high"] - band["low"])["wasserstein"] for band in (one, four)]
    assert widths[1] < widths[0]


def test_each_data_set_has_its_own_band(synthetic):
    rows = [
        synthetic.trial(f"retrain-{n}", method="retrain", dataset=d, cell=d, val_acc=a + n / 100)
        for d, a in (("x", 0.3), ("y", 0.7)) for n in range(3)
    ]  # fmt: skip
    rows += [synthetic.trial("c", dataset=d, cell=f"{d}/sg", val_acc=0.7) for d in "xy"]
    frame = synthetic.frame(*rows)
    assert list(null_bands(frame)["mean"]) == pytest.approx([0.31, 0.71])
    ends = limits(frame, configurations(frame).query("trial_id == 'c'"), "val_acc")
    assert ends.mean(axis=1).tolist() == pytest.approx([0.31, 0.71])


def test_too_few_retrained_models_say_so(synthetic):
    frame = synthetic.frame(
        synthetic.trial("r", method="retrain", val_acc=0.5), synthetic.trial("a")
    )
    with pytest.raises(ValueError, match="2 or more retrained models of one data set"):
        null_bands(frame)
    assert limits(frame, configurations(frame), "val_acc").isna().all(axis=None)


def test_sweeps_of_sizes_are_no_null(synthetic):
    rows = [synthetic.trial(f"retrain-{n}", method="retrain", val_acc=0.5 + n / 100, phase=phase)
            for n, phase in enumerate(("search", "search", "scaling"))]  # fmt: skip
    assert set(null_bands(synthetic.frame(*rows))["models"]) == {2}
