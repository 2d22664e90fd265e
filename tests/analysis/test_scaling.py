"""Laws that are known are found; intervals of the exponent cover; speed-up by hand."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from analysis import against_retraining, power_laws, speed_up
from analysis.scaling import SIZES, sweeps
from tune.spec.sweeps import SWEEPS

START = datetime(2026, 1, 1, tzinfo=UTC)
EXAMPLES = (500, 1000, 2000, 4000)


def swept(synthetic, generator, noise=0.0, seeds=2):
    """seconds = .002 n^1.1 by sg, .02 n^1.1 by retraining; the error falls as n^-.3."""
    return [
        synthetic.trial(
            method, dataset=f"subset-{size}", method=method, seed=seed, phase="scaling",
            train_examples=size, classes=10, audit_examples=800, forget_fraction=0.1, workers=2,
            seconds=factor * size**1.1 * np.exp(noise * generator.normal()),
            val_error=3 * size**-0.3,
        )
        for method, factor in (("sg", 0.002), ("retrain", 0.02))
        for size in EXAMPLES for seed in range(seeds)
    ]  # fmt: skip


def test_a_power_law_is_found(synthetic):
    found = power_laws(synthetic.frame(*swept(synthetic, np.random.default_rng(0))))
    laws = found.set_index(["method", "metric"])
    assert laws.loc[("sg", "seconds"), "factor"] == pytest.approx(0.002)
    assert laws.loc[("sg", "seconds"), "exponent"] == pytest.approx(1.1)
    assert laws.loc[("retrain", "val_error"), "factor"] == pytest.approx(3)
    assert laws.loc[("retrain", "val_error"), "exponent"] == pytest.approx(-0.3)
    assert set(found["size"]) == {"train_examples"}
    assert set(found["runs"]) == {8}
    assert set(found["sizes"]) == {4}


@pytest.mark.long
def test_the_exponents_interval_covers(synthetic):
    generator, inside, rounds = np.random.default_rng(1), 0, 150
    for _ in range(rounds):
        rows = swept(synthetic, generator, noise=0.2)[:8]
        (law,) = power_laws(synthetic.frame(*rows), ["seconds"]).to_dict("records")
        inside += law["low"] <= 1.1 <= law["high"]
    assert 0.83 <= inside / rounds <= 0.97


def test_retraining_is_ten_times_dearer_at_every_size(synthetic):
    found = against_retraining(
        synthetic.frame(*swept(synthetic, np.random.default_rng(2), 0.05, seeds=4))
    )
    assert list(found["value"]) == list(EXAMPLES)
    assert set(found["method"]) == {"sg"}
    assert list(found["ratio"]) == pytest.approx([0.1] * 4, rel=0.2)
    assert (found["low"] < found["ratio"]).all()
    assert (found["ratio"] < found["high"]).all()


def test_speed_up_and_efficiency(synthetic):
    """Eight runs of 10 s: one at a time 80 s; two at a time, of which one waits 2 s, 42 s."""
    rows = []
    for workers in (1, 2):
        for run in range(8):
            start = 10 * (run // workers) + (2 if workers == 2 and run > 5 else 0)
            rows.append(synthetic.trial(
                str(run), dataset=f"workers-{workers}", workers=workers, phase="scaling",
                started=START + timedelta(seconds=start), wall_seconds=10.0, train_examples=4000,
                classes=10, audit_examples=800, forget_fraction=0.1,
            ))  # fmt: skip
    found = speed_up(synthetic.frame(*rows))
    assert list(found["seconds"]) == [80, 42]
    assert list(found["runs"]) == [8, 8]
    assert list(found["speed_up"]) == pytest.approx([1, 80 / 42])
    assert list(found["efficiency"]) == pytest.approx([1, 40 / 42])
    assert list(found["throughput"]) == pytest.approx([360, 8 * 3600 / 42])


def every_size(synthetic):
    """A row of each size of the study's own sweeps, as the embedded data has them: fewer train
    examples or classes are fewer audit examples, too; seconds = .01 train audit^.5."""
    rows = []
    for kind, value in ((kind, value) for kind, values in SWEEPS.items() for value in values):
        classes = value if kind == "classes" else 10
        train = value if kind == "subset" else 400 * classes
        audit = value if kind == "audit" else train // 5
        rows.append(synthetic.trial(
            "a", dataset=f"{kind}-{value}", phase="scaling", train_examples=train, classes=classes,
            audit_examples=audit, workers=value if kind == "workers" else 2,
            forget_fraction=value if kind == "forget_fraction" else 0.1,
            seconds=0.01 * train * audit**0.5,
        ))  # fmt: skip
    return synthetic.frame(*rows)


def test_a_sweep_holds_the_sizes_of_its_kind_alone(synthetic):
    found = sweeps(every_size(synthetic))
    kinds = {size: SIZES[size] for size in found}
    assert set(kinds.values()) == set(SWEEPS)
    for size, rows in found.items():
        assert list(rows["dataset"]) == [f"{kinds[size]}-{v}" for v in SWEEPS[kinds[size]]]


def test_each_sweep_has_the_law_of_its_own_size(synthetic):
    laws = power_laws(every_size(synthetic), ["seconds"]).set_index("size")["exponent"]
    assert laws["audit_examples"] == pytest.approx(0.5)
    assert laws["train_examples"] == laws["classes"] == pytest.approx(1.5)
    assert laws["forget_fraction"] == laws["workers"] == pytest.approx(0)


def test_one_size_is_no_sweep(synthetic):
    frame = every_size(synthetic)
    with pytest.raises(ValueError, match="sgu-study scaling"):
        sweeps(frame[frame["dataset"] == "subset-500"])


def test_no_sweep_says_what_to_run(frame):
    for asked in (power_laws, against_retraining, speed_up):
        with pytest.raises(ValueError, match="sgu-study scaling"):
            asked(frame)
