"""The attacks on real networks: the original must fail them, a retrained one must pass."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from sgu.data.sources import Examples, make_source
from sgu.data.splits.splits import class_splits
from sgu.ensembles.designs import Shadows, oracles, originals, shadows, unlearned
from sgu.ensembles.evidence import evidence, klom, memorised
from sgu.ensembles.train import ensemble
from sgu.evaluation import Logits
from sgu.experiment import Experiment
from sgu.metrics.shadow import SHADOW_ATTACKS, judged, shadow_report
from sgu.task import Task

pytestmark = pytest.mark.long
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return Experiment.of(pretrain_epochs=16, method="finetune", epochs=1, lr=1e-4)


@pytest.fixture(scope="module")
def task(memorable) -> Task:
    """60 of 300 images are forgotten."""
    return memorable(300, 600)


@pytest.fixture(scope="module")
def design(experiment: Experiment, task: Task) -> Shadows:
    return shadows(experiment, task, 2)


@pytest.fixture(scope="module")
def answers(
    experiment: Experiment, task: Task, design: Shadows, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, list[Logits]]:
    """Four shadow models, as trained and as unlearned, four retrained models and two networks of
    each other kind."""
    groups = {
        "shadows": design.recipes,
        "u_shadows": design.unlearned(experiment, task),
        "oracles": oracles(experiment, task, 4),
        "originals": originals(experiment, task, 2),
        "unlearned": unlearned(experiment, task, 2),
    }
    recipes = [recipe for group in groups.values() for recipe in group]
    logits = iter(ensemble(recipes, task, tmp_path_factory.mktemp("cache"), CPU))
    return {name: [next(logits) for _ in group] for name, group in groups.items()}


@pytest.mark.parametrize(
    ("attack", "by"), [("rmia", "shadows"), ("lira", "shadows"), ("u_lira", "u_shadows")]
)
def test_the_original_fails_and_a_retrained_model_passes(attack, by, answers, design, task):
    def auc(model: Logits):
        return shadow_report(attack, evidence(model, answers[by], design, task)).auc

    assert auc(answers["originals"][0]).low > 0.6
    assert 0.5 in auc(answers["oracles"][0])


def noise(count: int, generator: torch.Generator) -> Examples:
    """Three classes of 8x8, each brighter than the one before; no two images are alike."""
    targets = torch.arange(count) % 3
    images = torch.randint(0, 150, (count, 1, 8, 8), generator=generator)
    return Examples((images + 25 * targets[:, None, None, None]).to(torch.uint8), targets)


def test_where_a_class_is_forgotten_they_tell_members_and_not_the_class(tmp_path: Path):
    """A retrained model knows that class as little in train as in test; against the test examples
    of all classes its area was 0.17, as far from .5 as an original is."""
    generator = torch.Generator().manual_seed(0)
    source = make_source("noise", *(noise(count, generator) for count in (300, 900)))
    task, short = Task.of(source, class_splits(source, (1,))), Experiment(pretrain_epochs=12)
    design = shadows(short, task, 2)
    recipes = [*design.recipes, *oracles(short, task, 1), *originals(short, task, 1)]
    *trained, oracle, original = ensemble(recipes, task, tmp_path, CPU)
    for attack in ("rmia", "lira"):
        retrained, known = (
            shadow_report(attack, evidence(model, trained, design, task)).auc
            for model in (oracle, original)
        )
        assert 0.5 in retrained
        assert known.low > 0.5


def test_memorisation_is_what_the_halves_differ_by(answers, design, task):
    """Example by example, from the softmax."""
    targets = task.source.train.targets[design.forget]
    expected = []
    for k, (index, target) in enumerate(zip(design.forget, targets, strict=True)):
        p = [float(m.train[index].double().softmax(0)[target]) for m in answers["shadows"]]
        within = [p[m] for m in range(4) if design.inside[m, k]]
        without = [p[m] for m in range(4) if not design.inside[m, k]]
        expected.append(sum(within) / 2 - sum(without) / 2)
    np.testing.assert_allclose(memorised(answers["shadows"], design, task), expected, atol=1e-12)


def test_klom_tells_originals_from_retrained_models_on_forget(answers, task):
    """A method that does next to nothing is as far away as the originals are."""
    retrained = answers["oracles"][:2]
    before, after = (klom(answers[kind], retrained, task) for kind in ("originals", "unlearned"))
    for distance in (before, after):
        assert distance.forget.mean > 3 * distance.test.mean
        assert distance.forget.mean > 3 * distance.nothing.mean
        assert (distance.retrained, distance.unlearned) == (2, 2)
    assert before.forget.mean == pytest.approx(after.forget.mean, rel=0.2)


def test_retrained_models_pass_klom(answers, task):
    """`nothing` is what chance leaves between two ensembles of one distribution."""
    distance = klom(answers["oracles"][:2], answers["oracles"][2:], task)
    assert distance.nothing.mean / 2 < distance.forget.mean < 2 * distance.nothing.mean


@pytest.mark.parametrize("name", SHADOW_ATTACKS)
def test_members_by_lot_are_not_told_apart(name, answers, design, task):
    """The original, which fails the attack with true members, passes it with random ones."""
    by = answers["u_shadows" if name == "u_lira" else "shadows"]
    known = evidence(answers["originals"][0], by, design, task)
    lot = np.random.default_rng(0).permutation(known.members)
    assert 0.5 in judged(SHADOW_ATTACKS[name](known), lot).auc()


def test_as_many_shadow_models_as_the_design_has(answers, design, task):
    with pytest.raises(ValueError, match="3 shadow models; the design has 4"):
        evidence(answers["originals"][0], answers["shadows"][:3], design, task)
