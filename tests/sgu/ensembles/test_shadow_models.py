"""The attacks on real networks: the original must fail them, a retrained one must pass."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from sgu.data.sources import Examples, make_source
from sgu.data.splits.splits import class_splits
from sgu.ensembles import Shadows, ensemble, oracles, originals, shadows, unlearned
from sgu.ensembles.evidence import evidence, klom, memorised, shadow_metrics
from sgu.evaluation import Logits
from sgu.experiment import Experiment
from sgu.metrics.shadow import Klom, lira, rmia, shadow_report
from sgu.task import Task

pytestmark = pytest.mark.slow
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return Experiment.of(
        subset=600, forget_fraction=0.2, pretrain_epochs=16, method="finetune", epochs=1, lr=1e-4
    )


@pytest.fixture(scope="module")
def task(experiment: Experiment) -> Task:
    return experiment.task()


@pytest.fixture(scope="module")
def design(experiment: Experiment, task: Task) -> Shadows:
    return shadows(experiment, task, 2)


@pytest.fixture(scope="module")
def found(
    experiment: Experiment, task: Task, design: Shadows, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, list[Logits]]:
    """Four shadow models and two networks of each other kind."""
    asked = {
        "shadows": design.members,
        "u_shadows": design.unlearned(experiment, task),
        "oracles": oracles(experiment, task, 2),
        "originals": originals(experiment, task, 2),
        "unlearned": unlearned(experiment, task, 2),
    }
    members = [member for group in asked.values() for member in group]
    logits = iter(ensemble(members, task, tmp_path_factory.mktemp("cache"), CPU))
    return {name: [next(logits) for _ in group] for name, group in asked.items()}


@pytest.mark.parametrize(
    ("attack", "by"), [("rmia", "shadows"), ("lira", "shadows"), ("u_lira", "u_shadows")]
)
def test_the_original_fails_and_a_retrained_model_passes(attack, by, found, design, task):
    def auc(model: Logits):
        return shadow_report(attack, evidence(model, found[by], design, task)).auc

    assert auc(found["originals"][0]).low > 0.6
    assert 0.5 in auc(found["oracles"][0])


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
    task, asked = Task.of(source, class_splits(source, (1,))), Experiment(pretrain_epochs=12)
    design = shadows(asked, task, 2)
    members = [*design.members, *oracles(asked, task, 1), *originals(asked, task, 1)]
    *trained, oracle, original = ensemble(members, task, tmp_path, CPU)
    for attack in ("rmia", "lira"):
        retrained, known = (
            shadow_report(attack, evidence(model, trained, design, task)).auc
            for model in (oracle, original)
        )
        assert 0.5 in retrained
        assert known.low > 0.5


def test_a_trial_s_metrics_are_scikit_learn_s_areas(found, design, task):
    """Forget against as many of test, as members and non-members."""
    for model in (found["originals"][0], found["oracles"][0]):
        seen = evidence(model, found["shadows"], design, task)
        expected = {
            "rmia_auc": roc_auc_score(seen.members, rmia(seen)),
            "lira_auc": roc_auc_score(seen.members, lira(seen)),
        }
        metrics = shadow_metrics(model, found["shadows"], design, task)
        assert metrics == pytest.approx(expected, abs=1e-12)


def test_memorisation_is_what_the_halves_differ_by(found, design, task):
    """Example by example, from the softmax."""
    targets = task.source.train.targets[design.forget]
    expected = []
    for k, (row, target) in enumerate(zip(design.forget, targets, strict=True)):
        p = [float(each.train[row].double().softmax(0)[target]) for each in found["shadows"]]
        within = [p[m] for m in range(4) if design.inside[m, k]]
        without = [p[m] for m in range(4) if not design.inside[m, k]]
        expected.append(sum(within) / 2 - sum(without) / 2)
    np.testing.assert_allclose(memorised(found["shadows"], design, task), expected, atol=1e-12)


def test_klom_tells_originals_from_retrained_models_on_forget(found, task):
    """A method that does next to nothing is as far away as the originals are."""
    far: list[Klom] = [klom(found[k], found["oracles"], task) for k in ("originals", "unlearned")]
    for each in far:
        assert each.forget.mean > 3 * each.test.mean
        assert each.forget.mean > 3 * each.nothing.mean
        assert (each.retrained, each.unlearned) == (2, 2)
    assert far[0].forget.mean == pytest.approx(far[1].forget.mean, rel=0.2)


def test_as_many_shadow_models_as_the_design_has(found, design, task):
    with pytest.raises(ValueError, match="3 shadow models; the design has 4"):
        evidence(found["originals"][0], found["shadows"][:3], design, task)
