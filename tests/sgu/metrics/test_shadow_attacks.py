"""Scores against the definitions in the papers, written out, and against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from sgu.metrics.rates import auc
from sgu.metrics.shadow import (
    SHADOW_ATTACKS,
    Evidence,
    judged,
    lira,
    margins,
    rmia,
    shadow_report,
    u_lira,
)
from sgu.metrics.shadow.klom import PRIOR, divergence
from sgu.metrics.shadow.lira import FEW
from sgu.metrics.shadow.rmia import correction, likelihood_ratio


def drawn(
    pairs: int = 4, pool: int = 60, others: int = 30, lift: float = 2.0, seed: int = 0
) -> Evidence:
    """Return margins N(centre of the example, 1), plus `lift` if a network was trained on it."""
    rng = np.random.default_rng(seed)
    halves = [rng.permutation(np.arange(pool) % 2 == 0) for _ in range(pairs)]
    inside = np.stack([side for half in halves for side in (half, ~half)])
    centre, members = rng.normal(0, 2, pool), np.arange(pool) < pool // 2
    return Evidence(
        target=centre + lift * members + rng.normal(size=pool),
        population=rng.normal(0, 2, others),
        shadows=centre + lift * inside + rng.normal(size=inside.shape),
        shadow_population=rng.normal(0, 2, (2 * pairs, others)),
        inside=inside,
        outside=~inside,
        members=members,
    )


def test_a_margin_is_the_log_odds_of_the_target():
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(0, 3, (50, 4)), rng.integers(4, size=50)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    p_target = p[np.arange(50), targets]
    np.testing.assert_allclose(margins(logits, targets), np.log(p_target / (1 - p_target)))
    assert margins(np.array([[900.0, 0.0]]), np.array([0]))[0] == 900


def test_lira_is_the_distance_in_deviations_and_orders_as_the_one_sided_test():
    evidence = drawn()
    out = [evidence.shadows[~evidence.inside[:, k], k] for k in range(60)]
    pooled = math.sqrt(np.mean([np.var(values, ddof=1) for values in out]))
    expected = [(evidence.target[k] - out[k].mean()) / pooled for k in range(60)]
    np.testing.assert_allclose(lira(evidence), expected)
    probability = [norm.cdf(evidence.target[k], out[k].mean(), pooled) for k in range(60)]
    assert np.array_equal(np.argsort(lira(evidence)), np.argsort(probability))


def test_with_many_models_each_example_has_its_own_variance():
    evidence = drawn(pairs=FEW, pool=10)
    out = [evidence.shadows[~evidence.inside[:, k], k] for k in range(10)]
    expected = [(evidence.target[k] - out[k].mean()) / out[k].std(ddof=1) for k in range(10)]
    np.testing.assert_allclose(lira(evidence), expected)


def test_u_lira_is_the_log_ratio_of_two_normals():
    evidence = drawn()
    sides = [
        [evidence.shadows[chosen[:, k], k] for k in range(60)]
        for chosen in (evidence.inside, ~evidence.inside)
    ]
    deviations = [math.sqrt(np.mean([np.var(v, ddof=1) for v in side])) for side in sides]
    expected = [
        norm.logpdf(evidence.target[k], sides[0][k].mean(), deviations[0])
        - norm.logpdf(evidence.target[k], sides[1][k].mean(), deviations[1])
        for k in range(60)
    ]
    np.testing.assert_allclose(u_lira(evidence), expected)


@pytest.mark.parametrize(("a", "gamma"), [(0.3, 1.0), (1.0, 1.0), (0.0, 2.0)])
def test_rmia_is_its_definition_pair_by_pair(a: float, gamma: float):
    evidence = drawn()
    expected = []
    for k in range(60):
        out = [expit(evidence.shadows[m, k]) for m in range(8) if not evidence.inside[m, k]]
        usual = ((1 + a) * sum(out) / len(out) + (1 - a)) / 2
        ratio, hits = expit(evidence.target[k]) / usual, 0
        for z in range(30):
            of_z = expit(evidence.population[z]) / np.mean(expit(evidence.shadow_population[:, z]))
            hits += ratio / of_z >= gamma
        expected.append(hits / 30)
    np.testing.assert_allclose(rmia(evidence, a=a, gamma=gamma), expected)


def test_informia_has_the_area_of_the_likelihood_ratio():
    """log ratio(x) + KL of the population's probabilities, by its definition; RMIA has that area,
    too, once the population is dense."""
    evidence = drawn(others=30)
    ratio = likelihood_ratio(evidence)
    usual = expit(evidence.shadow_population).mean(0)
    usual, given = (
        usual / usual.sum(),
        expit(evidence.population) / expit(evidence.population).sum(),
    )
    informia = np.log2(ratio) + (usual * np.log2(usual / given)).sum()
    area = roc_auc_score(evidence.members, informia)
    assert auc(ratio, evidence.members) == pytest.approx(area)
    assert auc(rmia(evidence), evidence.members) != pytest.approx(area)  # ties
    dense = drawn(others=20_000)
    assert auc(rmia(dense), dense.members) == pytest.approx(
        auc(likelihood_ratio(dense), dense.members), abs=1e-3
    )


def test_the_correction_is_the_least_squares_fit():
    rng = np.random.default_rng(0)
    p_out = rng.uniform(size=100)
    assert correction(0.4 * p_out + 0.6, p_out) == pytest.approx(0.4)
    noisy = np.clip(0.4 * p_out + 0.6 + rng.normal(0, 0.1, 100), 0, 1)
    grid = np.linspace(0, 1, 1001)
    errors = [((noisy - a * p_out - 1 + a) ** 2).sum() for a in grid]
    assert correction(noisy, p_out) == pytest.approx(grid[np.argmin(errors)], abs=1e-3)
    assert correction(p_out - 0.1, p_out) == 1  # lower for trained examples: no correction


@pytest.mark.parametrize("name", SHADOW_ATTACKS)
def test_an_attack_finds_what_is_there_and_nothing_else(name: str):
    record = shadow_report(name, drawn(pool=400, others=100))
    assert record.auc.low > 0.6
    assert record.acc > 0.6
    assert (record.members, record.heldout) == (200, 200)
    assert record.tpr_at_1 is None
    assert "needs 400" in record.suppressed["tpr_at_1"]
    evidence = drawn(pool=400, others=100)
    nothing = Evidence(**{**vars(evidence), "target": drawn(pool=400, lift=0, seed=0).target})
    assert 0.5 in shadow_report(name, nothing).auc


def test_intervals_hold_the_truth_as_often_as_they_say():
    """AUC of normals 1 apart is Phi(1 / sqrt 2); no widening is needed."""
    rng, truth = np.random.default_rng(0), norm.cdf(1 / math.sqrt(2))
    members, hits = np.arange(160) < 80, 0
    for _ in range(100):
        scores = rng.normal(size=160) + members
        hits += truth in judged(scores, members).auc()
    assert 88 <= hits <= 100


def test_low_rates_are_there_when_there_are_enough():
    record = shadow_report("lira", drawn(pool=800, lift=5.0))
    assert record.tpr_at_1.value > 0.5
    assert "tpr_at_1" not in record.suppressed
    assert record.tpr_at_01 is None


def test_one_network_on_a_side_is_too_few():
    evidence = drawn()
    with pytest.raises(ValueError, match="need >= 2"):
        Evidence(
            **{
                **vars(evidence),
                "shadows": evidence.shadows[:2],
                "inside": evidence.inside[:2],
                "outside": evidence.outside[:2],
            }
        )


class TestKlom:
    def test_it_is_the_divergence_of_two_normals(self):
        """The oracle is torch's divergence; variances are shrunk towards the split's mean."""
        rng = np.random.default_rng(0)
        retrained, unlearned = rng.normal(0, 1, (5, 40)), rng.normal(1, 2, (3, 40))
        sides = []
        for side in (unlearned, retrained):
            variance, nu = side.var(0, ddof=1), len(side) - 1
            variance = (nu * variance + PRIOR * variance.mean()) / (nu + PRIOR)
            mean, deviation = torch.from_numpy(side.mean(0)), torch.from_numpy(np.sqrt(variance))
            sides.append(torch.distributions.Normal(mean, deviation))
        expected = torch.distributions.kl_divergence(*sides).numpy()
        np.testing.assert_allclose(divergence(retrained, unlearned), expected)

    def test_with_many_models_it_is_the_truth(self):
        """Unlearned from retrained: KL(N(1, 4) || N(0, 1)) = log(1/2) + (4 + 1) / 2 - 1/2."""
        rng = np.random.default_rng(0)
        values = divergence(rng.normal(0, 1, (4000, 30)), rng.normal(1, 2, (4000, 30)))
        assert values.mean() == pytest.approx(2 - math.log(2), abs=0.03)

    def test_equal_ensembles_are_nought_apart(self):
        side = np.random.default_rng(0).normal(size=(4, 10))
        np.testing.assert_allclose(divergence(side, side), 0, atol=1e-12)

    def test_one_model_has_no_distribution(self):
        with pytest.raises(ValueError, match="train more"):
            divergence(np.zeros((1, 5)), np.zeros((3, 5)))
