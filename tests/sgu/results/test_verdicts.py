"""Verdicts keep their promises in simulation, and none is passed where the data allow none."""

from __future__ import annotations

import numpy as np
import pytest

from sgu.results.verdicts import TYPICAL, References, Residual, foreseen, judge

NAMES = ("forget_acc", "loss_auc", "rmia_auc", "lira_auc")
RETRAINED = np.array([0.63, 0.52, 0.51, 0.52])
ORIGINAL = np.array([1.0, 0.82, 0.92, 0.88])
DEVIATIONS = np.array([0.018, 0.011, 0.012, 0.02])  # as measured on the embedded data
TOGETHER = 0.4  # correlation of two metrics of one model
SIZES = {"forgotten": 400, "classes": 10}


def draw(rng: np.random.Generator, kept: float = 0.0) -> dict[str, float]:
    """Return the metrics of a model that keeps a share of what the original knows."""
    shared, own = rng.standard_normal(), rng.standard_normal(len(NAMES))
    noise = DEVIATIONS * (TOGETHER**0.5 * shared + (1 - TOGETHER) ** 0.5 * own)
    values = RETRAINED + kept * (ORIGINAL - RETRAINED) + noise
    return dict(zip(NAMES, values.tolist(), strict=True)) | {"retain_acc": 0.99}


def references(rng: np.random.Generator, models: int) -> References:
    original = dict(zip(NAMES, ORIGINAL.tolist(), strict=True))
    return References(original=original, retrained=[draw(rng) for _ in range(models)])


def residual(name: str, model: dict[str, float], group: References) -> Residual:
    return judge([model], [group], (name,), forgotten=400, classes=10).by_metric[name]


def shares(models: int, kept: float, count: int = 200, seeds: int = 1) -> dict[str, float]:
    """Return how often a model that keeps so much gets each verdict."""
    rng, verdicts = np.random.default_rng(round(1000 * (1 + kept)) + models), []
    for _ in range(count):
        groups = [references(rng, models) for _ in range(seeds)]
        runs = [draw(rng, kept) for _ in groups]
        verdicts.append(judge(runs, groups, NAMES, forgotten=400, classes=10).verdict)
    return {str(name): verdicts.count(name) / count for name in set(verdicts)}


@pytest.mark.parametrize("models", [3, 4, 6, 8])
def test_a_retrained_model_is_accused_in_one_of_twenty_cases_at_most(models):
    found = shares(models, 0.0)
    assert found.get("remembers", 0) + found.get("over-forgotten", 0) <= 0.05


def test_six_retrained_models_show_equality_and_see_a_third():
    assert shares(6, 0.0)["like retrained"] >= 0.80
    assert shares(6, 0.2).get("like retrained", 0) <= 0.05
    assert shares(6, 0.35)["remembers"] >= 0.90
    assert shares(6, 0.5)["remembers"] >= 0.99
    assert shares(6, -0.5)["over-forgotten"] >= 0.99


def test_seeds_make_it_sharper():
    assert shares(3, 0.0, seeds=3)["like retrained"] > shares(3, 0.0)["like retrained"]
    assert shares(3, 0.2, seeds=3).get("like retrained", 0) <= 0.05


@pytest.mark.parametrize(("models", "kept"), [(3, 0.0), (6, 0.2), (9, 0.5)])
def test_the_joint_interval_holds_the_truth_as_often_as_it_promises(models, kept):
    rng, inside, count = np.random.default_rng(models), 0, 1000
    for _ in range(count):
        judged = judge([draw(rng, kept)], [references(rng, models)], NAMES, **SIZES)
        inside += judged.joint is not None and judged.joint.low <= kept <= judged.joint.high
    assert 0.93 <= inside / count <= 0.97


@pytest.mark.parametrize("kept", [0.0, 0.3])
@pytest.mark.parametrize("models", [3, 5, 10])
def test_intervals_hold_the_truth_as_often_as_they_promise(models, kept):
    rng, inside, count = np.random.default_rng(models), 0, 2000
    for _ in range(count):
        group = references(rng, models)
        found = residual("rmia_auc", draw(rng, kept), group)
        inside += found.low <= kept <= found.high
    assert 0.93 <= inside / count <= 0.98  # wider where three models agree by chance: the floor


def test_three_equal_retrained_models_do_not_make_a_point_of_the_interval():
    equal = dict(zip(NAMES, RETRAINED.tolist(), strict=True))
    original = dict(zip(NAMES, ORIGINAL.tolist(), strict=True))
    group = References(original=original, retrained=[equal] * 3)
    found = residual("forget_acc", equal, group)
    assert found.value == 0
    assert 0.02 < found.high < 0.3
    kept = {name: value + 0.5 * (original[name] - value) for name, value in equal.items()}
    for model, verdict in ((equal, "Like retrained"), (kept, "Remembers"), (original, "Remembers")):
        said = judge([model], [group], NAMES, forgotten=400, classes=10).text()
        assert said.startswith(f"{verdict}: residual memory ")
        assert "3 retrained models see " in said


def test_the_original_remembers_all_and_a_metric_that_knows_no_difference_is_blind():
    rng = np.random.default_rng(0)
    group = references(rng, 6)
    noisy = [{**m, "ks_acc": value} for m, value in zip(group.retrained, [0, 1] * 3, strict=True)]
    group = References(original={**group.original, "ks_acc": 0.6}, retrained=noisy)
    judged = judge([group.original], [group], (*NAMES, "ks_acc"), forgotten=400, classes=10)
    assert judged.verdict == "remembers"
    assert judged.blind == ("ks_acc",)
    assert [round(found.value) for found in judged.residuals] == [1] * len(NAMES)


def judged_beside(models: int = 6, forgotten: int = 400, **changes: float) -> str:
    rng = np.random.default_rng(1)
    group = references(rng, models)
    judged = judge([draw(rng) | changes], [group], NAMES, forgotten=forgotten, classes=10)
    assert judged.verdict is None
    assert judged.text() == f"No verdict: {judged.reason}."
    return judged.reason


def test_where_the_data_allow_no_verdict_the_reason_is_said():
    assert "2 retrained models; need 3" in judged_beside(models=2)
    assert "near chance on retain" in judged_beside(retain_acc=0.11)


@pytest.mark.parametrize("forgotten", [1, 3, 5, 20])
def test_a_few_forgotten_examples_allow_no_verdict_but_a_count(forgotten):
    """Against the beta-binomial distribution, drawn: a share given the retrained models' answers,
    then a model's answers."""
    rng, right = np.random.default_rng(4), round(0.6 * forgotten) * 6
    shares = rng.beta(right + 0.5, 6 * forgotten - right + 0.5, 100_000)
    drawn = rng.binomial(forgotten, shares)
    for accuracy, tail in ((1.0, drawn >= forgotten), (0.0, drawn <= 0)):
        reason = judged_few(forgotten, accuracy, right / 6 / forgotten)
        plural = "" if forgotten == 1 else "s"
        assert reason.startswith(f"{forgotten} forgotten example{plural}; need 50. ")
        count = round(accuracy * forgotten)
        assert f"right on {count} of {forgotten}, retrained models on {right / 6:.1f};" in reason
        assert ("or more" if accuracy else "or fewer") in reason
        assert float(reason.split()[-1]) == pytest.approx(tail.mean(), abs=0.011)


def judged_few(forgotten: int, accuracy: float, usual: float) -> str:
    original = dict(zip(NAMES, ORIGINAL.tolist(), strict=True))
    group = References(original=original, retrained=[{"forget_acc": usual}] * 6)
    model = {"forget_acc": accuracy}
    return judge([model], [group], NAMES, forgotten=forgotten, classes=10).reason


def test_a_few_forgotten_examples_without_answers_are_named_alone():
    group = References(original={}, retrained=[{}] * 3)
    reason = judge([{}], [group], NAMES, forgotten=1, classes=10).reason
    assert reason == "1 forgotten example; need 50"


def test_originals_that_are_like_retrained_models_allow_no_verdict():
    rng = np.random.default_rng(2)
    group = References(original=draw(rng), retrained=[draw(rng) for _ in range(4)])
    judged = judge([draw(rng)], [group], NAMES, forgotten=400, classes=10)
    assert judged.verdict is None
    assert "no metric tells the original from retrained models" in judged.reason


def test_an_undecided_verdict_says_what_would_decide_it():
    rng, texts = np.random.default_rng(3), list[str]()
    for _ in range(200):
        group = references(rng, 3)
        judged = judge([draw(rng)], [group], NAMES, forgotten=400, classes=10)
        if judged.verdict == "undecided" and judged.joint and judged.joint.advice:
            texts.append(judged.text())
    assert texts
    assert all("more retrained model" in text or "More seeds" in text for text in texts)
    assert not any("of each seed" in text for text in texts)


def test_what_will_be_seen_is_what_is_seen_where_models_differ_as_measured():
    """Six models a sample deviation of TYPICAL apart: t_5 = 2.5706, times sqrt(1 + 1/6)."""
    draws = TYPICAL * np.array([-1, -1, -1, 1, 1, 1]) * np.sqrt(5 / 6)
    retrained = [dict.fromkeys(NAMES, 0.5 + 0.4 * draw) for draw in draws.tolist()]
    group = References(original=dict.fromkeys(NAMES, 0.9), retrained=retrained)
    found = judge([retrained[0]], [group], NAMES, forgotten=400, classes=10)
    assert found.sees == pytest.approx(2.5706 * TYPICAL * np.sqrt(7 / 6), rel=1e-3)
    assert f"6 retrained models will see a residual memory of about {100 * found.sees:.0f} %" in (
        foreseen(6, 400)
    )


@pytest.mark.parametrize(("models", "forgotten"), [(2, 400), (6, 40)])
def test_too_few_are_foretold(models, forgotten):
    assert foreseen(models, forgotten).startswith("none: ")
