"""One driver a study: a second one is refused, and told of the first.

In a local folder the lock is the kernel's (flock), gone with the process that held it, however it
ended. A store such as s3:// has no locks: there the driver leaves a lease and renews it while it
lives; a lease that has not been renewed for `LEASE` seconds is nobody's.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from sgu.files.folder import Folder

NAME = "driver.json"
LEASE = 60.0  # seconds
RENEWED = 10.0  # every so many of them
LOOK = 1.0  # after which a lock is a driver's
PAUSE = 2.0  # after which, of two drivers that came at once, each sees who was the last to write


class Held(RuntimeError):
    """Another driver is at work on the study."""


@contextmanager
def held(folder: Folder) -> Iterator[None]:
    """Hold a study's folder inside. Raises Held where another driver has it."""
    with _locked(folder) if folder.local else _leased(folder):
        yield


def holder(folder: Folder) -> str | None:
    """Who is at work on a study; None: nobody."""
    if not folder.local:
        lease = _read(folder)
        return _who(lease) if _fresh(lease) else None
    path = Path(folder.path) / NAME
    if not path.exists():
        return None
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _who(json.loads(file.read() or "{}"))
    return None


@contextmanager
def _locked(folder: Folder) -> Iterator[None]:
    path = Path(folder.path) / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        if not _taken(file):
            file.seek(0)
            raise _refusal(folder, json.loads(file.read() or "{}"))
        file.truncate(0)
        file.write(json.dumps(_self()))
        file.flush()
        yield


def _taken(file: IO[str]) -> bool:
    """Whether the lock is ours now. Who only looks (see `holder`) has it for an instant."""
    end = time.monotonic() + LOOK
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(LOOK / 50)
        else:
            return True


@contextmanager
def _leased(folder: Folder) -> Iterator[None]:
    lease = _read(folder)
    if _fresh(lease):
        raise _refusal(folder, lease)
    mine = _self() | {"token": uuid.uuid4().hex}
    _renew(folder, mine)
    time.sleep(PAUSE)
    lease = _read(folder)
    if lease.get("token") != mine["token"]:
        raise _refusal(folder, lease)
    over = threading.Event()
    renewing = threading.Thread(target=_keep, args=(folder, mine, over), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join()
        if _read(folder).get("token") == mine["token"]:
            folder.remove(NAME)


def _keep(folder: Folder, mine: dict[str, Any], over: threading.Event) -> None:
    """Renew the lease; end this driver, as Ctrl-C would, where another one has taken it over."""
    while not over.wait(RENEWED):
        try:
            if _read(folder).get("token", mine["token"]) != mine["token"]:
                os.kill(os.getpid(), signal.SIGINT)
                return
            _renew(folder, mine)
        except OSError:
            continue  # out of reach for now; who finds the lease too old may take it


def _renew(folder: Folder, mine: dict[str, Any]) -> None:
    folder.put(NAME, json.dumps(mine | {"renewed": time.time()}).encode())


def _read(folder: Folder) -> dict[str, Any]:
    return json.loads(folder.get(NAME) or "{}")


def _fresh(lease: dict[str, Any]) -> bool:
    return time.time() - lease.get("renewed", 0) < LEASE


def _self() -> dict[str, Any]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": since}


def _refusal(folder: Folder, lease: dict[str, Any]) -> Held:
    return Held(f"{folder.shown}: {_who(lease)} is at work on it: wait for it, or end it first")


def _who(lease: dict[str, Any]) -> str:
    if not lease:  # the file is empty for an instant, while its owner writes it
        return "another driver"
    return f"process {lease['pid']} on {lease['host']} since {lease['since']}"
