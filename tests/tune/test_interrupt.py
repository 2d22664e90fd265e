"""Ctrl-C ends a study also if nobody listens, and looking at a study keeps no driver from it."""

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
def test_ctrl_c_stops_tune_also_if_it_cannot_be_said(error):
    def say(_: str) -> None:
        raise error("reentrant call, or nobody listens")

    stops = []
    with stoppable(say):
        signal.signal(signal.SIGUSR1, lambda *_: stops.append(True))  # as Tune does
        signal.raise_signal(signal.SIGINT)
    assert stops == [True]


def test_ctrl_c_once_stops_tune_and_twice_all():
    messages, stops = [], []
    with stoppable(messages.append):
        signal.signal(signal.SIGUSR1, lambda *_: stops.append(True))  # as Tune does
        signal.raise_signal(signal.SIGINT)
        assert (len(messages), len(stops)) == (1, 1)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert len(stops) == 1


def test_ctrl_c_before_tune_listens_stops_all():
    with stoppable(print), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_looking_at_a_study_keeps_no_driver_from_it(tmp_path):
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
