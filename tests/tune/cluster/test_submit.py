"""`sgu-study submit` against a real Ray head, which requires a token."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from analysis import load_study
from sgu.host.provenance import VERSION_GIVEN, code_version

pytestmark = pytest.mark.siege

ROOT = Path(__file__).parents[3]
TOKEN = "0" * 64
SPEC = {
    "name": "sent",
    "experiment": {"data": "embedded", "subset": 400, "pretrain_epochs": 1, "epochs": 1},
    "search": {"alpha": {"low": 0.1, "high": 1.0}},
    "trials": 2,
    "slots": 1,
    "oracles": 0,
}


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class Head:
    address: str
    env: dict[str, str]
    folder: Path

    def submit(self, *words: str, **changed: object) -> subprocess.CompletedProcess[str]:
        """Submit from a machine where only the token's file says that there is one."""
        path = self.folder / "study.yaml"
        path.write_text(yaml.safe_dump(SPEC | changed))
        command = [sys.executable, "-m", "tune", "submit", str(path), "--address", self.address]
        return subprocess.run(
            [*command, *words],
            env={name: value for name, value in self.env.items() if name != "RAY_AUTH_MODE"},
            cwd=self.folder,
            capture_output=True,
            text=True,
        )


@pytest.fixture(scope="module")
def head(free_ports: Callable[[int], list[int]]) -> Iterator[Head]:
    folder = Path(tempfile.mkdtemp(prefix="sgu"))  # short: paths of Ray's sockets begin with it
    (folder / "token").write_text(TOKEN)
    gcs, dashboard, agent, client = free_ports(4)
    env = {name: value for name, value in os.environ.items() if name != VERSION_GIVEN} | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RAY_TMPDIR": str(folder),
        "COLUMNS": "200",
    }
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    ports = {
        "port": gcs,
        "dashboard-port": dashboard,
        "dashboard-agent-listen-port": agent,
        "ray-client-server-port": client,
        "min-worker-port": 0,
        "max-worker-port": 0,
        "num-cpus": 2,
    }
    options = [f"--{name}={value}" for name, value in ports.items()]
    with (folder / "head.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *options, "--dashboard-host=127.0.0.1", f"--temp-dir={folder}"],
            env={name: value for name, value in env.items() if name != "PYTHONPATH"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + 300
        while not (answers(dashboard) and answers(agent)):
            assert time.monotonic() < end, (folder / "head.log").read_text()
            assert process.poll() is None, (folder / "head.log").read_text()
            time.sleep(0.2)
        yield Head(f"http://127.0.0.1:{dashboard}", env, folder)
    finally:
        process.send_signal(signal.SIGTERM)  # it ends all processes it has started
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def test_a_submitted_study_runs_on_the_cluster_and_its_log_is_followed(head, tmp_path):
    result = head.submit("--results", str(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    first, *log, last = result.stdout.splitlines()
    assert f"its rows go to {tmp_path}/sent" in first
    assert any("study sent is complete" in line for line in log)
    assert last.endswith("SUCCEEDED")
    frame = load_study(tmp_path / "sent")
    assert (~frame["control"].astype(bool)).sum() == 2
    version, dirty = code_version()
    assert set(frame["code_version"]) == {version}  # although the code was sent without its history
    assert set(frame["code_dirty"]) == {dirty}


def test_a_job_that_fails_says_why_and_how_to_go_on(head, tmp_path):
    result = head.submit("--results", str(tmp_path), experiment={"data": "/nowhere"})
    assert result.returncode == 2
    assert "/nowhere: no such folder" in result.stdout
    assert "FAILED" in result.stderr
    assert "goes on where it was" in result.stderr


def test_a_job_need_not_be_waited_for(head, tmp_path):
    result = head.submit("--results", str(tmp_path), "--no-wait", experiment={"data": "/nowhere"})
    assert result.returncode == 0
    assert "ray job logs --follow sent-" in result.stdout


def test_a_mistake_is_named_before_anything_is_sent(head):
    result = head.submit("--results", "here")
    assert result.returncode == 2
    assert result.stdout == ""
    assert "all the cluster's machines share" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("token", ["1" * 64, ""])
def test_without_its_token_the_cluster_takes_no_job(head, token, tmp_path):
    (tmp_path / "token").write_text(token)
    other = Head(
        head.address, head.env | {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}, tmp_path
    )
    result = other.submit("--results", str(tmp_path))
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "token" in result.stderr


def test_an_address_without_a_dashboard_is_named(head):
    other = Head("http://127.0.0.1:1", head.env, head.folder)
    result = other.submit("--results", "/tmp")
    assert result.returncode == 2
    assert "http://127.0.0.1:1" in result.stderr
    assert result.stderr.count("\n") == 1
