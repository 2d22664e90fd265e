"""The page's small tables say what was put in."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from analysis.report.comparisons import comparisons

OBJECTIVES = ("val_error", "val_mia_advantage")


@pytest.fixture
def sweep(synthetic):
    """Seconds grow as the size squared, a tenth of retraining's; two workers are twice as fast."""
    rows, values = [], synthetic.measured(np.random.default_rng(0), 0.1, 0.1)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for size in (500, 1000, 2000):
        for method, factor in (("sg", 1e-5), ("retrain", 1e-4)):
            columns = values | {"seconds": factor * size**2, "train_examples": size, "workers": 1}
            columns |= {"audit_examples": 8, "classes": 10, "forget_fraction": 0.1}
            rows.append(synthetic.trial(
                method, method=method, dataset=f"subset-{size}", cell=f"subset-{size}",
                phase="scaling", **columns,
            ))  # fmt: skip
    for workers in (1, 2):
        for at in range(4):
            rows.append(synthetic.trial(
                f"w{at}", dataset=f"workers-{workers}", cell=f"workers-{workers}/sg", seed=at,
                phase="scaling", workers=workers, wall_seconds=10.0, train_examples=500,
                started=start + timedelta(seconds=10 * (at // workers)),
                audit_examples=8, classes=10, forget_fraction=0.1, **values,
            ))  # fmt: skip
    return synthetic.frame(*rows)


def test_a_sweep_has_its_powers_prices_and_speed_up(sweep):
    found = {table.name: table.rows for table in comparisons(sweep, OBJECTIVES)}
    assert list(found) == ["laws", "prices", "workers"]
    (law,) = [row for row in found["laws"] if row[:3] == ["train examples", "sg", "seconds"]]
    assert law[3:] == ["2.00", "2.00 to 2.00", "3", "3"]
    assert [row[:4] for row in found["prices"]] == [
        ["train examples", size, "sg", "0.100"] for size in ("500", "1000", "2000")
    ]
    assert [row[-2:] for row in found["workers"]] == [["1.00", "1.00"], ["2.00", "1.00"]]


def test_methods_are_compared_with_the_game(frame):
    game = frame[frame["alpha"] > 0]
    far = game.assign(method="scrub", cell="digits/scrub", val_error=1.0, alpha=np.nan)
    (table,) = comparisons(pd.concat([game, far]), OBJECTIVES)
    (row,) = table.rows
    assert row[:2] == ["digits", "scrub"]
    assert float(row[2]) < -0.3
    alone = game.head(1).assign(trial_id="0000", method="finetune", control=True, alpha=0.0)
    assert comparisons(pd.concat([game, alone]), OBJECTIVES) == []  # a control is no rival
