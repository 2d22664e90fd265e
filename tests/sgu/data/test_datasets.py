"""Data of one's own: the network sees what the Dataset yields, whatever its type and shape."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset
from torchvision.transforms.functional import normalize, to_tensor

from sgu.data.datasets import examples_of
from sgu.data.splits.splits import random_splits
from sgu.files.errors import DataError
from sgu.task import Task

LABELS = [i % 2 for i in range(12)]


def seen(inputs, labels=LABELS, **stated) -> torch.Tensor:
    """What a network is given of a Dataset of these inputs."""
    pairs = list(zip(inputs, labels, strict=True))
    task = Task.of(pairs, pairs, forget=[0, 1], **stated)
    stored, _ = task.source.train.at(torch.arange(len(pairs)), "cpu")
    return task.pipeline.prepare(stored)


@pytest.mark.parametrize(
    "shape", [(1, 5, 9), (3, 4, 4), (7,), (2, 3, 4, 5)], ids=["grey", "colour", "row", "video"]
)
def test_floats_arrive_to_the_bit(shape):
    inputs = torch.randn(12, *shape)
    given = seen(inputs)
    assert torch.equal(given, inputs)
    assert given.is_contiguous()
    assert torch.equal(seen(inputs.double().numpy()), inputs)


def test_tokens_arrive_as_they_are():
    tokens = torch.randint(0, 50, (12, 9))
    for form in (tokens, tokens.int(), tokens.numpy()):
        assert torch.equal(seen(form), tokens)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_pictures_arrive_as_torchvision_hands_them_on(mode):
    rng = np.random.default_rng(0)
    pictures = [
        Image.fromarray(rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)).convert(mode)
        for _ in range(12)
    ]
    shown = [one if mode in ("RGB", "L") else one.convert("RGB") for one in pictures]
    wanted = torch.stack([to_tensor(one) for one in shown])
    assert torch.equal(seen(pictures), wanted)
    channels = wanted.shape[1]
    mean, std = [0.4, 0.5, 0.6][:channels], [0.2, 0.25, 0.3][:channels]
    given = seen(pictures, mean=mean, std=std)
    torch.testing.assert_close(given, normalize(wanted, mean, std), rtol=1e-6, atol=1e-6)


def test_tensors_a_dataset_and_a_list_are_one_task():
    inputs, labels = torch.randn(30, 1, 4, 4), torch.arange(30) % 2
    forms = [(inputs, labels), TensorDataset(inputs, labels)]
    forms += [[(x, y) for x, y in zip(inputs, labels.tolist(), strict=True)]]
    forms += [[(x.numpy(), np.int64(y)) for x, y in zip(inputs, labels, strict=True)]]
    forms += [(inputs.numpy(), labels.numpy()), [inputs, labels]]
    tasks = [Task.of(form, form, forget=[4, 1]) for form in forms]
    assert len({task.source.fingerprint for task in tasks}) == 1
    assert len({task.splits.digest for task in tasks}) == 1


def test_held_out_is_split_as_by_the_scenarios(toy_source):
    drawn = random_splits(toy_source, 0.2, seed=3)
    parts = [(part.inputs, part.targets) for part in (toy_source.train, toy_source.heldout)]
    mask = torch.isin(torch.arange(150), drawn.forget).numpy()
    listed = drawn.forget.tolist()
    for forget in (drawn.forget, listed, drawn.forget.flip(0).numpy(), mask, set(listed),
                   pd.Series(listed)):  # fmt: skip
        assert Task.of(*parts, forget=forget, seed=3).splits.digest == drawn.digest


@pytest.mark.parametrize(
    ("forget", "message"),
    [
        ([12], "index 12: must be 0..11"),
        ([-1], "index -1"),
        ([3, 3], "index 3 twice"),
        ([], "0 of train's 12"),
        (range(12), "12 of train's 12"),
        ([0.5], "need indices into train"),
        ([True, False], "need indices into train"),
        ("forget.csv", "forget is str; need indices into train"),
        (None, "forget is not given"),
        ([(torch.zeros(2), 1), (torch.zeros(3), 0)], "forget is a list; need indices"),
    ],
)
def test_indices_that_cannot_be_forgotten_are_named(forget, message):
    data = torch.randn(12, 3), torch.tensor(LABELS)
    with pytest.raises(ValueError, match=message):
        Task.of(data, data, forget=forget)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "train is empty"),
        (iter([(torch.zeros(2), 0)]), "need a map-style Dataset"),
        ([(torch.zeros(2), 0), (torch.zeros(3), 1)], r"example 1: .*\(3,\) among .*\(2,\)"),
        ([(torch.zeros(2), 0), torch.zeros(3)], "example 1 is no pair"),
        ([(torch.zeros(2), "cat")], "example 0 is no pair"),
        ([(torch.zeros(2), 0.5)], "example 0 is no pair"),
        ([{"image": torch.zeros(2), "label": 0}], "example 0 is no pair"),
        ([(torch.full((2,), torch.nan), 0)], "NaN or infinite"),
        ((torch.zeros(3, 2), torch.tensor([0, 1, -1])), "need whole numbers"),
        ((torch.zeros(3, 2), torch.tensor([0, 1, 10**9])), "label 1000000000"),
        ((torch.zeros(3, 2),), "is 1 tensors; need two"),
    ],
)
def test_data_that_cannot_be_used_are_named(data, message):
    with pytest.raises(DataError, match=message):
        examples_of("train", data)


def test_augmentation_in_a_dataset_is_said():
    class Flipping:
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return torch.randn(3), index % 2

    with pytest.warns(UserWarning, match="train yields another input each time"):
        examples_of("train", Flipping())


def test_data_larger_than_memory_say_what_to_do(monkeypatch):
    monkeypatch.setenv("SGU_MEMORY_LIMIT", "100")
    with pytest.raises(DataError, match=r"takes 160 bytes.*yield uint8"):
        examples_of("train", [(torch.zeros(10), 0)] * 4)


def test_parts_of_different_forms_are_refused():
    labels = torch.tensor([0, 1])
    with pytest.raises(DataError, match="give both the same transform"):
        Task.of((torch.zeros(2, 3), labels), (torch.zeros(2, 4), labels), forget=[0])


def test_held_out_inputs_that_are_in_train_are_counted():
    pictures, labels = torch.randint(0, 256, (12, 3, 4, 4)).byte(), torch.tensor(LABELS)
    others = pictures.roll(1, 1)  # channels in another order
    others[4:7] = pictures[:3]
    with pytest.warns(UserWarning, match="3 of 12 held-out inputs are in train, too"):
        task = Task.of((pictures, labels), (others, labels), forget=[0, 1])
    assert repr(task) == "Task(own data: 10 retain, 2 forget, 4 audit, 4 val, 4 test)"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Task.of((pictures, labels), (pictures.roll(1, 1), labels), forget=pd.Series([0, 1]))


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"mean": [0.5]}, "state both, or neither"),
        ({"mean": [124, 116, 104], "std": [58, 57, 57]}, "as of pixels in 0..1: divide it by 255"),
        ({"mean": 0.5, "std": 0}, "std = .*: must be > 0"),
        ({"mean": (0.5, 0.5), "std": 1}, "mean has 2 numbers"),
    ],
)
def test_a_preprocessing_that_no_pixels_have_is_refused(stated, message):
    data = torch.zeros(12, 3, 2, 2).byte(), torch.tensor(LABELS)
    with pytest.raises(ValueError, match=message):
        Task.of(data, data, forget=[0], **stated)


def test_a_mean_for_floats_is_refused():
    data = torch.randn(12, 1, 2, 2), torch.tensor(LABELS)
    with pytest.raises(ValueError, match="mean and std are for uint8"):
        Task.of(data, data, forget=[0], mean=[0.5])
