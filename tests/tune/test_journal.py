"""The journal is Optuna's own to all who read it, also where its disk was full."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tune.journal import Journal

optuna.logging.set_verbosity(optuna.logging.WARNING)


def read(path: Path) -> optuna.Study:
    return optuna.load_study(study_name="s", storage=JournalStorage(JournalFileBackend(str(path))))


def begun(path: Path) -> tuple[Journal, optuna.Study]:
    journal = Journal(path)
    study = optuna.create_study(study_name="s", storage=JournalStorage(journal))
    study.enqueue_trial({"x": 0.25})
    return journal, study


def told(study: optuna.Study, count: int) -> None:
    for _ in range(count):
        trial = study.ask()
        study.tell(trial, trial.suggest_float("x", 0, 1))


def test_optuna_reads_what_was_written(tmp_path):
    journal, study = begun(tmp_path / "journal")
    journal.publish()
    told(study, 5)
    study.ask()
    found = read(tmp_path / "journal")
    assert [trial.state.name for trial in found.trials] == 5 * ["COMPLETE"] + ["RUNNING"]
    assert found.trials[0].params == {"x": 0.25}
    assert [trial.value for trial in found.trials] == [trial.value for trial in study.trials]


def test_the_one_before_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "journal"
    journal, study = begun(path)
    journal.publish()
    told(study, 3)
    again, other = begun(path)
    told(other, 1)
    assert len(read(path).trials) == 3
    again.publish()
    told(other, 1)
    assert len(read(path).trials) == 2


def test_lines_wait_for_a_disk_that_is_full(small_disk):
    journal, study = begun(small_disk / "journal")
    journal.publish()
    told(study, 2)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(512))
    told(study, 60)
    assert len(study.trials) == 62
    assert 2 <= len(read(small_disk / "journal").trials) < 62
    filler.unlink()
    told(study, 1)
    found = read(small_disk / "journal").trials
    assert [trial.value for trial in found] == [trial.value for trial in study.trials]
    assert len(found) == 63


def test_a_sampler_proposes_the_same_on_both(tmp_path):
    def proposed(backend) -> list[float]:
        sampler = optuna.samplers.TPESampler(seed=0, n_startup_trials=3)
        study = optuna.create_study(storage=JournalStorage(backend), sampler=sampler)
        told(study, 8)
        return [trial.value for trial in study.trials]

    theirs = proposed(JournalFileBackend(str(tmp_path / "theirs")))
    assert proposed(Journal(tmp_path / "ours")) == theirs
