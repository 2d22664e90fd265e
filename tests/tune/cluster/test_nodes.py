"""The default study on a simulated cluster of four nodes, one of which is lost; a real Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster
from typer.testing import CliRunner

from analysis import load_study
from tune.cli import app

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[3]
DEFAULT = str(ROOT / "studies" / "default.yaml")
SMALL = {"object_store_memory": 150 * 2**20, "include_dashboard": False}
FEWER = [
    "experiment.subset=400",
    "experiment.pretrain_epochs=1",
    "experiment.epochs=2",
    "oracles=0",
    "shadows=0",
    "objectives=[val_error, val_mia_advantage]",
    "trials=6",
]


def driver(results: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tune", *words, "--results", str(results)]
    changes = (
        [word for setting in FEWER for word in ("--set", setting)] if words[0] == "run" else []
    )
    return subprocess.Popen(
        command + changes,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 600
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.1)


def trials(results: Path) -> set[Path]:
    return set((results / "default" / "trials").glob("embedded?sg+*-*.parquet"))


@pytest.fixture
def cluster() -> Iterator[tuple[Cluster, list]]:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **SMALL})
    try:
        yield cluster, [cluster.add_node(num_cpus=1, **SMALL) for _ in range(4)]
    finally:
        cluster.shutdown()


def test_four_nodes_run_the_default_study_although_one_is_lost(tmp_path, cluster):
    running, nodes = cluster
    process = driver(tmp_path, "run", DEFAULT, "--address", running.address, "--set", "slots=4")
    try:
        wait_for(lambda: len(trials(tmp_path)) >= 2, process)
        running.remove_node(nodes[0], allow_graceful=False)
        output, _ = process.communicate(timeout=1200)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert "study default is complete" in output
    frame = load_study(tmp_path / "default")
    assert set(frame["status"]) == {"complete"}
    assert frame["trial_id"].is_unique
    assert (~frame["control"].astype(bool)).sum() == 6
    assert set(frame.loc[~frame["control"].astype(bool), "workers"]) == {4}


def test_after_ctrl_c_a_study_goes_on_and_a_second_one_ends_it_at_once(tmp_path):
    process = driver(tmp_path, "run", DEFAULT, "--set", "slots=1")
    try:
        wait_for(lambda: len(trials(tmp_path)) >= 2, process)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode == 130, output
    assert "ending: what is under way will be gone on with" in output
    assert output.splitlines()[-1].endswith("`sgu-study resume default` goes on")
    before = load_study(tmp_path / "default")
    status = CliRunner().invoke(app, ["status", "default", "--results", str(tmp_path)])
    assert "nobody is at work on it" in status.output
    known, resumed = trials(tmp_path), driver(tmp_path, "resume", "default")
    try:
        wait_for(lambda: bool(trials(tmp_path) - known), resumed)
        for _ in range(2):
            resumed.send_signal(signal.SIGINT)
            time.sleep(0.05)
        output, _ = resumed.communicate(timeout=240)
    finally:
        resumed.kill()
    assert resumed.returncode == 130, output
    assert "goes on" in output
    after = load_study(tmp_path / "default")
    assert after["trial_id"].is_unique
    kept = after.set_index("trial_id").loc[before["trial_id"], "started"]
    assert list(kept) == list(before["started"])  # none of them was run again
