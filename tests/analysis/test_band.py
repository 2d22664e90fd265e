"""The band for one seed is that of `sgu.results`, and keeps its promise for the mean of several."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from analysis import null_bands, verdicts
from analysis.band import JUDGED
from sgu.results import null_band as judged_by_sgu
from sgu.results.schema import METRICS, TRIALS


def as_frame(*rows):
    return pa.Table.from_pylist(list(rows), schema=TRIALS).to_pandas()


def metrics(generator, reach=0.3):
    return {name: generator.uniform(0.5 - reach, 0.5 + reach) for name in JUDGED}


def ensemble(synthetic, generator, models=4):
    return [
        synthetic.trial(f"retrain-{n}", method="retrain", control=True, cell="digits", **values)
        for n, values in enumerate(metrics(generator, 0.05) for _ in range(models))
    ]


def test_the_metrics_are_those_of_the_audit():
    assert {name: kind for name, kind in judged_by_sgu.KINDS.items() if name in METRICS} == KINDS


@pytest.mark.parametrize("seed", range(4))
def test_one_seed_is_judged_as_the_audit_does(synthetic, seed):
    generator = np.random.default_rng(seed)
    retrained = ensemble(synthetic, generator)
    candidates = [synthetic.trial(f"{n}", **metrics(generator)) for n in range(40)]
    frame = as_frame(*retrained, *candidates)
    theirs = judged_by_sgu.bands(retrained)
    ours = null_bands(frame).set_index("metric")
    for name, band in theirs.items():
        found = ours.loc[name, ["mean", "sd", "low", "high", "models"]]
        assert tuple(found) == pytest.approx(
            (band.mean, band.sd, band.low, band.high, band.models), abs=1e-12
        )
    said = verdicts(frame).set_index("trial_id")
    for row in candidates:
        assert dict(said.loc[row["trial_id"], list(theirs)]) == judged_by_sgu.verdicts(row, theirs)
    assert len(set(said[list(JUDGED)].to_numpy().ravel())) == 5


def test_on_either_side_of_an_attack_s_band_the_accuracies_tell(synthetic):
    """Retrained models find forget hard: below their band is who still remembers, and who has
    forgotten more than they is above."""
    retrained = [
        synthetic.trial(f"retrain-{k}", method="retrain", cell="digits", forget_acc=0.2 + k / 100,
                        test_acc=0.6, mia_acc=0.7 + k / 100)
        for k in range(3)
    ]  # fmt: skip
    tried = {
        "half": (0.6, 0.5), "original": (1.0, 0.9), "wiped": (0.0, 0.9), "lost": (0.1, 0.5)
    }  # fmt: skip
    rows = [
        synthetic.trial(name, forget_acc=known, test_acc=0.6, mia_acc=found)
        for name, (known, found) in tried.items()
    ]
    said = verdicts(as_frame(*retrained, *rows), ["mia_acc"]).set_index("trial_id")["mia_acc"]
    assert dict(said[list(tried)]) == {
        "half": "under-forgotten", "original": "under-forgotten",
        "wiped": "over-forgotten", "lost": "over-forgotten",
    }  # fmt: skip


@pytest.mark.parametrize("phase", ["confirm", "scaling"])
def test_what_comes_after_the_search_moves_no_verdict(synthetic, phase):
    generator = np.random.default_rng(1)
    retrained = ensemble(synthetic, generator)
    found = [synthetic.trial(f"{n}", **metrics(generator)) for n in range(10)]
    later = [row | {"phase": phase, "seed": 7} for row in ensemble(synthetic, generator)]
    before, after = as_frame(*retrained, *found), as_frame(*retrained, *found, *later)
    pd.testing.assert_frame_equal(null_bands(before), null_bands(after))
    pd.testing.assert_frame_equal(verdicts(before), verdicts(after))


@pytest.mark.parametrize(("models", "seeds"), [(3, 1), (2, 3), (3, 5), (1, 6)])
def test_a_retrained_model_is_inside_as_often_as_promised(models, seeds):
    """Normal values; where a seed has one model, those of all seeds are one ensemble."""
    generator, inside, rounds = np.random.default_rng(5), 0, 1000
    shift = 0.0 if models == 1 else 0.02
    for _ in range(rounds):
        centres = 0.5 + shift * generator.normal(size=seeds)
        values = centres[:, None] + 0.01 * generator.normal(size=(seeds, models))
        known = {"seed": np.repeat(range(seeds), models), "val_acc": values.ravel()}
        band = band("val_acc", known["val_acc"], known["seed"], seeds)
        one_more = (centres + 0.01 * generator.normal(size=seeds)).mean()
        inside += band.low <= one_more <= band.high
    assert inside / rounds == pytest.approx(0.95, abs=0.02)


def test_more_seeds_are_judged_by_a_narrower_band(synthetic):
    rows = ensemble(synthetic, np.random.default_rng(0))
    frame = as_frame(*rows)
    one, four = (null_bands(frame, seeds).set_index("metric") for seeds in (1, 4))
    widths = [(band["high"] - band["low"])["wasserstein"] for band in (one, four)]
    assert widths[1] < widths[0]


def test_each_data_set_has_its_own_band(synthetic):
    rows = [
        synthetic.trial(f"retrain-{n}", method="retrain", dataset=d, cell=d, val_acc=a + n / 100)
        for d, a in (("x", 0.3), ("y", 0.7)) for n in range(3)
    ]  # fmt: skip
    rows += [synthetic.trial("c", dataset=d, cell=f"{d}/sg", val_acc=0.7) for d in "xy"]
    frame = as_frame(*rows)
    assert list(null_bands(frame)["mean"]) == pytest.approx([0.31, 0.71])
    said = verdicts(frame, ["val_acc"]).query("trial_id == 'c'")
    assert list(said["val_acc"]) == ["better", "inside"]


def test_too_few_retrained_models_say_so(synthetic):
    frame = as_frame(synthetic.trial("r", method="retrain", val_acc=0.5), synthetic.trial("a"))
    with pytest.raises(ValueError, match="2 or more retrained models of one data set"):
        null_bands(frame)
    assert verdicts(frame, ["val_acc"])["val_acc"].isna().all()


def test_a_metric_without_a_band_is_named(frame):
    with pytest.raises(ValueError, match=r"\['seconds'\] have no null band"):
        verdicts(frame, ["seconds"])


def test_sweeps_of_sizes_are_no_null(synthetic):
    rows = [synthetic.trial(f"retrain-{n}", method="retrain", val_acc=0.5 + n / 100, phase=phase)
            for n, phase in enumerate(("search", "search", "scaling"))]  # fmt: skip
    assert set(null_bands(as_frame(*rows))["models"]) == {2}
