"""The comparison: the same tries for each, the choice by val alone, rows that outlive a stop."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from analysis import load_study
from sgu.cli import app
from sgu.cli.compare import table
from sgu.compare import Comparison, draws, val_utility
from sgu.experiment import Experiment
from sgu.methods import METHODS, search_space
from sgu.results.schema import METRICS, SCHEMA_VERSION

BASE = {"subset": 400, "pretrain_epochs": 3, "audit_batch": 40, "solve_every": 4}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory) -> Comparison:
    folder = tmp_path_factory.mktemp("compare")
    names = ("finetune", "sg")
    base = Experiment.of(**BASE)
    return Comparison(
        base=base,
        methods=names,
        tries=2,
        out=folder / "out",
        cache=folder / "cache",
        options={"epochs": 1},
    )


@pytest.fixture(scope="module")
def said(comparison) -> list[str]:
    lines: list[str] = []
    comparison.run(lines.append)
    return lines


def test_every_run_is_a_row_that_analysis_reads(comparison, said):
    frame = load_study(comparison.out)
    assert sorted(frame["method"].value_counts().items()) == [
        ("finetune", 3),  # two tries, and the chosen one with the second seed
        ("original", 2),
        ("retrain", 2),
        ("sg", 3),
    ]
    assert len(said) == len(frame) + 4  # two seeds' references say their training, too
    assert (frame["status"] == "complete").all()
    of_methods = ("game_seconds", "solve_seconds", "examples_seen")
    gaps = ["avg_gap", "tow"]
    quantities = [name for name in METRICS if name not in (*of_methods, *gaps)]
    assert frame[gaps].isna().all(axis=1).equals(frame["method"] == "retrain")
    assert frame[gaps].notna().all(axis=1).equals(frame["method"] != "retrain")
    assert frame[[name for name in quantities if frame[name].notna().any()]].notna().all().all()
    assert set(frame["schema_version"]) == {SCHEMA_VERSION}
    assert set(frame["control"]) == {True, False}


@pytest.mark.usefixtures("said")
def test_the_choice_is_the_best_by_val_of_the_first_seed(comparison):
    frame = load_study(comparison.out).to_dict("records")
    for method in comparison.methods:
        tried = [row for row in frame if row["method"] == method and row["seed"] == 0]
        (again,) = (row for row in frame if row["method"] == method and row["seed"] == 1)
        best = max(tried, key=val_utility)
        assert again["trial_id"].split("-seed")[0] == best["trial_id"].split("-seed")[0]
        own, first = (json.loads(row["config"]) for row in (again, best))
        assert own | {"seed": 0} == first


@pytest.mark.usefixtures("said")
def test_a_second_run_measures_nothing_and_says_the_same(comparison):
    lines: list[str] = []
    rows = comparison.run(lines.append)
    assert lines == []
    assert [row["method"] for row in rows[:4]] == ["original", "retrain"] * 2
    assert [row["method"] for row in rows[4:]] == ["finetune"] * 2 + ["sg"] * 2
    lost = comparison.out / "trials" / f"{rows[-1]['trial_id']}.parquet"
    lost.unlink()
    again = comparison.run(lines.append)
    assert len(lines) == 1 + 2  # the row, and the two references it needed, from the cache
    cost = {name for name in METRICS if "seconds" in name} | {"peak_memory"}
    same = [name for name in rows[-1] if name in METRICS and name not in cost]
    assert [again[-1][name] for name in same] == [rows[-1][name] for name in same]


@pytest.mark.usefixtures("said")
def test_other_settings_are_other_rows(comparison):
    before = comparison.run(lambda _: None)
    other = Comparison(
        base=Experiment.of(**BASE | {"reg": 0.5}),
        methods=("sg",),
        options={"epochs": 1},
        tries=1,
        seeds=1,
        out=comparison.out,
        cache=comparison.cache,
    )
    assert json.loads(other.run(lambda _: None)[-1]["config"])["reg"] == 0.5
    assert comparison.run(lambda line: pytest.fail(line)) == before


@pytest.mark.usefixtures("said")
def test_a_configuration_that_fails_is_a_row_and_never_chosen(comparison, tmp_path: Path):
    base = Experiment.of(**BASE | {"audit_batch": 4})  # too few for ten auditors
    broken = Comparison(
        base=base, methods=("sg",), tries=1, seeds=1, out=tmp_path, cache=comparison.cache
    )
    *_, row = broken.run(lambda _: None)
    assert row["status"] == "failed"
    assert "audit_batch = 4" in row["reason"]
    assert val_utility(row) == -math.inf
    console = Console(width=200, record=True, quiet=True)
    console.print(table(broken.run(lambda _: None)))
    assert list(load_study(tmp_path)["status"]) == ["complete", "complete", "failed"]


@pytest.mark.parametrize("method", [*METHODS, "sg+finetune"])
def test_draws_are_configurations_spread_over_the_space(method):
    space = search_space(method)
    found = draws(space, 16, seed=3)
    assert found == draws(space, 16, seed=3) != draws(space, 16, seed=4)
    for own in found:
        Experiment.of(method=method, **{"epochs": 1} | own)  # or it is refused
    for name, domain in space.items():
        values = [own[name] for own in found]
        if isinstance(domain, list):
            assert set(values) == set(domain)
        else:
            assert domain["low"] <= min(values) < max(values) <= domain["high"]
            middle = (domain["low"] * domain["high"]) ** 0.5 if domain.get("log") else None
            if middle:
                assert 6 <= sum(value < middle for value in values) <= 10


def test_forgetting_too_much_costs_as_much_as_too_little():
    rows = [{"val_acc": 0.6, "val_mia_acc": mia} for mia in (0.3, 0.5, 0.7)]
    found = [val_utility(row) for row in rows]
    assert found[0] == pytest.approx(found[2])
    assert found[1] == pytest.approx(0.1)
    assert val_utility({"val_acc": 0.1, "val_mia_acc": 0.5}) < found[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--methods", "finetune,scrubb"], "method = 'scrubb': must be one of"),
        (["--seeds", "0"], "seeds = 0: must be >= 1"),
        (["--tries", "0"], "tries = 0: must be >= 1"),
        (["--data", "nowhere"], "nowhere"),
        (["--set", "alpha"], "expected KEY=VALUE"),
        (["--set", "alhpa=1"], "no method has a setting 'alhpa'"),
    ],
    ids=str,
)
def test_what_is_wrong_is_one_line(words, said, tmp_path: Path):
    found = CliRunner().invoke(app, ["compare", *words, "--out", str(tmp_path / "out")])
    assert found.exit_code == 2
    assert said in found.output
    assert found.output.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_every_method_is_listed_with_its_settings():
    found = json.loads(CliRunner().invoke(app, ["methods", "--json"]).stdout)
    assert set(found) == set(METHODS)
    for name, what in found.items():
        assert what["source"], name
        Experiment.of(method=name, **what["settings"])
        assert set(what["space"]) <= set(what["settings"]), name
    text = CliRunner().invoke(app, ["methods"]).stdout
    assert all(f"{name}: " in text for name in METHODS)
