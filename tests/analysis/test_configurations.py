"""Configurations are means over seeds by hand; what failed in one seed is not complete."""

import pandas as pd
import pytest

from analysis import configurations
from sgu.results.schema import METRICS


def test_a_configuration_is_the_mean_of_its_seeds(synthetic):
    rows = [synthetic.trial("a", seed=s, val_error=e) for s, e in ((2, 0.3), (0, 0.1), (1, 0.2))]
    rows.append(synthetic.trial("a", seed=9, val_error=0.9, phase="confirm"))
    rows.append(synthetic.trial("b", seed=0, val_error=0.5))
    found = configurations(synthetic.frame(*rows)).set_index("trial_id")
    assert list(found["seeds"]) == [3, 1]
    assert list(found["val_error"]) == pytest.approx([0.2, 0.5])
    assert found["val_error_spread"]["a"] == pytest.approx(0.1)
    assert pd.isna(found["val_error_spread"]["b"])
    assert list(found["wall_seconds"]) == [37.5, 12.5]
    assert found["seed"]["a"] == 0


def test_one_failed_seed_makes_it_failed_and_leaves_the_others_mean(synthetic):
    rows = [synthetic.trial("a", seed=seed, val_error=0.1 + seed) for seed in range(2)]
    rows.append(synthetic.trial("a", seed=2, status="failed"))
    (found,) = configurations(synthetic.frame(*rows)).to_dict("records")
    assert (found["status"], found["seeds"]) == ("failed", 2)
    assert found["val_error"] == pytest.approx(0.6)


def test_cells_and_studies_keep_their_trials_apart(synthetic):
    rows = [synthetic.trial("a", cell=c, study=s) for c in ("x/sg", "y/sg") for s in ("p", "q")]
    assert len(configurations(synthetic.frame(*rows))) == 4


def test_one_seed_each_changes_nothing(frame):
    found = configurations(frame)
    expected = frame.sort_values("trial_id", ignore_index=True)
    assert found[list(METRICS)].equals(expected[list(METRICS)])
    assert found["config"].equals(expected["config"])
    assert configurations(found) is found


def test_no_rows_are_no_configurations(frame):
    assert configurations(frame[:0]).empty
    assert configurations(frame.assign(phase="confirm")).empty
