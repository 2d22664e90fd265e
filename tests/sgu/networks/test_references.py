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


def made(task, kind="retrain", seed=0, epochs=1):
    return recipe(kind, "small_cnn", task, seed, epochs)


def test_a_second_call_loads_the_same_bits(task, bits, same, tmp_path: Path):
    cache, epochs = tmp_path / "cache", []
    first = reference(made(task), task, cache, CPU, lambda epoch, _: epochs.append(epoch))
    second = reference(made(task), task, cache, CPU, lambda epoch, _: epochs.append(epoch))
    assert (first.cached, second.cached, epochs) == (False, True, [0])
    assert same(bits(first.model), bits(second.model))
    assert first.seconds == second.seconds > 0
    (file,) = cache.iterdir()
    with safe_open(file, framework="pt") as stored:
        assert json.loads(stored.metadata()["recipe"])["data_fingerprint"] == (
            task.source.fingerprint
        )


def test_what_changes_the_weights_changes_the_name(task, tmp_path: Path):
    other = Task.of(task.source, random_splits(task.source, 0.1, seed=1))
    recipes = [
        made(task),
        made(task, seed=1),
        made(task, epochs=2),
        made(task, kind="original"),
        made(other),
        recipe("retrain", "small_cnn", task, 0),
        replace(made(task), data_fingerprint="0" * 16),
    ]
    names = {recipe.filename for recipe in recipes}
    assert len(names) == len(recipes)
    reference(recipes[0], task, tmp_path, CPU)
    assert not reference(recipes[1], task, tmp_path, CPU).cached


def test_only_retrain_depends_on_the_split(task):
    other = Task.of(task.source, random_splits(task.source, 0.2))
    assert made(task, "original").digest == made(other, "original").digest
    assert made(task).digest != made(other).digest


def test_a_digest_is_a_pure_function(task):
    assert made(task).digest == made(Task.load("embedded", subset=400)).digest


def test_an_unknown_model_names_the_known_ones(task):
    with pytest.raises(ValueError, match="small_cnn, resnet18"):
        recipe("original", "large_cnn", task, 0)
