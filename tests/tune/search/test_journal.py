"""Optuna reads the journal as its own, also after its disk was full."""

from __future__ import annotations

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from sgu.files.location import Location
from tune.search.journal import NAME, Journal

optuna.logging.set_verbosity(optuna.logging.WARNING)


def read(folder: Location) -> optuna.Study:
    """Return the study, by Optuna's own reader if the journal is a local file."""
    stored = Journal.stored(folder)
    backend = JournalFileBackend(f"{folder.path}/{NAME}") if folder.local else stored
    return optuna.load_study(study_name="s", storage=JournalStorage(backend))


@pytest.fixture(params=["local", "s3"])
def folder(request, tmp_path) -> Location:
    if request.param == "s3":
        return Location.at(request.getfixturevalue("bucket")("journal"))
    return Location.at(tmp_path)


def begun(folder: Location) -> tuple[Journal, optuna.Study]:
    journal = Journal(folder)
    study = optuna.create_study(study_name="s", storage=JournalStorage(journal))
    study.enqueue_trial({"x": 0.25})
    return journal, study


def run_trials(study: optuna.Study, count: int) -> None:
    for _ in range(count):
        trial = study.ask()
        study.tell(trial, trial.suggest_float("x", 0, 1))


def test_optuna_reads_what_was_written(folder):
    journal, study = begun(folder)
    journal.publish()
    run_trials(study, 5)
    study.ask()
    stored = read(folder)
    assert [trial.state.name for trial in stored.trials] == 5 * ["COMPLETE"] + ["RUNNING"]
    assert stored.trials[0].params == {"x": 0.25}
    assert [trial.value for trial in stored.trials] == [trial.value for trial in study.trials]


def test_the_one_before_stays_until_the_new_one_is_whole(folder):
    journal, study = begun(folder)
    journal.publish()
    run_trials(study, 3)
    again, other = begun(folder)
    run_trials(other, 1)
    assert len(read(folder).trials) == 3
    again.publish()
    run_trials(other, 1)
    assert len(read(folder).trials) == 2


def test_half_a_line_is_no_line(tmp_path):
    folder = Location.at(tmp_path)
    journal, study = begun(folder)
    journal.publish()
    run_trials(study, 2)
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    assert Journal.stored(folder).lines == journal.lines


def test_lines_wait_for_a_disk_that_is_full(small_disk, fill):
    journal, study = begun(Location.at(small_disk))
    journal.publish()
    run_trials(study, 2)
    filler = fill()
    run_trials(study, 60)
    assert len(study.trials) == 62
    assert 2 <= len(read(Location.at(small_disk)).trials) < 62
    filler.unlink()
    run_trials(study, 1)
    trials = read(Location.at(small_disk)).trials
    assert [trial.value for trial in trials] == [trial.value for trial in study.trials]
    assert len(trials) == 63


def test_a_sampler_proposes_the_same_on_both(tmp_path):
    def proposed(backend) -> list[float]:
        sampler = optuna.samplers.TPESampler(seed=0, n_startup_trials=3)
        study = optuna.create_study(storage=JournalStorage(backend), sampler=sampler)
        run_trials(study, 8)
        return [trial.value for trial in study.trials]

    theirs = proposed(JournalFileBackend(str(tmp_path / "theirs")))
    assert proposed(Journal(Location.at(tmp_path / "ours"))) == theirs
