"""The search: rows are the truth, nothing is lost or proposed twice, and no trial runs for ever."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from analysis.schema import METRICS, TRIALS
from sgu.experiment import Experiment
from tune.search import StudySearch
from tune.spec import Spec
from tune.store import Store
from tune.study import missing, rows_of

CONTROL = Experiment.of(method="finetune", alpha=0.0).settings()
GOOD = dict.fromkeys(METRICS, 0.5)


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


def search_on(store: Store, controls: tuple[dict, ...] = (), **changes: Any) -> StudySearch:
    return StudySearch(spec_of(**changes), store.folder, rows_of(store.folder), list(controls))


def journal(store: Store) -> list[optuna.trial.FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(store.folder / "optuna.journal")))
    return optuna.load_study(study_name="small", storage=storage).trials


def chosen(proposal: dict[str, Any]) -> dict[str, Any]:
    return {name: proposal["settings"][name] for name in ("alpha", "solve_every", "epochs")}


def finish(search: StudySearch, store: Store, trial_row, key: str, proposal, **columns) -> None:
    """What worker and sink do with a proposal: one row, and the result for the search."""
    row = GOOD | columns
    failed = {"status": "failed", "reason": row["failure"]} if "failure" in row else {}
    store.trial(
        trial_row(proposal["trial_id"], row | failed | {"control": proposal["control"]},
                  **proposal["settings"])
    )  # fmt: skip
    search.on_trial_complete(key, {f"row/{name}": value for name, value in row.items()})


def test_controls_come_first_and_optuna_never_hears_of_them(store, trial_row):
    search = search_on(store, (CONTROL,))
    first, second = search.suggest("a"), search.suggest("b")
    assert (first["control"], first["settings"]) == (True, CONTROL)
    assert (second["control"], second["settings"]["method"]) == (False, "sg")
    assert [first["trial_id"], second["trial_id"]] == ["0000", "0001"]
    finish(search, store, trial_row, "a", first)
    assert [trial.state for trial in journal(store)] == [TrialState.RUNNING]
    finish(search, store, trial_row, "b", second)
    (told,) = journal(store)
    assert told.state == TrialState.COMPLETE
    assert told.values == [0.5, 0.5]
    assert told.params == chosen(second)


def test_a_proposal_is_an_experiment(store):
    search = search_on(store, experiment={"lr": 0.123, "subset": 400})
    for key in range(8):
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
    store.trial(trial_row("original", {"control": True, "method": "original"}))
    values = {"val_error": 0.3, "val_mia_advantage": 0.1}
    store.trial(trial_row("0001", values, alpha=0.5, solve_every="epoch", epochs=2))
    store.trial(trial_row("0003", {"status": "failed", "reason": "Diverged"}, alpha=2.5, epochs=3))
    store.trial(trial_row("0002", {"val_error": math.nan}, alpha=1.5, solve_every=4))
    search = search_on(store)
    told = journal(store)
    assert [t.state.name for t in told] == ["COMPLETE", "FAIL", "FAIL"]
    assert told[0].values == [0.3, 0.1]
    assert [t.params["alpha"] for t in told] == [0.5, 1.5, 2.5]
    assert told[0].params == {"alpha": 0.5, "solve_every": "epoch", "epochs": 2}
    assert search.suggest("a")["trial_id"] == "0004"


def test_what_was_in_flight_is_proposed_again_as_it_was(store, trial_row):
    """Of four proposals one is finished and one failed when the driver dies; then it dies again."""
    before = search_on(store)
    proposals = {key: before.suggest(key) for key in "abcd"}
    finish(before, store, trial_row, "b", proposals["b"])
    finish(before, store, trial_row, "d", proposals["d"], failure="Diverged: loss is nan")
    for _ in range(3):
        after = search_on(store)
        assert [t.state.name for t in journal(store)].count("RUNNING") == 0
    again = [after.suggest(key) for key in "ef"]
    assert [chosen(p) for p in again] == [chosen(proposals["a"]), chosen(proposals["c"])]
    assert [p["trial_id"] for p in again] == ["0004", "0005"]
    assert chosen(after.suggest("g")) not in [chosen(p) for p in proposals.values()]


def test_a_study_stopped_after_each_trial_has_as_many_different_ones(store, trial_row):
    """Resumed five times: seeds differ, so no point comes twice, and numbers go on."""
    spec, seen = spec_of(), []
    while missing(spec, rows_of(store.folder)):
        search = search_on(store, (CONTROL,) if not seen else ())
        for key in "ab"[: 1 + (not seen)]:
            proposal = search.suggest(key)
            finish(search, store, trial_row, key, proposal)
            seen.append(proposal)
    assert [p["trial_id"] for p in seen] == [f"{number:04d}" for number in range(7)]
    assert len({json.dumps(p["settings"]) for p in seen}) == 7
    assert [t.state.name for t in journal(store)].count("COMPLETE") == 6


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "qmc", "random"])
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


def test_directions_are_those_of_the_schema(store):
    search_on(store, objectives=["val_acc", "val_mia_advantage", "seconds"])
    storage = JournalStorage(JournalFileBackend(str(store.folder / "optuna.journal")))
    study = optuna.load_study(study_name="small", storage=storage)
    assert [direction.name for direction in study.directions] == [
        "MAXIMIZE",
        "MINIMIZE",
        "MINIMIZE",
    ]


@pytest.mark.parametrize("torn", ["empty", "half a line"])
def test_a_torn_journal_does_not_stop_a_resume(store, trial_row, torn):
    """The driver may die anywhere, also while Optuna writes."""
    search = search_on(store)
    proposal = search.suggest("a")
    finish(search, store, trial_row, "a", proposal)
    path: Path = store.folder / "optuna.journal"
    path.write_bytes(b"" if torn == "empty" else path.read_bytes() + b'{"op_code": 4, "wor')
    again = search_on(store)
    assert again.suggest("b")["trial_id"] == "0001"
    assert [t.state.name for t in journal(store)] == ["COMPLETE", "RUNNING"]


def test_no_rows_no_journal(store):
    rows = rows_of(store.folder)
    assert list(rows.columns) == TRIALS.names
    assert missing(spec_of(), rows) == 6
    assert search_on(store).suggest("a")["trial_id"] == "0000"


def test_a_failed_trial_has_had_its_turn(store, trial_row):
    store.trial(trial_row("0000", {"control": True}, method="finetune"))
    store.trial(trial_row("0001", {"status": "failed", "reason": "Diverged"}))
    store.trial(trial_row("0002"))
    assert missing(spec_of(), rows_of(store.folder)) == 4
    assert missing(spec_of(trials=1), rows_of(store.folder)) == 0
    assert isinstance(rows_of(store.folder), pd.DataFrame)
