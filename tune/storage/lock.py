"""One driver a study: a second driver is refused and told which one is at work.

In a local folder the lock is the kernel's (flock), gone with its process, however that ended. A
store such as s3:// has no locks: there the driver leaves a lease and renews it while it lives; a
lease that has not been renewed for `LEASE` seconds is free to take, and is waited for, so that a
driver that was killed can be started again at once. Its age is told by the store's clock alone: two
machines need not agree on the time.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from sgu.files.atomic import unfinished_name
from sgu.files.location import Location
from tune import Say

NAME = "driver.json"
LEASE = 60.0  # seconds
RENEWED = 10.0  # seconds between two renewals
LOOK = 1.0  # seconds after which a lock is a driver's, not that of `lock_owner`
PAUSE = 2.0  # seconds after which, of two drivers that came at once, each sees who wrote last


class StudyLocked(RuntimeError):
    """A study on which another driver is at work."""


def study_lock(folder: Location, say: Say) -> AbstractContextManager[None]:
    """Lock a study's folder within a block. Raises StudyLocked if another driver has the lock.

    say: is told if the lease of a driver that may be dead is waited for.
    """
    return _locked(folder) if folder.local else _leased(folder, say)


def lock_owner(folder: Location) -> str | None:
    """Return a description of the driver at work on a study; None if there is none."""
    if not folder.local:
        lease = _lease(folder)
        return _described(lease) if lease and _age(folder) < LEASE else None
    with suppress(FileNotFoundError), Path(folder.inside(NAME).path).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _described(_lease(folder))
    return None


@contextmanager
def _locked(folder: Location) -> Iterator[None]:
    path = Path(folder.inside(NAME).path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        if not _acquired(file):
            raise _refusal(folder, _lease(folder))
        file.truncate(0)
        file.write(json.dumps(_this_driver()))
        file.flush()
        yield


def _acquired(file: IO[str]) -> bool:
    """Lock the file; return False if a driver has it. `lock_owner` has it only for an instant."""
    end = time.monotonic() + LOOK
    while time.monotonic() < end:
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(LOOK / 50)
    return False


@contextmanager
def _leased(folder: Location, say: Say) -> Iterator[None]:
    if lease := _lease(folder):
        _wait_for_the_end(folder, lease, say)
    token = uuid.uuid4().hex
    _renew(folder, _this_driver() | {"token": token})
    time.sleep(PAUSE)
    lease = _lease(folder)
    if lease.get("token") != token:
        raise _refusal(folder, lease)
    over = threading.Event()
    renewing = threading.Thread(target=_keep, args=(folder, lease, over), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join()
        if _lease(folder).get("token") == token:
            folder.inside(NAME).remove()


def _wait_for_the_end(folder: Location, lease: dict[str, Any], say: Say) -> None:
    """Wait until a lease has ended or is gone. Raises StudyLocked if it is renewed: its driver
    lives."""
    left = LEASE - _age(folder)
    if left > 0:
        driver = _described(lease)
        say(f"{folder.shown}: {driver} is at work on it, or dead: {left:.0f} s will tell")
    while left > 0 and (now := _lease(folder)):
        if now != lease:
            raise _refusal(folder, now)
        time.sleep(min(LOOK, left))
        left = LEASE - _age(folder)


def _keep(folder: Location, lease: dict[str, Any], over: threading.Event) -> None:
    """Renew the lease; if another driver has taken it over, end this one as Ctrl-C would."""
    while not over.wait(RENEWED):
        try:
            if _lease(folder).get("token", lease["token"]) != lease["token"]:
                os.kill(os.getpid(), signal.SIGINT)
                return
            _renew(folder, lease)
        except OSError:
            continue  # out of reach for now; another driver may take the lease once it is too old


def _renew(folder: Location, lease: dict[str, Any]) -> None:
    folder.inside(NAME).write(json.dumps(lease | {"renewed": time.time()}).encode())


def _lease(folder: Location) -> dict[str, Any]:
    return folder.inside(NAME).read_json()


def _age(folder: Location) -> float:
    """Return the seconds since the lease was written, by the store's clock, or where it may only be
    read by this machine's; infinite without a lease."""
    written, probe = folder.inside(NAME).info.mtime, folder.inside(unfinished_name("clock"))
    try:
        probe.write(b"now")  # the store dates it
        now = probe.info.mtime
        probe.remove()
    except OSError:
        now = datetime.now(UTC)
    return (now - written).total_seconds() if written and now else math.inf


def _this_driver() -> dict[str, Any]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": since}


def _refusal(folder: Location, driver: dict[str, Any]) -> StudyLocked:
    at_work = f"{folder.shown}: {_described(driver)} is at work on it"
    return StudyLocked(f"{at_work}: wait for it, or end it first")


def _described(driver: dict[str, Any]) -> str:
    if not {"pid", "host", "since"} <= driver.keys():  # empty for an instant, while it is written
        return "another driver"
    return f"process {driver['pid']} on {driver['host']} since {driver['since']}"
