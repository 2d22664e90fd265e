"""Networks are functions of their recipes; halves come in pairs; processes train as a loop does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from sgu.data.splits.splits import class_splits, random_splits
from sgu.ensembles.designs import oracles, originals, seeds, shadows, unlearned, unlearning
from sgu.ensembles.processes import processes
from sgu.ensembles.train import ensemble
from sgu.evaluation import Logits, score_task
from sgu.experiment import Experiment
from sgu.metrics import metrics_of
from sgu.models import build
from sgu.networks import training as running
from sgu.networks.references import recipe, reference
from sgu.networks.training import examples_of
from sgu.task import Task
from sgu.training.loop import train
from sgu.unlearning import unlearn as run_experiment

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return Experiment.of(subset=400, pretrain_epochs=1, method="finetune", epochs=1)


def same(left: Logits, right: Logits) -> bool:
    return torch.equal(left.train, right.train) and torch.equal(left.heldout, right.heldout)


class TestCache:
    def test_a_hit_is_the_same_bits_and_no_training(self, experiment, task, tmp_path, monkeypatch):
        recipes = oracles(experiment, task, 2)
        first = ensemble(recipes, task, tmp_path, CPU)
        monkeypatch.setattr(running, "train", lambda *_: pytest.fail("trained"))
        second = ensemble(recipes[::-1], task, tmp_path, CPU)
        assert all(same(*pair) for pair in zip(first, second[::-1], strict=True))
        assert first[0].seconds == second[1].seconds > 0
        assert first[0].train.shape == (400, 10)
        assert first[0].heldout.shape == (200, 10)
        assert first[0].train.dtype == torch.float32

    def test_a_file_says_what_it_is_and_no_unfinished_one_is_left(
        self, experiment, task, tmp_path: Path
    ):
        (oracle,) = oracles(experiment, task, 1)
        ensemble([oracle], task, tmp_path, CPU)
        (file,) = tmp_path.iterdir()
        assert file.name == oracle.filename
        with safe_open(file, framework="pt") as stored:
            assert set(stored.keys()) == {"train", "heldout"}
            assert json.loads(stored.metadata()["recipe"]) == oracle.settings

    def test_what_changes_the_logits_changes_the_name(self, experiment, task):
        (oracle,) = oracles(experiment, task, 1)
        (gone,) = unlearned(experiment, task, 1)
        splits = replace(task.splits, audit=task.splits.audit[1:])
        other = Experiment.of(subset=400, method="finetune", epochs=2)
        recipes = [
            oracle,
            replace(oracle, seed=1),
            replace(oracle, indices=oracle.indices[1:]),
            replace(oracle, model="resnet18"),
            replace(oracle, data_fingerprint="0" * 16),
            replace(oracle, optimisation=replace(oracle.optimisation, epochs=2)),
            gone,
            replace(gone, unlearning=unlearning(other)),
            replace(gone, splits=splits),
            gone.training,
        ]
        assert len({recipe.filename for recipe in recipes}) == len(recipes)

    def test_what_does_not_change_them_does_not(self, experiment, task):
        (gone,) = unlearned(experiment, task, 1)
        again = replace(experiment, seed=5, alpha=3.0, pretrain_epochs=7)  # not read by finetune
        assert replace(gone, unlearning=unlearning(again)).filename == gone.filename
        games = [unlearning(Experiment(method="sg", alpha=alpha)) for alpha in (1.0, 3.0)]
        assert len({replace(gone, unlearning=game).filename for game in games}) == 2

    def test_recipes_of_another_task_are_refused(self, experiment, task, tmp_path):
        (oracle,) = oracles(experiment, task, 1)
        with pytest.raises(ValueError, match="make the recipes from this task"):
            ensemble([replace(oracle, data_fingerprint="0" * 16)], task, tmp_path, CPU)


class TestRunning:
    def test_an_oracle_is_what_references_train(self, experiment, task, tmp_path):
        """The same seed and examples give the same weights by either way."""
        (oracle,) = oracles(experiment, task, 1)
        (logits,) = ensemble([oracle], task, tmp_path, CPU)
        retrain = replace(recipe("retrain", "small_cnn", task, 0, 1), seed=oracle.seed)
        model = reference(retrain, task, tmp_path, CPU).model
        assert same(logits, Logits.of(model, task))
        assert metrics_of(logits.scored(task)) == pytest.approx(
            metrics_of(score_task(model, task)), abs=1e-6
        )

    def test_one_training_serves_all_that_start_from_it(
        self, experiment, task, tmp_path, monkeypatch
    ):
        """And the unlearned one is what `unlearn` makes of that network."""
        trained, count = train, []
        monkeypatch.setattr(running, "train", lambda *args: (count.append(1), trained(*args)))
        (start,), (gone,) = originals(experiment, task, 1), unlearned(experiment, task, 1)
        before, after = ensemble([start, gone], task, tmp_path, CPU)
        assert len(count) == 1
        model = build("small_cnn", task.source.shape, start.seed)
        examples, indices = task.source.train, start.indices
        trained(model, examples, indices, task.pipeline, start.optimisation, start.seed)
        assert same(before, Logits.of(model, task))
        outcome = run_experiment(replace(experiment, seed=start.seed), task, model)
        assert same(after, Logits.of(outcome.model, task))
        assert after.seconds > before.seconds

    @pytest.mark.long
    def test_a_pool_of_processes_gives_what_a_loop_gives(self, experiment, task, tmp_path):
        recipes = shadows(experiment, task, 2).recipes[:2]
        loop = ensemble(recipes, task, tmp_path / "loop", CPU)
        pooled = ensemble(recipes, task, tmp_path / "pool", CPU, processes(1))
        assert all(same(*pair) for pair in zip(loop, pooled, strict=True))


class TestDesign:
    def test_no_oracle_has_the_experiment_s_seed(self, experiment, task):
        drawn = [oracle.seed for oracle in oracles(experiment, task, 50)]
        assert len(set(drawn)) == 50
        assert min(drawn) >= 2**30 > experiment.seed
        assert oracles(experiment, task, 50)[:3][2].filename == (
            oracles(experiment, task, 3)[2].filename
        )
        assert max(seeds("oracle", 7, 9)) < 2**31
        with pytest.raises(ValueError, match="must be 0"):
            seeds("oracle", 2**30, 1)

    def test_each_example_is_inside_for_half_of_the_networks(self, experiment, task):
        design, size = shadows(experiment, task, 3), len(task.splits.forget)
        assert design.inside.shape == (6, 2 * size)
        assert (design.inside.sum(0) == 3).all()
        assert (design.inside.sum(1) == size).all()  # a network is trained on as many as original
        assert np.array_equal(design.inside[0::2], ~design.inside[1::2])
        assert torch.isin(design.test, task.splits.test).all()
        assert torch.equal(design.forget, task.splits.forget)

    @pytest.mark.parametrize("classes", [(1,), (3, 7)])
    def test_test_examples_are_of_the_classes_that_are_forgotten(self, experiment, task, classes):
        """And forget is thinned to as many."""
        theirs = Task.of(task.source, class_splits(task.source, classes))
        design, targets = shadows(experiment, theirs, 2), task.source.heldout.targets
        known = torch.isin(targets[theirs.splits.test], torch.tensor(classes))
        assert torch.equal(design.test, theirs.splits.test[known])
        assert len(design.forget) == len(design.test)
        assert torch.isin(design.forget, theirs.splits.forget).all()

    def test_indices_are_what_inside_says(self, experiment, task):
        design = shadows(experiment, task, 2)
        pool = torch.cat([design.forget, 400 + design.test])
        for shadow, inside in zip(design.recipes, design.inside, strict=True):
            expected = torch.cat([task.splits.retain, pool[torch.from_numpy(inside)]])
            assert torch.equal(shadow.indices, expected.sort().values)
        assert len({shadow.seed for shadow in design.recipes}) == 4

    def test_a_shadow_unlearns_its_half(self, experiment, task):
        two = Task.of(task.source, random_splits(task.source, 0.1, requests=2))
        design = shadows(experiment, two, 2)
        for shadow in design.unlearned(experiment, two):
            assert torch.equal(shadow.splits.retain, two.splits.retain)
            assert len(shadow.splits.forget) == len(two.splits.forget)
            assert len(shadow.splits.requests) == 2

    def test_indices_beyond_train_point_at_held_out_examples(self, task):
        source = task.source
        both = examples_of(source, torch.tensor([0, 599]))
        assert torch.equal(both.inputs[:400], source.train.inputs)
        assert torch.equal(both.targets[400:], source.heldout.targets)
        assert examples_of(source, torch.tensor([399])) is source.train

    def test_a_set_on_disk_says_so(self, task):
        mapped = replace(task.source, train=replace(task.source.train, file=Path("inputs.npy")))
        with pytest.raises(ValueError, match="choose a subset"):
            examples_of(mapped, torch.tensor([400]))

    def test_what_is_trained_on_is_known_better(self, experiment, task, tmp_path):
        """Six epochs: the loss on the half inside is lower, held-out images among it."""
        design = shadows(replace(experiment, pretrain_epochs=6), task, 2)
        (logits,) = ensemble(design.recipes[:1], task, tmp_path, CPU)
        targets = task.source.heldout.targets[design.test]
        losses = torch.nn.functional.cross_entropy(
            logits.heldout[design.test], targets, reduction="none"
        ).numpy()
        inside = design.inside[0, len(design.forget) :]
        assert losses[inside].mean() < losses[~inside].mean()

    def test_a_shadow_that_unlearns_held_out_images_runs(self, task, tmp_path):
        game = Experiment.of(subset=400, pretrain_epochs=1, method="sg", epochs=1)
        design = shadows(game, task, 2)
        recipes = [design.recipes[0], design.unlearned(game, task)[0]]
        before, after = ensemble(recipes, task, tmp_path, CPU)
        assert not torch.equal(before.heldout, after.heldout)
