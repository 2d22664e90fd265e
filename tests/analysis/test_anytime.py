"""Each point of a curve is the hypervolume of the rows that were there by then."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from analysis import anytime, hypervolume

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def search(synthetic):
    """Return two cells of ten trials of two seeds, one of them failed, started in mixed order."""
    generator, rows = np.random.default_rng(0), []
    for cell in ("x/a", "x/b"):
        for at, number in enumerate(generator.permutation(10)):
            for seed in range(2):
                rows.append(synthetic.trial(
                    f"{number:04d}", cell=cell, seed=seed, wall_seconds=1.0 + at,
                    started=START + timedelta(seconds=at), val_error=generator.random(),
                    val_mia_advantage=generator.random(),
                    status="failed" if (at, seed) == (3, 1) else "complete",
                ))  # fmt: skip
    rows.append(synthetic.trial("original", method="original", started=START, wall_seconds=99.0))
    return synthetic.frame(*rows)


@pytest.mark.parametrize("against", ["trials", "seconds"])
def test_a_curve_is_the_volume_of_what_was_there(search, against):
    found = anytime(search, against=against)
    spent = {"trials": np.arange(1, 11), "seconds": np.cumsum(2.0 * np.arange(1, 11))}[against]
    for cell, curve in found.groupby("cell"):
        assert list(curve[against]) == list(spent)
        rows = search[search["cell"] == cell]
        for at, reached in enumerate(curve["hypervolume"]):
            by_then = rows[rows["started"] <= START + timedelta(seconds=at)]
            assert reached == pytest.approx(hypervolume(by_then), abs=1e-12)
        assert curve["hypervolume"].iloc[3] == curve["hypervolume"].iloc[2]  # the failed one


def test_what_cannot_be_drawn_says_so(search):
    with pytest.raises(ValueError, match="expected trials or seconds"):
        anytime(search, against="hours")
    with pytest.raises(ValueError, match="no complete trial has all of"):
        anytime(search[:0])
