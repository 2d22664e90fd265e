"""A study on a real S3 server that is slow, refuses, breaks off and hangs: no run fails for it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from pyarrow.fs import FileSystem

from analysis import load_study

pytestmark = pytest.mark.siege

ROOT = Path(__file__).parents[3]
TRIALS = 14
SPEC = {
    "name": "outage",
    "experiment": {"data": "embedded", "subset": 400, "pretrain_epochs": 1, "epochs": 2},
    "search": {"alpha": {"low": 0.1, "high": 1.0}},
    "oracles": 0,
    "slots": 1,
    "sampler": "random",
    "trials": TRIALS,
}
OUTAGES = ("503", "cut", "hang")
TOLD = 20.0  # seconds after which a user knows of an outage
LASTS = 3.0  # seconds for which it lasts from then on
AT_MOST = 15  # requests a run


class Driver:
    """A study's driver, and the times of the lines that it prints."""

    def __init__(self, folder: Path, results: str):
        (folder / "outage.yaml").write_text(yaml.safe_dump(SPEC))
        command = [sys.executable, "-m", "tune", "run", str(folder / "outage.yaml")]
        self.process = subprocess.Popen(
            [*command, "--results", results],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[tuple[float, str]] = []
        self.reading = threading.Thread(target=self._read, daemon=True)
        self.reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line))

    @property
    def text(self) -> str:
        return "".join(line for _, line in self.lines)

    def wait(self, condition: Callable[[], object], limit: float = 300) -> None:
        end = time.monotonic() + limit
        while not condition():
            alive = self.process.poll() is None and time.monotonic() < end
            assert alive, self.text
            time.sleep(0.05)

    def wait_for_runs(self, count: int) -> int:
        """Wait until so many more runs have ended; return how many have."""
        before = self.ended()
        self.wait(lambda: self.ended() >= before + count)
        return self.ended() - before

    def told_of_it(self, start: int) -> bool:
        """Return True if a line from number `start` on says that the store does not answer."""
        return any("does not answer" in line for _, line in self.lines[start:])

    def ended(self) -> int:
        """Return how many runs have ended."""
        return self.text.count("val accuracy")


def test_no_run_fails_for_a_store_that_fails_for_a_while(proxy, tmp_path):
    query = f"endpoint_override=127.0.0.1:{proxy.server_port}&scheme=http&region=us-east-1"
    filesystem, bucket = FileSystem.from_uri(f"s3://outage?{query}&allow_bucket_creation=true")
    filesystem.create_dir(bucket)
    driver = Driver(tmp_path, f"s3://{bucket}/studies?{query}")
    try:
        driver.wait_for_runs(3)
        _count(proxy, driver)
        for proxy.fault in OUTAGES:
            lines = len(driver.lines)
            driver.wait(lambda start=lines: driver.told_of_it(start), TOLD)
            time.sleep(LASTS)
            proxy.fault = ""
            driver.wait_for_runs(2)
        assert driver.process.wait(300) == 0, driver.text
    finally:
        driver.process.kill()
    rows = load_study(f"s3://{bucket}/studies/outage?{query}")
    assert set(rows["status"]) == {"complete"}
    assert rows["trial_id"].is_unique
    assert len(rows) == TRIALS + 4  # two controls, the original and the retrained model


def _count(proxy, driver: Driver) -> None:
    """Check the requests of runs while the store is slow, and that no file is written over."""
    proxy.delay = 0.05
    first = len(proxy.requests)
    runs = driver.wait_for_runs(5)
    requests, proxy.delay = proxy.requests[first:], 0.0
    assert len(requests) <= AT_MOST * runs, f"{runs} runs: {requests}"
    print(f"{len(requests) / runs:.1f} requests a run")
    written = [path for _, method, path in requests if method == "PUT"]
    again = {path for path in written if written.count(path) > 1 and "driver.json" not in path}
    assert not any("journal" in path for path in again)
