"""Splits that a file states: a study's, or who was forgotten alone; what is none is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
import torch

from sgu.data.splits.from_file import splits_from_file
from sgu.data.splits.splits import PARTS, Splits, random_splits
from sgu.ensembles import oracles, shadows, unlearned
from sgu.experiment import Experiment
from sgu.networks.references import recipe


def rows(**parts: list[int]) -> pa.Table:
    return pa.table(
        {
            "split": [name for name, part in parts.items() for _ in part],
            "index": [index for part in parts.values() for index in part],
        }
    )


@pytest.fixture
def stated(toy_source, tmp_path: Path):
    def make(table: pa.Table, name: str = "splits.parquet") -> Splits:
        path = tmp_path / name
        (csv.write_csv if path.suffix == ".csv" else pq.write_table)(table, path)
        return splits_from_file(path, toy_source, random_splits(toy_source, 0.2))

    return make


@pytest.mark.parametrize("asked", [{}, {"requests": 3}, {"paper": True}])
@pytest.mark.parametrize("name", ["splits.parquet", "splits.csv"])
def test_those_of_a_study_come_back(stated, toy_source, asked, name):
    """In whatever order the rows are."""
    splits = random_splits(toy_source, 0.1, seed=3, **asked)
    table = splits.to_table()
    shuffled = table.take(torch.randperm(len(table)).numpy())
    assert stated(shuffled, name).digest == splits.digest


def test_who_was_forgotten_is_enough(stated, toy_source):
    found, drawn = stated(rows(forget=[7, 3, 149])), random_splits(toy_source, 0.2)
    assert found.forget.tolist() == [3, 7, 149]
    assert found.retain.tolist() == [i for i in range(150) if i not in (3, 7, 149)]
    for name in PARTS[2:]:
        assert torch.equal(getattr(found, name), getattr(drawn, name))


def test_other_splits_are_other_networks_in_the_cache(stated, toy):
    """Retrained, shadow and unlearned models; the original saw all of train either way."""
    own, names = Experiment(), []
    for forget in ([1, 2, 3, 4], [1, 2, 3, 5]):
        task = toy(stated(rows(forget=forget)))
        made: list[Any] = [*oracles(own, task, 1), *shadows(own, task, 2).recipes]
        made += [*unlearned(own, task, 1), recipe("retrain", "small_cnn", task, 0)]
        names.append({each.filename for each in made})
    assert len(names[0]) == len(names[1]) == 7
    assert not names[0] & names[1]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"retain": [0, 1]}, "no row is of split 'forget'"),
        ({"forget": [150]}, "forget has index 150: must be 0..149"),
        ({"forget": [-1]}, "forget has index -1: must be 0..149"),
        ({"forget": [4, 4]}, "forget has index 4 twice"),
        ({"forget": [4], "retain": list(range(150))}, "index 4 is in retain and in forget"),
        ({"forget": [4], "retain": [5, 6]}, "hold 3 of train's 150 examples: leave retain out"),
        ({"forget": [4], "val": [0]}, "no rows of split 'audit'"),
        ({"forget": [4], "audit": [0, 1], "val": [1], "test": [2]}, "1 is in audit and in val"),
        ({"forget": [4], "audit": [0], "val": [1], "test": [1]}, "1 is in val and in test"),
        ({"forget": [4], "other": [0]}, "split 'other' is none of retain"),
    ],
)
def test_what_is_no_split_is_named(stated, parts, said):
    with pytest.raises(ValueError, match=r"splits\.parquet") as caught:
        stated(rows(**parts))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"index": [1]}),
        pa.table({"split": ["forget", "forget"], "index": [1, None]}),
        pa.table({"split": ["forget"], "index": [0.5]}),
        pa.table({"split": ["forget"], "index": ["one"]}),
        pa.table({"split": ["forget"] * 2, "index": [1, 2], "request": [0, None]}),
    ],
)
def test_columns_that_are_none_of_ours_are_named(stated, table):
    with pytest.raises(ValueError, match=r"splits\.parquet states no splits"):
        stated(table)


def test_a_file_that_is_no_table_is_named(toy_source, tmp_path: Path):
    path = tmp_path / "splits.parquet"
    path.write_text("nothing of the kind")
    with pytest.raises(ValueError, match=r"splits\.parquet states no splits"):
        splits_from_file(path, toy_source, random_splits(toy_source, 0.2))
