"""References are trained once for each recipe, and kept as safetensors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from sgu.data.splits.splits import random_splits
from sgu.networks.references import recipe, reference
from sgu.task import Task

CPU = torch.device("cpu")


def short(task, kind="retrain", seed=0, epochs=1):
    return recipe(kind, "small_cnn", task, seed, epochs)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("original", "small_cnn-original-f2783d3787a03c08.safetensors"),
        ("retrain", "small_cnn-retrain-647f4821857f3b71.safetensors"),
    ],
)
def test_a_cache_filled_by_an_earlier_version_is_still_read(task, kind, name):
    """File names as version df6046b computed them."""
    assert short(task, kind).filename == name


def test_a_second_call_loads_the_same_bits(task, bits, same, tmp_path: Path):
    cache, epochs = tmp_path / "cache", []
    first = reference(short(task), task, cache, CPU, lambda epoch, _: epochs.append(epoch))
    second = reference(short(task), task, cache, CPU, lambda epoch, _: epochs.append(epoch))
    assert epochs == [0]
    assert same(bits(first.model), bits(second.model))
    assert first.seconds == second.seconds > 0
    (file,) = cache.iterdir()
    with safe_open(file, framework="pt") as stored:
        settings = json.loads(stored.metadata()["recipe"])
    assert settings["data_fingerprint"] == task.source.fingerprint


def test_what_changes_the_weights_changes_the_name(task, tmp_path: Path):
    other = Task.of(task.source, random_splits(task.source, 0.1, seed=1))
    recipes = [
        short(task),
        short(task, seed=1),
        short(task, epochs=2),
        short(task, kind="original"),
        short(other),
        recipe("retrain", "small_cnn", task, 0),
        replace(short(task), data_fingerprint="0" * 16),
    ]
    names = {recipe.filename for recipe in recipes}
    assert len(names) == len(recipes)
    reference(recipes[0], task, tmp_path, CPU)
    epochs: list[int] = []
    reference(recipes[1], task, tmp_path, CPU, lambda epoch, _: epochs.append(epoch))
    assert epochs == [0]


def test_only_retrain_depends_on_the_split(task):
    other = Task.of(task.source, random_splits(task.source, 0.2))
    assert short(task, "original").digest == short(other, "original").digest
    assert short(task).digest != short(other).digest


def test_an_unknown_model_names_the_known_ones(task):
    with pytest.raises(ValueError, match="small_cnn, resnet18"):
        recipe("original", "large_cnn", task, 0)
