"""Splits are disjoint, covering, stratified, and a pure function of (source, scenario, seed)."""

import pytest
import torch

from sgu.data.base import make_source
from sgu.data.examples import Examples
from sgu.data.splits.splits import (
    PARTS,
    Splits,
    class_splits,
    memorised_splits,
    random_splits,
    subgroup_splits,
)
from sgu.data.splits.stratify import deal

TARGETS = (torch.arange(1000) % 10, torch.arange(500) % 10)
SOURCE = make_source(
    "toy", *(Examples(torch.zeros(len(part), 1, 1, 1).byte(), part) for part in TARGETS)
)
MEMORISED = torch.rand(1000, generator=torch.Generator().manual_seed(3))
MAKERS = {
    "random": lambda **more: random_splits(SOURCE, 0.2, **more),
    "class": lambda **more: class_splits(SOURCE, [7, 3, 5, 4], **more),
    "subgroup": lambda **more: subgroup_splits(SOURCE, [7, 3], 0.4, **more),
    "most_memorised": lambda **more: memorised_splits(SOURCE, MEMORISED, 0.2, **more),
    "least_memorised": lambda **more: memorised_splits(SOURCE, MEMORISED, 0.2, False, **more),
}


def parts(splits: Splits, *names: str) -> list[int]:
    return sorted(i for name in names for i in getattr(splits, name).tolist())


def indices(splits: Splits) -> list[list[int]]:
    return [
        part.tolist() for part in (*(getattr(splits, name) for name in PARTS), *splits.requests)
    ]


@pytest.mark.parametrize("requests", [1, 3])
@pytest.mark.parametrize("scenario", MAKERS)
def test_splits_and_requests_cover_and_are_disjoint(scenario, requests):
    splits = MAKERS[scenario](seed=7, requests=requests)
    assert parts(splits, "retain", "forget") == list(range(1000))
    assert parts(splits, "audit", "val", "test") == list(range(500))
    assert len(splits.requests) == requests
    assert sorted(torch.cat(splits.requests).tolist()) == splits.forget.tolist()
    assert all(part.tolist() == sorted(part.tolist()) for part in splits.requests)
    assert set(TARGETS[0][splits.retain].tolist()) == set(range(10)) - (
        {7, 3, 5, 4} if scenario == "class" else set()
    )


@pytest.mark.parametrize("scenario", MAKERS)
def test_the_judges_are_the_same_in_every_scenario(scenario):
    judges = indices(random_splits(SOURCE, 0.37, 11))[2:5]
    for requests in (1, 2):
        assert indices(MAKERS[scenario](seed=11, requests=requests))[2:5] == judges
    assert indices(MAKERS[scenario](seed=12))[2:5] != judges


def test_halves_of_held_out_are_audit_which_is_val_and_test():
    whole = random_splits(SOURCE, 0.2, 7)
    splits, targets = whole.halved(TARGETS[1], 7), TARGETS[1]
    assert torch.equal(splits.audit, splits.val)
    assert parts(splits, "audit", "test") == list(range(500))
    for part in (splits.audit, splits.test):
        assert targets[part].bincount().tolist() == [25] * 10
    assert indices(splits)[:2] == indices(whole)[:2]
    assert not torch.equal(splits.test, whole.halved(TARGETS[1], 8).test)


@pytest.mark.parametrize("scenario", MAKERS)
def test_a_seed_decides_and_the_global_generator_is_left_alone(scenario):
    torch.manual_seed(1)
    before, make = torch.get_rng_state(), MAKERS[scenario]
    assert indices(make(seed=3, requests=2)) == indices(make(seed=3, requests=2))
    assert make(seed=3).digest != make(seed=4).digest
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("scenario", MAKERS)
def test_how_often_one_asks_does_not_change_what_for(scenario):
    make = MAKERS[scenario]
    once, twice, thrice = (make(seed=3, requests=requests) for requests in (1, 2, 3))
    assert indices(once)[:5] == indices(twice)[:5] == indices(thrice)[:5]
    assert len({once.digest, twice.digest, thrice.digest}) == 3


def test_random_splits_are_stratified_to_the_example():
    splits = random_splits(SOURCE, 0.1, requests=3)
    assert TARGETS[0][splits.forget].bincount().tolist() == [10] * 10
    assert sorted(len(part) for part in splits.requests) == [33, 33, 34]
    for part in splits.requests:
        assert set(TARGETS[0][part].bincount().tolist()) <= {3, 4}
    sizes = {"audit": 20, "val": 10, "test": 20}
    for name, size in sizes.items():
        assert TARGETS[1][getattr(splits, name)].bincount().tolist() == [size] * 10


def test_class_splits_forget_whole_classes_in_the_order_given():
    splits = class_splits(SOURCE, [7, 3, 5], seed=5, requests=2)
    assert set(TARGETS[0][splits.forget].tolist()) == {3, 5, 7}
    assert not {3, 5, 7} & set(TARGETS[0][splits.retain].tolist())
    assert [set(TARGETS[0][part].tolist()) for part in splits.requests] == [{7, 3}, {5}]


def test_a_subgroup_is_a_share_of_each_class_named():
    splits = subgroup_splits(SOURCE, [7, 3], 0.4)
    assert TARGETS[0][splits.forget].bincount(minlength=10).nonzero().flatten().tolist() == [3, 7]
    assert set(TARGETS[0][splits.forget].bincount().tolist()) == {0, 40}
    assert subgroup_splits(SOURCE, range(10), 0.4).digest == random_splits(SOURCE, 0.4).digest


def test_memorised_splits_take_both_ends_and_the_lower_index_of_equals():
    for most in (True, False):
        forget = memorised_splits(SOURCE, MEMORISED, 0.1, most).forget.tolist()
        order = sorted(range(1000), key=lambda i: float(MEMORISED[i]), reverse=most)
        assert forget == sorted(order[:100])
        flat = torch.zeros(1000)
        assert memorised_splits(SOURCE, flat, 0.1, most).forget.tolist() == list(range(100))


def test_the_last_example_of_a_class_is_never_asked_for():
    """Class 0 is memorised more than all others, and is a tenth of train."""
    memorised = (TARGETS[0] == 0) + MEMORISED / 2
    splits = memorised_splits(SOURCE, memorised, 0.1)
    counts = TARGETS[0][splits.forget].bincount()
    assert (counts[0], counts.sum()) == (99, 100)
    spared = splits.retain[TARGETS[0][splits.retain] == 0]
    assert memorised[spared] == memorised[TARGETS[0] == 0].min()


@pytest.mark.parametrize("parts", [1, 2, 7, 30])
def test_dealing_is_even_in_all_and_in_each_class(parts):
    targets = torch.tensor([0] * 20 + [1] * 9 + [2])
    dealt = deal(targets, torch.arange(30), parts, torch.Generator().manual_seed(0))
    assert sorted(torch.cat(dealt).tolist()) == list(range(30))
    for mask in (torch.ones(30, dtype=torch.bool), targets == 0, targets == 1):
        sizes = [int(mask[part].sum()) for part in dealt]
        assert max(sizes) - min(sizes) <= 1


class TestDigests:
    """Digests of commit a702e93, before requests: caches and stored splits stay valid."""

    def test_of_targets(self):
        assert random_splits(SOURCE, 0.1).digest == "79ffebb954edb9d8"
        assert class_splits(SOURCE, [3, 7], seed=5).digest == "b535d595e7107f06"

    def test_of_the_toy_source(self, toy_source):
        assert random_splits(toy_source, 0.2).digest == "9329229fd8b37d3e"
        assert random_splits(toy_source, 0.1, seed=3).digest == "b0602a7e8e86dc85"
        assert class_splits(toy_source, [1]).digest == "23caf8b0c1796797"
        assert class_splits(toy_source, [0, 2], seed=5).digest == "3e577af14a75464e"

    def test_of_the_embedded_source(self, embedded):
        assert random_splits(embedded).digest == "c6d68ac95571e327"


class TestTable:
    @pytest.mark.parametrize("requests", [1, 3])
    @pytest.mark.parametrize("scenario", MAKERS)
    def test_round_trip(self, scenario, requests):
        splits = MAKERS[scenario](requests=requests)
        table = splits.to_table()
        assert table.column_names == ["split", "index", "request"]
        assert table.num_rows == 1500
        back = Splits.from_table(table)
        assert back.digest == splits.digest
        assert indices(back) == indices(splits)

    def test_of_earlier_versions_are_one_request(self):
        splits = random_splits(SOURCE)
        old = splits.to_table().drop_columns(["request"])
        assert indices(Splits.from_table(old)) == indices(splits)

    def test_what_is_no_split_is_refused(self):
        table = random_splits(SOURCE).to_table()
        with pytest.raises(ValueError, match="no rows of split 'test'"):
            Splits.from_table(table.slice(0, 1300))
        renamed = table.set_column(0, "split", [["train"] * 1500])
        with pytest.raises(ValueError, match="'train' is none of retain, forget"):
            Splits.from_table(renamed)


class TestSteps:
    def test_of_one_request_are_the_splits_themselves(self):
        splits = random_splits(SOURCE)
        (step,) = splits.steps()
        assert [part.digest for part in step] == [splits.digest] * 2

    @pytest.mark.parametrize("scenario", MAKERS)
    def test_retain_holds_what_later_requests_ask_for(self, scenario):
        splits = MAKERS[scenario](requests=3)
        steps = splits.steps()
        for number, (alone, so_far) in enumerate(steps):
            later = [i for part in splits.requests[number + 1 :] for i in part.tolist()]
            assert alone.retain.tolist() == sorted(splits.retain.tolist() + later)
            assert torch.equal(alone.forget, splits.requests[number])
            assert torch.equal(so_far.retain, alone.retain)
            assert parts(so_far, "retain", "forget") == list(range(1000))
            assert indices(alone)[2:5] == indices(so_far)[2:5] == indices(splits)[2:5]
        assert indices(steps[-1][1])[:2] == indices(splits)[:2]


class TestRefused:
    @pytest.mark.parametrize("fraction", [0.001, 0.999])
    def test_shares_that_leave_a_class_nothing(self, fraction):
        for make in (
            lambda: random_splits(SOURCE, fraction),
            lambda: subgroup_splits(SOURCE, [0], fraction),
        ):
            with pytest.raises(ValueError, match="train has 100 examples of class 0, too few"):
                make()

    @pytest.mark.parametrize("classes", [[], [10], [-1], [3, 3]])
    def test_classes(self, classes):
        for make in (class_splits, subgroup_splits):
            with pytest.raises(ValueError, match="name at least one"):
                make(SOURCE, classes)
        with pytest.raises(ValueError, match="leave one to be retained"):
            class_splits(SOURCE, range(10))

    @pytest.mark.parametrize(
        ("scenario", "most"), [("random", 200), ("class", 4), ("least_memorised", 200)]
    )
    def test_requests(self, scenario, most):
        assert len(MAKERS[scenario](requests=most).requests) == most
        for requests in (0, -1, most + 1):
            with pytest.raises(ValueError, match=f"requests = {requests}: must be 1..{most}"):
                MAKERS[scenario](requests=requests)

    def test_requests_that_are_not_all_of_forget(self):
        splits = random_splits(SOURCE)
        whole = [getattr(splits, name) for name in PARTS]
        first, second = splits.forget[:60], splits.forget[50:]
        for wrong in ((first,), (first, second), (splits.forget, splits.forget[:0])):
            with pytest.raises(ValueError, match="cut all of forget into parts"):
                Splits(*whole, requests=wrong)

    def test_memorisation_of_other_examples_or_none(self):
        for wrong in (MEMORISED[:999], MEMORISED.log().masked_fill(MEMORISED < 0.1, torch.nan)):
            with pytest.raises(ValueError, match=r"memorisation is .* need \(1000,\), all finite"):
                memorised_splits(SOURCE, wrong, 0.1)
