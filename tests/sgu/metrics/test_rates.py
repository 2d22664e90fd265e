"""Areas and rates against scikit-learn and brute force over pairs and thresholds; intervals."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.stats import beta, binom
from sklearn.metrics import f1_score, roc_auc_score, roc_curve

from sgu.metrics.intervals import RESAMPLES, Estimate, at_least_binomial, bootstrap, resampled
from sgu.metrics.rates import auc, aucs, f1, too_few, tpr_at, tprs_at


def sample(seed: int, size: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return scores with ties, members, folds and counts of draws."""
    rng = np.random.default_rng(seed)
    members = rng.random(size) < 0.4
    scores = np.round(rng.normal(0.7 * members, 1), 1)
    return scores, members, rng.integers(3, size=size), rng.integers(4, size=size).astype(float)


def pairs(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, int]:
    wins = sum((a > b) + (a == b) / 2 for a in ours for b in theirs)
    return float(wins), len(ours) * len(theirs)


@pytest.mark.parametrize("seed", range(5))
class TestAgainstBruteForce:
    def test_auc(self, seed):
        scores, members, _, _ = sample(seed)
        wins, of = pairs(scores[members], scores[~members])
        assert auc(scores, members) == pytest.approx(wins / of)
        assert auc(scores, members) == pytest.approx(roc_auc_score(members, scores))

    def test_auc_within_folds_of_drawn_examples(self, seed):
        scores, members, folds, counts = sample(seed)
        counted = []
        for fold in range(3):
            ours, theirs = (
                np.repeat(scores[side], counts[side].astype(int))
                for side in (members & (folds == fold), ~members & (folds == fold))
            )
            counted.append(pairs(ours, theirs))
        wins, of = np.sum(counted, axis=0)
        assert aucs(counts[None], scores, members, folds)[0] == pytest.approx(wins / of)

    @pytest.mark.parametrize("fpr", [0.0, 0.05, 0.2, 1.0])
    def test_tpr_at_every_threshold(self, seed, fpr):
        scores, members, _, counts = sample(seed)
        allowed = [np.inf, *(t for t in scores if (scores[~members] >= t).mean() <= fpr)]
        best = max((scores[members] >= t).mean() for t in allowed)
        assert tpr_at(fpr, scores, members) == pytest.approx(best)
        at, rate, _ = roc_curve(members, scores, drop_intermediate=False)
        assert tpr_at(fpr, scores, members) == pytest.approx(rate[at <= fpr].max())
        times = counts.astype(int)
        again = tpr_at(fpr, np.repeat(scores, times), np.repeat(members, times))
        assert tprs_at(counts[None], fpr, scores, members)[0] == pytest.approx(again)

    def test_f1(self, seed):
        scores, members, _, _ = sample(seed)
        assert f1(scores > 0, members) == pytest.approx(f1_score(members, scores > 0))


def test_f1_of_nothing_called_is_nothing():
    assert f1(np.zeros(3, bool), np.ones(3, bool)) == 0
    assert f1(np.zeros(3, bool), np.zeros(3, bool)) == 0


@pytest.mark.parametrize(("fpr", "need"), [(0.01, 400), (0.001, 4000)])
def test_a_rate_needs_four_false_positives(fpr, need):
    assert too_few(fpr, need) is None
    assert f"{need - 1} non-members" in too_few(fpr, need - 1)
    assert str(need) in too_few(fpr, need - 1)


class TestIntervals:
    def test_resampling_keeps_each_stratum_s_size_and_favours_none(self):
        strata = np.repeat([0, 5, 2], [3, 40, 10])
        counts = resampled(strata, 4000, np.random.default_rng(0))
        for stratum in (0, 2, 5):
            assert (counts[:, strata == stratum].sum(1) == (strata == stratum).sum()).all()
        assert abs(counts.mean(0) - 1).max() < 5 * counts.std(0).max() / 4000**0.5

    def test_a_share_has_the_interval_of_the_binomial(self):
        """Resampling 37 of 100 successes draws Binomial(100, .37) / 100."""
        hits = np.repeat([1.0, 0.0], [37, 63])
        estimate = bootstrap(lambda counts: counts @ hits / 100, np.zeros(100, int))
        assert estimate.value == 0.37
        assert (estimate.low, estimate.high) == pytest.approx(
            tuple(binom(100, 0.37).ppf([0.025, 0.975]) / 100), abs=0.015
        )
        wide = bootstrap(lambda counts: counts @ hits / 100, np.zeros(100, int), widen=1.5)
        assert wide.high - wide.value == pytest.approx(1.5 * (estimate.high - estimate.value))
        assert wide.value - wide.low == pytest.approx(1.5 * (estimate.value - estimate.low))

    def test_none_of_twenty_is_not_certainly_none(self):
        estimate = at_least_binomial(Estimate(0.0, 0.0, 0.0), 20)
        assert estimate.low == 0
        assert estimate.high == pytest.approx(beta.ppf(0.975, 1, 20))

    def test_an_area_of_one_stays_within_bounds(self):
        scores, members = np.arange(40.0), np.arange(40) >= 20
        estimate = bootstrap(
            lambda counts: aucs(counts, scores, members, np.zeros(40, int)), members, widen=1.5
        )
        assert (estimate.value, estimate.low, estimate.high) == (1, 1, 1)
        assert 0.99 not in estimate

    def test_parts_of_the_resamples_change_no_size(self, monkeypatch):
        monkeypatch.setattr("sgu.metrics.intervals.CELLS", 700)
        sizes = []

        def statistic(counts):
            sizes.append(len(counts))
            return counts[:, 0] * 0

        bootstrap(statistic, np.zeros(100, int))
        assert sum(sizes[1:]) == RESAMPLES
        assert max(sizes) == 7

    def test_a_thousand_resamples_are_quick(self):
        """Well under .3 s of this process for 400 + 400; measured .04 s."""
        rng = np.random.default_rng(0)
        scores, members = rng.normal(size=800), np.repeat([True, False], 400)
        strata = np.zeros(800, int)
        begin = time.process_time()
        bootstrap(lambda counts: aucs(counts, scores, members, strata), strata + members)
        assert time.process_time() - begin < 0.3
