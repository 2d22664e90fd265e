"""Ctrl-C ends a study also if nobody listens."""

from __future__ import annotations

import signal

import pytest

from tune.interrupt import stoppable


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
