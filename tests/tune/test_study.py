"""Whole studies by the command line: run, killed half-way, looked at, resumed.

Two small studies share a results folder, and so the cached original and retrained models. Every
driver leads a process session, which all processes that Ray starts for it stay in.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import optuna
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from tensorboardX.proto.event_pb2 import Event
from typer.testing import CliRunner

from analysis import load_epochs, load_histograms, load_study
from sgu.data.splits.splits import Splits
from sgu.experiment import Experiment
from sgu.results.schema import METRICS
from tune.cli import app

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc"),
]

ROOT = Path(__file__).parents[2]
EPOCHS, TRIALS, MORE = 2, 3, 6
SPEC = {
    "experiment": {"data": "embedded", "subset": 400, "pretrain_epochs": 2, "epochs": EPOCHS},
    "search": {"alpha": {"low": 0.1, "high": 1.0}, "lr": [0.01, 1e6]},  # the last one diverges
    "trials": TRIALS,
    "oracles": 1,
    "slots": 1,
    "sampler": "random",
    "tracking": {"tensorboard": True},
}
AUDITED = {"klom", "relearn_steps", "rmia_auc", "lira_auc", "u_lira_auc", "peak_memory"}
AUDITED |= {"val_rmia_auc", "val_lira_auc", "val_residual"}  # no shadow models, one oracle
PROVENANCE = [
    "config", "code_version", "data_fingerprint", "split_digest", "original_digest", "device",
    "threads", "host", "versions", "started", "wall_seconds",
]  # fmt: skip


@dataclass(frozen=True)
class Ended:
    code: int
    text: str


def driver(results: Path, *words: str) -> subprocess.Popen[bytes]:
    log = (results / "driver.log").open("ab")
    command = [sys.executable, "-m", "tune", *words, "--results", str(results)]
    env = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True
    )


def command(results: Path, *words: str, limit: float = 600) -> Ended:
    """Run a command to its end; no process that it started may outlive it."""
    log = results / "driver.log"
    begin = log.stat().st_size if log.exists() else 0
    process = driver(results, *words)
    try:
        code = process.wait(limit)
        wait_for(lambda: not session(process.pid), 120, "Ray to be gone")
    finally:
        end_session(process)
    return Ended(code, log.read_bytes()[begin:].decode())


def without_ray(results: Path, *words: str) -> Ended:
    """Run a command that starts no Ray in this process."""
    words = (*words, "--results", str(results))
    result = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    return Ended(result.exit_code, result.output)


def session(leader: int) -> list[int]:
    """Return the processes of a session, from field 6 of /proc/<pid>/stat, without zombies."""
    processes = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended while we looked
            if int(fields[3]) == leader and fields[0] != "Z":
                processes.append(int(entry.name))
    return processes


def end_session(process: subprocess.Popen[bytes]) -> None:
    """Kill the driver's process group, and processes of its session in other groups."""
    for pid in (-process.pid, *session(process.pid)):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait(120)
    wait_for(lambda: not session(process.pid), 120, "killed processes to be gone")


def wait_for(holds, limit: float, what: str) -> None:
    end = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < end, f"waited {limit} s for {what}"
        time.sleep(0.05)


def write_spec(results: Path, name: str, **changes: object) -> Path:
    path = results / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name} | SPEC | changes))
    return path


def sampled(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[(frame["method"] == "sg") & ~frame["control"].astype(bool)]


def proposals(folder: Path) -> list[optuna.trial.FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(folder / "optuna.journal")))
    return optuna.load_study(study_name="embedded/sg", storage=storage).trials


def states(folder: Path) -> list[str]:
    return [trial.state.name for trial in proposals(folder)]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def small(results: Path) -> Path:
    """Return the folder of a study that ran without a break."""
    ended = command(results, "run", str(write_spec(results, "small")))
    assert ended.code == 0, ended.text
    return results / "small"


@dataclass(frozen=True)
class Interrupted:
    folder: Path
    before: pd.DataFrame  # the rows at the kill
    in_flight: list[dict]  # parameters of the trials that had no row yet
    status: Ended  # after the kill
    resumed: Ended


@pytest.fixture(scope="module")
def killed(small: Path) -> Interrupted:
    """Return a study whose driver and Ray were killed after its first sampled trial."""
    results, folder = small.parent, small.parent / "killed"
    log, trials = results / "driver.log", folder / "trials"
    spec = write_spec(results, "killed", trials=MORE)
    process = driver(results, "run", str(spec))
    try:
        wait_for(
            lambda: (
                any(int(p.name.split("-")[-4]) > 1 for p in trials.glob("embedded?sg-*.parquet"))
                or process.poll() is not None
            ),
            600,
            f"a sampled trial; see {log}",
        )
    finally:
        end_session(process)
    before, status = load_study(folder), without_ray(results, "status", "killed")
    in_flight = [trial.params for trial in proposals(folder) if trial.state.name == "RUNNING"]
    resumed = command(results, "resume", "killed")
    return Interrupted(folder, before, in_flight, status, resumed)


@pytest.mark.long
def test_the_study_has_all_its_rows(small):
    frame = load_study(small).set_index("trial_id")
    assert frame["method"].to_dict() == {
        "original": "original", "retrain": "retrain", "retrain-1": "retrain",
        "0000": "finetune", "0001": "sg", "0002": "sg", "0003": "sg", "0004": "sg",
    }  # fmt: skip
    controls = frame.index[frame["control"].astype(bool)]
    assert set(controls) == {"original", "retrain", "retrain-1", "0000", "0001"}
    assert set(frame["cell"]) == {"embedded", "embedded/sg"}
    assert set(frame["study"]) == {"small"}
    for part in ("trials", "epochs"):
        assert len(list((small / part).iterdir())) == 1  # packed, nothing left over
    assert not (small / "_tune").exists()


@pytest.mark.long
def test_metrics_are_finite_and_failures_have_their_reason(small):
    frame = load_study(small)
    complete = frame["status"] == "complete"
    assert complete.sum() >= 4
    timed = {"game_seconds", "solve_seconds", "examples_seen"}
    suppressed = {"tpr_at_1", "tpr_at_01"}  # 80 test images are too few
    elsewhere = {"reference_seconds"}
    for _, row in frame[complete].iterrows():
        unknown = suppressed | AUDITED | elsewhere | (timed if row["cell"] == "embedded" else set())
        unknown |= {"avg_gap", "tow"} if row["trial_id"] == "retrain" else set()
        assert all(math.isfinite(row[name]) for name in set(METRICS) - unknown), row["trial_id"]
        assert set(json.loads(row["suppressed"])) == suppressed
    failed = frame[~complete]
    assert len(failed) >= 1
    assert set(failed["status"]) == {"failed"}
    for _, row in failed.iterrows():
        assert json.loads(row["config"])["lr"] == 1e6
        assert row["reason"].split(":")[0] in ("Diverged", "AuditorError", "ValueError")
    assert states(small).count("FAIL") == len(failed)
    assert states(small).count("COMPLETE") == TRIALS - len(failed)


@pytest.mark.long
def test_every_row_says_where_it_comes_from(small):
    frame = load_study(small)
    assert not frame[PROVENANCE].isna().any(axis=None)
    for column in ("data_fingerprint", "split_digest", "code_version"):
        assert frame[column].nunique() == 1
    trials = frame[~frame["method"].isin(["original", "retrain"])]
    original = frame.set_index("trial_id").loc["original"]
    assert set(trials["original_digest"]) == {original["original_digest"]}
    assert set(frame["threads"]) == {1}
    for text in trials["config"]:
        experiment = Experiment.of(**json.loads(text))
        assert experiment.settings() == json.loads(text)
    (stored,) = (small / "splits").iterdir()
    assert Splits.from_table(pq.read_table(stored)).digest == frame["split_digest"][0]


@pytest.mark.long
def test_every_epoch_of_every_complete_trial_is_there(small):
    frame, epochs = load_study(small), load_epochs(small)
    counts = epochs.groupby("trial_id")["epoch"].apply(list).to_dict()
    complete = frame[(frame["status"] == "complete") & frame["method"].isin(["sg", "finetune"])]
    for trial_id in complete["trial_id"]:
        assert counts[trial_id] == list(range(EPOCHS))
    last = epochs[epochs["epoch"] == EPOCHS - 1].set_index("trial_id")["val_acc"]
    for _, row in complete.iterrows():
        assert row["val_acc"] == last[row["trial_id"]]
    assert epochs[epochs["trial_id"] == "0000"]["utility"].isna().all()


@pytest.mark.long
def test_every_complete_row_has_the_histograms_of_its_losses(small):
    frame, losses = load_study(small), load_histograms(small)
    assert set(losses["trial_id"]) == set(frame.loc[frame["status"] == "complete", "trial_id"])
    table = pq.read_table(next((small / "splits").iterdir()))
    splits = Splits.from_table(table)
    examples = losses.groupby(["split", "trial_id"])["count"].sum()
    for split in ("forget", "val", "test"):
        assert (examples[split] == len(getattr(splits, split))).all()


def scalars(folder: Path) -> dict[str, list[float]]:
    """Return the values of each tag in the event files of a folder, in order: records of a length
    (8 bytes), its checksum (4), a message, and its checksum (4)."""
    values: dict[str, list[float]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content, at = path.read_bytes(), 0
        while at < len(content):
            size = int.from_bytes(content[at : at + 8], "little")
            event = Event.FromString(content[at + 12 : at + 12 + size])
            for value in event.summary.value:
                values.setdefault(value.tag, []).append(value.simple_value)
            at += size + 16
    return values


@pytest.mark.long
def test_tensorboard_has_the_numbers_of_the_rows(small):
    frame = load_study(small).query("status == 'complete' and method in ['sg', 'finetune']")
    epochs = load_epochs(small).set_index("trial_id")["val_acc"]
    for row in frame.to_dict("records"):
        found = scalars(small / "tensorboard" / f"embedded-sg-{row['trial_id']}-seed0")
        wanted = [*epochs[row["trial_id"]], row["val_acc"]]  # each epoch, and the end
        assert found["ray/tune/val_acc"] == pytest.approx(wanted, abs=1e-6)
        assert found["ray/tune/test_acc"] == pytest.approx([row["test_acc"]], abs=1e-6)


@pytest.mark.long
def test_a_killed_study_says_how_to_go_on(killed):
    done = len(sampled(killed.before))
    assert 1 <= done < MORE, "the kill came too late to mean anything"
    assert killed.status.code == 0
    assert f"embedded/sg: {done} of {MORE} trials" in killed.status.text
    assert "sgu-study resume killed" in killed.status.text


@pytest.mark.long
def test_a_resumed_study_keeps_what_was_finished(killed):
    assert killed.resumed.code == 0, killed.resumed.text
    after = load_study(killed.folder)
    kept = after[after["trial_id"].isin(killed.before["trial_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, killed.before)


@pytest.mark.long
def test_a_resumed_study_has_each_trial_once(killed):
    after = load_study(killed.folder)
    assert len(sampled(after)) == MORE
    assert sampled(after)["config"].is_unique
    assert after["trial_id"].is_unique
    counts = after["method"].value_counts().to_dict()
    assert counts == {"sg": MORE + 1, "finetune": 1, "original": 1, "retrain": 2}
    assert set(states(killed.folder)) <= {"COMPLETE", "FAIL"}
    assert len(states(killed.folder)) == MORE


@pytest.mark.long
def test_what_was_in_flight_ran_with_the_same_settings(killed):
    ran = [json.loads(text) for text in sampled(load_study(killed.folder))["config"]]
    for params in killed.in_flight:
        assert any(settings.items() >= params.items() for settings in ran)


@pytest.mark.long
def test_no_file_is_torn(killed):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_study(killed.folder)
        load_epochs(killed.folder)
    for path in killed.folder.rglob("[!_]*.parquet"):
        assert pq.read_table(path).num_rows > 0


@pytest.mark.long
def test_one_seed_gives_one_control_in_every_study(small, killed):
    """The first study trained the original, the second one loaded it from the cache."""
    rows = [load_study(folder).set_index("trial_id") for folder in (small, killed.folder)]
    for trial in ("0000", "0001", "original", "retrain", "retrain-1"):
        for name in METRICS:
            if "seconds" not in name and name not in AUDITED:
                one, other = (frame.loc[trial, name] for frame in rows)
                assert one == other or (math.isnan(one) and math.isnan(other)), (trial, name)


@pytest.mark.long
def test_a_finished_study_is_left_alone(small):
    results, before = small.parent, load_study(small)
    again = without_ray(results, "run", str(write_spec(results, "small")))
    assert again.code == 0
    assert "all trials are there" in again.text
    assert "--fresh" in again.text
    assert (
        f"embedded/sg: {TRIALS} of {TRIALS} trials" in without_ray(results, "status", "small").text
    )
    pd.testing.assert_frame_equal(load_study(small), before)


def refused(*words: str) -> str:
    """Return the one line with which a command ends with code 2."""
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2, result.output
    assert result.output.startswith("sgu-study: ")
    assert result.output.count("\n") == 1
    return result.output


@pytest.mark.long
def test_another_study_of_that_name_is_refused(small):
    changed = write_spec(small.parent, "small", sampler_seed=7)
    stored = (small / "spec.yaml").read_text()
    error = refused("run", str(changed), "--results", str(small.parent))
    assert "another study of that name" in error
    assert "--fresh" in error
    assert (small / "spec.yaml").read_text() == stored


@pytest.mark.long
def test_a_cluster_that_is_not_there_deletes_nothing(small):
    before, spec = load_study(small), str(small.parent / "small.yaml")
    words = ["--results", str(small.parent), "--fresh", "--address", "nowhere"]
    assert "nowhere" in refused("run", spec, *words)
    pd.testing.assert_frame_equal(load_study(small), before)


def test_a_cluster_that_is_not_there_begins_nothing(tmp_path):
    words = ["--results", str(tmp_path), "--address", "nowhere"]
    assert "nowhere" in refused("run", str(write_spec(tmp_path, "new")), *words)
    assert "no study in " in refused("status", "new", "--results", str(tmp_path))


@pytest.mark.parametrize("word", ["resume", "status"])
def test_an_unknown_study_is_named(tmp_path, word):
    assert "no study in " in refused(word, "nowhere", "--results", str(tmp_path))


def test_bad_data_leave_no_trace(tmp_path):
    spec = write_spec(tmp_path, "bad", experiment={"data": str(tmp_path / "missing")})
    assert "no such folder" in refused("run", str(spec), "--results", str(tmp_path))
    assert not (tmp_path / "bad").exists()


@pytest.mark.long
def test_more_retrained_models_are_made_and_no_trial_is_run_again(small):
    before = load_study(small).set_index("trial_id")
    more = write_spec(small.parent, "small", oracles=2)
    assert command(small.parent, "run", str(more)).code == 0
    after = load_study(small).set_index("trial_id")
    assert set(after.index) - set(before.index) == {"retrain-2"}
    assert set(after["attempt"]) == {0}
    assert list(after.loc[before.index, "started"]) == list(before["started"])
    assert "all trials are there" in without_ray(small.parent, "run", str(more)).text
