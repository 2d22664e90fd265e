"""Oracle: the definition, set by set, at every corner of the grid through all values."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from analysis import attainment, pareto_front
from sgu.results.schema import METRICS

PAIR = ("val_error", "val_acc")
TRIPLE = ("val_error", "retain_acc", "val_mia_advantage")


def runs(objectives, seeds, generator, rows=5):
    values = generator.integers(0, 6, (seeds * rows, len(objectives))) / 6
    frame = pd.DataFrame(values, columns=list(objectives))
    frame.loc[generator.random(len(frame)) < 0.1, objectives[0]] = np.nan
    frame.loc[::rows, objectives[0]] = 0.5  # each seed has a row
    return frame.assign(study="s", seed=np.repeat(range(seeds), rows), status="complete")


def as_losses(frame, objectives):
    return frame[list(objectives)].to_numpy() * [METRICS[name].sign for name in objectives]


@pytest.mark.parametrize("objectives", [PAIR, TRIPLE])
@pytest.mark.parametrize("seeds", [1, 2, 3, 5, 8])
def test_a_surface_bounds_what_its_share_of_seeds_attains(objectives, seeds):
    frame = runs(objectives, seeds, np.random.default_rng(seeds))
    found = attainment(frame, objectives)
    assert set(found["seeds"]) == {seeds}
    known = frame.dropna()
    fronts = [as_losses(rows, objectives) for _, rows in known.groupby("seed")]
    grid = itertools.product(*(np.unique(column) for column in as_losses(known, objectives).T))
    for z in grid:
        attaining = sum(bool((front <= z).all(axis=1).any()) for front in fronts)
        for level in (25, 50, 75):
            corners = as_losses(found[found["level"] == level], objectives)
            inside = bool((corners <= z).all(axis=1).any())
            assert inside == (attaining >= math.ceil(level * seeds / 100)), (z, level)


def test_one_seed_has_its_front_at_every_level():
    frame = runs(PAIR, 1, np.random.default_rng(0), rows=30)
    front = pareto_front(frame, PAIR)[list(PAIR)].drop_duplicates().to_numpy()
    for _, rows in attainment(frame, PAIR).groupby("level"):
        assert rows[list(PAIR)].to_numpy() == pytest.approx(front)


def test_four_objectives_and_no_rows_say_so():
    frame = runs(TRIPLE, 2, np.random.default_rng(1))
    with pytest.raises(ValueError, match="4 objectives: attainment surfaces take two or three"):
        attainment(frame, (*TRIPLE, "val_acc"))
    with pytest.raises(ValueError, match="no complete trial has all of"):
        attainment(frame[:0], TRIPLE)
