"""The controls' means by hand; what is said about seeds is true of the rows."""

import io

import pandas as pd
import pyarrow as pa
import pytest
from rich.console import Console

from analysis.formats import metric_text, plain_text
from analysis.schema import TRIALS
from analysis.summary import controls, notes, spread_line
from analysis.table import front_table

PAIR = ("val_error", "val_mia_advantage")


def as_frame(*rows):
    return pa.Table.from_pylist(list(rows), schema=TRIALS).to_pandas()


def printed(frame, width=100):
    text = io.StringIO()
    Console(file=text, width=width, highlight=False).print(front_table(frame))
    return text.getvalue()


def test_controls_are_means_with_spreads(synthetic):
    rows = [
        synthetic.trial(str(error), method="retrain", val_error=error) for error in (0.1, 0.2, 0.3)
    ]
    rows += [
        synthetic.trial("z", alpha=0.0, val_error=0.4),
        synthetic.trial("f", method="retrain", status="failed"),
    ]
    table = controls(as_frame(*rows), ["val_error"])
    assert list(table["name"]) == ["retrain", "sg, alpha 0"]
    assert list(table["runs"]) == [3, 1]
    assert list(table["val_error"]) == pytest.approx([0.2, 0.4])
    assert table["val_error_spread"][0] == pytest.approx(0.1)
    assert pd.isna(table["val_error_spread"][1])


def test_no_controls_give_an_empty_table(synthetic):
    assert controls(as_frame(synthetic.trial("a", alpha=1.0)), ["val_error"]).empty


def test_one_seed_is_said_to_have_no_spread(synthetic):
    rows = [synthetic.trial(str(alpha), alpha=alpha) for alpha in (0.1, 0.2)]
    assert "its spread is not known" in spread_line(as_frame(*rows))


def test_different_configurations_are_not_taken_for_seeds(synthetic):
    first = synthetic.trial("a", alpha=1.0) | {"config": '{"lr": 1, "seed": 0}'}
    other = synthetic.trial("b", alpha=1.0, seed=1) | {"config": '{"lr": 2, "seed": 1}'}
    rows = [first, other]
    assert "its spread is not known" in spread_line(as_frame(*rows))


def test_several_seeds_are_counted(synthetic):
    rows = [synthetic.trial(f"{alpha}{seed}", alpha=alpha, seed=seed)
            for alpha, seeds in ((0.1, 3), (0.2, 1)) for seed in range(seeds)]  # fmt: skip
    assert "1 of 2 configurations ran with several seeds (at most 3)" in spread_line(
        as_frame(*rows)
    )


def test_notes_count_everything_and_name_the_reference(frame):
    text = " ".join(notes(frame, PAIR))
    assert "45 complete trials, 1 failed, 1 pruned" in text
    assert "reference val_error = 1, val_mia_advantage = 1" in text


def test_the_table_reads_on_a_hundred_columns(frame):
    text = printed(frame)
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text
    for word in ("original", "retrain", "3 runs", "a1b2c_00028", "Hypervolume", "objective"):
        assert word in text


def test_values_are_written_for_people():
    assert metric_text("val_error", 0.06325) == "6.33"
    assert metric_text("seconds", 42.04) == "42.0"
    assert metric_text("val_error", float("nan")) == "–"
    assert [plain_text(value) for value in (1e-06, 0.25, 50, None)] == ["1e-6", "0.25", "50", "–"]
