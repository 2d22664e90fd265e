"""Splits are disjoint, covering, stratified, and a pure function of (source, scenario, seed)."""

from dataclasses import fields

import pytest
import torch

from sgu.data.sources import Source, load_source
from sgu.data.splits import Splits, class_splits, random_splits

TARGETS = (torch.arange(1000) % 10, torch.arange(500) % 10)


@pytest.fixture(scope="module")
def embedded() -> Source:
    return load_source("embedded")


def parts(splits: Splits, *names: str) -> list[int]:
    return sorted(i for name in names for i in getattr(splits, name).tolist())


def indices(splits: Splits) -> list[list[int]]:
    return [getattr(splits, field.name).tolist() for field in fields(splits)]


@pytest.mark.parametrize("paper", [False, True])
@pytest.mark.parametrize("seed", [0, 7])
def test_random_splits_cover_and_are_disjoint(paper, seed):
    splits = random_splits(TARGETS, 0.1, seed, paper=paper)
    assert parts(splits, "retain", "forget") == list(range(1000))
    judges = ("val", "test") if paper else ("audit", "val", "test")
    assert parts(splits, *judges) == list(range(500))
    assert torch.equal(splits.audit, splits.val) == paper


def test_random_splits_are_stratified_to_the_image():
    splits = random_splits(TARGETS, 0.1)
    assert TARGETS[0][splits.forget].bincount().tolist() == [10] * 10
    sizes = {"audit": 20, "val": 10, "test": 20}
    for name, size in sizes.items():
        assert TARGETS[1][getattr(splits, name)].bincount().tolist() == [size] * 10


def test_class_splits_forget_whole_classes_and_keep_the_judges():
    splits = class_splits(TARGETS, [3, 7], seed=5)
    assert set(TARGETS[0][splits.forget].tolist()) == {3, 7}
    assert parts(splits, "retain", "forget") == list(range(1000))
    assert not {3, 7} & set(TARGETS[0][splits.retain].tolist())
    for name in ("audit", "val", "test"):
        assert torch.equal(getattr(splits, name), getattr(random_splits(TARGETS, 0.3, 5), name))


def test_seed_alone_decides_and_the_global_generator_is_left_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert indices(random_splits(TARGETS, seed=3)) == indices(random_splits(TARGETS, seed=3))
    assert random_splits(TARGETS, seed=3).digest != random_splits(TARGETS, seed=4).digest
    assert torch.equal(torch.get_rng_state(), before)


def test_digest_is_that_of_earlier_versions(embedded):
    assert random_splits(embedded).digest == "c6d68ac95571e327"


def test_table_round_trip(embedded):
    splits = random_splits(embedded)
    table = splits.to_table()
    assert table.column_names == ["split", "index"]
    assert table.num_rows == 6000
    back = Splits.from_table(table)
    assert back.digest == splits.digest
    assert indices(back) == indices(splits)
    with pytest.raises(ValueError, match="no rows of split 'test'"):
        Splits.from_table(table.slice(0, 5000))


def test_what_cannot_be_split_is_refused():
    for fraction in (0, 1, -0.1, float("nan")):
        with pytest.raises(ValueError, match="need 0 < fraction < 1"):
            random_splits(TARGETS, fraction)
    with pytest.raises(ValueError, match="train has 100 images of class 0, too few"):
        random_splits(TARGETS, 0.001)
    for shares in ((0.5, 0.5, 0.5), (1.0, 0.0, 0.0), (1.0,)):
        with pytest.raises(ValueError, match="need three"):
            random_splits(TARGETS, shares=shares)
    for classes in ([], [10], list(range(10))):
        with pytest.raises(ValueError, match="name at least one"):
            class_splits(TARGETS, classes)
