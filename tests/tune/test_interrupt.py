"""A Ctrl-C ends a study whoever listens, and who looks at a study keeps no driver from it."""

from __future__ import annotations

import fcntl
import signal
import threading
import time

import pytest

from sgu.files.location import Location
from tune.interrupt import stoppable
from tune.storage.lock import NAME, study_lock


@pytest.mark.parametrize("error", [BrokenPipeError, RuntimeError])
def test_ctrl_c_stops_tune_also_where_it_cannot_be_said(error):
    def say(_: str) -> None:
        raise error("reentrant call, or nobody listens")

    stops = []
    with stoppable(say):
        signal.signal(signal.SIGUSR1, lambda *_: stops.append(True))  # as Tune does
        signal.raise_signal(signal.SIGINT)
    assert stops == [True]


def test_who_looks_keeps_no_driver_from_a_study(tmp_path):
    (tmp_path / NAME).write_text('{"host": "here", "pid": 1, "since": "long ago"}')

    def look() -> None:
        with (tmp_path / NAME).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            looking.set()
            time.sleep(0.1)

    looking = threading.Event()
    looker = threading.Thread(target=look)
    looker.start()
    looking.wait()
    with study_lock(Location.at(tmp_path)):
        pass
    looker.join()
