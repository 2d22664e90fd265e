"""A study has one driver: a second one is refused, and a dead one locks nothing."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sgu.files.location import Location
from tune.storage import lock
from tune.storage.lock import StudyLocked, lock_owner, study_lock

ROOT = Path(__file__).parents[3]
LOCK = """
import sys, time
from sgu.files.location import Location
from tune.storage import lock

lock.RENEWED = 0.5
with lock.study_lock(Location.at(sys.argv[1]), print):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=["local", "s3"])
def address(request, tmp_path, monkeypatch) -> str:
    if request.param == "local":
        return str(tmp_path / "study")
    monkeypatch.setattr(lock, "PAUSE", 0.3)
    return request.getfixturevalue("bucket")("locked")


@pytest.fixture
def other(address):
    """Another process that has the lock."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", LOCK, address], stdout=subprocess.PIPE, text=True, env=env
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.wait()


def lease(folder: Location) -> dict[str, Any]:
    return json.loads(folder.inside(lock.NAME).read() or "{}")


def test_a_second_driver_is_refused_and_told_of_the_first(address, other):
    folder = Location.at(address)
    first = rf"process {other.pid} on {re.escape(socket.gethostname())} since 20\S+"
    with pytest.raises(StudyLocked, match=first), study_lock(folder, print):
        pytest.fail("two drivers at once")
    assert re.fullmatch(first, lock_owner(folder) or "")


def test_a_killed_driver_locks_nothing(address, other, monkeypatch):
    folder = Location.at(address)
    other.send_signal(signal.SIGKILL)
    other.wait()
    monkeypatch.setattr(lock, "LEASE", 3.0)
    said = list[str]()
    with study_lock(folder, said.append):  # a lease is waited for
        assert f"process {os.getpid()} " in (lock_owner(folder) or "")
    assert all(f"process {other.pid} " in line and "or dead" in line for line in said)


def test_a_lock_is_free_after_use(address):
    folder = Location.at(address)
    for _ in range(2):
        with study_lock(folder, print):
            assert lock_owner(folder)
        assert lock_owner(folder) is None


def test_a_lease_is_renewed_while_its_driver_lives(bucket, monkeypatch):
    monkeypatch.setattr(lock, "PAUSE", 0.1)
    monkeypatch.setattr(lock, "RENEWED", 0.1)
    folder = Location.at(bucket("renewed"))
    with study_lock(folder, print):
        first, end = lease(folder), time.monotonic() + 60
        while lease(folder)["renewed"] <= first["renewed"] + 1:
            assert time.monotonic() < end
            time.sleep(0.1)
        with pytest.raises(StudyLocked), study_lock(folder, print):
            pytest.fail("two drivers at once")


def test_one_of_two_drivers_that_come_at_once_is_refused(bucket, monkeypatch):
    monkeypatch.setattr(lock, "PAUSE", 5.0)  # longer than a write may take
    monkeypatch.setattr(lock, "RENEWED", 0.5)
    folder, outcomes = Location.at(bucket("race")), []

    def come() -> None:
        try:
            with study_lock(folder, print):
                outcomes.append("locked")
                time.sleep(5)
        except StudyLocked:
            outcomes.append("refused")

    threads = [threading.Thread(target=come) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["locked", "refused"]


def test_a_driver_whose_lease_was_taken_over_ends(bucket, monkeypatch):
    """It hung for longer than its lease, and another driver came."""
    monkeypatch.setattr(lock, "PAUSE", 0.1)
    monkeypatch.setattr(lock, "RENEWED", 2.0)  # later than `theirs` is written
    folder = Location.at(bucket("taken"))
    theirs = {"token": "other", "host": "there", "pid": 1, "since": "now", "renewed": time.time()}

    def hang() -> None:
        with study_lock(folder, print):
            folder.inside(lock.NAME).write(json.dumps(theirs).encode())
            time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        hang()
    assert lock_owner(folder) == "process 1 on there since now"


def test_looking_at_a_study_keeps_no_driver_from_it(tmp_path):
    (tmp_path / lock.NAME).write_text('{"host": "here", "pid": 1, "since": "long ago"}')

    def look() -> None:
        with (tmp_path / lock.NAME).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            looking.set()
            time.sleep(0.1)

    looking = threading.Event()
    looker = threading.Thread(target=look)
    looker.start()
    looking.wait()
    with study_lock(Location.at(tmp_path), print):
        pass
    looker.join()


@pytest.mark.parametrize("stated", [0.0, 4e9])
def test_the_stores_clock_alone_tells_how_old_a_lease_is(bucket, monkeypatch, stated):
    """The machine of the lease, or this one, may be wrong by any time."""
    folder = Location.at(bucket("clock"))
    lease = {"token": "other", "host": "there", "pid": 1, "since": "now", "renewed": stated}
    folder.inside(lock.NAME).write(json.dumps(lease).encode())
    monkeypatch.setattr(lock.time, "time", lambda: 2e9)
    monkeypatch.setattr(lock, "LEASE", 4.0)
    monkeypatch.setattr(lock, "PAUSE", 0.1)
    said, start = list[str](), time.monotonic()
    with study_lock(folder, said.append):
        assert 2 < time.monotonic() - start < 30
    assert re.search(r"process 1 on there since now is at work on it, or dead: [34] s", said[0])
    assert folder.names() == []
