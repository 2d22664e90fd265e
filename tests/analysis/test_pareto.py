"""Oracles: the definition of dominance pair by pair; the volume of a union of boxes on its grid."""

import itertools

import numpy as np
import pandas as pd
import pytest

from analysis import hypervolume, knee, pareto_front
from analysis.pareto import check_selectable
from sgu.results.schema import METRICS, SELECTABLE

SETS = [
    ("val_error", "val_mia_advantage"),
    ("val_acc", "val_mia_acc"),
    ("val_acc", "retain_acc", "val_mia_auc"),
    ("val_error", "retain_acc", "val_mia_advantage", "forget_acc"),
]


def random_frame(objectives, seed, rows=24):
    """Values on a coarse grid, so that ties and equal rows occur, with a few NaN."""
    generator = np.random.default_rng(seed)
    values = generator.integers(0, 8, (rows, len(objectives))) / 8
    values[generator.random(values.shape) < 0.05] = np.nan
    values[0] = 0.5
    return pd.DataFrame(values, columns=list(objectives))


def dominates(p, q, objectives):
    """Return True if p dominates q by the definition, each metric in its own direction."""
    better = [p[name] < q[name] if METRICS[name].goal == "min" else p[name] > q[name]
              for name in objectives]  # fmt: skip
    equal = [p[name] == q[name] for name in objectives]
    return all(b or e for b, e in zip(better, equal, strict=True)) and any(better)


def brute_front(frame, objectives):
    rows = [row for _, row in frame.iterrows() if not row.isna().any()]
    return [q.name for q in rows if not any(dominates(p, q, objectives) for p in rows)]


def brute_volume(frame, objectives):
    """Cells of the grid through all values that some row dominates, summed."""
    distance = [  # how far inside the reference point each value lies
        metric.sign * (metric.reference_point - frame[metric.name].dropna())
        for metric in map(METRICS.get, objectives)
    ]
    corners = pd.concat(distance, axis=1, keys=objectives).dropna().clip(lower=0).to_numpy()
    edges = [np.unique(np.append(column, 0.0)) for column in corners.T]
    volume = 0.0
    for cell in itertools.product(*(range(1, len(edge)) for edge in edges)):
        upper = np.array([edge[i] for edge, i in zip(edges, cell, strict=True)])
        lower = np.array([edge[i - 1] for edge, i in zip(edges, cell, strict=True)])
        if (corners >= upper).all(axis=1).any():
            volume += float(np.prod(upper - lower))
    return volume


@pytest.mark.parametrize("objectives", SETS)
@pytest.mark.parametrize("seed", range(6))
def test_front_is_what_nothing_dominates(objectives, seed):
    frame = random_frame(objectives, seed)
    front = pareto_front(frame, objectives)
    assert sorted(front.index) == sorted(brute_front(frame, objectives))
    assert front[objectives[0]].is_monotonic_increasing


@pytest.mark.parametrize("objectives", SETS)
@pytest.mark.parametrize("seed", range(3))
def test_hypervolume_is_the_union_of_boxes(objectives, seed):
    frame = random_frame(objectives, seed, rows=14)
    expected = brute_volume(frame, objectives)
    assert hypervolume(frame, objectives) == pytest.approx(expected, abs=1e-12)


def test_equal_rows_are_all_kept():
    frame = pd.DataFrame({"val_error": [0.1, 0.1, 0.2], "val_mia_advantage": [0.3, 0.3, 0.4]})
    assert list(pareto_front(frame).index) == [0, 1]


def test_one_row_has_the_volume_of_its_box():
    frame = pd.DataFrame({"val_error": [0.25], "val_mia_advantage": [0.5]})
    assert hypervolume(frame) == pytest.approx(0.75 * 0.5)


def test_a_row_beyond_the_reference_adds_nothing():
    slow = {"val_error": 0.0, "seconds": METRICS["seconds"].reference_point + 1}
    rows = pd.DataFrame([{"val_error": 0.5, "seconds": 3599.0}, slow])
    assert hypervolume(rows, ("val_error", "seconds")) == pytest.approx(0.5)


def test_only_complete_candidates_enter(frame):
    best = {"val_error": 0.0, "val_mia_advantage": 0.0}
    for status, method in (("failed", "sg"), ("pruned", "sg"), ("complete", "retrain")):
        row = frame.iloc[[0]].assign(status=status, method=method, trial_id="x", **best)
        assert "x" not in set(pareto_front(pd.concat([frame, row]))["trial_id"])


@pytest.mark.parametrize("rows", [[], [[np.nan, 0.1]]])
def test_nothing_left_says_what_to_do(rows):
    frame = pd.DataFrame(rows, columns=["val_error", "val_mia_advantage"], dtype=float)
    with pytest.raises(ValueError, match="no complete trial has all of val_error"):
        pareto_front(frame)


def test_an_unknown_objective_is_named_with_what_is_allowed(frame):
    with pytest.raises(ValueError, match=r"'accuracy'.*val_error.*val_mia_auc"):
        pareto_front(frame, ("val_error", "accuracy"))


@pytest.mark.parametrize("objectives", [("val_error",), ("val_error", "val_error")])
def test_two_different_objectives_are_needed(frame, objectives):
    with pytest.raises(ValueError, match="two or more different"):
        pareto_front(frame, objectives)


@pytest.mark.parametrize("name", [name for name in METRICS if name not in SELECTABLE])
def test_no_test_metric_selects(name):
    with pytest.raises(ValueError, match=f"{name} reads the test split, which is only ever"):
        check_selectable(("val_error", name))


@pytest.mark.parametrize("objectives", SETS)
@pytest.mark.parametrize("seed", range(3))
def test_groups_have_fronts_of_their_own(objectives, seed):
    frame = random_frame(objectives, seed, rows=40)
    frame["dataset"], frame["method"] = list("xy") * 20, list("aabb") * 10
    front = pareto_front(frame, objectives, by=["dataset", "method"])
    for group, rows in frame.groupby(["dataset", "method"]):
        own = front[(front[["dataset", "method"]] == group).all(axis=1)]
        assert sorted(own.index) == sorted(brute_front(rows, objectives))


def test_a_front_is_of_means_over_seeds_of_the_search(synthetic):
    """The mean counts, not its lucky seed; fresh seeds do not count."""
    table = [("a", 0, 0.1, "search"), ("a", 1, 0.5, "search"), ("b", 0, 0.2, "search"),
             ("b", 1, 0.2, "search"), ("b", 2, 0.0, "confirm")]  # fmt: skip
    rows = [
        synthetic.trial(name, seed=seed, val_error=error, val_mia_advantage=0.2, phase=phase)
        for name, seed, error, phase in table
    ]
    front = pareto_front(synthetic.frame(*rows))
    assert list(front["trial_id"]) == ["b"]
    assert list(front["val_error"]) == [0.2]
    assert list(front["seeds"]) == [2]


def test_the_knee_is_furthest_inside_the_line_through_the_ends():
    x = np.linspace(0, 1, 21)
    for y, at in (((1 - np.sqrt(x)) ** 2, 0.25), ((1 - x**0.25) ** 4, 1 / 16)):
        frame = pd.DataFrame({"val_error": 0.2 + 0.1 * x, "val_mia_advantage": y})
        distance = (x + y - 1) / np.sqrt(2)  # of the line x + y = 1
        assert knee(frame).name == distance.argmin()
        assert abs(x[knee(frame).name] - at) <= 0.05


def test_the_knee_of_one_row_is_that_row():
    assert knee(pd.DataFrame({"val_error": [0.2], "val_mia_advantage": [0.3]})).name == 0
