"""Splits from a file: a study's, or the forgotten examples alone; errors name what is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
import torch

from sgu.data.splits.from_file import splits_from_file
from sgu.data.splits.splits import PARTS, Splits, random_splits
from sgu.ensembles.designs import oracles, shadows, unlearned
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
def read(toy_source, tmp_path: Path):
    def make(table: pa.Table, name: str = "splits.parquet") -> Splits:
        path = tmp_path / name
        (csv.write_csv if path.suffix == ".csv" else pq.write_table)(table, path)
        return splits_from_file(path, toy_source, random_splits(toy_source, 0.2))

    return make


@pytest.mark.parametrize(("requests", "audit"), [(1, "audit"), (3, "audit"), (1, "val")])
@pytest.mark.parametrize("name", ["splits.parquet", "splits.csv"])
def test_the_splits_of_a_study_come_back(read, toy_source, requests, audit, name):
    """The order of the rows does not matter; audit may equal val, as published."""
    splits = random_splits(toy_source, 0.1, seed=3, requests=requests)
    splits = replace(splits, audit=getattr(splits, audit))
    table = splits.to_table()
    shuffled = table.take(torch.randperm(len(table)).numpy())
    assert read(shuffled, name).digest == splits.digest


def test_the_forgotten_examples_are_enough(read, toy_source):
    splits, drawn = read(rows(forget=[7, 3, 149])), random_splits(toy_source, 0.2)
    assert splits.forget.tolist() == [3, 7, 149]
    assert splits.retain.tolist() == [i for i in range(150) if i not in (3, 7, 149)]
    for name in PARTS[2:]:
        assert torch.equal(getattr(splits, name), getattr(drawn, name))


def test_other_splits_are_other_networks_in_the_cache(read, toy):
    """Retrained, shadow and unlearned models differ; all start from all of train either way."""
    experiment, names = Experiment(), []
    for forget in ([1, 2, 3, 4], [1, 2, 3, 5]):
        task = toy(read(rows(forget=forget)))
        recipes: list[Any] = [*oracles(experiment, task, 1), *shadows(experiment, task, 2).recipes]
        recipes += [*unlearned(experiment, task, 1), recipe("retrain", "small_cnn", task, 0)]
        names.append({each.filename for each in recipes})
    assert len(names[0]) == len(names[1]) == 7
    assert not names[0] & names[1]


@pytest.mark.parametrize(
    ("parts", "message"),
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
def test_unusable_splits_are_named(read, parts, message):
    with pytest.raises(ValueError, match=r"splits\.parquet") as caught:
        read(rows(**parts))
    assert message in str(caught.value)


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
def test_unusable_columns_are_named(read, table):
    with pytest.raises(ValueError, match=r"splits\.parquet holds no usable splits"):
        read(table)


def test_a_file_that_is_no_table_is_named(toy_source, tmp_path: Path):
    path = tmp_path / "splits.parquet"
    path.write_text("no table")
    with pytest.raises(ValueError, match=r"splits\.parquet holds no usable splits"):
        splits_from_file(path, toy_source, random_splits(toy_source, 0.2))
