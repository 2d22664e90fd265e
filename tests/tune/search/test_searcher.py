"""The searcher goes by the rows: no trial is lost, proposed twice or left running."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from ray.tune.search import Searcher

from sgu.experiment import Experiment
from sgu.results.schema import METRICS, TRIALS
from tune.search.budget import budgets
from tune.search.searcher import StudySearch
from tune.spec.spec import Spec
from tune.storage.store import Store
from tune.storage.study_folder import StudyFolder, rows_of

GOOD = dict.fromkeys(METRICS, 0.5)
CELL = "embedded/sg"
REFERENCES = {("embedded", seed): {"original": GOOD, "retrain": GOOD} for seed in (0, 1)}
CONTROLS = 2  # alpha = 0, and as published


@pytest.fixture
def store(tmp_path) -> Store:
    folder = tmp_path / "small"
    folder.mkdir()
    return Store(folder, "small")


def spec_of(**changes: Any) -> Spec:
    search = {
        "alpha": {"low": 0.1, "high": 4.0, "log": True},
        "solve_every": [4, 8, "epoch"],
        "epochs": {"low": 1, "high": 5, "step": 1},
    }
    return Spec.model_validate({"name": "small", "search": search, "trials": 6} | changes)


def search_on(store: Store, controls: int = 0, **changes: Any) -> StudySearch:
    """Return a searcher. controls: the number of controls that it still proposes."""
    spec = spec_of(**changes)
    search = StudySearch(spec, store.folder, rows_of(store.folder), REFERENCES)
    for cell in search.cells.values():
        left = [trial for trial in cell.waiting if trial.control]
        cell.waiting = left[:controls] + [trial for trial in cell.waiting if not trial.control]
    return search


def journal(store: Store, cell: str = CELL) -> list[optuna.trial.FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(store.folder / "optuna.journal")))
    return optuna.load_study(study_name=cell, storage=storage).trials


def chosen(proposal: dict[str, Any]) -> dict[str, Any]:
    return {name: proposal["settings"][name] for name in ("alpha", "solve_every", "epochs")}


def finish(search: StudySearch, store: Store, trial_row, key: str, proposal, **columns) -> None:
    """Write a run's row and give the searcher its result, as worker and recorder do."""
    row = GOOD | columns
    failed = {"status": "failed", "reason": row["failure"]} if "failure" in row else {}
    identity = {name: proposal[name] for name in ("cell", "control")}
    store.trial(trial_row(proposal["trial_id"], row | failed | identity, **proposal["settings"]))
    search.on_trial_complete(key, {f"row/{name}": value for name, value in row.items()})


def test_controls_come_first_and_optuna_never_hears_of_them(store, trial_row):
    """The controls are without a game, and as published where the study sets nothing else."""
    search = search_on(store, CONTROLS, experiment={"lr": 0.5})
    alone, published, sampled = (search.suggest(key) for key in "abc")
    assert [run["control"] for run in (alone, published, sampled)] == [True, True, False]
    assert [run["trial_id"] for run in (alone, published, sampled)] == ["0000", "0001", "0002"]
    assert (
        alone["settings"]
        == Experiment.of(method="finetune", alpha=0.0, lr=0.5, epochs=30).settings()
    )
    assert published["settings"] == Experiment.of(lr=0.5).settings()
    finish(search, store, trial_row, "a", alone)
    assert [trial.state for trial in journal(store)] == [TrialState.RUNNING]
    finish(search, store, trial_row, "c", sampled)
    (trial,) = journal(store)
    assert trial.state == TrialState.COMPLETE
    assert trial.values == [0.5, 0.5]
    assert trial.params == chosen(sampled)


def test_a_kill_finds_each_proposal_whole(store, trial_row, monkeypatch):
    """Each trial in the journal of a killed driver can be proposed again as it was."""
    states, fsync = [], os.fsync

    def watched(file: int) -> None:
        fsync(file)
        states.append(journal(store))

    search = search_on(store)
    monkeypatch.setattr(os, "fsync", watched)
    for key in "ab":
        finish(search, store, trial_row, key, search.suggest(key))
    search.suggest("c")
    kinds = {tuple(trial.state.name for trial in trials) for trials in states}
    assert {("RUNNING",), ("COMPLETE",), ("COMPLETE", "COMPLETE", "RUNNING")} <= kinds
    for trial in (trial for trials in states for trial in trials):
        assert set(trial.params) == {"alpha", "solve_every", "epochs"}
        assert "trial_id" in trial.user_attrs


def test_a_proposal_is_an_experiment(store):
    search = search_on(store, experiment={"lr": 0.123, "subset": 400})
    for key in range(6):
        settings = search.suggest(str(key))["settings"]
        experiment = Experiment.of(**settings)
        assert experiment.settings() == settings
        assert (experiment.options["lr"], experiment.subset) == (0.123, 400)
        assert 0.1 <= experiment.alpha <= 4
        assert experiment.options["epochs"] in range(1, 6)


@pytest.mark.parametrize("broken", ["failure", "error", "nan"])
def test_a_failed_trial_is_told_as_failed(store, broken):
    search = search_on(store)
    search.suggest("a")
    result = {f"row/{name}": value for name, value in GOOD.items()}
    if broken == "failure":
        search.on_trial_complete("a", result | {"row/failure": "Diverged: loss is nan"})
    elif broken == "error":
        search.on_trial_complete("a", None, error=True)
    else:
        search.on_trial_complete(
            "a", result | {"row/val_error": math.nan, "row/failure": "not finite: val_error"}
        )
    assert [trial.state for trial in journal(store)] == [TrialState.FAIL]


def test_rows_are_replayed(store, trial_row):
    store.trial(trial_row("0000", {"control": True}, method="finetune"))
    store.trial(trial_row("original", {"control": True, "method": "original", "cell": "embedded"}))
    values = {"val_error": 0.3, "val_residual": 0.1}
    store.trial(trial_row("0001", values, alpha=0.5, solve_every="epoch", epochs=2))
    store.trial(trial_row("0003", {"status": "failed", "reason": "Diverged"}, alpha=2.5, epochs=3))
    store.trial(trial_row("0002", {"val_error": math.nan}, alpha=1.5, solve_every=4))
    search = search_on(store)
    trials = journal(store)
    assert [t.state.name for t in trials] == ["COMPLETE", "FAIL", "FAIL"]
    assert trials[0].values == [0.3, 0.1]
    assert [t.params["alpha"] for t in trials] == [0.5, 1.5, 2.5]
    assert trials[0].params == {"alpha": 0.5, "solve_every": "epoch", "epochs": 2}
    assert search.suggest("a")["trial_id"] == "0004"


def test_a_driver_elsewhere_goes_on_with_what_was_in_flight(bucket):
    """The other driver has only the bucket, from which --fresh deletes all."""
    spec, study, none = spec_of(), StudyFolder(bucket("study"), "small"), rows_of("none")
    first = StudySearch(spec, study.address, none, REFERENCES)
    proposed = [first.suggest(key) for key in "abc"]
    again = StudySearch(spec, study.address, none, REFERENCES)
    assert [again.suggest(key)["settings"] for key in "abc"] == [p["settings"] for p in proposed]
    study.clear()
    fresh = StudySearch(spec_of(sampler_seed=1), study.address, none, REFERENCES)
    assert [fresh.suggest(key)["settings"] for key in "ab"] == [p["settings"] for p in proposed[:2]]
    assert fresh.suggest("c")["settings"] != proposed[2]["settings"]


def test_what_was_in_flight_is_proposed_again_as_it_was(store, trial_row):
    """The driver dies with two of four proposals under way, and then dies again."""
    before = search_on(store)
    proposals = {key: before.suggest(key) for key in "abcd"}
    finish(before, store, trial_row, "b", proposals["b"])
    finish(before, store, trial_row, "d", proposals["d"], failure="Diverged: loss is nan")
    for _ in range(3):
        after = search_on(store)
        assert [t.state.name for t in journal(store)].count("RUNNING") == 0
    again = [after.suggest(key) for key in "ef"]
    assert [chosen(p) for p in again] == [chosen(proposals["a"]), chosen(proposals["c"])]
    assert [p["trial_id"] for p in again] == [proposals[key]["trial_id"] for key in "ac"]
    assert chosen(after.suggest("g")) not in [chosen(p) for p in proposals.values()]


def test_a_study_stopped_after_each_trial_has_as_many_different_ones(store, trial_row):
    """Each driver's sampler has another seed, so no point comes twice, and numbers go on."""
    spec, proposals = spec_of(), []
    while not budgets(spec, rows_of(store.folder))[0].finished:
        search = search_on(store, CONTROLS)
        proposal = search.suggest("a")
        finish(search, store, trial_row, "a", proposal)
        proposals.append(proposal)
    assert [p["trial_id"] for p in proposals] == [f"{number:04d}" for number in range(8)]
    assert len({json.dumps(p["settings"]) for p in proposals}) == 8
    assert [t.state.name for t in journal(store)].count("COMPLETE") == 6


def test_a_grid_has_each_point_once_also_after_a_break(store, trial_row):
    grid = {"alpha": [0.5, 1.0, 2.0], "epochs": {"low": 2, "high": 4, "step": 2}}
    study = {"sampler": "grid", "search": grid, "trials": None}
    search = search_on(store, **study)
    first, second, third = (search.suggest(key) for key in "abc")
    for key, proposal in zip("ac", (first, third), strict=True):
        finish(search, store, trial_row, key, proposal)
    search = search_on(store, **study)  # the second was in flight
    rest = [search.suggest(key) for key in "defg"]
    assert search.suggest("h") is None  # those under way may come back
    assert rest[0]["settings"] == second["settings"]
    points = [
        (run["settings"]["alpha"], run["settings"]["epochs"]) for run in (first, third, *rest)
    ]
    assert sorted(points) == [(alpha, epochs) for alpha in (0.5, 1.0, 2.0) for epochs in (2, 4)]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "nsga3", "gp", "qmc", "random"])
def test_a_sampler_seed_decides(tmp_path, sampler):
    def points(name: str, seed: int) -> list[dict]:
        store = Store(tmp_path / name, "small")
        store.folder.mkdir()
        search = search_on(store, sampler=sampler, sampler_seed=seed)
        return [chosen(search.suggest(str(key))) for key in range(5)]

    first = points("a", 0)
    assert points("b", 0) == first
    assert points("c", 1) != first
    assert len({json.dumps(point) for point in first}) == 5


def test_a_sequence_goes_on_after_a_break(tmp_path, trial_row):
    """A Sobol search stopped with a trial under way has the points of an unbroken one."""

    def points(name: str, *counts: int) -> list[dict]:
        store, by_trial = Store(tmp_path / name, "small"), {}
        store.folder.mkdir()
        for count in counts:
            search = search_on(store, sampler="qmc", trials=12)
            proposals = [search.suggest(str(key)) for key in range(count)]
            by_trial |= {run["trial_id"]: chosen(run) for run in proposals}
            for key, proposal in enumerate(proposals[:-1]):
                finish(search, store, trial_row, str(key), proposal)
        return list(by_trial.values())

    whole = points("whole", 12)
    assert len(whole) == 12
    assert points("broken", 3, 6, 5) == whole  # the last of each part is the first of the next


@pytest.mark.parametrize("sampler", ["nsga2", "nsga3"])
def test_generations_go_on_after_a_break(store, trial_row, sampler):
    """Of 16 trials each 4 are a generation, also after stops within one and between two."""
    study, numbers, kept = {"sampler": sampler, "trials": 16}, [], []
    for count in (6, 2, 5):
        search = search_on(store, **study)
        kept.append(generations(store))
        for key in range(count):
            finish(search, store, trial_row, str(key), search.suggest(str(key)))
        numbers = generations(store)
    assert numbers == [number // 4 for number in range(13)]
    assert kept == [numbers[:0], numbers[:6], numbers[:8]]


def generations(store: Store) -> list[int]:
    attributes = [trial.system_attrs for trial in journal(store)]
    return [value for attrs in attributes for key, value in attrs.items() if ":generation" in key]


def test_directions_are_those_of_the_schema(store):
    search_on(store, objectives=["val_acc", "val_mia_advantage", "seconds"])
    storage = JournalStorage(JournalFileBackend(str(store.folder / "optuna.journal")))
    study = optuna.load_study(study_name=CELL, storage=storage)
    assert [direction.name for direction in study.directions] == [
        "MAXIMIZE",
        "MINIMIZE",
        "MINIMIZE",
    ]


@pytest.mark.parametrize("torn", ["empty", "half a line"])
def test_a_torn_journal_does_not_stop_a_resume(store, trial_row, torn):
    """The driver may die while it writes the journal."""
    search = search_on(store)
    proposal = search.suggest("a")
    finish(search, store, trial_row, "a", proposal)
    path: Path = store.folder / "optuna.journal"
    path.write_bytes(b"" if torn == "empty" else path.read_bytes() + b'{"op_code": 4, "wor')
    again = search_on(store)
    assert again.suggest("b")["trial_id"] == "0003"
    assert [t.state.name for t in journal(store)] == ["COMPLETE", "RUNNING"]


def test_no_rows_no_journal(store):
    rows = rows_of(store.folder)
    assert list(rows.columns) == TRIALS.names
    (budget,) = budgets(spec_of(), rows)
    assert (budget.done, budget.controls_left, budget.runs_left) == (0, CONTROLS, 8)
    assert search_on(store, CONTROLS).suggest("a")["trial_id"] == "0000"


def test_a_failed_trial_has_had_its_turn(store, trial_row):
    for number in range(CONTROLS):
        store.trial(trial_row(f"{number:04d}", {"control": True}, method="finetune"))
    store.trial(trial_row("0002", {"status": "failed", "reason": "Diverged"}))
    store.trial(trial_row("0003"))
    (budget,) = budgets(spec_of(), rows_of(store.folder))
    assert (budget.done, budget.runs_left, budget.share) == (2, 4, 2 / 6)
    assert budgets(spec_of(trials=2), rows_of(store.folder))[0].finished


def test_cells_take_turns_by_what_is_left_of_their_budgets(store):
    methods = ["sg", "finetune"]
    search = search_on(store, methods=methods, search={"lr": [0.1, 0.2]}, trials=3)
    cells = []
    while isinstance(proposal := search.suggest(str(len(cells))), dict):
        cells.append(proposal["cell"])
    assert proposal is None  # those under way may come back
    assert cells == ["embedded/sg", "embedded/finetune"] * 3


def test_a_run_that_tune_gave_up_comes_back_first(store, trial_row):
    """So does the last run; Optuna does not hear of it."""
    search = search_on(store, trials=2, seeds=2)
    first, second, third = (search.suggest(key) for key in "abc")
    search.lost.add("a")
    search.on_trial_complete("a", error=True)
    again = search.suggest("d")
    assert (again["trial_id"], again["seed"]) == (first["trial_id"], first["seed"])
    last = search.suggest("e")
    for key, proposal in zip("bcd", (second, third, again), strict=True):
        finish(search, store, trial_row, key, proposal)
    assert search.suggest("f") is None
    search.lost.add("e")
    search.on_trial_complete("e", error=True)
    back = search.suggest("g")
    assert (back["trial_id"], back["seed"]) == (last["trial_id"], last["seed"])
    finish(search, store, trial_row, "g", back)
    assert search.suggest("h") == Searcher.FINISHED
    assert [trial.state.name for trial in journal(store)] == ["COMPLETE"] * 2


def test_a_budget_of_seconds_ends_when_they_are_spent(store, trial_row):
    """Seconds in rows count, so a resumed study gets no more of them; controls do not count."""
    budget = {"trials": None, "seconds": 10.0}
    store.trial(trial_row("0000", {"control": True, "wall_seconds": 99.0}, method="finetune"))
    store.trial(trial_row("0002", {"wall_seconds": 4.0}))
    search = search_on(store, **budget)
    for key in ("a", "b"):
        proposal = search.suggest(key)
        assert not proposal["control"]
        finish(search, store, trial_row, key, proposal, wall_seconds=4.0)
    assert search.suggest("c") == Searcher.FINISHED
    (budget,) = budgets(spec_of(**budget), rows_of(store.folder))
    assert (budget.seconds, budget.share, budget.runs_left) == (12.0, 1.0, None)


def test_a_sampler_sees_the_mean_over_all_seeds(store, trial_row):
    search = search_on(store, seeds=2)
    runs = {key: search.suggest(key) for key in "abc"}
    assert [runs[key]["trial_id"] for key in "abc"] == ["0002", "0002", "0003"]
    assert [runs[key]["settings"]["seed"] for key in "abc"] == [0, 1, 0]
    assert chosen(runs["a"]) == chosen(runs["b"])
    finish(search, store, trial_row, "b", runs["b"], val_error=0.2)
    assert journal(store)[0].state == TrialState.RUNNING
    finish(search, store, trial_row, "a", runs["a"], val_error=0.4)
    assert journal(store)[0].values == [pytest.approx(0.3), 0.5]
    search_on(store, seeds=2)  # the rows say the same
    assert journal(store)[0].values == [pytest.approx(0.3), 0.5]


def test_after_a_seed_that_failed_the_others_are_not_run(store, trial_row):
    search = search_on(store, seeds=3)
    first = search.suggest("a")
    finish(search, store, trial_row, "a", first, failure="Diverged: loss is nan")
    assert journal(store)[0].state == TrialState.FAIL
    assert search.suggest("b")["trial_id"] != first["trial_id"]


def test_a_trial_cut_off_between_its_seeds_goes_on_with_the_rest(store, trial_row):
    before = search_on(store, seeds=2)
    runs = {key: before.suggest(key) for key in "ab"}
    finish(before, store, trial_row, "a", runs["a"])
    after = search_on(store, seeds=2)
    again = after.suggest("c")
    assert {name: again[name] for name in ("trial_id", "seed", "settings")} == {
        name: runs["b"][name] for name in ("trial_id", "seed", "settings")
    }
    finish(after, store, trial_row, "c", again)
    assert [trial.state.name for trial in journal(store)] == ["COMPLETE"]


def test_a_run_that_the_scheduler_stopped_is_told_as_pruned(store):
    search = search_on(store)
    search.suggest("a")
    search.on_trial_complete("a", {"epoch/epoch": 0, "epoch/val_error": 0.9})
    assert [trial.state.name for trial in journal(store)] == ["PRUNED"]


def test_constraints_are_told_and_replayed(store, trial_row):
    """The mean of the trial, 0.56, is measured from the mean of the reference, 0.5."""
    bounds = {"val_error": {"at_most": 0.02, "above": "retrain"}, "seconds": {"at_most": 60}}
    search = search_on(store, constraints=bounds, seeds=2)
    for key, error in (("a", 0.5), ("b", 0.62)):
        finish(search, store, trial_row, key, search.suggest(key), val_error=error, seconds=20.0)
    expected = {"val_error": pytest.approx(0.04), "seconds": pytest.approx(-40.0)}
    assert journal(store)[0].constraints == expected
    search_on(store, constraints=bounds, seeds=2)
    assert journal(store)[0].constraints == expected


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "nsga3", "gp", "qmc", "random"])
def test_every_sampler_learns_from_three_objectives_under_a_constraint(store, sampler):
    search = search_on(
        store,
        sampler=sampler,
        trials=6,
        search={"alpha": {"low": 0.1, "high": 4.0, "log": True}, "solve_every": [4, 8]},
        objectives=["val_error", "val_mia_advantage", "seconds"],
        constraints={"val_error": {"at_most": 0.6}},
    )
    for key in range(6):
        alpha = search.suggest(str(key))["settings"]["alpha"]
        values = {"val_error": alpha / 4, "val_mia_advantage": 1 / (1 + alpha), "seconds": alpha}
        search.on_trial_complete(str(key), {f"row/{name}": v for name, v in values.items()})
    assert [trial.state.name for trial in journal(store)] == ["COMPLETE"] * 6
    assert search.suggest("last") == Searcher.FINISHED


@pytest.mark.parametrize(
    "damage",
    [b"\n", b'{"op_code": 7, "worker_id": "a"}{{"op_code": 7\n', b"\xff\x00\n", b"[1]\n",
     b'{"op_code": 99, "worker_id": "a"}\n', b"{}\n", b"[" * 5000 + b"\n"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["end", "begin"])
def test_a_damaged_journal_is_set_aside_and_rebuilt(store, trial_row, damage, place):
    """The rows hold all that has ended: the trial that had is there, the next number is free."""
    search = search_on(store)
    finish(search, store, trial_row, "a", search.suggest("a"))
    file = store.folder / "optuna.journal"
    whole = file.read_bytes()
    file.write_bytes(whole + damage if place == "end" else damage + whole)
    told = list[str]()
    again = StudySearch(spec_of(), store.folder, rows_of(store.folder), REFERENCES, told.append)
    (line,) = told
    assert "optuna.journal is damaged" in line
    assert len((store.folder / "optuna.journal.damaged").read_bytes()) == len(whole + damage)
    assert journal(store)[0].state.name == "COMPLETE"
    assert {again.suggest(key)["trial_id"] for key in "abc"} == {"0000", "0001", "0003"}
